//! `affiant formats`: what can be read, what a reader says of a file, and the beginning of a format of one's own. Stores nothing.

use super::output::{Failure, say, say_json};
use crate::config::Storage;
use affiant_ingest::{Counter, Declared, FileSource, Format, Kind, Limits, Shown, skeleton};
use std::path::{Path, PathBuf};

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
    Check(Check),
    /// Print the beginning of a declarative format, made after a file
    New {
        /// Name of the format
        name: String,
        /// A file of that format
        #[arg(long)]
        from: PathBuf,
    },
}

#[derive(clap::Args)]
struct Check {
    /// The file
    file: PathBuf,
    /// Its format, where it is not to be recognised
    #[arg(long)]
    format: Option<String>,
    /// Read it by this declarative format, a TOML file
    #[arg(long, conflicts_with = "format")]
    spec: Option<PathBuf>,
    /// Show so many of the records as they would be stored
    #[arg(long, default_value_t = 0)]
    show: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(storage: &Storage, args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::List { json } => list(storage, *json),
        Command::Check(check) => self::check(storage, check),
        Command::New { name, from } => new(name, from),
    }
}

fn list(storage: &Storage, json: bool) -> Result<(), Failure> {
    let formats = storage.load_formats().map_err(Failure::input)?;
    let kind = |kind| {
        if kind == Kind::Events { "events" } else { "findings" }
    };
    if json {
        let all: Vec<_> = formats
            .iter()
            .map(|f| serde_json::json!({ "name": f.name, "title": f.title, "kind": kind(f.kind) }))
            .collect();
        say_json(&all);
        return Ok(());
    }
    for format in formats.iter() {
        say(format_args!(
            "{:<22} {:<9} {}",
            format.name,
            kind(format.kind),
            format.title
        ));
    }
    Ok(())
}

fn check(storage: &Storage, args: &Check) -> Result<(), Failure> {
    let mut shown = Shown::new(args.show);
    let refused = read(storage, args, &mut shown).err();
    let (mut counter, records) = shown.into_parts();
    counter.error = refused.as_ref().map(ToString::to_string);
    if args.json {
        let mut told = serde_json::to_value(&counter).map_err(Failure::fault)?;
        if args.show > 0 {
            told["records"] = records.into();
        }
        say_json(&told);
        return refused.map_or(Ok(()), |_| Err(Failure::Told));
    }
    if let Some(error) = refused {
        return Err(Failure::Input(format!("{}: {error}", args.file.display())));
    }
    tell(&args.file, &counter);
    records.iter().for_each(say_json);
    Ok(())
}

fn read(storage: &Storage, args: &Check, sink: &mut Shown) -> Result<(), Box<dyn std::error::Error>> {
    let source = FileSource(args.file.clone());
    let limits = Limits::default();
    if let Some(spec) = &args.spec {
        let text = std::fs::read_to_string(spec).map_err(|error| format!("{}: {error}", spec.display()))?;
        let declared = Declared::parse(&text).map_err(|error| format!("{}: {error}", spec.display()))?;
        let format = Format::from(declared);
        sink.recognised_as(&format);
        return Ok(format.read(&source, &limits, sink)?);
    }
    let format = storage
        .load_formats()?
        .recognise(&source, args.format.as_deref(), &limits)?;
    sink.recognised_as(&format);
    Ok(format.read(&source, &limits, sink)?)
}

fn tell(file: &Path, counter: &Counter) {
    say(format_args!(
        "{}: {} {}",
        file.display(),
        counter.format.as_deref().unwrap_or("?"),
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
}

fn new(name: &str, from: &Path) -> Result<(), Failure> {
    let text = skeleton(name, &FileSource(from.to_owned()), &Limits::default()).map_err(Failure::input)?;
    say(text.trim_end());
    Ok(())
}
