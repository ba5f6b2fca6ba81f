//! Registers that the GDPR asks for, and the four answers that a person is owed, in one call.

use super::{List, uuid};
use crate::app::Context;
use crate::auth::{Allowed, Principal, WritePrivacy};
use crate::flow::fulfil_request::{Class, preview};
use crate::http::App;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, delete, get, post, put, web};
use affiant_store::{Log, entity, instant, micros};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// Legal bases, GDPR Article 6(1).
const BASES: [&str; 6] = [
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_task",
    "legitimate_interests",
];

pub(super) fn everywhere(who: &Principal) -> Result<(), Problem> {
    if who.reach::<WritePrivacy>().is_all() {
        Ok(())
    } else {
        Err(Problem::forbidden("privacy:write for all projects"))
    }
}

pub(super) fn short(at: &str, text: &str, most: usize) -> Result<(), Problem> {
    let n = text.trim().chars().count();
    if n == 0 || n > most || text.contains('\0') {
        return Err(Problem::invalid(at, format!("write 1 to {most} characters")));
    }
    Ok(())
}

/// Whom and what consent is about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentRequest {
    /// What events call the person.
    pub identifier: String,
    /// The purpose.
    #[schema(example = "training of the support model")]
    pub purpose: String,
    /// What proves it, such as where and how it was given; sealed.
    #[serde(default)]
    pub proof: String,
}

/// Write down that a person consents to a purpose
///
/// Consent that holds already is left as it is. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", request_body = ConsentRequest, responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[put("/api/v1/privacy/consents")]
pub async fn consent(
    who: Allowed<WritePrivacy>,
    app: App,
    wanted: web::Json<ConsentRequest>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    short("/identifier", &wanted.identifier, 500)?;
    short("/purpose", &wanted.purpose, 300)?;
    short("/proof", &wanted.proof, 4000)?;
    let proof = app.key.seal("consent.proof", wanted.proof.as_bytes());
    let proof = proof.map_err(|error| Problem::internal(&error.to_string()))?;
    let (actor, wanted) = (who.principal.name.as_str(), &*wanted);
    let give = |app: Context| async move {
        let now = app.clock.now();
        let subject = app.store.subject_named(&wanted.identifier, now).await?;
        let subject = subject.ok_or_else(|| Problem::invalid("/identifier", "that is a part of the installation"))?;
        let purpose = wanted.purpose.trim();
        let known = app.store.consents(subject).await?;
        let holds = known
            .iter()
            .any(|row| row.purpose == purpose && row.withdrawn_at.is_none());
        if !holds {
            let row = entity::consent::Model {
                id: Uuid::now_v7(),
                subject_id: subject,
                purpose: purpose.to_owned(),
                actor: actor.to_owned(),
                proof: Some(proof),
                given_at: micros(now),
                withdrawn_at: None,
            };
            app.store.consent(row).await?;
        }
        Ok::<_, Problem>((
            (),
            json!({ "subject": subject.simple().to_string(), "purpose": purpose, "held_before": holds }),
        ))
    };
    app.deed((actor, "consent.given", None), give).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Write down that a person no longer consents
///
/// As easily as it was given. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", request_body = ConsentRequest, responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/privacy/consents/withdrawal")]
pub async fn withdraw(
    who: Allowed<WritePrivacy>,
    app: App,
    wanted: web::Json<ConsentRequest>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    short("/identifier", &wanted.identifier, 500)?;
    short("/purpose", &wanted.purpose, 300)?;
    let wanted = &*wanted;
    let end = |app: Context| async move {
        let none = || Problem::not_found("there is no such consent that holds");
        let lookup = app.trail.person(&wanted.identifier).ok_or_else(none)?;
        let subject = app.store.find_subject(&lookup).await?.ok_or_else(none)?;
        let purpose = wanted.purpose.trim();
        if !app.store.withdraw_consent(subject.id, purpose, app.clock.now()).await? {
            return Err(none());
        }
        Ok((
            (),
            json!({ "subject": subject.id.simple().to_string(), "purpose": purpose }),
        ))
    };
    app.deed((&who.principal.name, "consent.withdrawn", None), end).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A processing activity. GDPR Article 30(1).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// Its id.
    #[serde(default)]
    #[schema(read_only)]
    pub id: Option<Uuid>,
    /// What it is called; a new one of the same name takes the place of the old.
    #[schema(example = "Support assistant")]
    pub name: String,
    /// What for.
    pub purpose: String,
    /// `consent`, `contract`, `legal_obligation`, `vital_interests`, `public_task` or `legitimate_interests`.
    #[schema(example = "contract")]
    pub basis: String,
    /// Whose data.
    pub subjects: String,
    /// Which data.
    pub categories: String,
    /// To whom it goes.
    #[serde(default)]
    pub recipients: String,
    /// Transfers to third countries, with their safeguards.
    #[serde(default)]
    pub transfers: String,
    /// How long it is kept.
    pub retention: String,
    /// How it is protected.
    #[serde(default)]
    pub measures: String,
    /// Since when.
    #[serde(default)]
    #[schema(read_only)]
    pub since: Option<DateTime<Utc>>,
    /// Until when, where it has ended.
    #[serde(default)]
    #[schema(read_only)]
    pub until: Option<DateTime<Utc>>,
}

impl From<entity::processing_activity::Model> for Activity {
    fn from(row: entity::processing_activity::Model) -> Self {
        Self {
            id: Some(row.id),
            name: row.name,
            purpose: row.purpose,
            basis: row.basis,
            subjects: row.subjects,
            categories: row.categories,
            recipients: row.recipients,
            transfers: row.transfers,
            retention: row.retention,
            measures: row.measures,
            since: Some(instant(row.created_at)),
            until: row.ended_at.map(instant),
        }
    }
}

/// List processing activities
///
/// The record of Article 30, with those that ended. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", responses((status = 200, body = List<Activity>), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/privacy/activities")]
pub async fn activities(who: Allowed<WritePrivacy>, app: App) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let items = app.store.activities().await?.into_iter().map(Activity::from).collect();
    Ok(HttpResponse::Ok().json(List::<Activity> { items, next: None }))
}

/// Write a processing activity
///
/// What it was before stays in the record, ended. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", request_body = Activity, responses((status = 201, body = Activity), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[put("/api/v1/privacy/activities")]
pub async fn set_activity(
    who: Allowed<WritePrivacy>,
    app: App,
    wanted: web::Json<Activity>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let new = wanted.into_inner();
    short("/name", &new.name, 200)?;
    for (at, text) in [
        ("/purpose", &new.purpose),
        ("/subjects", &new.subjects),
        ("/categories", &new.categories),
        ("/retention", &new.retention),
    ] {
        short(at, text, 2000)?;
    }
    for (at, text) in [
        ("/recipients", &new.recipients),
        ("/transfers", &new.transfers),
        ("/measures", &new.measures),
    ] {
        if !text.is_empty() {
            short(at, text, 2000)?;
        }
    }
    if !BASES.contains(&new.basis.as_str()) {
        return Err(Problem::invalid("/basis", format!("one of {}", BASES.join(", "))));
    }
    let row = entity::processing_activity::Model {
        id: Uuid::now_v7(),
        name: new.name.trim().to_owned(),
        purpose: new.purpose,
        basis: new.basis,
        subjects: new.subjects,
        categories: new.categories,
        recipients: new.recipients,
        transfers: new.transfers,
        retention: new.retention,
        measures: new.measures,
        actor: who.principal.name.clone(),
        created_at: micros(app.clock.now()),
        ended_at: None,
    };
    let own = row.clone();
    let set = |app: Context| async move {
        let detail = json!({ "activity": own.id, "name": own.name });
        app.store.set_activity(own).await?;
        Ok::<_, Problem>(((), detail))
    };
    app.deed((&who.principal.name, "activity.set", None), set).await?;
    Ok(HttpResponse::Created().json(Activity::from(row)))
}

/// End a processing activity
///
/// It stays in the record. Needs the permission `privacy:write` for all projects.
#[utoipa::path(tag = "privacy", params(("activity" = String, Path, description = "Id")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/api/v1/privacy/activities/{activity}")]
pub async fn end_activity(
    who: Allowed<WritePrivacy>,
    app: App,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let id = uuid(&path, "activity")?;
    let end = |app: Context| async move {
        if !app.store.end_activity(id, app.clock.now()).await? {
            return Err(Problem::not_found("there is no such activity, or it ended before"));
        }
        Ok(((), json!({ "activity": id })))
    };
    app.deed((&who.principal.name, "activity.ended", None), end).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonQuestion {
    /// What events call the person.
    pub identifier: String,
}

/// The four answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answers {
    /// What is held and would be handed out (Art. 15, 20).
    pub data_export: Exportable,
    /// What an erasure would do today: each record in one class (Art. 17).
    pub data_deletion: Vec<Class>,
    /// What the person consented to, and no longer does (Art. 7).
    pub consent_tracking: Vec<ConsentState>,
    /// What data is processed for (Art. 13, 30): activities that hold.
    pub processing_purposes: Vec<Activity>,
}

/// What would be handed out.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exportable {
    /// Whether anything is known of the person.
    pub known: bool,
    /// Records that can be read.
    pub records: u64,
    /// How: a request for access, with its package.
    pub by: String,
}

/// Consent to a purpose.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsentState {
    /// The purpose.
    pub purpose: String,
    /// `given` or `withdrawn`.
    pub state: String,
    /// When it was given.
    pub given_at: DateTime<Utc>,
    /// When it was withdrawn.
    pub withdrawn_at: Option<DateTime<Utc>>,
}

/// Give the four answers for a person
///
/// Export, deletion, consent and purposes, in one call; the reading is an entry of the trail. Needs the permission `privacy:write` for all
/// projects.
#[utoipa::path(tag = "privacy", request_body = PersonQuestion, responses((status = 200, body = Answers), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[post("/api/v1/privacy/answers")]
pub async fn answers(
    who: Allowed<WritePrivacy>,
    app: App,
    asked: web::Json<PersonQuestion>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    short("/identifier", &asked.identifier, 500)?;
    let of = (who.principal.name.as_str(), "subject.read", None);
    app.store.record_action(of, "{}", app.clock.now()).await?;
    let (subject, data_deletion) = preview(&app, &asked.identifier).await?;
    let consents = match subject {
        Some(subject) => app.store.consents(subject).await?,
        None => Vec::new(),
    };
    let state = |row: entity::consent::Model| ConsentState {
        purpose: row.purpose,
        state: if row.withdrawn_at.is_some() {
            "withdrawn"
        } else {
            "given"
        }
        .to_owned(),
        given_at: instant(row.given_at),
        withdrawn_at: row.withdrawn_at.map(instant),
    };
    let held = app
        .store
        .activities()
        .await?
        .into_iter()
        .filter(|row| row.ended_at.is_none());
    Ok(HttpResponse::Ok().json(Answers {
        data_export: Exportable {
            known: subject.is_some(),
            records: data_deletion.iter().map(|class| class.count).sum(),
            by: "POST /api/v1/privacy/requests with the right access".to_owned(),
        },
        data_deletion,
        consent_tracking: consents.into_iter().map(state).collect(),
        processing_purposes: held.map(Activity::from).collect(),
    }))
}
