//! Schedules, and the history of assessments.

use super::sign_in::Bare;
use super::{Chrome, check_csrf, filters, minute, page, redirect};
use crate::app::Context;
use crate::auth::{Assess, In, Read, WriteSchedules};
use crate::flow::assess::{Request, assess};
use crate::flow::budget::enter;
use crate::http::api::schedules::upcoming;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_domain::schedule::Timetable;
use affiant_store::instant;
use askama::Template;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Template)]
#[template(path = "pages/assessments.html")]
struct Assessments {
    chrome: Chrome,
    error: String,
    may_assess: bool,
    may_schedule: bool,
    schedules: Vec<Schedule>,
    rows: Vec<Row>,
}

struct Schedule {
    framework: String,
    name: String,
    cron: String,
    zone: String,
    enabled: bool,
    next: Vec<String>,
    runs: Vec<(String, String)>,
}

struct Row {
    id: Uuid,
    as_of: String,
    framework: String,
    score: Option<f64>,
    coverage: f64,
    low: f64,
    high: f64,
    origin: String,
    actor: String,
    digest: String,
}

/// Shows schedules and assessments.
#[get("/p/{project}/assessments")]
pub async fn show(at: In<Read>) -> Result<HttpResponse, Problem> {
    render(&at, String::new()).await
}

async fn render<P: crate::auth::Permission>(at: &In<P>, error: String) -> Result<HttpResponse, Problem> {
    let now = at.app.clock.now();
    let name = |id: &str| {
        at.app
            .catalogue
            .frameworks
            .get(id)
            .map_or_else(|| id.to_owned(), |f| f.row.name.clone())
    };
    let mut schedules = Vec::new();
    for row in at.scoped().schedules().await? {
        let fires = at.scoped().fires(row.id, 3).await?;
        let runs = fires.into_iter().map(|(fire, job)| {
            let mut text = job.map_or_else(|| "unknown".to_owned(), |job| job.state);
            if fire.missed > 0 {
                text.push_str(&format!(", caught up with {} missed", fire.missed));
            }
            (minute(instant(fire.slot)), text)
        });
        schedules.push(Schedule {
            name: name(&row.framework),
            next: if row.enabled {
                upcoming(&row.cron, &row.zone, now, 3).into_iter().map(minute).collect()
            } else {
                Vec::new()
            },
            runs: runs.collect(),
            framework: row.framework,
            cron: row.cron,
            zone: row.zone,
            enabled: row.enabled,
        });
    }
    let rows = at.scoped().assessments(None, 100).await?;
    page(&Assessments {
        chrome: Chrome::new(&at.app, &at.principal, "Assessments", &at.project.slug, "Assessments").await?,
        error,
        may_assess: at.may::<Assess>(),
        may_schedule: at.may::<WriteSchedules>(),
        schedules,
        rows: rows
            .into_iter()
            .map(|row| Row {
                id: row.id,
                as_of: minute(instant(row.as_of)),
                framework: name(&row.framework),
                score: row.score,
                coverage: row.coverage,
                low: row.low,
                high: row.high,
                origin: row.origin,
                actor: row.actor,
                digest: row.evidence_digest.chars().take(12).collect(),
            })
            .collect(),
    })
}

/// Assesses now.
#[post("/p/{project}/assessments")]
pub async fn run(at: In<Assess>, form: web::Form<Bare>) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let request = Request {
        origin: "page",
        actor: &at.principal.name,
        slot: None,
    };
    let _turn = enter(&at.app.heavy).await?;
    assess(&at.app, at.id(), &[], at.app.clock.now(), request).await?;
    Ok(redirect(&format!("/p/{}", at.project.slug)))
}

/// Times of a schedule.
#[derive(Deserialize)]
pub struct Times {
    csrf: String,
    cron: String,
    zone: String,
    enabled: Option<String>,
}

/// Sets a schedule.
#[post("/p/{project}/schedules/{framework}")]
pub async fn schedule(
    at: In<WriteSchedules>,
    path: web::Path<(String, String)>,
    form: web::Form<Times>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    at.app
        .catalogue
        .framework(&path.1)
        .map_err(|error| Problem::not_found(&error.to_string()))?;
    if let Err(error) = Timetable::parse(form.cron.trim(), form.zone.trim()) {
        return render(&at, error.to_string()).await;
    }
    let enabled = form.enabled.is_some();
    let at = &at;
    let change = |app: Context| async move {
        let (framework, cron, zone) = (&path.1, form.cron.trim(), form.zone.trim());
        let scoped = app.store.project(at.id());
        scoped
            .set_schedule(framework, cron, zone, enabled, app.clock.now())
            .await?;
        let detail = serde_json::json!({ "framework": framework, "cron": cron, "zone": zone, "enabled": enabled });
        Ok(((), detail))
    };
    at.deed("schedule.changed", change).await?;
    Ok(redirect(&format!("/p/{}/assessments", at.project.slug)))
}
