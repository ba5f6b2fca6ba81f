//! Audit stores that are pulled. What is read of one is stored in the same transaction as how far it was read, so that each event goes in
//! exactly once, however often a pull is cut off.

mod aws;
mod connector;
mod coverage;
mod hub;
mod layout;
mod register;
mod settings;

pub use coverage::{Coverage, Lost, coverage, share};
pub use layout::{Exported, export};
pub use register::{Operation, expect, forget};
pub use settings::{Allowed, Own, Reference, Settings};

use super::events::{Numbered, prepare};
use super::{FlowError, invalid};
use crate::app::Context;
use affiant_domain::asset::AssetKey;
use affiant_domain::audit::{AuditEvent, COMPLIANCE_TAGS};
use affiant_domain::id::ProjectId;
use affiant_domain::observation::{Observation, Place};
use affiant_ingest::{FileSource, Kind, ReadError, Rejection, SerialGap, Sink, Stop};
use affiant_store::{Checkpoint, Gap, NewSource, entity, micros, stored_json};
use connector::{Next, Piece};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Events that one transaction takes.
const BATCH: usize = 1000;
/// Objects that could not be read and rejected records that a result names.
const SHOWN: usize = 20;

/// A source as it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Its name, which its events bear.
    #[schema(example = "cloudtrail-prod")]
    pub name: String,
    /// How it is reached: `kind` and the keys of that kind.
    #[schema(value_type = Object, example = json!({"kind": "s3", "bucket": "trail-prod", "prefix": "AWSLogs/", "region": "eu-central-1"}))]
    pub settings: serde_json::Value,
    /// Format, where it is not to be recognised.
    #[serde(default)]
    pub format: String,
    /// What its events are about, where that is not their agent.
    #[serde(default)]
    #[schema(example = "account:123456789012")]
    pub asset: String,
    /// Frameworks of events that name none.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Seconds between pulls, 60 at least.
    #[serde(default = "hourly")]
    pub every_seconds: i64,
    /// An event is expected within so many seconds; 0 where nothing is expected.
    #[serde(default)]
    pub expected_seconds: i64,
}

fn hourly() -> i64 {
    3600
}

/// What a pull did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pulled {
    /// Objects, or pages of rows, that were read.
    pub objects: u64,
    /// Events in them, or findings.
    pub events: u64,
    /// Those that were new.
    pub created: u64,
    /// Records that could not be read.
    pub rejected: u64,
    /// The first of them, and objects that could not be read at all: where, and why.
    pub problems: Vec<String>,
}

/// Sets a source up, or changes it.
///
/// # Errors
/// [`FlowError::Invalid`] names what is wrong.
pub async fn set(app: &Context, project: ProjectId, wanted: &Wanted, actor: &str) -> Result<Uuid, FlowError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if wanted.name.is_empty() || wanted.name.len() > 100 || !wanted.name.chars().all(plain) {
        return Err(invalid(
            "name",
            "a name has at most 100 lower-case letters, digits, '-', '_' and '.'",
        ));
    }
    let settings = Settings::parse(&wanted.settings.to_string(), &own(app, project).await?)?;
    if !wanted.format.is_empty() {
        let known = app
            .formats
            .by_name(&wanted.format)
            .filter(|format| format.kind == Kind::Events);
        known.ok_or_else(|| invalid("format", format!("\"{}\" is no format of audit events", wanted.format)))?;
    }
    if asset_of(&wanted.asset)?.is_none() && settings.holds_findings() {
        return Err(invalid(
            "asset",
            "findings are about something: name it, such as account:123456789012",
        ));
    }
    if let Some(tag) = wanted.tags.iter().find(|tag| !COMPLIANCE_TAGS.contains(&tag.as_str())) {
        return Err(invalid(
            "tags",
            format!("unknown tag \"{tag}\"; known are {}", COMPLIANCE_TAGS.join(", ")),
        ));
    }
    if !(60..=30 * 86_400).contains(&wanted.every_seconds) {
        return Err(invalid("every_seconds", "between 60 and 2592000"));
    }
    if wanted.expected_seconds != 0 && !(60..=365 * 86_400).contains(&wanted.expected_seconds) {
        return Err(invalid("expected_seconds", "0, or between 60 and 31536000"));
    }
    let new = NewSource {
        name: wanted.name.clone(),
        kind: settings.kind().to_owned(),
        settings: serde_json::to_string(&settings).unwrap_or_default(),
        format: wanted.format.clone(),
        asset: wanted.asset.clone(),
        tags: wanted.tags.clone(),
        every_seconds: wanted.every_seconds,
        expected_seconds: wanted.expected_seconds,
        actor: actor.to_owned(),
    };
    let set = |app: Context| async move {
        let id = app.store.project(project).set_source(&new, app.clock.now()).await?;
        let detail = serde_json::json!({ "source": id, "name": new.name, "kind": new.kind, "tags": new.tags });
        Ok((id, detail))
    };
    app.deed((actor, "source.set", Some(project.0)), set).await
}

/// Removes a source; its events stay. False where it is not there.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn remove(app: &Context, project: ProjectId, name: &str, actor: &str) -> Result<(), FlowError> {
    let remove = |app: Context| async move {
        if !app.store.project(project).remove_source(name).await? {
            return Err(FlowError::NotFound("there is no such source".to_owned()));
        }
        Ok(((), serde_json::json!({ "name": name })))
    };
    app.deed((actor, "source.removed", Some(project.0)), remove).await
}

/// What a project's sources may name.
pub(super) async fn own(app: &Context, project: ProjectId) -> Result<Own, FlowError> {
    let row = app.store.project_by_id(project).await?;
    let row = row.ok_or_else(|| FlowError::NotFound("there is no such project".to_owned()))?;
    Ok(app.sources.of(&row.slug))
}

fn asset_of(text: &str) -> Result<Option<AssetKey>, FlowError> {
    let asset = (!text.is_empty()).then(|| AssetKey::parse(text)).transpose();
    asset.map_err(|error| invalid("asset", error.to_string()))
}

/// Reads everything of a source that is new.
///
/// # Errors
/// [`FlowError`] where the store or the database is away; what was read by then is kept.
#[tracing::instrument(name = "pull source", skip_all, fields(source = %source.id))]
pub async fn pull(app: &Context, source: &entity::source::Model) -> Result<Pulled, FlowError> {
    let scoped = app.store.project(ProjectId(source.project_id));
    let outcome = pull_all(app, source).await;
    let error = match &outcome {
        Ok(pulled) => pulled.problems.first().cloned().unwrap_or_default(),
        Err(error) => error.for_readers(),
    };
    scoped.end_pull(source.id, &error, app.clock.now()).await?;
    outcome
}

async fn pull_all(app: &Context, source: &entity::source::Model) -> Result<Pulled, FlowError> {
    let scoped = app.store.project(ProjectId(source.project_id));
    let own = own(app, ProjectId(source.project_id)).await?;
    let settings = Settings::parse(&source.settings, &own)?;
    let mut told = Pulled::default();
    if matches!(settings, Settings::Push {}) {
        return Ok(told);
    }
    if settings.holds_findings() {
        return hub::pull(app, source, &settings, &own).await;
    }
    let known = scoped.checkpoints(source.id).await?;
    let mut connector = connector::open(&settings, &own, known, app.clock.now()).await?;
    loop {
        match connector.next(&app.spool).await? {
            Next::Piece(piece) => {
                told.objects += 1;
                if !take(app, source, *piece, &mut told).await? {
                    return Ok(told);
                }
            }
            Next::Problem(what) => {
                if told.problems.len() < SHOWN {
                    told.problems.push(what);
                }
            }
            Next::End => return Ok(told),
        }
    }
}

/// Takes a piece in, batch by batch; false where nothing behind it may be taken.
async fn take(
    app: &Context,
    source: &entity::source::Model,
    piece: Piece,
    told: &mut Pulled,
) -> Result<bool, FlowError> {
    let scoped = app.store.project(ProjectId(source.project_id));
    let asset = asset_of(&source.asset)?;
    let tags: Vec<String> = stored_json(("source", source.id, "tags"), &source.tags)?;
    let mut point = Checkpoint {
        key: piece.key.clone(),
        version: piece.version.clone(),
        events: piece.skip,
        size: piece.size,
        complete: false,
        error: String::new(),
    };
    let (mut batches, reader) = start(app, source, &piece);
    let rules = app.store.retention_rules().await?;
    let mut numbered = Numbered::default();
    let mut seen = 0_u64;
    while let Some(batch) = batches.recv().await {
        let mut new = Vec::with_capacity(batch.len());
        for mut event in batch {
            seen += 1;
            if event.tags.is_empty() {
                event.tags.clone_from(&tags);
            }
            // Those that were stored before the last pull was cut off still count, for the numbers of equal ones.
            let prepared = prepare(app, event, (app.clock.now(), &rules), &mut numbered);
            if seen > piece.skip {
                new.push(prepared);
            }
        }
        if new.is_empty() {
            continue;
        }
        point.events += new.len() as u64;
        told.events += new.len() as u64;
        let ids: Vec<Uuid> = new
            .iter()
            .filter_map(|new| Uuid::parse_str(&new.event.event_id).ok())
            .collect();
        let own = scoped.own_events(&ids).await?;
        new.retain(|new| !Uuid::parse_str(&new.event.event_id).is_ok_and(|id| own.contains(&id)));
        // A cursor moves when its whole page is stored: a page that is cut off is read again, and equal events add nothing.
        let version = if point.key == "cursor" {
            continue_cursor(app, source, &point).await?
        } else {
            point.version.clone()
        };
        let partly = Checkpoint {
            version,
            ..point.clone()
        };
        told.created += scoped
            .store_pulled(source, asset.as_ref(), &new, (&partly, &[]), app.clock.now())
            .await?;
    }
    let Ended {
        outcome,
        rejected,
        problems,
        gaps,
    } = reader.await.map_err(|_| FlowError::Worker)?;
    told.rejected += rejected;
    let room = SHOWN.saturating_sub(told.problems.len());
    told.problems.extend(
        problems
            .into_iter()
            .map(|what| format!("{}: {what}", piece.key))
            .take(room),
    );
    if let Err(error) = outcome {
        point.error = error.to_string();
        if told.problems.len() < SHOWN {
            told.problems.push(format!("{}: {error}", piece.key));
        }
        if point.key == "cursor" {
            return Ok(false);
        }
    }
    point.complete = true;
    let gaps: Vec<Gap> = gaps.into_iter().map(|gap| named(&source.name, gap)).collect();
    scoped
        .store_pulled(source, asset.as_ref(), &[], (&point, &gaps), app.clock.now())
        .await?;
    Ok(true)
}

/// Where the cursor stands while a page is being stored: where it stood before.
async fn continue_cursor(
    app: &Context,
    source: &entity::source::Model,
    point: &Checkpoint,
) -> Result<String, FlowError> {
    let scoped = app.store.project(ProjectId(source.project_id));
    let known = scoped.checkpoints(source.id).await?;
    Ok(known
        .get(&point.key)
        .map_or_else(String::new, |before| before.version.clone()))
}

fn named(source: &str, gap: SerialGap) -> Gap {
    Gap {
        source: source.to_owned(),
        from: micros(gap.from),
        until: micros(gap.until),
        missing: gap.missing,
        reason: "sequence".to_owned(),
    }
}

/// How the reading of a piece ended.
struct Ended {
    outcome: Result<(), ReadError>,
    rejected: u64,
    problems: Vec<String>,
    gaps: Vec<SerialGap>,
}

/// Collects batches of events on the reader's thread.
struct Batches {
    sender: tokio::sync::mpsc::Sender<Vec<AuditEvent>>,
    batch: Vec<AuditEvent>,
    rejected: u64,
    problems: Vec<String>,
    gaps: Vec<SerialGap>,
}

impl Batches {
    fn flush(&mut self) -> Result<(), Stop> {
        let batch = std::mem::take(&mut self.batch);
        self.sender.blocking_send(batch).map_err(|_| Stop)
    }
}

impl Sink for Batches {
    fn observation(&mut self, _: Observation<'_>) -> Result<(), Stop> {
        Err(Stop)
    }
    fn event(&mut self, event: AuditEvent, _: Place) -> Result<(), Stop> {
        self.batch.push(event);
        if self.batch.len() < BATCH { Ok(()) } else { self.flush() }
    }
    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop> {
        self.rejected += 1;
        if self.problems.len() < SHOWN {
            self.problems.push(format!("{}: {}", rejection.at, rejection.why));
        }
        Ok(())
    }
    fn gap(&mut self, gap: SerialGap) {
        self.gaps.push(gap);
    }
}

/// Reads a piece on a thread of its own.
fn start(
    app: &Context,
    source: &entity::source::Model,
    piece: &Piece,
) -> (
    tokio::sync::mpsc::Receiver<Vec<AuditEvent>>,
    tokio::task::JoinHandle<Ended>,
) {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let (path, formats, limits) = (piece.file.path().to_owned(), app.formats.clone(), app.limits);
    let named = (!source.format.is_empty()).then(|| source.format.clone());
    let handle = tokio::task::spawn_blocking(move || {
        let mut batches = Batches {
            sender,
            batch: Vec::new(),
            rejected: 0,
            problems: Vec::new(),
            gaps: Vec::new(),
        };
        let file = FileSource(path);
        let read = formats
            .recognise(&file, named.as_deref(), &limits)
            .and_then(|format| match format.kind {
                Kind::Events => format.read(&file, &limits, &mut batches),
                Kind::Findings => Err(ReadError::Unrecognised(format!(
                    "it is {}, which holds findings and no events",
                    format.title
                ))),
            });
        let outcome = read.and_then(|()| batches.flush().map_err(ReadError::from));
        Ended {
            outcome,
            rejected: batches.rejected,
            problems: batches.problems,
            gaps: batches.gaps,
        }
    });
    (receiver, handle)
}
