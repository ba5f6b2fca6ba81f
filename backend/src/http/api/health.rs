//! Signs of life for whoever runs the server.

use crate::app::Context;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, web};

/// The process answers
#[utoipa::path(tag = "health", responses((status = 200, description = "It does")), security(()))]
#[get("/healthz")]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// The database answers
#[utoipa::path(tag = "health", responses((status = 200, description = "It does"), (status = 503, description = "It does not", body = Problem)), security(()))]
#[get("/readyz")]
pub async fn ready(app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    app.store
        .ping()
        .await
        .map_err(|_| Problem::new("unavailable", "the database does not answer"))?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ok" })))
}
