//! `affiant report`.

use super::context;
use super::output::{Failure, say};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::report::make;
use affiant_domain::period::Period;
use std::path::PathBuf;

/// Arguments of `report`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Framework
    framework: String,
    /// 2026, 2026-Q3, 2026-09 or START..END
    period: String,
    /// Slug of the project; all projects, where it is not given
    #[arg(long)]
    project: Option<String>,
    /// json, csv or pdf
    #[arg(long, default_value = "pdf")]
    format: String,
    /// Table, for csv
    #[arg(long, default_value = "")]
    table: String,
    /// File to write; FRAMEWORK-PERIOD.FORMAT, where it is not given
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let format = affiant_report::by_name(&args.format).ok_or_else(|| {
        let known: Vec<&str> = affiant_report::FORMATS.iter().map(|format| format.name).collect();
        Failure::Input(format!(
            "unknown format \"{}\"; known are {}",
            args.format,
            known.join(", ")
        ))
    })?;
    let period = Period::parse(&args.period).map_err(Failure::input)?;
    let app = context(storage, Clock::system()).await?;
    let mut projects = app.store.projects(None).await.map_err(Failure::fault)?;
    if let Some(slug) = &args.project {
        projects.retain(|project| project.slug == *slug);
        if projects.is_empty() {
            return Err(Failure::Input(format!("there is no project \"{slug}\"")));
        }
    }
    let (row, report) = make(&app, &args.framework, &projects, args.project.is_none(), period, "cli").await?;
    let bytes = (format.render)(&report, &args.table).map_err(Failure::input)?;
    let out = args.out.unwrap_or_else(|| {
        PathBuf::from(format!(
            "{}-{}.{}",
            args.framework,
            args.period.replace("..", "-to-").replace(':', ""),
            args.format
        ))
    });
    std::fs::write(&out, bytes).map_err(|error| Failure::Fault(format!("cannot write {}: {error}", out.display())))?;
    say(format_args!("{} (SHA-256 of the JSON {})", out.display(), row.digest));
    Ok(())
}
