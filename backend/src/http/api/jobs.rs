//! Background work.

use super::uuid;
use crate::auth::{In, ReadJobs};
use crate::flow::ingest::JobPayload;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, web};
use affiant_store::JobState;
use serde::{Deserialize, Serialize};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
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
    /// Per cent of the file that was read.
    pub per_cent: u8,
    /// Records that were read.
    pub records: u64,
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
            per_cent: 0,
            records: 0,
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
    let result: serde_json::Value = serde_json::from_str(&row.result).unwrap_or_default();
    let (per_cent, records) = match row.state.as_str() {
        "done" => (100, result["read"].as_u64().unwrap_or(0)),
        _ => progress(&at, row.id, &row.payload),
    };
    Ok(HttpResponse::Ok().json(Job {
        id: row.id,
        kind: row.kind,
        state: row.state,
        per_cent,
        records,
        result,
    }))
}

/// How far an import of this server is; of another server's, nothing is known before it ends.
fn progress(at: &In<ReadJobs>, job: Uuid, payload: &str) -> (u8, u64) {
    let known = at
        .app
        .progress
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&job)
        .cloned();
    let Some(known) = known else { return (0, 0) };
    let size = serde_json::from_str::<JobPayload>(payload).map_or(0, |payload| payload.size);
    let share = known.bytes.load(Ordering::Relaxed).saturating_mul(100) / size.max(1);
    (
        u8::try_from(share.min(99)).unwrap_or(99),
        known.records.load(Ordering::Relaxed),
    )
}
