//! Waivers: requested by one, decided on by another.

use super::{List, Paging, limit, time, uuid};
use crate::auth::{DecideWaivers, In, Read, RequestWaivers};
use crate::flow::decide::{decide_waiver, request_waiver, revoke_waiver, take_waiver, without_owner};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, delete, get, post, put, web};
use affiant_store::{NewWaiver, entity, instant};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A waiver.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Waiver {
    /// Its id.
    pub id: Uuid,
    /// The finding.
    pub finding: Uuid,
    /// `accepted_risk`, `false_positive` or `out_of_scope`.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub requested_by: String,
    /// Who looks after it.
    pub owner: String,
    /// Whether the owner has left and somebody must take it over.
    pub wants_owner: bool,
    /// `requested`, `approved`, `refused` or `revoked`.
    pub state: String,
    /// Who decided.
    pub decided_by: Option<String>,
    /// First instant inside.
    pub from: DateTime<Utc>,
    /// First instant outside.
    pub until: DateTime<Utc>,
}

impl From<entity::waiver::Model> for Waiver {
    fn from(row: entity::waiver::Model) -> Self {
        Self {
            id: row.id,
            finding: row.finding_id,
            kind: row.kind,
            reason: row.reason,
            requested_by: row.requested_by,
            owner: row.owner,
            wants_owner: false,
            state: row.state,
            decided_by: row.decided_by,
            from: instant(row.from_at),
            until: instant(row.until_at),
        }
    }
}

/// A waiver to request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverRequest {
    /// The finding.
    pub finding: Uuid,
    /// `accepted_risk`, `false_positive` or `out_of_scope`.
    #[schema(example = "accepted_risk")]
    pub kind: String,
    /// Why.
    pub reason: String,
    /// From when on; now, where it is not given.
    pub from: Option<String>,
    /// Until when, two years from `from` at most.
    #[schema(example = "2027-01-01")]
    pub until: String,
}

/// A decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// True approves, false refuses.
    pub approve: bool,
}

/// List waivers, latest first
///
/// Needs the permission `read`.
#[utoipa::path(tag = "waivers", params(("project" = String, Path, description = "Slug"), Paging), responses((status = 200, body = List<Waiver>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/waivers")]
pub async fn list(at: In<Read>, query: web::Query<Paging>) -> Result<HttpResponse, Problem> {
    let rows = at.scoped().waivers(None, limit(query.limit)?).await?;
    let orphaned = without_owner(&at.app, at.id(), &rows).await?;
    let shown = |row: entity::waiver::Model| Waiver {
        wants_owner: orphaned.contains(&row.id),
        ..row.into()
    };
    Ok(HttpResponse::Ok().json(List {
        items: rows.into_iter().map(shown).collect(),
        next: None,
    }))
}

/// Take over a waiver whose owner has left
///
/// From then on it is yours to look after, and not yours to decide on. Needs the permission `waivers:request`.
#[utoipa::path(tag = "waivers", params(("project" = String, Path, description = "Slug"), ("waiver" = String, Path, description = "Id")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[put("/api/v1/projects/{project}/waivers/{waiver}/owner")]
pub async fn take_over(at: In<RequestWaivers>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    take_waiver(&at.app, at.id(), uuid(&path.1, "waiver")?, &at.principal.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Request a waiver of a finding
///
/// Needs the permission `waivers:request`.
#[utoipa::path(tag = "waivers", params(("project" = String, Path, description = "Slug")), request_body = WaiverRequest, responses((status = 201, body = Waiver), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/waivers")]
pub async fn request(at: In<RequestWaivers>, new: web::Json<WaiverRequest>) -> Result<HttpResponse, Problem> {
    let from = new
        .from
        .as_deref()
        .map_or_else(|| Ok(at.app.clock.now()), |text| time("/from", text))?;
    if new.reason.contains('\0') {
        return Err(Problem::invalid("/reason", "it holds a NUL"));
    }
    let wanted = NewWaiver {
        finding: new.finding,
        kind: &new.kind,
        reason: &new.reason,
        actor: &at.principal.name,
        from,
        until: time("/until", &new.until)?,
    };
    let made = request_waiver(&at.app, at.id(), &wanted).await?;
    Ok(HttpResponse::Created().json(Waiver::from(made)))
}

/// Approve or refuse a waiver
///
/// Whoever asked for it does not decide on it. Needs the permission `waivers:decide`.
#[utoipa::path(tag = "waivers", params(("project" = String, Path, description = "Slug"), ("waiver" = String, Path, description = "Id")), request_body = Decision, responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/api/v1/projects/{project}/waivers/{waiver}/decision")]
pub async fn decide(
    at: In<DecideWaivers>,
    path: web::Path<(String, String)>,
    decision: web::Json<Decision>,
) -> Result<HttpResponse, Problem> {
    decide_waiver(
        &at.app,
        at.id(),
        uuid(&path.1, "waiver")?,
        decision.approve,
        at.principal.actor(),
    )
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Revoke an approved waiver
///
/// Needs the permission `waivers:decide`.
#[utoipa::path(tag = "waivers", params(("project" = String, Path, description = "Slug"), ("waiver" = String, Path, description = "Id")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/api/v1/projects/{project}/waivers/{waiver}")]
pub async fn revoke(at: In<DecideWaivers>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    revoke_waiver(&at.app, at.id(), uuid(&path.1, "waiver")?, &at.principal.name).await?;
    Ok(HttpResponse::NoContent().finish())
}
