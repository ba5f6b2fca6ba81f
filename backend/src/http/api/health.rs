//! Signs of life for whoever runs the server.

use crate::flow::readiness::is_ready;
use crate::http::App;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get};

/// The process answers
#[utoipa::path(tag = "health", responses((status = 200, description = "It does")), security(()))]
#[get("/healthz")]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// The database stores what is written
///
/// The detail of a 503 names the cause: the disk is full or failing, the database is read-only, busy or does not answer.
#[utoipa::path(tag = "health", responses((status = 200, description = "It does"), (status = 503, description = "It does not", body = Problem)), security(()))]
#[get("/readyz")]
pub async fn ready(app: App) -> Result<HttpResponse, Problem> {
    is_ready(&app).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ok" })))
}
