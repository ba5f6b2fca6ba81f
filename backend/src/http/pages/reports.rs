//! Period reports.

use super::{Chrome, check_csrf, day, minute, page, redirect};
use crate::app::Context;
use crate::auth::{Allowed, In, MakeReports, ReadFramework};
use crate::flow::budget::enter;
use crate::flow::report::make as gather;
use crate::http::api::reports::{TableQuery, in_room, render as render_report, visible};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_domain::period::Period;
use affiant_store::{instant, micros};
use askama::Template;
use serde::Deserialize;
use uuid::Uuid;

/// Reports on the page.
const LISTED: u64 = 200;

#[derive(Template)]
#[template(path = "pages/reports.html")]
struct Reports {
    chrome: Chrome,
    error: String,
    may_make: bool,
    may_overall: bool,
    frameworks: Vec<(String, String)>,
    chosen: String,
    period: String,
    rows: Vec<Row>,
}

struct Row {
    id: Uuid,
    made: String,
    framework: String,
    start: String,
    end: String,
    over: String,
    digest: String,
    actor: String,
}

/// Which framework comes first.
#[derive(Deserialize)]
pub struct Query {
    framework: Option<String>,
}

/// Shows the reports.
#[get("/p/{project}/reports")]
pub async fn show(at: In<ReadFramework>, query: web::Query<Query>) -> Result<HttpResponse, Problem> {
    render(&at, query.framework.clone().unwrap_or_default(), String::new()).await
}

async fn render<P: crate::auth::Permission>(
    at: &In<P>,
    chosen: String,
    error: String,
) -> Result<HttpResponse, Problem> {
    let name = |id: &str| {
        at.app
            .catalogue
            .frameworks
            .get(id)
            .map_or_else(|| id.to_owned(), |f| f.row.name.clone())
    };
    let (rows, _) = visible(&at.app, &at.principal, (Some(at.project.id), None), LISTED).await?;
    let now = at.app.clock.now();
    let period =
        Period::last_quarter(now).map_or_else(String::new, |p| format!("{}..{}", day(p.start()), day(p.end())));
    page(&Reports {
        chrome: Chrome::new(&at.app, &at.principal, "Reports", &at.project.slug, "Reports").await?,
        error,
        may_make: at.may::<MakeReports>(),
        may_overall: at.principal.reach::<MakeReports>().is_all(),
        frameworks: at
            .app
            .catalogue
            .frameworks
            .values()
            .map(|f| (f.row.id.clone(), f.row.name.clone()))
            .collect(),
        chosen,
        period,
        rows: rows
            .into_iter()
            .map(|row| Row {
                id: row.id,
                made: minute(instant(row.recorded_at)),
                framework: name(&row.framework),
                start: day(instant(row.start_at)),
                end: day(instant(row.end_at)),
                over: if row.project_id.is_some() {
                    at.project.name.clone()
                } else {
                    "All projects".to_owned()
                },
                digest: row.digest,
                actor: row.actor,
            })
            .collect(),
    })
}

/// A report to make.
#[derive(Deserialize)]
pub struct Form {
    csrf: String,
    framework: String,
    period: String,
    over: String,
}

/// Makes a report.
#[post("/p/{project}/reports")]
pub async fn make(at: In<MakeReports>, form: web::Form<Form>) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let period = match Period::parse(&form.period) {
        Ok(period) => period,
        Err(error) => return render(&at, form.framework.clone(), error.to_string()).await,
    };
    if let Err(problem) = in_room(&at, &form.framework, &period) {
        return render(&at, form.framework.clone(), problem.detail).await;
    }
    let overall = form.over == "all" && at.principal.reach::<MakeReports>().is_all();
    let span = (micros(period.start()), micros(period.end()));
    if overall && !at.principal.admits::<MakeReports>(None, &form.framework, span) {
        let what = "That framework and period are not in your room for all projects.";
        return render(&at, form.framework.clone(), what.to_owned()).await;
    }
    let projects = if overall {
        at.app.store.projects(None).await?
    } else {
        vec![at.project.clone()]
    };
    let _turn = enter(&at.app.heavy).await?;
    match gather(&at.app, &form.framework, &projects, overall, period, &at.principal.name).await {
        Ok(_) => Ok(redirect(&format!("/p/{}/reports", at.project.slug))),
        Err(error) => {
            let problem = Problem::from(error);
            if problem.status < 500 {
                render(&at, form.framework.clone(), problem.detail).await
            } else {
                Err(problem)
            }
        }
    }
}

/// Downloads a report.
#[get("/reports/{report}/{format}")]
pub async fn download(
    who: Allowed<ReadFramework>,
    app: web::Data<Context>,
    path: web::Path<(String, String)>,
    query: web::Query<TableQuery>,
) -> Result<HttpResponse, Problem> {
    render_report(
        &app,
        &who.principal,
        &path.0,
        &path.1,
        query.table.as_deref().unwrap_or_default(),
    )
    .await
}
