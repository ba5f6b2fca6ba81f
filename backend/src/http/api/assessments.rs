//! Assessments: stored scores, and the evidence behind them.

use super::{List, limit, time, uuid};
use crate::app::Context;
use crate::auth::{Assess, In, ReadFramework};
use crate::flow::assess::{Request, score, store};
use crate::flow::budget::enter;
use crate::flow::evidence::of_assessment;
use crate::flow::reconcile::hold;
use crate::http::idempotency::{self, Start};
use crate::http::problem::Problem;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_store::{RecordKind, entity, instant};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A stored assessment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Assessment {
    /// Its id.
    pub id: Uuid,
    /// The framework.
    #[schema(example = "pci-dss")]
    pub framework: String,
    /// Its version.
    pub version: String,
    /// The instant that was scored.
    pub as_of: DateTime<Utc>,
    /// When it was made.
    pub recorded_at: DateTime<Utc>,
    /// 0 to 1, or null where nothing is covered.
    pub compliance_score: Option<f64>,
    /// The same with no waiver heeded.
    pub compliance_score_raw: Option<f64>,
    /// 0 to 1.
    pub audit_coverage: f64,
    /// The score if all that is not covered turned out bad.
    pub low: f64,
    /// The score if all that is not covered turned out good.
    pub high: f64,
    /// Digest of the catalogue.
    pub catalogue_digest: String,
    /// Digest of what the score read.
    pub evidence_digest: String,
    /// What asked for it: `schedule`, `api`, `page`, `cli` or `demo`.
    pub origin: String,
    /// Who asked.
    pub actor: String,
    /// The slot of the schedule that asked.
    pub slot: Option<DateTime<Utc>>,
}

impl From<entity::assessment::Model> for Assessment {
    fn from(row: entity::assessment::Model) -> Self {
        Self {
            id: row.id,
            framework: row.framework,
            version: row.version,
            as_of: instant(row.as_of),
            recorded_at: instant(row.recorded_at),
            compliance_score: row.score,
            compliance_score_raw: row.score_raw,
            audit_coverage: row.coverage,
            low: row.low,
            high: row.high,
            catalogue_digest: row.catalogue_digest,
            evidence_digest: row.evidence_digest,
            origin: row.origin,
            actor: row.actor,
            slot: row.slot.map(instant),
        }
    }
}

/// What to assess.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AssessmentRequest {
    /// Frameworks; all where none is named.
    #[schema(example = json!(["pci-dss"]))]
    pub frameworks: Vec<String>,
    /// The instant to score; now, where it is not given.
    pub as_of: Option<String>,
}

/// Which assessments.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AssessmentQuery {
    /// Framework.
    pub framework: Option<String>,
    /// Rows, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u64>,
}

/// Whether an assessment lies in the room of whoever asks.
pub(crate) fn is_seen(at: &In<ReadFramework>, row: &entity::assessment::Model) -> bool {
    at.principal
        .admits::<ReadFramework>(Some(at.project.id), &row.framework, (row.as_of, row.as_of))
}

/// List assessments, latest first
///
/// Needs the permission `frameworks:read`.
#[utoipa::path(tag = "assessments", params(("project" = String, Path, description = "Slug"), AssessmentQuery), responses((status = 200, body = List<Assessment>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/assessments")]
pub async fn list(at: In<ReadFramework>, query: web::Query<AssessmentQuery>) -> Result<HttpResponse, Problem> {
    if let Some(id) = &query.framework {
        at.app
            .catalogue
            .framework(id)
            .map_err(|error| Problem::invalid("framework", error.to_string()))?;
    }
    let rows = at
        .scoped()
        .assessments(query.framework.as_deref(), limit(query.limit)?)
        .await?;
    Ok(HttpResponse::Ok().json(List {
        items: rows
            .into_iter()
            .filter(|row| is_seen(&at, row))
            .map(Assessment::from)
            .collect(),
        next: None,
    }))
}

/// Assess now, or as of an earlier instant
///
/// Needs the permission `assessments:write`.
#[utoipa::path(tag = "assessments", params(("project" = String, Path, description = "Slug")), request_body = AssessmentRequest, responses((status = 201, body = [Assessment]), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/assessments")]
pub async fn run(
    at: In<Assess>,
    wanted: web::Json<AssessmentRequest>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let as_of = wanted
        .as_of
        .as_deref()
        .map_or_else(|| Ok(at.app.clock.now()), |text| time("/as_of", text))?;
    let digest = format!("{:?} {:?}", wanted.frameworks, wanted.as_of);
    let keyed = match idempotency::begin(&at.app, &at.principal, &request, &digest).await? {
        Start::Answered(before) => return Ok(before),
        Start::Fresh(keyed) => keyed,
    };
    let _turn = enter(&at.app.heavy).await?;
    let scored = score(&at.app, at.id(), &wanted.frameworks, as_of);
    let keep = |app: Context, scored| async move {
        let request = Request {
            origin: "api",
            actor: &at.principal.name,
            slot: None,
        };
        let made = store(&app, scored, request).await?;
        Ok(made.into_iter().map(|(row, _)| row.into()).collect::<Vec<Assessment>>())
    };
    idempotency::prepared(&at.app, keyed, scored, keep).await
}

/// Show the whole score of an assessment
///
/// `affiant.score/1`, as `affiant score` prints it. Needs the permission `frameworks:read`.
#[utoipa::path(tag = "assessments", params(("project" = String, Path, description = "Slug"), ("assessment" = String, Path, description = "Id")), responses((status = 200, body = Object), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/assessments/{assessment}")]
pub async fn show(at: In<ReadFramework>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let found = at.scoped().assessment(uuid(&path.1, "assessment")?).await?;
    let found = found.filter(|(row, _)| is_seen(&at, row));
    let (row, score) = found.ok_or_else(|| Problem::not_found("there is no such assessment"))?;
    hold(&at.app, RecordKind::Assessment, row.id).await?;
    Ok(HttpResponse::Ok().json(score))
}

/// Export the evidence of an assessment
///
/// `affiant.evidence/1`: all that the score read, as it was known then. `affiant score` gives the same number from it. Needs the
/// permission `frameworks:read`.
#[utoipa::path(tag = "assessments", params(("project" = String, Path, description = "Slug"), ("assessment" = String, Path, description = "Id")), responses((status = 200, body = Object, content_type = "application/vnd.affiant.evidence+json"), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/assessments/{assessment}/evidence")]
pub async fn evidence(at: In<ReadFramework>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let found = at.scoped().assessment(uuid(&path.1, "assessment")?).await?;
    let found = found.filter(|(row, _)| is_seen(&at, row));
    let (row, _) = found.ok_or_else(|| Problem::not_found("there is no such assessment"))?;
    hold(&at.app, RecordKind::Assessment, row.id).await?;
    let _turn = enter(&at.app.heavy).await?;
    let evidence = of_assessment(&at.app, &row).await?;
    let body = serde_json::to_vec(&evidence).map_err(|error| Problem::internal(&error.to_string()))?;
    let name = format!("attachment; filename=\"evidence-{}-{}.json\"", row.framework, row.id);
    Ok(HttpResponse::Ok()
        .content_type("application/vnd.affiant.evidence+json")
        .insert_header(("Content-Disposition", name))
        .body(body))
}
