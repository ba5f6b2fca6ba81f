//! `affiant ingest`: files into the local store or a server.

use super::context;
use super::output::{Failure, say, say_json, warn};
use crate::app::Context;
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow;
use crate::flow::events::EventsResult;
use crate::flow::ingest::{ImportResult, Options, Upload};
use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use affiant_domain::period::parse_instant;
use affiant_ingest::{FileSource, Formats, Kind, Limits};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `ingest`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files of any supported format
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Slug of the project
    #[arg(long)]
    project: String,
    /// What was scanned, kind:name; for audit logs what they are about
    #[arg(long)]
    asset: Option<String>,
    /// snapshot or delta
    #[arg(long, default_value = "snapshot")]
    mode: String,
    /// Part of the asset: a branch, a service
    #[arg(long, default_value = "")]
    part: String,
    /// Format, where it is not to be recognised
    #[arg(long)]
    format: Option<String>,
    /// When it was scanned, where the file does not say
    #[arg(long)]
    scanned_at: Option<String>,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// Close even most of what is open
    #[arg(long)]
    confirm: bool,
    /// Address of a server to send to, instead of the local store
    #[arg(long)]
    server: Option<String>,
    /// Token for the server
    #[arg(long, env = "AFFIANT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Whether several files may go into one asset: each snapshot closes what it does not tell, and so would the next one the findings of the
/// one before.
fn go_together(formats: &Formats, args: &Args) -> Result<(), Failure> {
    if args.mode != "snapshot" || args.dry_run {
        return Ok(());
    }
    let mut met = std::collections::BTreeSet::new();
    let scan = |file: &PathBuf| {
        let format = formats.recognise(&FileSource(file.clone()), args.format.as_deref(), &Limits::default());
        let format = format.ok().filter(|format| format.kind == Kind::Findings);
        format.map(|format| format.name.clone())
    };
    if args.files.iter().filter_map(scan).any(|format| !met.insert(format)) {
        return Err(Failure::Input(
            "two of these files have one format: each is a snapshot, and the second would close the findings of the first. \
             Send each by itself with a --part of its own, or all of them with --mode delta, which closes nothing. Nothing was sent."
                .to_owned(),
        ));
    }
    Ok(())
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let formats = storage.load_formats().map_err(Failure::input)?;
    go_together(&formats, &args)?;
    let mut target = match &args.server {
        Some(server) => Target::Server(Remote::new(server, &args)?),
        None => Target::Local(Box::new(Local::open(storage, &args).await?)),
    };
    let mut told = false;
    for file in &args.files {
        match target.send(file, &formats, &args).await {
            // A file that is refused keeps none of the others out.
            Err(Failure::Input(text)) => {
                warn(format_args!("affiant: {}: {text}", file.display()));
                told = true;
            }
            other => other?,
        }
    }
    if told { Err(Failure::Told) } else { Ok(()) }
}

enum Target {
    Local(Box<Local>),
    Server(Remote),
}

impl Target {
    async fn send(&mut self, file: &Path, formats: &Formats, args: &Args) -> Result<(), Failure> {
        let source = FileSource(file.to_owned());
        let format = formats.recognise(&source, args.format.as_deref(), &Limits::default());
        let format = format.map_err(Failure::input)?;
        let events = format.kind == Kind::Events;
        if events && args.dry_run {
            return Err(Failure::Input(format!(
                "{} holds audit events, and a dry run is for scans; nothing was stored",
                format.title
            )));
        }
        match self {
            Self::Local(local) if events => local.events(file, &format.name, args).await,
            Self::Local(local) => local.scan(file, args).await,
            Self::Server(remote) => remote.send(file, events, args).await,
        }
    }
}

/// The store of this machine.
struct Local {
    app: Context,
    project: ProjectId,
    scanned_at: Option<Instant>,
}

impl Local {
    async fn open(storage: &Storage, args: &Args) -> Result<Self, Failure> {
        let scanned_at = args.scanned_at.as_deref().map(parse_instant).transpose();
        let scanned_at = scanned_at.map_err(Failure::input)?;
        let app = context(storage, Clock::system()).await?;
        let slug = &args.project;
        let project = match app.store.project_by_slug(slug).await.map_err(Failure::fault)? {
            Some(project) => project,
            None => {
                warn(format_args!("there is no project \"{slug}\" yet; it is made now"));
                flow::project::create(&app, slug, slug, &std::collections::BTreeSet::new(), "cli").await?
            }
        };
        Ok(Self {
            app,
            project: ProjectId(project.id),
            scanned_at,
        })
    }

    async fn events(&self, file: &Path, format: &str, args: &Args) -> Result<(), Failure> {
        let options = flow::events::Options {
            keyed: None,
            source: String::new(),
            asset: args.asset.clone(),
            format: Some(format.to_owned()),
        };
        let source = Arc::new(FileSource(file.to_owned()));
        let result =
            flow::events::ingest_source(&self.app, self.project, source, (&options, flow::events::BROUGHT)).await?;
        tell_events(file, &result, args.json);
        Ok(())
    }

    async fn scan(&self, file: &Path, args: &Args) -> Result<(), Failure> {
        let options = Options {
            asset: asset(args)?.to_owned(),
            part: args.part.clone(),
            mode: args.mode.clone(),
            format: args.format.clone(),
            scanned_at: self.scanned_at,
            dry_run: args.dry_run,
            confirm: args.confirm,
            actor: "cli".to_owned(),
        };
        let upload = Upload::of(file).map_err(Failure::input)?;
        let result = flow::ingest::import(&self.app, self.project, &upload, &options).await?;
        tell(file, &result, args.json);
        Ok(())
    }
}

/// A server, over its API.
struct Remote {
    client: reqwest::Client,
    project: String,
    token: String,
}

impl Remote {
    fn new(server: &str, args: &Args) -> Result<Self, Failure> {
        let token = args.token.clone();
        Ok(Self {
            client: reqwest::Client::new(),
            project: format!("{}/api/v1/projects/{}", server.trim_end_matches('/'), args.project),
            token: token
                .ok_or_else(|| Failure::Input("a server wants a token: --token or AFFIANT_TOKEN".to_owned()))?,
        })
    }

    async fn send(&self, file: &Path, events: bool, args: &Args) -> Result<(), Failure> {
        let body = tokio::fs::File::open(file).await.map_err(Failure::input)?;
        let mut query: Vec<(&str, &str)> = Vec::new();
        query.extend(args.format.as_deref().map(|format| ("format", format)));
        let kind = if events {
            query.extend(args.asset.as_deref().map(|asset| ("asset", asset)));
            "audit-events"
        } else {
            query.extend([("asset", asset(args)?), ("mode", &args.mode), ("part", &args.part)]);
            query.extend(args.scanned_at.as_deref().map(|at| ("scanned_at", at)));
            query.extend(args.dry_run.then_some(("dry_run", "true")));
            query.extend(args.confirm.then_some(("confirm", "true")));
            "scans"
        };
        let answer = self
            .client
            .post(format!("{}/{kind}", self.project))
            .query(&query)
            .bearer_auth(&self.token)
            .body(reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(body)))
            .send()
            .await
            .map_err(|error| Failure::Fault(format!("the server does not answer: {error}")))?;
        let status = answer.status();
        let text = answer.text().await.map_err(Failure::fault)?;
        if !status.is_success() {
            let detail =
                serde_json::from_str::<crate::http::problem::Problem>(&text).map_or(text, |problem| problem.detail);
            let text = format!("{detail} (status {status})");
            return Err(
                if status.is_server_error() || status == reqwest::StatusCode::UNAUTHORIZED {
                    Failure::Fault(text)
                } else {
                    Failure::Input(text)
                },
            );
        }
        if let Ok(result) = serde_json::from_str::<ImportResult>(&text) {
            tell(file, &result, args.json);
        } else if let Ok(result) = serde_json::from_str::<EventsResult>(&text) {
            tell_events(file, &result, args.json);
        } else {
            say(text);
        }
        Ok(())
    }
}

fn asset(args: &Args) -> Result<&str, Failure> {
    args.asset.as_deref().ok_or_else(|| {
        Failure::Input("say what was scanned with --asset kind:name, such as --asset repo:payments".to_owned())
    })
}

fn tell(file: &Path, result: &ImportResult, json: bool) {
    if json {
        return say_json(result);
    }
    let what = if result.dry_run {
        " (dry run, nothing stored)"
    } else if result.unchanged {
        " (the same bytes as before)"
    } else {
        ""
    };
    say(format_args!(
        "{}: {} by {}{what}: {} new, {} seen again, {} reopened, {} closed, {} passed, {} rejected",
        file.display(),
        result.format,
        result.tools.join(", "),
        result.created,
        result.seen_again,
        result.reopened,
        result.closed,
        result.passed,
        result.rejected
    ));
    for rejected in &result.rejections {
        warn(format_args!("  rejected at {}: {}", rejected.at, rejected.why));
    }
    for remark in &result.remarks {
        warn(format_args!("  note: {remark}"));
    }
}

fn tell_events(file: &Path, result: &EventsResult, json: bool) {
    if json {
        return say_json(result);
    }
    say(format_args!(
        "{}: {} events, {} new, {} rejected",
        file.display(),
        result.read,
        result.created,
        result.rejected
    ));
    for rejected in &result.rejections {
        warn(format_args!("  rejected at {}: {}", rejected.at, rejected.why));
    }
}
