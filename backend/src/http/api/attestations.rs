//! Attestations: what a person states of a control.

use super::{List, Paging, limit, time, uuid};
use crate::app::Context;
use crate::auth::{Attest, In, Read};
use crate::flow::decide;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, delete, get, post, web};
use affiant_store::{NewAttestation, entity, instant};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An attestation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Attestation {
    /// Its id.
    pub id: Uuid,
    /// The control.
    #[schema(example = "GOV-01")]
    pub control: String,
    /// `effective`, `partially_effective` or `ineffective`.
    pub outcome: String,
    /// What is stated.
    pub statement: String,
    /// What it rests on.
    pub evidence: String,
    /// Who states it.
    pub actor: String,
    /// First instant of validity.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub until: DateTime<Utc>,
    /// When it was withdrawn.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl From<entity::attestation::Model> for Attestation {
    fn from(row: entity::attestation::Model) -> Self {
        Self {
            id: row.id,
            control: row.control,
            outcome: row.outcome,
            statement: row.statement,
            evidence: row.evidence,
            actor: row.actor,
            from: instant(row.from_at),
            until: instant(row.until_at),
            revoked_at: row.revoked_at.map(instant),
        }
    }
}

/// A statement to record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The control.
    #[schema(example = "GOV-01")]
    pub control: String,
    /// `effective`, `partially_effective` or `ineffective`.
    #[schema(example = "effective")]
    pub outcome: String,
    /// What is stated.
    pub statement: String,
    /// What it rests on: a document, a ticket, a record.
    #[serde(default)]
    pub evidence: String,
    /// From when on; now, where it is not given.
    pub from: Option<String>,
    /// Until when, two years at most.
    #[schema(example = "2027-06-30")]
    pub until: String,
}

/// List attestations, latest first
///
/// Needs the permission `read`.
#[utoipa::path(tag = "attestations", params(("project" = String, Path, description = "Slug"), Paging), responses((status = 200, body = List<Attestation>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/attestations")]
pub async fn list(at: In<Read>, query: web::Query<Paging>) -> Result<HttpResponse, Problem> {
    let rows = at.scoped().attestations(None, limit(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(List {
        items: rows.into_iter().map(Attestation::from).collect(),
        next: None,
    }))
}

/// State that a control works, works in part, or does not
///
/// Needs the permission `attestations:write`.
#[utoipa::path(tag = "attestations", params(("project" = String, Path, description = "Slug")), request_body = Statement, responses((status = 201, body = Attestation), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/attestations")]
pub async fn create(at: In<Attest>, new: web::Json<Statement>) -> Result<HttpResponse, Problem> {
    let from = new
        .from
        .as_deref()
        .map_or_else(|| Ok(at.app.clock.now()), |text| time("/from", text))?;
    if new.statement.contains('\0') || new.evidence.contains('\0') || new.evidence.len() > 4000 {
        return Err(Problem::invalid(
            "/statement",
            "no NUL, and at most 4000 characters of evidence",
        ));
    }
    let wanted = NewAttestation {
        control: &new.control,
        outcome: &new.outcome,
        statement: &new.statement,
        evidence: &new.evidence,
        actor: &at.principal.name,
        from,
        until: time("/until", &new.until)?,
    };
    let made = decide::attest(&at.app, at.id(), &wanted).await?;
    Ok(HttpResponse::Created().json(Attestation::from(made)))
}

/// Withdraw an attestation from now on
///
/// Needs the permission `attestations:write`.
#[utoipa::path(tag = "attestations", params(("project" = String, Path, description = "Slug"), ("attestation" = String, Path, description = "Id")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/api/v1/projects/{project}/attestations/{attestation}")]
pub async fn revoke(at: In<Attest>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let id = uuid(&path.1, "attestation")?;
    let at = &at;
    let end = |app: Context| async move {
        let scoped = app.store.project(at.id());
        if !scoped.revoke_attestation(id, app.clock.now()).await? {
            let what = "there is no such attestation, or it was withdrawn before";
            return Err(Problem::not_found(what));
        }
        app.store
            .vouch(affiant_store::RecordKind::Attestation, &[id], app.clock.now())
            .await?;
        Ok(((), serde_json::json!({ "attestation": id })))
    };
    at.deed("attestation.revoked", end).await?;
    Ok(HttpResponse::NoContent().finish())
}
