//! The clock, and whether it is trusted.

use crate::auth::{Allowed, WriteRetention};
use crate::flow::clock_watch::{ClockStatus, confirm, status};
use crate::http::App;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post};

/// Show the clock
///
/// While the clock is under suspicion, nothing is deleted by its date. Needs the permission `retention:write`.
#[utoipa::path(tag = "clock", responses((status = 200, description = "The clock", body = ClockStatus), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/clock")]
pub async fn show(_who: Allowed<WriteRetention>, app: App) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(status(&app).await?))
}

/// Confirm the clock
///
/// Ends the suspicion, so that what is past its date is deleted again. Needs the permission `retention:write` for all projects.
#[utoipa::path(tag = "clock", responses((status = 200, description = "The clock is trusted", body = ClockStatus), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, description = "It is not under suspicion", body = Problem)))]
#[post("/api/v1/clock/confirmation")]
pub async fn confirm_it(who: Allowed<WriteRetention>, app: App) -> Result<HttpResponse, Problem> {
    if !who.principal.reach::<WriteRetention>().is_all() {
        return Err(Problem::forbidden("retention:write for all projects"));
    }
    confirm(&app, &who.principal.name).await?;
    Ok(HttpResponse::Ok().json(status(&app).await?))
}
