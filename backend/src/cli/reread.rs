//! `affiant reread`.

use super::context;
use super::output::{Failure, say, say_json};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::ingest::reread;
use affiant_domain::id::ProjectId;

/// Arguments of `reread`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Slug of the project
    #[arg(long)]
    project: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(storage: &Storage, args: &Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    let found = app.store.project_by_slug(&args.project).await.map_err(Failure::fault)?;
    let project = found.ok_or_else(|| Failure::Input(format!("there is no project \"{}\"", args.project)))?;
    let told = reread(&app, ProjectId(project.id)).await?;
    if args.json {
        say_json(&told);
        return Ok(());
    }
    say(format_args!(
        "{} originals read again, {} findings: {} linked to a new fingerprint, {} no longer found at their place",
        told.originals, told.findings, told.linked, told.not_found
    ));
    Ok(())
}
