//! Requests of data subjects: the six rights, their clock, the plan, approval by somebody else, fulfilment, certificate and package.

use super::{List, time, uuid};
use crate::app::Context;
use crate::auth::{Allowed, Principal, WritePrivacy};
use crate::flow::fulfil_request::{
    Class, SetAside, due_at, identifier_of, package, read_set_aside, receive, state_of, step,
};
use crate::http::App;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_domain::request::{Right, Step};
use affiant_store::{entity, instant, stored_json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A request of a data subject.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectRequest {
    /// Its id.
    pub id: Uuid,
    /// `access`, `rectification`, `erasure`, `restriction`, `portability` or `objection`.
    pub right: String,
    /// `received`, `identity_verified`, `planned`, `approved`, `fulfilled`, `refused` or `withdrawn`.
    pub state: String,
    /// What events call the person; null once they are forgotten.
    pub identifier: Option<String>,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// First instant at which it is late: a month by the calendar, later by so long as identity was being proved, three months where extended.
    pub due_at: DateTime<Utc>,
    /// Whether it was extended.
    pub extended: bool,
    /// Who handled it.
    pub handlers: Vec<String>,
    /// Who approved it.
    pub approver: Option<String>,
    /// How it was made certain who asks.
    pub proof: String,
    /// Why it was refused or extended, or what was noted with the plan.
    pub reason: String,
    /// What would be done: each record in one class.
    pub plan: Vec<Class>,
    /// What was done, which may be more or less: holds and records that came after the plan count.
    pub done: Vec<Class>,
    /// `erased`, `partly_erased`, `restricted_hold`, `fulfilled`, `not_found`, `refused_unfounded` or `withdrawn`.
    pub outcome: Option<String>,
    /// The signed certificate: a C2SP note by the trail's key.
    pub certificate: Option<String>,
    /// Processors that are told, and what they answered; in the list of requests none are shown.
    pub processors: Vec<Notice>,
}

/// What a processor is told of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notice {
    /// Its id.
    pub id: Uuid,
    /// Who is told.
    pub processor: String,
    /// `waiting`, `sent`, `done`, `refused`, `failed` after the last try, or `by_hand` where people tell it.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// The answer, or why the last try failed.
    pub answer: String,
    /// When it was told.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it answered.
    pub answered_at: Option<DateTime<Utc>>,
}

async fn with_notices(app: &Context, row: &entity::privacy_request::Model) -> Result<SubjectRequest, Problem> {
    let told = app.store.notices(row.id).await?;
    let notice = |(one, processor): (entity::processor_notice::Model, String)| Notice {
        id: one.id,
        processor,
        state: one.state,
        attempts: one.attempts,
        answer: one.answer,
        sent_at: one.sent_at.map(instant),
        answered_at: one.answered_at.map(instant),
    };
    Ok(SubjectRequest {
        processors: told.into_iter().map(notice).collect(),
        ..shown(app, row)?
    })
}

fn shown(app: &Context, row: &entity::privacy_request::Model) -> Result<SubjectRequest, Problem> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let place = |column| ("privacy_request", row.id, column);
    Ok(SubjectRequest {
        id: row.id,
        right: row.kind.clone(),
        state: row.state.clone(),
        identifier: identifier_of(app, row)?,
        received_at: instant(row.received_at),
        due_at: due_at(row),
        extended: row.extended_at.is_some(),
        handlers: stored_json(place("handlers"), &row.handlers)?,
        approver: some(&row.approver),
        proof: row.proof.clone(),
        reason: row.reason.clone(),
        plan: stored_json(place("plan"), &row.plan)?,
        done: stored_json(place("done"), &row.done)?,
        outcome: some(&row.outcome).filter(|outcome| outcome != "under_way"),
        certificate: some(&row.certificate),
        processors: Vec::new(),
    })
}

/// A person's data lies in all projects.
fn everywhere(who: &Principal) -> Result<(), Problem> {
    if who.reach::<WritePrivacy>().is_all() {
        Ok(())
    } else {
        Err(Problem::forbidden("privacy:write for all projects"))
    }
}

/// List requests of data subjects, latest first
///
/// Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", responses((status = 200, body = List<SubjectRequest>), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/privacy/requests")]
pub async fn list(who: Allowed<WritePrivacy>, app: App) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let rows = app.store.requests(500).await?;
    let items = rows.iter().map(|row| shown(&app, row)).collect::<Result<_, _>>()?;
    Ok(HttpResponse::Ok().json(List::<SubjectRequest> { items, next: None }))
}

/// A request to take in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubjectRequest {
    /// `access`, `rectification`, `erasure`, `restriction`, `portability` or `objection`.
    #[schema(example = "erasure")]
    pub right: String,
    /// What events call the person, such as `jane@corp.example`.
    pub identifier: String,
    /// When it came; now, where it is not given.
    pub received_at: Option<String>,
}

/// Take a request in
///
/// One that is open for the same person and right is given back (200) instead of a second one. Needs the permission `privacy:write` for all
/// projects.
#[utoipa::path(tag = "privacy", request_body = NewSubjectRequest, responses((status = 200, body = SubjectRequest), (status = 201, body = SubjectRequest), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[post("/api/v1/privacy/requests")]
pub async fn create(
    who: Allowed<WritePrivacy>,
    app: App,
    new: web::Json<NewSubjectRequest>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let known = Right::ALL.map(Right::as_str).join(", ");
    let right = Right::parse(&new.right).ok_or_else(|| Problem::invalid("/right", format!("one of {known}")))?;
    let received = new
        .received_at
        .as_deref()
        .map_or_else(|| Ok(app.clock.now()), |text| time("/received_at", text))?;
    let (row, is_new) = receive(&app, right, &new.identifier, received, &who.principal.name).await?;
    let mut response = if is_new {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(response.json(shown(&app, &row)?))
}

/// Show a request
///
/// Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", params(("request" = String, Path, description = "Id")), responses((status = 200, body = SubjectRequest), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/privacy/requests/{request}")]
pub async fn show(who: Allowed<WritePrivacy>, app: App, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let row = app.store.request(uuid(&path, "request")?).await?;
    let row = row.ok_or_else(|| Problem::not_found("there is no such request"))?;
    Ok(HttpResponse::Ok().json(with_notices(&app, &row).await?))
}

/// A step to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// `verify_identity`, `plan`, `approve`, `fulfil`, `refuse`, `withdraw` or `extend`.
    #[schema(example = "plan")]
    pub step: String,
    /// How identity was proved, or why it is refused or extended; with a plan, a note on the ground.
    #[serde(default)]
    pub text: String,
    /// With a plan: the ground on which records are set aside, `17.3.a` to `17.3.e` of the GDPR. Duties that are not of Union or Member
    /// State law are legal claims (`17.3.e`), which is taken where none is named.
    #[serde(default)]
    pub ground: String,
}

/// Bring a request a step further
///
/// `received → identity_verified → planned → approved → fulfilled`, or `refused`, or `withdrawn`. It is approved by somebody else than those
/// who handled it. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", params(("request" = String, Path, description = "Id")), request_body = StepRequest, responses((status = 200, body = SubjectRequest), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/api/v1/privacy/requests/{request}/steps")]
pub async fn go(
    who: Allowed<WritePrivacy>,
    app: App,
    path: web::Path<String>,
    wanted: web::Json<StepRequest>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let known = Step::ALL.map(|(word, _)| word).join(", ");
    let chosen = Step::parse(&wanted.step).ok_or_else(|| Problem::invalid("/step", format!("one of {known}")))?;
    let id = uuid(&path, "request")?;
    let text = wanted.text.replace('\0', "");
    let row = step(&app, id, (chosen, &text, &wanted.ground), who.principal.actor()).await?;
    Ok(HttpResponse::Ok().json(with_notices(&app, &row).await?))
}

/// Download what is held of the person
///
/// A ZIP with JSON, CSV, a readable index and digests, for an approved request for access or portability. Needs the permission
/// `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", params(("request" = String, Path, description = "Id")), responses((status = 200, description = "The package", content_type = "application/zip"), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[get("/api/v1/privacy/requests/{request}/package")]
pub async fn download(who: Allowed<WritePrivacy>, app: App, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let bytes = package(&app, uuid(&path, "request")?, &who.principal.name).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/zip")
        .insert_header(("Content-Disposition", "attachment; filename=\"package.zip\""))
        .body(bytes))
}

/// Why something is read that is set aside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The reason; it is kept in the trail.
    #[schema(example = "Claim 17 of 2026 before the regional court needs the approvals of May")]
    pub reason: String,
    /// The first place in the trail.
    #[serde(default)]
    pub from: u64,
}

/// Read what is set aside of the person
///
/// Up to 1,000 records in order, from a place in the trail on; each reading is an entry with its reason before anything is read. Needs the
/// permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", params(("request" = String, Path, description = "Id")), request_body = Reading, responses((status = 200, body = List<SetAside>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/api/v1/privacy/requests/{request}/readings")]
pub async fn read(
    who: Allowed<WritePrivacy>,
    app: App,
    path: web::Path<String>,
    wanted: web::Json<Reading>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let from = i64::try_from(wanted.from).unwrap_or(i64::MAX);
    let reason = wanted.reason.replace('\0', "");
    let items = read_set_aside(&app, uuid(&path, "request")?, (&reason, from), &who.principal.name).await?;
    Ok(HttpResponse::Ok().json(List::<SetAside> { items, next: None }))
}

/// How many requests are open, and how many are late.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestsDue {
    /// Open ones.
    pub open: u64,
    /// Of these, late ones.
    pub late: u64,
    /// When the next is due.
    pub next_due_at: Option<DateTime<Utc>>,
}

/// Count what is open and late
///
/// Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", responses((status = 200, body = RequestsDue), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/privacy/due")]
pub async fn due(who: Allowed<WritePrivacy>, app: App) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let rows = app.store.requests(5000).await?;
    let mut ends: Vec<DateTime<Utc>> = Vec::new();
    for row in &rows {
        if !state_of(row)?.is_closed() {
            ends.push(due_at(row));
        }
    }
    let now = app.clock.now();
    Ok(HttpResponse::Ok().json(RequestsDue {
        open: ends.len() as u64,
        late: ends.iter().filter(|end| **end <= now).count() as u64,
        next_due_at: ends.into_iter().min(),
    }))
}
