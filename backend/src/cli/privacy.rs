//! `affiant privacy`.

use super::context;
use super::output::{Failure, say, say_json};
use crate::app::Context;
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::FlowError;
use crate::flow::fulfil_request::{due_at, identifier_of, package, preview, receive, step};
use crate::flow::register_evidence;
use affiant_domain::actor::Actor;
use affiant_domain::request::{Right, Step};
use affiant_store::{entity, instant, stored_json};
use chrono::SecondsFormat;
use serde_json::{Value, json};
use std::path::PathBuf;
use uuid::Uuid;

/// Arguments of `privacy`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Who acts: two people are needed for a request, and each is named in the trail
    #[arg(long, default_value = "cli", global = true)]
    actor: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List requests of data subjects, latest first
    List,
    /// Show a request with its plan, what was done, and its certificate
    Show {
        /// Its id
        request: Uuid,
    },
    /// Take a request in
    Receive {
        /// access, rectification, erasure, restriction, portability or objection
        right: String,
        /// What events call the person
        identifier: String,
        /// When it came; now, where it is not given
        #[arg(long)]
        received: Option<String>,
    },
    /// Bring a request a step further
    Step {
        /// Its id
        request: Uuid,
        /// verify_identity, plan, approve, fulfil, refuse, withdraw or extend
        step: String,
        /// How identity was proved, or why it is refused or extended
        #[arg(long, default_value = "")]
        text: String,
        /// With a plan: 17.3.a to 17.3.e
        #[arg(long, default_value = "")]
        ground: String,
    },
    /// Write the package of an approved request for access or portability
    Package {
        /// Its id
        request: Uuid,
        /// File to write; it must not be there yet
        out: PathBuf,
    },
    /// Say what an erasure of a person would do today
    Preview {
        /// What events call the person
        identifier: String,
    },
    /// Let the registers speak for controls now, as the server does daily
    Evidence,
}

fn told(app: &Context, row: &entity::privacy_request::Model) -> Result<Value, Failure> {
    let parsed = |column, text: &str| {
        let read = stored_json::<Value>(("privacy_request", row.id, column), text);
        read.map_err(|error| Failure::from(FlowError::from(error)))
    };
    let identifier = identifier_of(app, row).map_err(FlowError::from)?;
    let at = |at: affiant_domain::Instant| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(json!({
        "id": row.id, "right": row.kind, "state": row.state, "identifier": identifier, "received_at": at(instant(row.received_at)),
        "due_at": at(due_at(row)), "handlers": parsed("handlers", &row.handlers)?, "approver": row.approver, "plan": parsed("plan", &row.plan)?,
        "done": parsed("done", &row.done)?, "outcome": row.outcome, "certificate": row.certificate,
    }))
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    let actor = args.actor.trim();
    if actor.is_empty() || actor.len() > 200 || actor.chars().any(char::is_control) {
        return Err(Failure::Input(
            "--actor names who acts, in at most 200 bytes".to_owned(),
        ));
    }
    match args.command {
        Command::List => {
            for row in app.store.requests(1000).await.map_err(FlowError::from)? {
                let who = identifier_of(&app, &row)
                    .map_err(FlowError::from)?
                    .unwrap_or_else(|| "forgotten".to_owned());
                let due = due_at(&row).format("%Y-%m-%d");
                say(format_args!(
                    "{}  {:<13} {:<17} before {due}  {who}",
                    row.id, row.kind, row.state
                ));
            }
        }
        Command::Show { request } => {
            let row = app.store.request(request).await.map_err(FlowError::from)?;
            let row = row.ok_or_else(|| Failure::Input("there is no such request".to_owned()))?;
            say_json(&told(&app, &row)?);
        }
        Command::Receive {
            right,
            identifier,
            received,
        } => {
            let known = Right::ALL.map(Right::as_str).join(", ");
            let right = Right::parse(&right).ok_or_else(|| Failure::Input(format!("a right is one of {known}")))?;
            let received = match received {
                Some(text) => affiant_domain::period::parse_instant(&text).map_err(Failure::input)?,
                None => app.clock.now(),
            };
            let (row, _) = receive(&app, right, &identifier, received, actor).await?;
            say_json(&told(&app, &row)?);
        }
        Command::Step {
            request,
            step: word,
            text,
            ground,
        } => {
            let known = Step::ALL.map(|(word, _)| word).join(", ");
            let chosen = Step::parse(&word).ok_or_else(|| Failure::Input(format!("a step is one of {known}")))?;
            let row = step(&app, request, (chosen, &text, &ground), Actor::known(actor)).await?;
            say_json(&told(&app, &row)?);
        }
        Command::Package { request, out } => {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&out);
            let mut file = file.map_err(|error| Failure::Input(format!("{}: {error}", out.display())))?;
            let made = package(&app, request, actor).await.map_err(Failure::from);
            let written = made.and_then(|bytes| {
                std::io::Write::write_all(&mut file, &bytes).map_err(Failure::fault)?;
                file.sync_all().map_err(Failure::fault)?;
                Ok(bytes)
            });
            let bytes = written.inspect_err(|_| {
                let _ = std::fs::remove_file(&out);
            })?;
            say(format_args!("{}: {} bytes", out.display(), bytes.len()));
        }
        Command::Preview { identifier } => {
            let now = app.clock.now();
            let of = (actor, "subject.read", None);
            app.store.record_action(of, "{}", now).await.map_err(FlowError::from)?;
            let (_, classes) = preview(&app, &identifier).await?;
            say_json(&classes);
        }
        Command::Evidence => {
            let count = register_evidence::tell(&app, actor).await?;
            say(format_args!("Projects that were told: {count}"));
        }
    }
    Ok(())
}
