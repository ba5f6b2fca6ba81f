//! `affiant ingest`: files into the local store or a server.

use super::context;
use super::output::{Failure, say, say_json, warn};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow;
use crate::flow::ingest::{ImportResult, Options, Upload};
use affiant_domain::id::ProjectId;
use affiant_domain::period::parse_instant;
use affiant_ingest::{FileSource, Kind, Limits};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

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

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    match &args.server {
        Some(server) => remote(server.trim_end_matches('/'), &args).await,
        None => local(storage, &args).await,
    }
}

async fn local(storage: &Storage, args: &Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    let found = app.store.project_by_slug(&args.project).await.map_err(Failure::fault)?;
    let project = match found {
        Some(project) => project,
        None => {
            warn(format_args!(
                "there is no project \"{}\" yet; it is made now",
                args.project
            ));
            flow::project::create(&app, &args.project, &args.project, &std::collections::BTreeSet::new()).await?
        }
    };
    let scanned_at = args
        .scanned_at
        .as_deref()
        .map(parse_instant)
        .transpose()
        .map_err(Failure::input)?;
    for file in &args.files {
        let format = affiant_ingest::recognise(&FileSource(file.clone()), args.format.as_deref(), &Limits::default());
        let format = format.map_err(|error| Failure::Input(format!("{}: {error}", file.display())))?;
        let named = |error: flow::FlowError| match Failure::from(error) {
            Failure::Input(text) => Failure::Input(format!("{}: {text}", file.display())),
            other => other,
        };
        if format.kind == Kind::Events {
            let options = flow::events::Options {
                source: String::new(),
                asset: args.asset.clone(),
                format: Some(format.name.to_owned()),
            };
            let source = FileSource(file.clone());
            let result = flow::events::ingest_source(&app, ProjectId(project.id), &source, &options)
                .await
                .map_err(named)?;
            if args.json {
                say_json(&result);
            } else {
                say(format_args!(
                    "{}: {} events, {} new, {} rejected",
                    file.display(),
                    result.read,
                    result.created,
                    result.rejected
                ));
            }
            continue;
        }
        let upload = upload(file).map_err(|error| Failure::Input(format!("{}: {error}", file.display())))?;
        let options = Options {
            asset: asset(args)?,
            part: args.part.clone(),
            mode: args.mode.clone(),
            format: args.format.clone(),
            scanned_at,
            dry_run: args.dry_run,
            confirm: args.confirm,
            actor: "cli".to_owned(),
        };
        let result = flow::ingest::import(&app, ProjectId(project.id), &upload, &options)
            .await
            .map_err(named)?;
        tell(file, &result, args.json);
    }
    Ok(())
}

fn asset(args: &Args) -> Result<String, Failure> {
    args.asset.clone().ok_or_else(|| {
        Failure::Input("say what was scanned with --asset kind:name, such as --asset repo:payments".to_owned())
    })
}

/// A file on disk with its digest.
pub(super) fn upload(path: &Path) -> std::io::Result<Upload> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let (mut size, mut gzip) = (0, false);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        if size == 0 {
            gzip = buffer.starts_with(&[0x1f, 0x8b]);
        }
        hash.update(&buffer[..n]);
        size += n as u64;
    }
    Ok(Upload {
        path: path.to_owned(),
        digest: hex::encode(hash.finalize()),
        size,
        gzip,
        progress: std::sync::Arc::default(),
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

async fn remote(server: &str, args: &Args) -> Result<(), Failure> {
    let token = args
        .token
        .as_ref()
        .ok_or_else(|| Failure::Input("a server wants a token: --token or AFFIANT_TOKEN".to_owned()))?;
    let client = reqwest::Client::new();
    let asset = asset(args)?;
    for file in &args.files {
        let body = tokio::fs::File::open(file)
            .await
            .map_err(|error| Failure::Input(format!("{}: {error}", file.display())))?;
        let mut query = vec![
            ("asset", asset.as_str()),
            ("mode", args.mode.as_str()),
            ("part", args.part.as_str()),
        ];
        query.extend(args.format.as_deref().map(|format| ("format", format)));
        query.extend(args.scanned_at.as_deref().map(|at| ("scanned_at", at)));
        if args.dry_run {
            query.push(("dry_run", "true"));
        }
        if args.confirm {
            query.push(("confirm", "true"));
        }
        let answer = client
            .post(format!("{server}/api/v1/projects/{}/scans", args.project))
            .query(&query)
            .bearer_auth(token)
            .body(reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(body)))
            .send()
            .await
            .map_err(|error| Failure::Fault(format!("{server} does not answer: {error}")))?;
        let status = answer.status();
        let text = answer.text().await.map_err(Failure::fault)?;
        if !status.is_success() {
            let detail =
                serde_json::from_str::<crate::http::problem::Problem>(&text).map_or(text, |problem| problem.detail);
            return Err(Failure::Input(format!(
                "{}: {detail} (status {status})",
                file.display()
            )));
        }
        match serde_json::from_str::<ImportResult>(&text) {
            Ok(result) if status != reqwest::StatusCode::ACCEPTED => tell(file, &result, args.json),
            _ => say(text),
        }
    }
    Ok(())
}
