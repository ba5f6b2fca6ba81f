//! Schedules of assessments.

use super::List;
use crate::app::Context;
use crate::auth::{In, Read, WriteSchedules};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, put, web};
use affiant_domain::Instant;
use affiant_domain::schedule::{BadTimetable, Timetable};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A schedule.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// The framework.
    #[schema(example = "pci-dss")]
    pub framework: String,
    /// Cron expression: minute, hour, day, month, weekday.
    #[schema(example = "0 6 * * *")]
    pub cron: String,
    /// IANA time zone in which it is read.
    #[schema(example = "Europe/Berlin")]
    pub zone: String,
    /// Whether it is on.
    pub enabled: bool,
    /// The next slots.
    pub next: Vec<DateTime<Utc>>,
}

/// Times for a schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Cron expression of five fields.
    #[schema(example = "0 6 * * *")]
    pub cron: String,
    /// IANA time zone.
    #[schema(example = "Europe/Berlin")]
    pub zone: String,
    /// Whether it is on; true where it is not given.
    pub enabled: Option<bool>,
}

/// The next slots after an instant.
pub(crate) fn upcoming(cron: &str, zone: &str, after: Instant, count: usize) -> Vec<Instant> {
    let Ok(table) = Timetable::parse(cron, zone) else {
        return Vec::new();
    };
    std::iter::successors(table.next_after(after), |slot| table.next_after(*slot))
        .take(count)
        .collect()
}

/// List the schedules with their next slots
///
/// Needs the permission `read`.
#[utoipa::path(tag = "schedules", params(("project" = String, Path, description = "Slug")), responses((status = 200, body = List<Schedule>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/schedules")]
pub async fn list(at: In<Read>) -> Result<HttpResponse, Problem> {
    let now = at.app.clock.now();
    let rows = at.scoped().schedules().await?;
    let items = rows
        .into_iter()
        .map(|row| Schedule {
            next: if row.enabled {
                upcoming(&row.cron, &row.zone, now, 3)
            } else {
                Vec::new()
            },
            framework: row.framework,
            cron: row.cron,
            zone: row.zone,
            enabled: row.enabled,
        })
        .collect();
    Ok(HttpResponse::Ok().json(List::<Schedule> { items, next: None }))
}

/// Set when a framework is assessed
///
/// Needs the permission `schedules:write`.
#[utoipa::path(tag = "schedules", params(("project" = String, Path, description = "Slug"), ("framework" = String, Path, description = "Framework")), request_body = Times, responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[put("/api/v1/projects/{project}/schedules/{framework}")]
pub async fn set(
    at: In<WriteSchedules>,
    path: web::Path<(String, String)>,
    times: web::Json<Times>,
) -> Result<HttpResponse, Problem> {
    at.app
        .catalogue
        .framework(&path.1)
        .map_err(|error| Problem::invalid("framework", error.to_string()))?;
    Timetable::parse(&times.cron, &times.zone).map_err(|error| {
        let at = if matches!(error, BadTimetable::Zone(_)) {
            "/zone"
        } else {
            "/cron"
        };
        Problem::invalid(at, error.to_string())
    })?;
    let enabled = times.enabled.unwrap_or(true);
    let at = &at;
    let change = |app: Context| async move {
        let (framework, cron, zone) = (&path.1, &times.cron, &times.zone);
        let scoped = app.store.project(at.id());
        scoped
            .set_schedule(framework, cron, zone, enabled, app.clock.now())
            .await?;
        let detail = serde_json::json!({ "framework": framework, "cron": cron, "zone": zone, "enabled": enabled });
        Ok(((), detail))
    };
    at.deed("schedule.changed", change).await?;
    Ok(HttpResponse::NoContent().finish())
}
