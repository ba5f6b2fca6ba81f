//! `affiant sources`: audit stores that are pulled.

use super::context;
use super::output::{Failure, say, say_json};
use crate::app::Context;
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::sources::{Operation, Wanted, coverage, expect, export, pull, set};
use crate::http::api::sources::{ExpectedOperation, Source};
use affiant_domain::id::ProjectId;
use affiant_domain::period::Period;

/// Arguments of `sources`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Slug of the project
    #[arg(long)]
    project: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the sources
    List,
    /// Set a source up, or change it
    Set {
        /// Its name, which its events bear
        name: String,
        /// How it is reached, JSON: {"kind": "folder", "path": "…"}; docs/SOURCES.md has the keys of each kind
        settings: String,
        /// Format, where it is not to be recognised
        #[arg(long, default_value = "")]
        format: String,
        /// What its events are about, where that is not their agent
        #[arg(long, default_value = "")]
        asset: String,
        /// Frameworks of events that name none
        #[arg(long)]
        tag: Vec<String>,
        /// Seconds between pulls
        #[arg(long, default_value_t = 3600)]
        every: i64,
        /// An event is expected within so many seconds; 0 where nothing is expected
        #[arg(long, default_value_t = 0)]
        expected: i64,
    },
    /// Read everything that is new, now
    Pull {
        /// Names; all sources, where none is given
        names: Vec<String>,
    },
    /// Remove a source; its events stay
    Remove {
        /// Its name
        name: String,
    },
    /// Expect an operation of an agent, from wherever its events come; list what is expected, where none is named
    Expect {
        /// The agent, as its events name it
        #[arg(requires = "action")]
        agent: Option<String>,
        /// The operation, as its events name it
        action: Option<String>,
        /// It is expected within so many seconds; 0 expects it no longer
        #[arg(long, default_value_t = 86_400)]
        within: i64,
    },
    /// Show what was recorded of what was expected
    Coverage {
        /// A year, quarter or month: 2026, 2026-Q3, 2026-09
        period: String,
    },
    /// Write the events of a period to the store of a source, as audit_logs/<year>/<id>.json
    Export {
        /// Name of the source
        name: String,
        /// A year, quarter or month
        period: String,
    },
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    let found = app.store.project_by_slug(&args.project).await.map_err(Failure::fault)?;
    let found = found.ok_or_else(|| Failure::Input(format!("there is no project \"{}\"", args.project)))?;
    let project = ProjectId(found.id);
    let scoped = app.store.project(project);
    let missing = |name: &str| Failure::Input(format!("there is no source \"{name}\""));
    match args.command {
        Command::List => {
            let rows = scoped.sources().await.map_err(Failure::fault)?.into_iter();
            let all: Result<Vec<Source>, _> = rows.map(Source::try_from).collect();
            let all = all.map_err(Failure::fault)?;
            say_json(&all);
        }
        Command::Set {
            name,
            settings,
            format,
            asset,
            tag,
            every,
            expected,
        } => {
            let settings = serde_json::from_str(&settings).map_err(Failure::input)?;
            let wanted = Wanted {
                name,
                settings,
                format,
                asset,
                tags: tag,
                every_seconds: every,
                expected_seconds: expected,
            };
            set(&app, project, &wanted, "cli").await?;
            say(format_args!("{} is set up", wanted.name));
        }
        Command::Pull { names } => pull_each(&app, project, &names).await?,
        Command::Remove { name } => {
            if !scoped.remove_source(&name).await.map_err(Failure::fault)? {
                return Err(missing(&name));
            }
            say(format_args!("{name} is removed; its events stay"));
        }
        Command::Expect { agent, action, within } => {
            if let (Some(agent), Some(action)) = (agent, action) {
                let wanted = Operation {
                    agent,
                    action,
                    within_seconds: within,
                };
                expect_or_forget(&app, project, &wanted).await?;
            }
            let rows = scoped.expected_operations().await.map_err(Failure::fault)?;
            say_json(&rows.into_iter().map(ExpectedOperation::from).collect::<Vec<_>>());
        }
        Command::Coverage { period } => {
            let period = Period::parse(&period).map_err(Failure::input)?;
            say_json(&coverage(&app, project, (period.start(), period.end())).await?);
        }
        Command::Export { name, period } => {
            let period = Period::parse(&period).map_err(Failure::input)?;
            say_json(&export(&app, project, &name, (period.start(), period.end())).await?);
        }
    }
    Ok(())
}

async fn expect_or_forget(app: &Context, project: ProjectId, wanted: &Operation) -> Result<(), Failure> {
    if wanted.within_seconds != 0 {
        expect(app, project, wanted, "cli").await?;
        return Ok(());
    }
    let scoped = app.store.project(project);
    let rows = scoped.expected_operations().await.map_err(Failure::fault)?;
    let is_it = |row: &&affiant_store::entity::expected_operation::Model| {
        row.agent == wanted.agent && row.action == wanted.action
    };
    let row = rows.iter().find(is_it);
    let row = row.ok_or_else(|| Failure::Input(format!("{} of {} is not expected", wanted.action, wanted.agent)))?;
    scoped.forget_operation(row.id).await.map_err(Failure::fault)?;
    Ok(())
}

async fn pull_each(app: &Context, project: ProjectId, names: &[String]) -> Result<(), Failure> {
    let all = app.store.project(project).sources().await.map_err(Failure::fault)?;
    if let Some(unknown) = names
        .iter()
        .find(|name| !all.iter().any(|source| source.name == **name))
    {
        return Err(Failure::Input(format!("there is no source \"{unknown}\"")));
    }
    for source in all
        .iter()
        .filter(|source| names.is_empty() || names.contains(&source.name))
    {
        let pulled = pull(app, source).await?;
        say_json(&serde_json::json!({ "source": source.name, "pulled": pulled }));
    }
    Ok(())
}
