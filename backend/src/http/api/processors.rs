//! Registers of processors, with when their contracts are to be reviewed, and of breaches, with their clock.

use super::registers::{everywhere, short};
use super::{List, time, uuid};
use crate::app::Context;
use crate::auth::{Allowed, WritePrivacy};
use crate::flow::tell_processors::{answered, is_allowed, secret_purpose};
use crate::http::App;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, delete, get, post, put, web};
use affiant_domain::Instant;
use affiant_store::{entity, instant, micros};
use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// A processor. GDPR Article 28.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Processor {
    /// Its id.
    pub id: Uuid,
    /// Who it is.
    pub name: String,
    /// What it does.
    pub services: String,
    /// Where.
    pub country: String,
    /// Where it is told of requests; empty where people tell it.
    pub webhook_url: String,
    /// The secret that signs what it is told (Standard Webhooks); shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// Since when the contract holds.
    pub contract_at: DateTime<Utc>,
    /// When it is to be reviewed.
    pub review_at: DateTime<Utc>,
    /// Whether that is past.
    pub review_is_due: bool,
    /// Until when it was one.
    pub until: Option<DateTime<Utc>>,
}

pub(crate) fn shown(row: entity::processor::Model, now: Instant) -> Processor {
    Processor {
        id: row.id,
        name: row.name,
        services: row.services,
        country: row.country,
        webhook_url: row.webhook_url,
        webhook_secret: None,
        contract_at: instant(row.contract_at),
        review_at: instant(row.review_at),
        review_is_due: row.ended_at.is_none() && instant(row.review_at) <= now,
        until: row.ended_at.map(instant),
    }
}

/// List processors
///
/// With those that are processors no longer. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", responses((status = 200, body = List<Processor>), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/privacy/processors")]
pub async fn list(who: Allowed<WritePrivacy>, app: App) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let now = app.clock.now();
    let items = app
        .store
        .processors()
        .await?
        .into_iter()
        .map(|row| shown(row, now))
        .collect();
    Ok(HttpResponse::Ok().json(List::<Processor> { items, next: None }))
}

/// A processor to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProcessor {
    /// Who it is; a new one of the same name takes the place of the old.
    #[schema(example = "Mail service")]
    pub name: String,
    /// What it does.
    pub services: String,
    /// Where.
    #[schema(example = "IE")]
    pub country: String,
    /// Since when the contract holds.
    #[schema(example = "2026-01-01")]
    pub contract_at: String,
    /// When it is to be reviewed; a year after the contract, where it is not given.
    pub review_at: Option<String>,
    /// Where it is told of requests; one of the addresses that the operator allows (`AFFIANT_WEBHOOK_ENDPOINTS`).
    #[serde(default)]
    pub webhook_url: String,
}

/// Write a processor
///
/// What it was before stays in the register, ended. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", request_body = NewProcessor, responses((status = 201, body = Processor), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[put("/api/v1/privacy/processors")]
pub async fn set(
    who: Allowed<WritePrivacy>,
    app: App,
    wanted: web::Json<NewProcessor>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let new = wanted.into_inner();
    short("/name", &new.name, 200)?;
    short("/services", &new.services, 2000)?;
    short("/country", &new.country, 100)?;
    let contract = time("/contract_at", &new.contract_at)?;
    let review = match &new.review_at {
        Some(text) => time("/review_at", text)?,
        None => contract + Duration::days(365),
    };
    let url = new.webhook_url.trim();
    if !url.is_empty() && !is_allowed(&app.webhooks, url) {
        let what = "the operator names the addresses that may be told: AFFIANT_WEBHOOK_ENDPOINTS";
        return Err(Problem::invalid("/webhook_url", what));
    }
    let id = Uuid::now_v7();
    let secret: Option<[u8; 32]> = (!url.is_empty()).then(rand::random);
    let sealed = secret
        .map(|secret| app.key.seal(&secret_purpose(id), &secret))
        .transpose();
    let now = app.clock.now();
    let row = entity::processor::Model {
        id,
        name: new.name.trim().to_owned(),
        services: new.services,
        country: new.country,
        webhook_url: url.to_owned(),
        actor: who.principal.name.clone(),
        secret: sealed.map_err(|error| Problem::internal(&error.to_string()))?,
        contract_at: micros(contract),
        review_at: micros(review),
        created_at: micros(now),
        ended_at: None,
    };
    let own = row.clone();
    let keep = |app: Context| async move {
        let detail = json!({ "processor": own.id, "name": own.name });
        app.store.set_processor(own).await?;
        Ok::<_, Problem>(((), detail))
    };
    app.deed((&who.principal.name, "processor.set", None), keep).await?;
    let mut made = shown(row, now);
    made.webhook_secret = secret.map(|secret| format!("whsec_{}", BASE64_STANDARD.encode(secret)));
    Ok(HttpResponse::Created().json(made))
}

/// End a processor
///
/// It stays in the register, and is told nothing more. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", params(("processor" = String, Path, description = "Id")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/api/v1/privacy/processors/{processor}")]
pub async fn end(who: Allowed<WritePrivacy>, app: App, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let id = uuid(&path, "processor")?;
    let end = |app: Context| async move {
        if !app.store.end_processor(id, app.clock.now()).await? {
            return Err(Problem::not_found("there is no such processor, or it ended before"));
        }
        Ok(((), json!({ "processor": id })))
    };
    app.deed((&who.principal.name, "processor.ended", None), end).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a processor answered by other means than its webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticeAnswer {
    /// `done` or `refused`.
    #[schema(example = "done")]
    pub state: String,
    /// Its words.
    #[serde(default)]
    pub text: String,
}

/// Write down what a processor answered
///
/// Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", params(("notice" = String, Path, description = "Id, as the request shows it")), request_body = NoticeAnswer, responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/privacy/notices/{notice}/answer")]
pub async fn answer(
    who: Allowed<WritePrivacy>,
    app: App,
    path: web::Path<String>,
    told: web::Json<NoticeAnswer>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let text = told.text.replace('\0', "");
    answered(&app, uuid(&path, "notice")?, &told.state, &text, &who.principal.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A breach of personal data. GDPR Articles 33 and 34.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Breach {
    /// Its id.
    pub id: Uuid,
    /// In a few words.
    pub title: String,
    /// What happened, its effects and what was done (Art. 33(5)).
    pub what_happened: String,
    /// How many people are affected, as far as is known.
    pub affected: i64,
    /// Whether the risk to them is high: then they are told too (Art. 34).
    pub high_risk: bool,
    /// When we became aware of it.
    pub aware_at: DateTime<Utc>,
    /// When the authority is to be told: 72 hours later; weekends and holidays count.
    pub due_at: DateTime<Utc>,
    /// Whether that is past and it was not told, or was told later.
    pub late: bool,
    /// When the authority was told.
    pub authority_told_at: Option<DateTime<Utc>>,
    /// Why later than that.
    pub late_because: String,
    /// When the people were told.
    pub people_told_at: Option<DateTime<Utc>>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
}

pub(crate) fn told(row: entity::breach::Model, now: Instant) -> Breach {
    let aware = instant(row.aware_at);
    let due = affiant_domain::request::breach_due(aware);
    let at = row.authority_told_at.map(instant);
    Breach {
        id: row.id,
        title: row.title,
        what_happened: row.what_happened,
        affected: row.affected,
        high_risk: row.high_risk,
        aware_at: aware,
        due_at: due,
        late: at.unwrap_or(now) > due,
        authority_told_at: at,
        late_because: row.late_because,
        people_told_at: row.people_told_at.map(instant),
        closed_at: row.closed_at.map(instant),
    }
}

/// List breaches, latest first
///
/// Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", responses((status = 200, body = List<Breach>), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/privacy/breaches")]
pub async fn breaches(who: Allowed<WritePrivacy>, app: App) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let now = app.clock.now();
    let items = app
        .store
        .breaches()
        .await?
        .into_iter()
        .map(|row| told(row, now))
        .collect();
    Ok(HttpResponse::Ok().json(List::<Breach> { items, next: None }))
}

/// A breach to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBreach {
    /// In a few words.
    pub title: String,
    /// What happened, its effects and what was done.
    pub what_happened: String,
    /// How many people are affected, as far as is known.
    #[serde(default)]
    pub affected: i64,
    /// Whether the risk to them is high.
    #[serde(default)]
    pub high_risk: bool,
    /// When we became aware of it; now, where it is not given.
    pub aware_at: Option<String>,
}

/// Write a breach
///
/// Its clock of 72 hours runs from when we became aware. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", request_body = NewBreach, responses((status = 201, body = Breach), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[post("/api/v1/privacy/breaches")]
pub async fn add_breach(
    who: Allowed<WritePrivacy>,
    app: App,
    wanted: web::Json<NewBreach>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let new = wanted.into_inner();
    short("/title", &new.title, 200)?;
    short("/what_happened", &new.what_happened, 8000)?;
    let now = app.clock.now();
    let aware = new
        .aware_at
        .as_deref()
        .map_or(Ok(now), |text| time("/aware_at", text))?;
    if aware > now || new.affected < 0 {
        return Err(Problem::invalid(
            "/aware_at",
            "not in the future, and nobody less than none affected",
        ));
    }
    let row = entity::breach::Model {
        id: Uuid::now_v7(),
        title: new.title,
        what_happened: new.what_happened,
        late_because: String::new(),
        actor: who.principal.name.clone(),
        high_risk: new.high_risk,
        affected: new.affected,
        aware_at: micros(aware),
        created_at: micros(now),
        authority_told_at: None,
        people_told_at: None,
        closed_at: None,
    };
    let own = row.clone();
    let keep = |app: Context| async move {
        let detail = json!({ "breach": own.id });
        app.store.add_breach(own).await?;
        Ok::<_, Problem>(((), detail))
    };
    app.deed((&who.principal.name, "breach.recorded", None), keep).await?;
    Ok(HttpResponse::Created().json(told(row, now)))
}

/// What became of a breach.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BreachStep {
    /// `authority_told`, `people_told` or `closed`.
    #[schema(example = "authority_told")]
    pub step: String,
    /// When; now, where it is not given.
    pub at: Option<String>,
    /// Why the authority was told after the 72 hours; needed where it was.
    #[serde(default)]
    pub late_because: String,
}

/// Bring a breach further
///
/// It is closed when the authority was told, and the people where the risk to them is high. Needs the permission `privacy:write` for all
/// projects.
#[utoipa::path(tag = "privacy", params(("breach" = String, Path, description = "Id")), request_body = BreachStep, responses((status = 200, body = Breach), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/api/v1/privacy/breaches/{breach}/steps")]
pub async fn step_breach(
    who: Allowed<WritePrivacy>,
    app: App,
    path: web::Path<String>,
    wanted: web::Json<BreachStep>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let row = app.store.breach(uuid(&path, "breach")?).await?;
    let mut row = row.ok_or_else(|| Problem::not_found("there is no such breach"))?;
    let was = row.clone();
    let made = match wanted.step.as_str() {
        "authority_told" => row.authority_told_at,
        "people_told" => row.people_told_at,
        _ => row.closed_at,
    };
    if made.is_some() || row.closed_at.is_some() {
        return Err(crate::flow::FlowError::Conflict(
            "that was written down before, or the breach is closed".to_owned(),
        )
        .into());
    }
    let now = app.clock.now();
    let at = wanted.at.as_deref().map_or(Ok(now), |text| time("/at", text))?;
    if at > now || micros(at) < row.aware_at {
        return Err(Problem::invalid("/at", "between when we became aware and now"));
    }
    match wanted.step.as_str() {
        "authority_told" => {
            if at > affiant_domain::request::breach_due(instant(row.aware_at)) {
                short("/late_because", &wanted.late_because, 2000)?;
                wanted.late_because.clone_into(&mut row.late_because);
            }
            row.authority_told_at = Some(micros(at));
        }
        "people_told" => row.people_told_at = Some(micros(at)),
        "closed" => {
            if row.authority_told_at.is_none() || (row.high_risk && row.people_told_at.is_none()) {
                let what = "the authority is told first, and the people where the risk to them is high";
                return Err(crate::flow::FlowError::Conflict(what.to_owned()).into());
            }
            row.closed_at = Some(micros(at));
        }
        _ => return Err(Problem::invalid("/step", "one of authority_told, people_told, closed")),
    }
    let (own, step) = (row.clone(), wanted.step.clone());
    let keep = |app: Context| async move {
        let detail = json!({ "breach": own.id, "step": step, "at": at, "late_because": own.late_because });
        if !app.store.change_breach(&was, own).await? {
            return Err(crate::flow::FlowError::Conflict(
                "somebody else brought the breach further meanwhile".to_owned(),
            )
            .into());
        }
        Ok::<_, Problem>(((), detail))
    };
    app.deed((&who.principal.name, "breach.step", None), keep).await?;
    Ok(HttpResponse::Ok().json(told(row, now)))
}
