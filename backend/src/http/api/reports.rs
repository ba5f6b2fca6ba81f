//! Period reports.

use super::{List, limit, uuid};
use crate::app::Context;
use crate::auth::{Allowed, In, MakeReports, Principal, ReadFramework};
use crate::flow::budget::enter;
use crate::flow::report;
use crate::http::App;
use crate::http::idempotency::{self, Start};
use crate::http::problem::Problem;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_domain::period::Period;
use affiant_report::{FORMATS, Report, by_name};
use affiant_store::{entity, instant, micros};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A stored report.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct StoredReport {
    /// Its id.
    pub id: Uuid,
    /// The framework.
    pub framework: String,
    /// First instant of the period.
    pub start: DateTime<Utc>,
    /// First instant after it.
    pub end: DateTime<Utc>,
    /// SHA-256 of the JSON as it was made.
    pub digest: String,
    /// Who made it.
    pub actor: String,
    /// When.
    pub recorded_at: DateTime<Utc>,
    /// Whether it covers all projects.
    pub overall: bool,
}

impl From<entity::report::Model> for StoredReport {
    fn from(row: entity::report::Model) -> Self {
        Self {
            id: row.id,
            framework: row.framework,
            start: instant(row.start_at),
            end: instant(row.end_at),
            digest: row.digest,
            actor: row.actor,
            recorded_at: instant(row.recorded_at),
            overall: row.project_id.is_none(),
        }
    }
}

/// A report to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// The framework.
    #[schema(example = "pci-dss")]
    pub framework: String,
    /// `2026`, `2026-Q3`, `2026-09` or `START..END`, half-open, UTC.
    #[schema(example = "2026-Q3")]
    pub period: String,
}

/// Which table of a format that holds one.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TableQuery {
    /// For CSV: `requirements` (the default), `findings`, `audit_events`, `metrics`, `changes` or `recommendations`.
    pub table: Option<String>,
}

/// Which page of reports.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ReportPage {
    /// Rows on a page, 1 to 500; 50 where it is not given.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u64>,
    /// What the page before gave as `next`.
    pub cursor: Option<Uuid>,
}

/// List reports, latest first
///
/// Needs the permission `frameworks:read`.
#[utoipa::path(tag = "reports", params(ReportPage), responses((status = 200, body = List<StoredReport>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/reports")]
pub async fn list(
    who: Allowed<ReadFramework>,
    app: App,
    which: web::Query<ReportPage>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let most = limit(which.limit)?;
    let (rows, next) = visible(&app, &who.principal, (None, which.cursor), most).await?;
    let list = List {
        items: rows.into_iter().map(StoredReport::from).collect(),
        next: next.map(|id| id.to_string()),
    };
    Ok(super::listed(request.path(), request.query_string(), &list))
}

/// Whether a report lies where somebody may look.
fn is_seen(who: &Principal, row: &entity::report::Model) -> bool {
    who.admits::<ReadFramework>(row.project_id, &row.framework, (row.start_at, row.end_at))
}

/// The reports that somebody may see, of a project or of all, from before one on; and where the next page begins. What they may not see is
/// passed over before the page is cut.
pub(crate) async fn visible(
    app: &Context,
    who: &Principal,
    (of, mut before): (Option<Uuid>, Option<Uuid>),
    most: u64,
) -> Result<(Vec<entity::report::Model>, Option<Uuid>), Problem> {
    const AT_ONCE: u64 = 500;
    let reach = who.reach::<ReadFramework>();
    let mut seen = Vec::new();
    loop {
        let page = app.store.reports(reach.only(), (of, before), AT_ONCE).await?;
        let is_last = (page.len() as u64) < AT_ONCE;
        before = page.last().map(|row| row.id);
        for row in page.into_iter().filter(|row| is_seen(who, row)) {
            if seen.len() as u64 == most {
                let next = seen.last().map(|last: &entity::report::Model| last.id);
                return Ok((seen, next));
            }
            seen.push(row);
        }
        if is_last {
            return Ok((seen, None));
        }
    }
}

/// Refuses a report over more than the room of whoever asks for it.
pub(crate) fn in_room(at: &In<MakeReports>, framework: &str, period: &Period) -> Result<(), Problem> {
    let span = (micros(period.start()), micros(period.end()));
    if at.principal.admits::<MakeReports>(Some(at.project.id), framework, span) {
        Ok(())
    } else {
        Err(Problem::forbidden("reports:write for this framework and period"))
    }
}

/// Make a period report of a project
///
/// Needs the permission `reports:write`.
#[utoipa::path(tag = "reports", params(("project" = String, Path, description = "Slug")), request_body = ReportRequest, responses((status = 201, body = StoredReport), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/reports")]
pub async fn make(
    at: In<MakeReports>,
    wanted: web::Json<ReportRequest>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let period = Period::parse(&wanted.period).map_err(|error| Problem::invalid("/period", error.to_string()))?;
    in_room(&at, &wanted.framework, &period)?;
    let projects = std::slice::from_ref(&at.project);
    made(&at.app, &at.principal, &request, (&wanted, projects, false, period)).await
}

/// Makes and stores a report, once for an idempotency key.
async fn made(
    app: &Context,
    who: &Principal,
    request: &HttpRequest,
    (wanted, projects, overall, period): (&ReportRequest, &[entity::project::Model], bool, Period),
) -> Result<HttpResponse, Problem> {
    let digest = format!("{} {}", wanted.framework, wanted.period);
    let keyed = match idempotency::begin(app, who, request, &digest).await? {
        Start::Answered(before) => return Ok(before),
        Start::Fresh(keyed) => keyed,
    };
    let _turn = enter(&app.heavy).await?;
    let draft = report::draft(app, &wanted.framework, projects, overall, period);
    let store = |app: Context, draft| async move {
        let (row, _) = report::store(&app, draft, &who.name).await?;
        Ok(StoredReport::from(row))
    };
    idempotency::prepared(app, keyed, draft, store).await
}

/// Make a period report of all projects
///
/// Needs the permission `reports:write` for all projects.
#[utoipa::path(tag = "reports", request_body = ReportRequest, responses((status = 201, body = StoredReport), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[post("/api/v1/reports")]
pub async fn make_overall(
    who: Allowed<MakeReports>,
    app: App,
    wanted: web::Json<ReportRequest>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    if !who.principal.reach::<MakeReports>().is_all() {
        return Err(Problem::forbidden("reports:write for all projects"));
    }
    let period = Period::parse(&wanted.period).map_err(|error| Problem::invalid("/period", error.to_string()))?;
    // A room that is for all projects is for its frameworks and its window, all the same.
    let span = (micros(period.start()), micros(period.end()));
    if !who.principal.admits::<MakeReports>(None, &wanted.framework, span) {
        return Err(Problem::forbidden(
            "reports:write for all projects, this framework and period",
        ));
    }
    let projects = app.store.projects(None).await?;
    made(&app, &who.principal, &request, (&wanted, &projects, true, period)).await
}

/// Download a report as JSON, CSV or PDF
///
/// Needs the permission `frameworks:read`.
#[utoipa::path(tag = "reports", params(("report" = String, Path, description = "Id"), ("format" = String, Path, description = "json, csv or pdf"), TableQuery), responses((status = 200, description = "The report", content((Object = "application/json"), (String = "text/csv"), (Vec<u8> = "application/pdf"))), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/reports/{report}/{format}")]
pub async fn download(
    who: Allowed<ReadFramework>,
    app: App,
    path: web::Path<(String, String)>,
    query: web::Query<TableQuery>,
) -> Result<HttpResponse, Problem> {
    render(
        &app,
        &who.principal,
        &path.0,
        &path.1,
        query.table.as_deref().unwrap_or_default(),
    )
    .await
}

/// Renders a stored report for somebody who may see it.
pub(crate) async fn render(
    app: &Context,
    who: &Principal,
    id: &str,
    format: &str,
    table: &str,
) -> Result<HttpResponse, Problem> {
    let missing = || Problem::not_found("there is no such report");
    // The report is held whole, and drawn whole.
    let _turn = enter(&app.drawing).await?;
    let (row, json) = app.store.report(uuid(id, "report")?).await?.ok_or_else(missing)?;
    if !is_seen(who, &row) {
        return Err(missing());
    }
    crate::flow::reconcile::hold(app, affiant_store::RecordKind::Report, row.id).await?;
    if affiant_domain::sha256_hex(&json) != row.digest {
        let what = "its JSON does not have the digest that is told of it";
        return Err(affiant_store::damaged("report", row.id, what).into());
    }
    let format = by_name(format).ok_or_else(|| {
        let known: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
        Problem::invalid("format", format!("unknown format; known are {}", known.join(", ")))
    })?;
    let report: Report = serde_json::from_slice(&json).map_err(|error| Problem::internal(&error.to_string()))?;
    if !table.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return Err(Problem::invalid("table", "the name of a table"));
    }
    let table = table.to_owned();
    let name = format!(
        "{}-{}-{}{}{}",
        report.framework,
        report.reporting_period.start.format("%Y%m%d"),
        report.reporting_period.end.format("%Y%m%d"),
        if table.is_empty() { "" } else { "-" },
        table
    );
    let body = web::block(move || (format.render)(&report, &table))
        .await
        .map_err(|error| Problem::internal(&error.to_string()))?;
    let body = body.map_err(|error| match error {
        affiant_report::RenderError::Table(_) => Problem::invalid("table", error.to_string()),
        other => Problem::internal(&other.to_string()),
    })?;
    // A report that leaves is told before it does.
    let detail = serde_json::json!({ "report": row.id, "format": format.name }).to_string();
    let of = (who.name.as_str(), "report.downloaded", row.project_id);
    app.store.record_action(of, &detail, app.clock.now()).await?;
    Ok(HttpResponse::Ok()
        .content_type(format.media_type)
        .insert_header((
            "Content-Disposition",
            format!("attachment; filename=\"{name}.{}\"", format.name),
        ))
        .body(body))
}
