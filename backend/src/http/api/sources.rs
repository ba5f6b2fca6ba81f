//! Audit stores that are pulled, and how much of what should have been recorded was.

use super::List;
use crate::auth::{In, Read, WriteSources};
use crate::flow::sources::{
    Coverage, Operation, Pulled, Wanted, coverage as covered, expect, forget, pull, remove as remove_it, set as set_up,
};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, delete, get, post, put, web};
use affiant_domain::Instant;
use affiant_domain::period::Period;
use affiant_store::{StoreError, entity, instant, stored_json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A source.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its name, which its events bear.
    #[schema(example = "cloudtrail-prod")]
    pub name: String,
    /// `push`, `folder`, `s3`, `gcs`, `azure`, `postgres`, `cloudtrail-api` or `security-hub`.
    pub kind: String,
    /// How it is reached. Secrets are named, never shown.
    #[schema(value_type = Object)]
    pub settings: serde_json::Value,
    /// Format, where it is not to be recognised.
    pub format: String,
    /// What its events are about, where that is not their agent.
    pub asset: String,
    /// Frameworks of events that name none.
    pub tags: Vec<String>,
    /// Seconds between pulls.
    pub every_seconds: i64,
    /// An event is expected within so many seconds; 0 where nothing is expected.
    pub expected_seconds: i64,
    /// When it was last pulled.
    pub last_pulled_at: Option<DateTime<Utc>>,
    /// When it is pulled next.
    pub next_pull_at: Option<DateTime<Utc>>,
    /// What went wrong in the last pull; empty where nothing did.
    pub last_error: String,
}

impl TryFrom<entity::source::Model> for Source {
    type Error = StoreError;

    fn try_from(row: entity::source::Model) -> Result<Self, StoreError> {
        Ok(Self {
            settings: stored_json(("source", row.id, "settings"), &row.settings)?,
            tags: stored_json(("source", row.id, "tags"), &row.tags)?,
            last_pulled_at: row.last_done_at.map(instant),
            next_pull_at: (row.kind != "push").then(|| instant(row.next_at)),
            name: row.name,
            kind: row.kind,
            format: row.format,
            asset: row.asset,
            every_seconds: row.every_seconds,
            expected_seconds: row.expected_seconds,
            last_error: row.last_error,
        })
    }
}

/// List the sources
///
/// Needs the permission `read`.
#[utoipa::path(tag = "sources", params(("project" = String, Path, description = "Slug")), responses((status = 200, body = List<Source>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/sources")]
pub async fn list(at: In<Read>) -> Result<HttpResponse, Problem> {
    let rows = at.scoped().sources().await?.into_iter();
    let items = rows.map(Source::try_from).collect::<Result<_, _>>()?;
    Ok(HttpResponse::Ok().json(List::<Source> { items, next: None }))
}

/// Set a source up, or change it
///
/// Secrets are named (`env:AFFIANT_SOURCE_SLUG__…` or `file:NAME` in the project's folder for secrets), never written. Needs the permission
/// `sources:write`.
#[utoipa::path(tag = "sources", params(("project" = String, Path, description = "Slug")), request_body = Wanted, responses((status = 200, body = Source), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
#[put("/api/v1/projects/{project}/sources")]
pub async fn set(at: In<WriteSources>, wanted: web::Json<Wanted>) -> Result<HttpResponse, Problem> {
    set_up(&at.app, at.id(), &wanted, &at.principal.name).await?;
    let row = at.scoped().source(&wanted.name).await?.ok_or_else(missing)?;
    Ok(HttpResponse::Ok().json(Source::try_from(row)?))
}

fn missing() -> Problem {
    Problem::not_found("there is no such source")
}

/// Remove a source
///
/// Its events stay. Needs the permission `sources:write`.
#[utoipa::path(tag = "sources", params(("project" = String, Path, description = "Slug"), ("source" = String, Path, description = "Name")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
#[delete("/api/v1/projects/{project}/sources/{source}")]
pub async fn remove(at: In<WriteSources>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    remove_it(&at.app, at.id(), &path.1, &at.principal.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Pull a source now
///
/// Reads everything that is new, and answers when it is stored. Needs the permission `sources:write`.
#[utoipa::path(tag = "sources", params(("project" = String, Path, description = "Slug"), ("source" = String, Path, description = "Name")), responses((status = 200, body = Pulled), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
#[post("/api/v1/projects/{project}/sources/{source}/pull")]
pub async fn pull_now(at: In<WriteSources>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let source = at.scoped().source(&path.1).await?.ok_or_else(missing)?;
    Ok(HttpResponse::Ok().json(pull(&at.app, &source).await?))
}

/// Which period.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CoverageQuery {
    /// A year, quarter, month or day.
    #[param(example = "2026-Q3")]
    pub period: String,
}

/// Show the coverage of a period
///
/// Events recorded over events expected, with the spans in which coverage was lost. Needs the permission `read`.
#[utoipa::path(tag = "sources", params(("project" = String, Path, description = "Slug"), CoverageQuery), responses((status = 200, body = Coverage), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/event-coverage")]
pub async fn coverage(at: In<Read>, query: web::Query<CoverageQuery>) -> Result<HttpResponse, Problem> {
    let period = Period::parse(&query.period).map_err(|error| Problem::invalid("period", error.to_string()))?;
    let told = covered(&at.app, at.id(), (period.start(), period.end())).await?;
    Ok(HttpResponse::Ok().json(told))
}

/// An operation that an agent is expected to record.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExpectedOperation {
    /// Identifier.
    pub id: Uuid,
    /// The agent, as its events name it.
    #[schema(example = "invoice-bot")]
    pub agent: String,
    /// The operation, as its events name it.
    #[schema(example = "post_journal")]
    pub action: String,
    /// It is expected within so many seconds.
    #[schema(example = 86400)]
    pub within_seconds: i64,
    /// Who said so.
    pub actor: String,
    /// Since when.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub created_at: Instant,
}

impl From<entity::expected_operation::Model> for ExpectedOperation {
    fn from(row: entity::expected_operation::Model) -> Self {
        Self {
            id: row.id,
            agent: row.agent,
            action: row.action,
            within_seconds: row.within_seconds,
            actor: row.actor,
            created_at: instant(row.created_at),
        }
    }
}

/// List the operations that agents are expected to record
///
/// Needs the permission `read`.
#[utoipa::path(tag = "sources", params(("project" = String, Path, description = "Slug")), responses((status = 200, body = List<ExpectedOperation>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/expected-operations")]
pub async fn expected(at: In<Read>) -> Result<HttpResponse, Problem> {
    let rows = at.scoped().expected_operations().await?;
    let items = rows.into_iter().map(ExpectedOperation::from).collect();
    Ok(HttpResponse::Ok().json(List::<ExpectedOperation> { items, next: None }))
}

/// Expect an operation of an agent
///
/// One that is expected already is changed. Its absence lowers `event_coverage`. Needs the permission `sources:write`.
#[utoipa::path(tag = "sources", params(("project" = String, Path, description = "Slug")), request_body = Operation, responses((status = 200, body = ExpectedOperation), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
#[put("/api/v1/projects/{project}/expected-operations")]
pub async fn set_expected(at: In<WriteSources>, wanted: web::Json<Operation>) -> Result<HttpResponse, Problem> {
    let id = expect(&at.app, at.id(), &wanted, &at.principal.name).await?;
    let rows = at.scoped().expected_operations().await?;
    let row = rows.into_iter().find(|row| row.id == id).ok_or_else(missing)?;
    Ok(HttpResponse::Ok().json(ExpectedOperation::from(row)))
}

/// Expect an operation no longer
///
/// Needs the permission `sources:write`.
#[utoipa::path(tag = "sources", params(("project" = String, Path, description = "Slug"), ("operation" = String, Path, description = "Identifier")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
#[delete("/api/v1/projects/{project}/expected-operations/{operation}")]
pub async fn forget_expected(at: In<WriteSources>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let missing = || Problem::not_found("there is no such expected operation");
    let id = path.1.parse().map_err(|_| missing())?;
    forget(&at.app, at.id(), id, &at.principal.name).await?;
    Ok(HttpResponse::NoContent().finish())
}
