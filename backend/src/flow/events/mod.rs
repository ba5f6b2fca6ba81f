//! Takes audit events in. Single events of many clients are committed together.

mod reading;
mod writer;

pub use writer::{Answering, Writer};

use super::budget::enter;
use super::keyed::{Content, Keyed};
use super::{FlowError, invalid};
use crate::app::Context;
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::audit::{AuditEvent, RiskLevel, is_data_processing, risk};
use affiant_domain::id::ProjectId;
use affiant_domain::retention::Rules;
use affiant_ingest::{Format, Limits, ReadError, Source};
use affiant_store::{NewEvent, micros, stored_json};
use reading::{BATCH, Batches, Preparing, look};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// What came of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct EventsResult {
    /// Format that was recognised.
    #[schema(example = "audit-event")]
    pub format: String,
    /// Events read.
    pub read: u64,
    /// Events that were new.
    pub created: u64,
    /// Events that were there already.
    pub repeated: u64,
    /// Records that could not be read.
    pub rejected: u64,
    /// The first of them.
    #[schema(value_type = Vec<Object>)]
    pub rejections: Vec<super::ingest::Rejected>,
    /// How the file was read, where a person should know.
    pub remarks: Vec<String>,
}

impl EventsResult {
    const fn count(&mut self, created: u64) {
        self.created = created;
        self.repeated = self.read - created;
    }
}

/// The answer to a request, once it is known how many events of its last batch were new; so many of those before were.
fn answering(keyed: Arc<Keyed>, mut result: EventsResult, before: u64) -> Answering {
    Box::new(move |created| {
        result.count(before + created);
        let content = Content::json(&result).ok()?;
        keyed.settled(201, &content).ok()
    })
}

/// Where events come from and what they are about.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the source; the format's, where empty.
    pub source: String,
    /// What they are about, where it is not their agent.
    pub asset: Option<String>,
    /// Format, where it is not to be recognised.
    pub format: Option<String>,
    /// The idempotency key that they came with.
    pub keyed: Option<Arc<Keyed>>,
}

/// Events that one request may push.
pub const PUSHED: u64 = 50_000;
/// Events that one file may hold which a person brings.
pub const BROUGHT: u64 = 1_000_000;
/// Bytes of such a file, inflated.
const INFLATED: u64 = 2 << 30;

/// Stores the events of a source. It is read to its end before anything is stored, so that a source that is refused leaves nothing; what
/// is more than a batch is read again and stored batch by batch, in memory that does not grow with it.
///
/// # Errors
/// [`FlowError`] where the source is refused: then nothing was stored. Where the database fails in between, batches before that are
/// stored, and the same source again adds only the rest.
pub async fn ingest_source(
    app: &Context,
    project: ProjectId,
    source: Arc<dyn Source>,
    (options, most): (&Options, u64),
) -> Result<EventsResult, FlowError> {
    let limits = Limits {
        records: most.min(app.limits.records),
        inflated: app.limits.inflated.min(INFLATED),
        ..app.limits
    };
    let asset = options
        .asset
        .as_deref()
        .filter(|asset| !asset.is_empty())
        .map(AssetKey::parse);
    let asset = asset.transpose().map_err(|error| invalid("asset", error.to_string()))?;
    let (formats, wanted, read) = (app.formats.clone(), options.format.clone(), source.clone());
    let looked = move || look(&formats, read.as_ref(), wanted.as_deref(), &limits);
    let (format, first) = tokio::task::spawn_blocking(looked)
        .await
        .map_err(|_| FlowError::Worker)??;
    let name = if options.source.is_empty() {
        format.name.clone()
    } else {
        options.source.chars().take(100).collect()
    };
    let preparing = Preparing {
        app: app.clone(),
        now: app.clock.now(),
        tags: default_tags(app, project, &name).await?,
        rules: app.store.retention_rules().await?,
        numbered: Numbered::default(),
    };
    let mut result = first.result;
    let to = Destination {
        app,
        project,
        source: &name,
        asset,
    };
    let created = match first.events {
        Some(events) => to.store_batch(preparing, events, (options, &result)).await?,
        None => {
            let _turn = enter(&app.large_pushes).await?;
            let reading = (format, source, limits);
            to.store_in_batches(preparing, reading, (options, &result)).await?
        }
    };
    result.count(created);
    Ok(result)
}

/// Where events go.
struct Destination<'a> {
    app: &'a Context,
    project: ProjectId,
    source: &'a str,
    asset: Option<AssetKey>,
}

impl Destination<'_> {
    async fn store_batch(
        &self,
        mut preparing: Preparing,
        events: Vec<AuditEvent>,
        (options, result): (&Options, &EventsResult),
    ) -> Result<u64, FlowError> {
        let events = events.into_iter().map(|event| preparing.event(event)).collect();
        let answering = options.keyed.clone().map(|keyed| answering(keyed, result.clone(), 0));
        let writer = &self.app.events;
        writer
            .write(self.project, self.source, self.asset.clone(), (events, answering))
            .await
    }

    /// A thread reads while batches before are stored; two wait at most.
    async fn store_in_batches(
        &self,
        preparing: Preparing,
        (format, source, limits): (Arc<Format>, Arc<dyn Source>, Limits),
        (options, result): (&Options, &EventsResult),
    ) -> Result<u64, FlowError> {
        let (sender, mut batches) = tokio::sync::mpsc::channel(2);
        let reader = tokio::task::spawn_blocking(move || {
            let mut all = Batches {
                preparing,
                pending: Vec::with_capacity(BATCH),
                sender,
            };
            format.read(source.as_ref(), &limits, &mut all)?;
            all.flush().map_err(ReadError::from)
        });
        let (mut created, mut last) = (0, None);
        let writer = &self.app.events;
        while let Some(batch) = batches.recv().await {
            if let Some(before) = last.replace(batch) {
                created += writer
                    .write(self.project, self.source, self.asset.clone(), (before, None))
                    .await?;
            }
        }
        reader.await.map_err(|_| FlowError::Worker)??;
        // The answer is stored with the last batch: before that, the work is not done.
        let answering = options
            .keyed
            .clone()
            .map(|keyed| answering(keyed, result.clone(), created));
        let rest = (last.unwrap_or_default(), answering);
        Ok(created
            + writer
                .write(self.project, self.source, self.asset.clone(), rest)
                .await?)
    }
}

/// The frameworks of events that name none, as the source of this name was set up.
async fn default_tags(app: &Context, project: ProjectId, source: &str) -> Result<Vec<String>, FlowError> {
    let found = app.store.project(project).source(source).await?;
    match found {
        Some(row) => Ok(stored_json(("source", row.id, "tags"), &row.tags)?),
        None => Ok(Vec::new()),
    }
}

/// How often an event without an identity of its own came in one reading: two equal ones stay two, and the same reading again adds
/// nothing.
#[derive(Debug, Default)]
pub(super) struct Numbered(HashMap<String, u32>);

impl Numbered {
    fn key(&mut self, digest: String) -> String {
        let times = self.0.entry(digest.clone()).or_default();
        *times += 1;
        if *times == 1 {
            digest
        } else {
            format!("{digest}#{times}")
        }
    }
}

/// An event ready to be stored: its risk, its identity, what is committed to of its content, and how long it is kept.
pub(super) fn prepare(
    app: &Context,
    mut event: AuditEvent,
    (now, rules): (Instant, &Rules),
    numbered: &mut Numbered,
) -> NewEvent {
    for payload in &mut event.payloads {
        if let Some(content) = payload.content.take() {
            payload.commitment = Some(hex::encode(app.key.hash("payload", content.as_bytes())));
        }
    }
    // A request of Kubernetes is logged once per stage; only the last one counts as the operation.
    let stage = event.detail.get("stage").and_then(serde_json::Value::as_str);
    let interim = matches!(stage, Some("RequestReceived" | "ResponseStarted"));
    let (level, reasons) = if interim {
        (RiskLevel::Low, Vec::new())
    } else {
        risk(&event)
    };
    let key = if event.event_id.is_empty() {
        numbered.key(identity(app, &event))
    } else {
        // A sender may put anything into its identities.
        hex::encode(app.key.hash("event id", event.event_id.as_bytes()))
    };
    let at = event.at.unwrap_or(now);
    let days = event
        .detail
        .get("retention_period_days")
        .and_then(serde_json::Value::as_u64);
    let kept = rules.keep(at, &event.tags, days.and_then(|days| u32::try_from(days).ok()));
    NewEvent {
        key,
        keep: kept.into(),
        at: micros(at),
        risk: level.as_str(),
        reasons,
        tags: event.tags.clone(),
        content: content(&event),
        is_processing: !interim && is_data_processing(&event.action, &event.data_categories),
        event,
    }
}

/// The identity of an event whose sender gave it none: a keyed digest of all that it says, since a plain one could be guessed.
fn identity(app: &Context, event: &AuditEvent) -> String {
    let mut text = format!(
        "{:?}|{}|{}|{}|{}|{}|{}|{:?}|{}",
        event.at.map(micros),
        event.user,
        event.agent,
        event.action,
        event.resource,
        event.outcome.as_str(),
        event.source_ip,
        event.payloads,
        event.detail
    );
    if !event.subjects.is_empty() {
        text.push_str(&format!("|{:?}", event.subjects));
    }
    hex::encode(app.key.hash("event", text.as_bytes()))
}

/// What of an event is sealed: all that was said, people and attributes among it.
fn content(event: &AuditEvent) -> String {
    let all = serde_json::json!({
        "user": event.user, "source_ip": event.source_ip, "agent": event.agent, "action": event.action, "resource": event.resource,
        "data_categories": event.data_categories, "payloads": event.payloads, "detail": event.detail,
    });
    all.to_string()
}
