//! Takes audit events in. Single events of many clients are committed together.

use super::keyed::{Content, Keyed};
use super::{FlowError, invalid};
use crate::app::Context;
use crate::clock::Clock;
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::audit::{AuditEvent, RiskLevel, is_data_processing, risk};
use affiant_domain::id::ProjectId;
use affiant_domain::observation::{Observation, Place};
use affiant_domain::retention::Rules;
use affiant_ingest::{Bytes, Kind, Limits, Rejection, Sink, Source, Stop};
use affiant_store::{Answer, Claim, NewEvent, Store, micros, stored_json};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

/// Events written by one transaction at most.
const TOGETHER: usize = 2000;
/// Rejected records that a result shows.
const SHOWN: usize = 20;

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

/// The answer to a request, once it is known how many of its events were new.
fn answering(keyed: Arc<Keyed>, mut result: EventsResult) -> Answering {
    Box::new(move |created| {
        result.count(created);
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

#[derive(Default)]
struct Gather {
    result: EventsResult,
    events: Vec<(AuditEvent, Place)>,
}

impl Sink for Gather {
    fn observation(&mut self, _: Observation<'_>) -> Result<(), Stop> {
        Err(Stop)
    }
    fn event(&mut self, event: AuditEvent, place: Place) -> Result<(), Stop> {
        self.result.read += 1;
        self.events.push((event, place));
        Ok(())
    }
    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop> {
        self.result.rejected += 1;
        if self.result.rejections.len() < SHOWN {
            self.result.rejections.push(super::ingest::Rejected {
                at: rejection.at,
                why: rejection.why,
            });
        }
        Ok(())
    }
    fn remark(&mut self, remark: String) {
        self.result.remarks.push(remark);
    }
}

/// Stores the events of a body.
///
/// # Errors
/// [`FlowError`] where the body is refused or the database fails; then nothing was stored.
pub async fn ingest(
    app: &Context,
    project: ProjectId,
    body: &[u8],
    options: &Options,
) -> Result<EventsResult, FlowError> {
    ingest_source(app, project, &Bytes(body), (options, PUSHED)).await
}

/// Events that one request may push.
pub const PUSHED: u64 = 50_000;
/// Events that one file may hold which a person brings.
pub const BROUGHT: u64 = 1_000_000;
/// Bytes of such a file, inflated.
const INFLATED: u64 = 2 << 30;

/// Stores the events of a source.
///
/// # Errors
/// [`FlowError`] where the source is refused or the database fails; then nothing was stored.
pub async fn ingest_source(
    app: &Context,
    project: ProjectId,
    source: &dyn Source,
    (options, most): (&Options, u64),
) -> Result<EventsResult, FlowError> {
    // All of a request is stored or nothing is, so that it is held: a source that is pulled has no such bound.
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
    let format = app.formats.recognise(source, options.format.as_deref(), &limits)?;
    if format.kind == Kind::Findings {
        return Err(invalid(
            "format",
            format!("{} holds findings; send it to scans", format.title),
        ));
    }
    let mut gather = Gather::default();
    gather.result.format.clone_from(&format.name);
    format.read(source, &limits, &mut gather)?;
    let Gather { mut result, events } = gather;
    if result.read == 0 && result.rejected > 0 {
        let first = result.rejections.first();
        let (at, why) = first.map_or(("", "no event could be read"), |r| (r.at.as_str(), r.why.as_str()));
        return Err(invalid(at, why));
    }
    let name = if options.source.is_empty() {
        format.name.clone()
    } else {
        options.source.chars().take(100).collect()
    };
    let now = app.clock.now();
    let tags = default_tags(app, project, &name).await?;
    let rules = app.store.retention_rules().await?;
    let mut numbered = Numbered::default();
    let new = events.into_iter().map(|(mut event, _)| {
        if event.tags.is_empty() {
            event.tags.clone_from(&tags);
        }
        prepare(app, event, (now, &rules), &mut numbered)
    });
    let new: Vec<NewEvent> = new.collect();
    let answering = options.keyed.clone().map(|keyed| answering(keyed, result.clone()));
    let created = app.events.write(project, &name, asset, (new, answering)).await?;
    result.count(created);
    Ok(result)
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

/// What of a request is stored with its events, once it is known how many were new.
pub type Answering = Box<dyn FnOnce(u64) -> Option<(Claim, Answer)> + Send>;

struct Order {
    project: ProjectId,
    source: String,
    asset: Option<AssetKey>,
    events: Vec<NewEvent>,
    answering: Option<Answering>,
    done: oneshot::Sender<Result<u64, FlowError>>,
}

/// Commits events of many clients together: one wait for the disk serves them all.
#[derive(Clone)]
pub struct Writer(mpsc::Sender<Order>);

impl Writer {
    /// Starts the writer's task; it ends when the last handle is dropped.
    #[must_use]
    pub fn start(store: Store, clock: Clock) -> Self {
        let (sender, mut orders) = mpsc::channel::<Order>(256);
        tokio::spawn(async move {
            while let Some(first) = orders.recv().await {
                let mut batch = vec![first];
                let mut size = batch[0].events.len();
                while size < TOGETHER
                    && let Ok(next) = orders.try_recv()
                {
                    size += next.events.len();
                    batch.push(next);
                }
                commit(&store, &clock, batch).await;
            }
        });
        Self(sender)
    }

    /// Stores events; comes back when they are durable, with how many were new.
    ///
    /// # Errors
    /// [`FlowError`] where the database fails.
    pub async fn write(
        &self,
        project: ProjectId,
        source: &str,
        asset: Option<AssetKey>,
        (events, answering): (Vec<NewEvent>, Option<Answering>),
    ) -> Result<u64, FlowError> {
        let (done, answer) = oneshot::channel();
        let order = Order {
            project,
            source: source.to_owned(),
            asset,
            events,
            answering,
            done,
        };
        self.0.send(order).await.map_err(|_| FlowError::Worker)?;
        answer.await.map_err(|_| FlowError::Worker)?
    }
}

/// One transaction for each project, source and asset.
async fn commit(store: &Store, clock: &Clock, batch: Vec<Order>) {
    let mut groups: HashMap<(ProjectId, String, Option<AssetKey>), Vec<Order>> = HashMap::new();
    for order in batch {
        groups
            .entry((order.project, order.source.clone(), order.asset.clone()))
            .or_default()
            .push(order);
    }
    for ((project, source, asset), mut orders) in groups {
        let sizes: Vec<usize> = orders.iter().map(|order| order.events.len()).collect();
        let events: Vec<NewEvent> = orders.iter_mut().flat_map(|order| order.events.drain(..)).collect();
        let mut answering: Vec<Option<Answering>> = orders.iter_mut().map(|order| order.answering.take()).collect();
        let answers = |created: &[bool]| {
            let each = answering.drain(..).zip(shares(created, &sizes));
            each.filter_map(|(answering, new)| answering?(new)).collect()
        };
        let scoped = store.project(project);
        let stored = scoped
            .store_events(&source, asset.as_ref(), &events, answers, clock.now())
            .await;
        let created = stored.as_deref().unwrap_or_default();
        for (order, new) in orders.into_iter().zip(shares(created, &sizes)) {
            let answer = stored.as_ref().map(|_| new).map_err(|error| error.clone().into());
            let _ = order.done.send(answer);
        }
    }
}

/// How many events of each order were new: of two clients that send the same event together, one created it.
fn shares(created: &[bool], sizes: &[usize]) -> Vec<u64> {
    let mut rest = created;
    let mut shares = Vec::with_capacity(sizes.len());
    for size in sizes {
        let (own, others) = rest.split_at((*size).min(rest.len()));
        shares.push(own.iter().filter(|is_new| **is_new).count() as u64);
        rest = others;
    }
    shares
}
