//! `affiant assess`.

use super::context;
use super::output::{Failure, say, say_json};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::assess::{Request, assess};
use crate::http::api::assessments::Assessment;
use affiant_domain::id::ProjectId;
use affiant_domain::period::parse_instant;
use affiant_domain::score::per_cent;

/// Arguments of `assess`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Slug of the project
    project: String,
    /// Frameworks; all, where none is named
    #[arg(long = "framework")]
    frameworks: Vec<String>,
    /// The instant to score; now, where it is not given
    #[arg(long)]
    as_of: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    let project = app.store.project_by_slug(&args.project).await.map_err(Failure::fault)?;
    let project = project.ok_or_else(|| Failure::Input(format!("there is no project \"{}\"", args.project)))?;
    let as_of = args
        .as_of
        .as_deref()
        .map_or_else(|| Ok(app.clock.now()), parse_instant)
        .map_err(Failure::input)?;
    let request = Request {
        origin: "cli",
        actor: "cli",
        slot: None,
    };
    let made = assess(&app, ProjectId(project.id), &args.frameworks, as_of, request).await?;
    if args.json {
        let rows: Vec<Assessment> = made.into_iter().map(|(row, _)| row.into()).collect();
        say_json(&rows);
        return Ok(());
    }
    for (_, score) in made {
        let shown = score
            .compliance_score
            .map_or_else(|| "–".to_owned(), |value| format!("{} %", per_cent(value)));
        say(format_args!(
            "{:<16} score {shown:>8}   coverage {:>6} %   bounds {} to {} %",
            score.framework,
            per_cent(score.audit_coverage),
            per_cent(score.bounds.low),
            per_cent(score.bounds.high)
        ));
    }
    Ok(())
}
