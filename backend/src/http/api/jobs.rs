//! Background work.

use super::uuid;
use crate::auth::{In, ReadJobs};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, web};
use affiant_store::JobState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// `import` or `assess`.
    pub kind: String,
    /// `queued`, `running`, `done` or `failed`.
    pub state: String,
    /// How much of `total` is done.
    pub done: i64,
    /// How much there is; 0 where that is not known.
    pub total: i64,
    /// What came of it, once it ended.
    #[schema(value_type = Object)]
    pub result: serde_json::Value,
}

impl Job {
    /// A job that has just been made.
    #[must_use]
    pub fn queued(id: Uuid, kind: &str) -> Self {
        let state = JobState::Queued.as_str().to_owned();
        Self {
            id,
            kind: kind.to_owned(),
            state,
            done: 0,
            total: 0,
            result: serde_json::Value::Null,
        }
    }
}

/// Show how far a job is
///
/// Needs the permission `jobs:read`.
#[utoipa::path(tag = "jobs", params(("project" = String, Path, description = "Slug"), ("job" = String, Path, description = "Id")), responses((status = 200, body = Job), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/jobs/{job}")]
pub async fn show(at: In<ReadJobs>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let row = at
        .scoped()
        .job(uuid(&path.1, "job")?)
        .await?
        .ok_or_else(|| Problem::not_found("there is no such job"))?;
    let result = serde_json::from_str(&row.result).unwrap_or(serde_json::Value::Null);
    Ok(HttpResponse::Ok().json(Job {
        id: row.id,
        kind: row.kind,
        state: row.state,
        done: row.done,
        total: row.total,
        result,
    }))
}
