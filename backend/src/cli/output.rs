//! What the command line prints, and how it ends.

use crate::flow::FlowError;
use std::io::Write;
use std::process::ExitCode;

/// A text without what a terminal would take for a command, or would write in another direction: names and messages come from others' files.
/// What is written instead is what JSON has, too.
fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    let is_plain = |c: char| {
        let is_turning = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        matches!(c, '\n' | '\t') || !c.is_control() && !is_turning
    };
    if text.chars().all(is_plain) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            let _ = std::fmt::Write::write_fmt(&mut out, format_args!("\\u{:04x}", u32::from(c)));
        }
    }
    out.into()
}

/// A line on standard output. A reader that has gone away ends nothing.
pub(super) fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{}", plain(&text.to_string()));
}

/// A line on standard error.
pub(super) fn warn(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}", plain(&text.to_string()));
}

/// JSON on standard output.
pub(super) fn say_json(value: &impl serde::Serialize) {
    say(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// How a command ends when it does not do what was asked.
pub(super) enum Failure {
    /// The answer is no: 1.
    No(String),
    /// Bad use or input: 2.
    Input(String),
    /// A fault: 3.
    Fault(String),
    /// Bad input that was told already: 2.
    Told,
}

impl Failure {
    pub(super) fn input(error: impl std::fmt::Display) -> Self {
        Self::Input(error.to_string())
    }

    /// A configuration that is wrong, with every mistake.
    pub(super) fn mistakes(all: &[crate::config::Mistake]) -> Self {
        let lines: Vec<String> = all.iter().map(|mistake| format!("  {mistake}")).collect();
        Self::Input(format!("the configuration is wrong:\n{}", lines.join("\n")))
    }

    pub(super) fn fault(error: impl std::fmt::Display) -> Self {
        Self::Fault(error.to_string())
    }

    pub(super) fn report(self) -> ExitCode {
        let (text, code) = match self {
            Self::No(text) => (text, 1),
            Self::Input(text) => (text, 2),
            Self::Fault(text) => (text, 3),
            Self::Told => return ExitCode::from(2),
        };
        warn(format_args!("affiant: {text}"));
        ExitCode::from(code)
    }
}

impl From<FlowError> for Failure {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Store(_)
            | FlowError::Away(_)
            | FlowError::Io(..)
            | FlowError::Worker
            | FlowError::Trail(_)
            | FlowError::Report(_) => Self::fault(error),
            FlowError::MassClose { closing, open } => Self::No(format!(
                "this snapshot would close {closing} of {open} open findings; repeat it with --confirm if that is meant"
            )),
            FlowError::Invalid { at, what } => Self::Input(format!("{at}: {what}")),
            other => Self::input(other),
        }
    }
}
