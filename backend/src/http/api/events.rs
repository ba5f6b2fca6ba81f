//! Audit events.

use super::{List, bytes, limit, listed, time};
use crate::app::Context;
use crate::auth::{In, PushEvents, Read};
use crate::flow::events::{EventsResult, Options, PUSHED, ingest_source};
use crate::flow::keyed::Content;
use crate::http::idempotency::{self, Start};
use crate::http::problem::Problem;
use crate::http::upload::{Received, receive};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_domain::sha256_hex;
use affiant_ingest::{FileSource, OwnedBytes, Source};
use affiant_store::{Cursor, EventRow, StoreError, instant, micros, stored_json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Bytes of a body of events.
const BODY: u64 = 64 << 20;
/// Bytes of one that is held in memory.
const IN_MEMORY: usize = 64 << 10;

/// How events are to be taken.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventPush {
    /// Name of the source; that of the format, where it is not given.
    #[param(example = "prod-agents")]
    pub source: Option<String>,
    /// What the events are about, where it is not their agent.
    #[param(example = "account:123456789012")]
    pub asset: Option<String>,
    /// Format, where it is not to be recognised.
    pub format: Option<String>,
}

/// An audit event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its id.
    pub id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When we learned of it.
    pub recorded_at: DateTime<Utc>,
    /// Its source.
    pub source: String,
    /// The person.
    pub user: String,
    /// The agent.
    pub agent: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub resource: String,
    /// `success`, `failure` or `denied`.
    pub outcome: String,
    /// `LOW`, `MEDIUM`, `HIGH` or `CRITICAL`.
    pub risk: String,
    /// Why it is of that risk.
    pub reasons: Vec<String>,
    /// Frameworks.
    pub tags: Vec<String>,
    /// Categories of data that the sender names, and classes that were detected.
    pub data_categories: Vec<String>,
    /// What went in and came out: length, keyed commitment, the sender's own hash; never the content.
    #[schema(value_type = Vec<Object>)]
    pub payloads: serde_json::Value,
    /// Until when it is kept.
    pub keep_until: DateTime<Utc>,
    /// The rule that says so.
    #[schema(example = "ret-sox-issuer")]
    pub keep_rule: String,
    /// Until when what is personal in it is kept, where a ceiling comes before a duty ends: then the rest stays without it.
    pub payload_until: Option<DateTime<Utc>>,
    /// The rule of that ceiling.
    #[schema(example = "ret-gdpr-gen")]
    pub payload_rule: String,
}

impl TryFrom<EventRow> for Event {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let e = row.event;
        let words = |column, text: &str| stored_json(("audit_event", e.id, column), text);
        Ok(Self {
            id: e.id,
            at: instant(e.at),
            recorded_at: instant(e.recorded_at),
            user: row.user,
            reasons: words("reasons", &e.reasons)?,
            tags: words("tags", &e.tags)?,
            data_categories: words("categories", &e.categories)?,
            payloads: stored_json(("audit_event", e.id, "payloads"), &e.payloads)?,
            keep_until: instant(e.keep_until),
            payload_until: e.payload_until.map(instant),
            payload_rule: e.payload_rule,
            keep_rule: e.keep_rule,
            source: e.source,
            agent: e.agent,
            action: e.action,
            resource: e.resource,
            outcome: e.outcome,
            risk: e.risk,
        })
    }
}

/// Push audit events
///
/// Our own event (one, an array or NDJSON), or the log of any audit store that is read, recognised by content. The same event of one source
/// again adds nothing. Answers when they are durable. Needs the permission `events:write`.
#[utoipa::path(tag = "audit events", params(("project" = String, Path, description = "Slug"), EventPush), request_body(content = Object, content_type = "application/json", example = json!({"timestamp": "2026-11-20T09:30:00Z", "agent_id": "invoice-bot", "action": "data_export", "resource": "ledger", "outcome": "success"})), responses((status = 201, body = EventsResult), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
#[post("/api/v1/projects/{project}/audit-events")]
pub async fn push(
    at: In<PushEvents>,
    query: web::Query<EventPush>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    if query.source.as_ref().is_some_and(|source| source.contains('\0')) {
        return Err(Problem::invalid("source", "it holds a NUL"));
    }
    let body = Body::receive(&at.app, &request, body).await?;
    let digest = body.digest(&request);
    let keyed = match idempotency::begin(&at.app, &at.principal, &request, &digest).await? {
        Start::Answered(before) => return Ok(before),
        Start::Fresh(keyed) => keyed,
    };
    let options = Options {
        source: query.source.unwrap_or_default(),
        asset: query.asset,
        format: query.format,
        keyed: keyed.clone(),
    };
    let work = async {
        let result = ingest_source(&at.app, at.id(), body.source(), (&options, PUSHED)).await?;
        Ok((StatusCode::CREATED, Content::json(&result)?))
    };
    idempotency::finish(&at.app, keyed, work).await
}

/// A body of events: a small one in memory, a large one on disk.
enum Body {
    Memory(web::Bytes),
    Disk(Received),
}

impl Body {
    async fn receive(app: &Context, request: &HttpRequest, body: web::Payload) -> Result<Self, Problem> {
        let length = request
            .headers()
            .get("content-length")
            .and_then(|value| value.to_str().ok());
        let length = length.and_then(|length| length.parse::<usize>().ok());
        if length.is_some_and(|length| length <= IN_MEMORY) {
            return bytes(body, IN_MEMORY).await.map(Self::Memory);
        }
        receive(app, body, BODY).await.map(Self::Disk)
    }

    /// Its digest, where the request has a key.
    fn digest(&self, request: &HttpRequest) -> String {
        match self {
            Self::Disk(file) => file.upload.digest.clone(),
            Self::Memory(bytes) if request.headers().contains_key("idempotency-key") => sha256_hex(bytes),
            Self::Memory(_) => String::new(),
        }
    }

    fn source(&self) -> Arc<dyn Source> {
        match self {
            Self::Memory(bytes) => Arc::new(OwnedBytes(bytes.to_vec())),
            Self::Disk(file) => Arc::new(FileSource(file.upload.path.clone())),
        }
    }
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// First instant.
    pub from: Option<String>,
    /// First instant after the last.
    pub until: Option<String>,
    /// Risk level.
    pub risk: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u64>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// List audit events, latest first
///
/// Needs the permission `read`.
#[utoipa::path(tag = "audit events", params(("project" = String, Path, description = "Slug"), EventQuery), responses((status = 200, body = List<Event>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/audit-events")]
pub async fn list(at: In<Read>, query: web::Query<EventQuery>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let bound = |name: &str, text: &Option<String>, default: i64| {
        text.as_deref().map_or(Ok(default), |text| time(name, text).map(micros))
    };
    let period = (
        bound("from", &query.from, i64::MIN)?,
        bound("until", &query.until, i64::MAX)?,
    );
    let risk = match query.risk.as_deref() {
        None | Some("") => Vec::new(),
        Some(word) if ["LOW", "MEDIUM", "HIGH", "CRITICAL"].contains(&word) => vec![word],
        Some(_) => {
            return Err(Problem::invalid("risk", "known are LOW, MEDIUM, HIGH, CRITICAL"));
        }
    };
    let decode =
        |text: &String| Cursor::decode(text).ok_or_else(|| Problem::invalid("cursor", "take it from the page before"));
    let cursor = query.cursor.as_ref().map(decode).transpose()?;
    let page = at
        .scoped()
        .events(period, &risk, cursor.as_ref(), limit(query.limit)?)
        .await?;
    let found = List {
        items: page.items.into_iter().map(Event::try_from).collect::<Result<_, _>>()?,
        next: page.next.map(|c| c.encode()),
    };
    Ok(listed(request.path(), request.query_string(), &found))
}
