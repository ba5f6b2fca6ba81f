//! `affiant formats`: what can be read, and what a reader says of a file. Stores nothing.

use super::output::{Failure, say, say_json};
use affiant_ingest::{Counter, FORMATS, FileSource, Kind, Limits, read};
use std::path::PathBuf;

/// Arguments of `formats`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the formats
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what a file is and what its reader finds in it
    Check {
        /// The file
        file: PathBuf,
        /// Its format, where it is not to be recognised
        #[arg(long)]
        format: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::List { json } => {
            list(*json);
            Ok(())
        }
        Command::Check { file, format, json } => check(file, format.as_deref(), *json),
    }
}

fn list(json: bool) {
    let kind = |kind| {
        if kind == Kind::Events { "events" } else { "findings" }
    };
    if json {
        let all: Vec<_> = FORMATS
            .iter()
            .map(|f| serde_json::json!({ "name": f.name, "title": f.title, "kind": kind(f.kind) }))
            .collect();
        return say_json(&all);
    }
    for format in &FORMATS {
        say(format_args!(
            "{:<18} {:<9} {}",
            format.name,
            kind(format.kind),
            format.title
        ));
    }
}

fn check(file: &std::path::Path, format: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut counter = Counter::new();
    if let Err(error) = read(&FileSource(file.to_owned()), format, &Limits::default(), &mut counter) {
        counter.error = Some(error.to_string());
    }
    let refused = counter.error.clone();
    if json {
        say_json(&counter);
        return refused.map_or(Ok(()), |_| Err(Failure::Told));
    }
    if let Some(error) = refused {
        return Err(Failure::Input(format!("{}: {error}", file.display())));
    }
    say(format_args!(
        "{}: {} {}",
        file.display(),
        counter.format.unwrap_or("?"),
        counter.version.as_deref().unwrap_or("")
    ));
    say(format_args!(
        "  {} findings, {} would open, {} passed checks, {} audit events, {} records rejected",
        counter.findings,
        counter.open,
        counter.passed,
        counter.events,
        counter.rejected.len()
    ));
    for (severity, count) in counter.severity.iter().filter(|(_, count)| **count > 0) {
        say(format_args!("  {severity:<14} {count}"));
    }
    for rejection in counter.rejected.iter().take(20) {
        say(format_args!("  rejected at {}: {}", rejection.at, rejection.why));
    }
    for remark in &counter.remarks {
        say(format_args!("  note: {remark}"));
    }
    Ok(())
}
