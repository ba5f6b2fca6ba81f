//! Findings.

use super::{List, limit, listed, uuid};
use crate::auth::{In, PushScans, Read};
use crate::flow::ingest::{ImportResult, Options, import};
use crate::flow::keyed::Content;
use crate::http::idempotency::{self, Start};
use crate::http::problem::Problem;
use crate::http::upload::{LIMIT, receive};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_domain::Severity;
use affiant_domain::catalogue::Mapper;
use affiant_domain::matching::State;
use affiant_store::{Cursor, FindingDetail, FindingFilter, FindingRow, instant, stored_severity, stored_state};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A finding.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Its id.
    pub id: Uuid,
    /// The asset that it stands on.
    #[schema(example = "repo:payments")]
    pub asset: String,
    /// The tool.
    #[schema(example = "semgrep")]
    pub tool: String,
    /// Its rule.
    pub rule: String,
    /// One line.
    pub title: String,
    /// What the tool says.
    pub message: String,
    /// File, package or object.
    pub location: String,
    /// Line in that file; 0 where there is none.
    pub line: i32,
    /// How bad it is.
    #[schema(value_type = String, example = "high")]
    pub severity: Severity,
    /// `open`, `closed` or `suppressed`.
    pub state: String,
    /// When it first opened.
    pub opened_at: DateTime<Utc>,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
    /// CWE numbers.
    pub cwe: Vec<u32>,
    /// CVE or other vulnerability id.
    pub cve: Option<String>,
    /// CVSS base score, where the tool gives one.
    pub cvss: Option<f64>,
    /// Package, for a known vulnerability.
    pub package: String,
    /// Platform category: `vulnerability`, `secret`, `misconfiguration`, `code`, ….
    pub category: String,
    /// Tags of the rule, as the tool gives them.
    pub tags: Vec<String>,
    /// Of a secret: its beginning, its length and a keyed hash; never the secret.
    pub secret: String,
}

pub(crate) const fn state_word(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Closed => "closed",
        State::Suppressed => "suppressed",
    }
}

fn state_code(word: &str) -> Result<i16, Problem> {
    match word {
        "open" => Ok(0),
        "closed" => Ok(1),
        "suppressed" => Ok(2),
        other => Err(Problem::invalid(
            "state",
            format!("unknown state \"{other}\"; known are open, closed, suppressed"),
        )),
    }
}

impl From<FindingRow> for Finding {
    fn from(row: FindingRow) -> Self {
        let f = row.finding;
        Self {
            id: f.id,
            asset: row.asset,
            tool: row.check.tool,
            rule: row.check.rule,
            title: f.title,
            message: f.message,
            location: f.location,
            line: f.line,
            severity: row.severity,
            state: state_word(row.state).to_owned(),
            opened_at: instant(f.opened_at),
            changed_at: instant(f.changed_at),
            cwe: row.check.cwe,
            cve: row.check.cve,
            cvss: f.cvss,
            package: f.package,
            category: row.check.category,
            tags: row.check.tags,
            secret: f.secret,
        }
    }
}

/// A change of a finding.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Transition {
    /// When.
    pub at: DateTime<Utc>,
    /// When we learned of it.
    pub recorded_at: DateTime<Utc>,
    /// State from then on.
    pub state: String,
    /// Severity from then on.
    #[schema(value_type = String)]
    pub severity: Severity,
}

/// A finding with its history and what it bears on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FindingWithHistory {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// How it began and changed, oldest first.
    pub history: Vec<Transition>,
    /// Controls that it speaks for, with strengths.
    pub controls: BTreeMap<String, f64>,
    /// Requirements that those controls serve.
    pub requirements: Vec<String>,
    /// The import that first brought it.
    pub import: Uuid,
    /// Line of the original at which it stands.
    pub original_line: i64,
    /// Other findings of the same issue: the same vulnerability of the same package, or the same weakness at the same place, told by
    /// another tool or once more by this one. Each stays a finding of its own.
    pub same_issue: Vec<Finding>,
}

/// Which findings.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FindingQuery {
    /// `open`, `closed` or `suppressed`; all where it is not given.
    pub state: Option<String>,
    /// Severities, separated by commas.
    #[param(example = "critical,high")]
    pub severity: Option<String>,
    /// Key of the asset.
    pub asset: Option<String>,
    /// Tool.
    pub tool: Option<String>,
    /// Rule.
    pub rule: Option<String>,
    /// Text in title, message or location.
    pub q: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u64>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

impl FindingQuery {
    /// As the store wants it. Empty fields, as forms send them, do not narrow.
    pub(crate) fn filter(&self) -> Result<FindingFilter, Problem> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        for (at, text) in [
            ("asset", &self.asset),
            ("tool", &self.tool),
            ("rule", &self.rule),
            ("q", &self.q),
        ] {
            if text
                .as_ref()
                .is_some_and(|text| text.contains('\0') || text.len() > 2000)
            {
                return Err(Problem::invalid(at, "at most 2000 characters, and no NUL"));
            }
        }
        let severity = given(&self.severity).map_or_else(Vec::new, |text| text.split(',').map(str::to_owned).collect());
        let severity = severity.iter().map(|word| {
            word.parse()
                .map_err(|e: affiant_domain::severity::UnknownSeverity| Problem::invalid("severity", e.to_string()))
        });
        Ok(FindingFilter {
            state: given(&self.state).map(|word| state_code(&word)).transpose()?,
            severity: severity.collect::<Result<_, _>>()?,
            asset: given(&self.asset),
            tool: given(&self.tool),
            rule: given(&self.rule),
            checks: None,
            text: given(&self.q),
        })
    }

    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        let decode = |text: &String| {
            Cursor::decode(text).ok_or_else(|| Problem::invalid("cursor", "take it from the page before"))
        };
        self.cursor
            .as_ref()
            .filter(|text| !text.is_empty())
            .map(decode)
            .transpose()
    }
}

/// List findings, worst first
///
/// Needs the permission `read`.
#[utoipa::path(tag = "findings", params(("project" = String, Path, description = "Slug"), FindingQuery), responses((status = 200, body = List<Finding>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/findings")]
pub async fn list(
    at: In<Read>,
    query: web::Query<FindingQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = at
        .scoped()
        .findings(&query.filter()?, query.cursor()?.as_ref(), limit(query.limit)?)
        .await?;
    let found = List {
        items: page.items.into_iter().map(Finding::from).collect(),
        next: page.next.map(|c| c.encode()),
    };
    Ok(listed(request.path(), request.query_string(), &found))
}

/// Show a finding with its history and what it bears on
///
/// Needs the permission `read`.
#[utoipa::path(tag = "findings", params(("project" = String, Path, description = "Slug"), ("finding" = String, Path, description = "Id")), responses((status = 200, body = FindingWithHistory), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/findings/{finding}")]
pub async fn show(at: In<Read>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let found = at
        .scoped()
        .finding(uuid(&path.1, "finding")?)
        .await?
        .ok_or_else(|| Problem::not_found("there is no such finding"))?;
    Ok(HttpResponse::Ok().json(dress(&at.app.catalogue, found)?))
}

fn dress(
    catalogue: &affiant_domain::catalogue::Catalogue,
    found: FindingDetail,
) -> Result<FindingWithHistory, Problem> {
    let controls: BTreeMap<String, f64> = Mapper::new(catalogue)
        .controls(&found.row.check, found.row.severity)
        .into_iter()
        .map(|(c, s)| (c.to_owned(), s))
        .collect();
    let mut requirements: Vec<String> = controls
        .keys()
        .flat_map(|control| catalogue.requirements_of(control))
        .map(|(id, _)| id.to_owned())
        .collect();
    requirements.sort();
    requirements.dedup();
    let first = &found.row.finding;
    let began = Transition {
        at: instant(first.opened_at),
        recorded_at: instant(first.recorded_at),
        state: state_word(stored_state(first.id, first.first_state)?).to_owned(),
        severity: stored_severity(first.id, first.first_severity)?,
    };
    let mut history = vec![began];
    for change in &found.transitions {
        history.push(Transition {
            at: instant(change.at),
            recorded_at: instant(change.recorded_at),
            state: state_word(stored_state(first.id, change.state)?).to_owned(),
            severity: stored_severity(first.id, change.severity)?,
        });
    }
    Ok(FindingWithHistory {
        import: found.row.finding.import_id,
        original_line: found.row.finding.place_line,
        finding: found.row.into(),
        same_issue: found.same.into_iter().map(Finding::from).collect(),
        history,
        controls,
        requirements,
    })
}

/// What was scanned.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PushQuery {
    /// What was scanned, `kind:name`.
    #[param(example = "service:checkout")]
    pub asset: String,
    /// `delta` (the default here: it only adds) or `snapshot`.
    pub mode: Option<String>,
    /// Part of the asset.
    pub part: Option<String>,
}

/// Push findings of a tool without a format
///
/// Our own findings JSON: `{"tool": "…", "findings": [{"title", "severity", "description", …}]}`. Needs the permission `scans:write`.
#[utoipa::path(tag = "findings", params(("project" = String, Path, description = "Slug"), PushQuery), request_body(content = Object, content_type = "application/json", example = json!({"tool": "acme-check", "findings": [{"title": "Debug port open", "severity": "high", "description": "Port 9000 answers", "cwe": 489}]})), responses((status = 201, body = ImportResult), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem)))]
#[post("/api/v1/projects/{project}/findings")]
pub async fn push(
    at: In<PushScans>,
    query: web::Query<PushQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let mut received = receive(&at.app, body, LIMIT).await?;
    let query = query.into_inner();
    let options = Options {
        asset: query.asset,
        part: query.part.unwrap_or_default(),
        mode: query.mode.unwrap_or_else(|| "delta".to_owned()),
        format: Some("generic-json".to_owned()),
        scanned_at: None,
        dry_run: false,
        confirm: false,
        actor: at.principal.name.clone(),
    };
    let begun = idempotency::begin(&at.app, &at.principal, &request, &received.upload.digest).await?;
    let keyed = match begun {
        Start::Answered(before) => return Ok(before),
        Start::Fresh(keyed) => keyed,
    };
    received.upload.keyed.clone_from(&keyed);
    let work = async {
        let result = import(&at.app, at.id(), &received.upload, &options).await?;
        Ok((StatusCode::CREATED, Content::json(&result)?))
    };
    idempotency::finish(&at.app, keyed, work).await
}
