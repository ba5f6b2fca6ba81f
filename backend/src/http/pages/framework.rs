//! Every requirement of a framework.

use super::{Chrome, filters, minute, page};
use crate::auth::{In, ReadFramework};
use crate::flow::assess::{Reading, Scope};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, web};
use affiant_domain::catalogue::{Applicability, Framework};
use affiant_domain::score::{Bounds, ControlScore, FrameworkScore, Status, compute};
use askama::Template;
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "pages/framework.html")]
struct FrameworkPage {
    chrome: Chrome,
    id: String,
    name: String,
    title: String,
    version: String,
    source: String,
    as_of: String,
    assessment: String,
    score: Option<f64>,
    raw: Option<f64>,
    coverage: f64,
    bounds: Bounds,
    total: usize,
    applying: usize,
    groups: Vec<Group>,
    rows: Vec<Row>,
    statuses: Vec<(&'static str, &'static str)>,
    chosen: String,
    q: String,
    unscored: Vec<(String, String, String)>,
}

struct Group {
    title: String,
    cells: Vec<Cell>,
}

struct Cell {
    id: String,
    label: String,
    title: String,
    status: &'static str,
    status_label: &'static str,
    sign: &'static str,
}

struct Row {
    id: String,
    label: String,
    title: String,
    note: String,
    status: &'static str,
    status_label: &'static str,
    waived: bool,
    score: Option<f64>,
    coverage: Option<f64>,
    controls: Vec<ControlScore>,
}

/// Which requirements.
#[derive(Deserialize)]
pub struct Query {
    status: Option<String>,
    q: Option<String>,
}

const fn sign(status: Status) -> &'static str {
    match status {
        Status::NotSatisfied => "✕",
        Status::PartiallySatisfied => "◐",
        Status::Satisfied => "✓",
        Status::NotAssessed => "?",
        Status::NotApplicable => "",
    }
}

/// Shows a framework by its latest assessment, or as it stands where there is none.
#[get("/p/{project}/frameworks/{framework}")]
pub async fn show(
    at: In<ReadFramework>,
    path: web::Path<(String, String)>,
    query: web::Query<Query>,
) -> Result<HttpResponse, Problem> {
    let framework = at
        .app
        .catalogue
        .framework(&path.1)
        .map_err(|error| Problem::not_found(&error.to_string()))?;
    let now = at.app.clock.now();
    let span = (affiant_store::micros(now), affiant_store::micros(now));
    if !at
        .principal
        .admits::<ReadFramework>(Some(at.project.id), &framework.row.id, span)
    {
        return Err(Problem::not_found("there is no such framework"));
    }
    let scope = Scope::load(&at.app, at.id(), now, now).await?;
    let stored = at.scoped().latest_assessment(&framework.row.id, now).await?;
    let (assessment, score) = match stored {
        Some((row, score)) => (row.id.to_string(), score),
        None => {
            let reading = Reading::load(&at.app, &at.app.catalogue, at.id(), now, at.known()).await?;
            (String::new(), compute(&reading.input(framework)))
        }
    };
    let chosen = query.status.clone().unwrap_or_default();
    let q = query.q.clone().unwrap_or_default();
    let all = rows(&scope, framework, &score);
    let fits = |row: &Row| {
        let text = q.to_lowercase();
        (chosen.is_empty() || row.status == chosen)
            && (row.title.to_lowercase().contains(&text) || row.label.to_lowercase().contains(&text))
    };
    let unscored = framework.requirements.iter().filter(|r| !r.is_scored());
    page(&FrameworkPage {
        chrome: Chrome::new(
            &at.app,
            &at.principal,
            &framework.row.name,
            &at.project.slug,
            "Overview",
        )
        .await?,
        id: framework.row.id.clone(),
        name: framework.row.name.clone(),
        title: framework.row.title.clone(),
        version: framework.row.version.clone(),
        source: framework.row.source.clone(),
        as_of: minute(score.as_of),
        assessment,
        score: score.compliance_score,
        raw: score.compliance_score_raw,
        coverage: score.audit_coverage,
        bounds: score.bounds,
        total: all.len(),
        applying: all.iter().filter(|row| row.coverage.is_some()).count(),
        groups: groups(framework, &all),
        unscored: unscored
            .map(|r| (r.label.clone(), r.title.clone(), r.not_scored.clone()))
            .collect(),
        rows: all.into_iter().filter(fits).collect(),
        statuses: Status::ALL.map(|s| (s.as_str(), s.label())).to_vec(),
        chosen,
        q,
    })
}

fn rows(scope: &Scope, framework: &Framework, score: &FrameworkScore) -> Vec<Row> {
    let by_id: HashMap<&str, _> = score.requirements.iter().map(|r| (r.id.as_str(), r)).collect();
    framework
        .scored()
        .filter_map(|row| {
            let result = by_id.get(row.id.as_str())?;
            let mut controls = result.controls.clone();
            controls.sort_by(|a, b| {
                let rank = |c: &ControlScore| (!c.failing, c.score.is_none());
                rank(a)
                    .cmp(&rank(b))
                    .then_with(|| a.score.unwrap_or(1.0).total_cmp(&b.score.unwrap_or(1.0)))
            });
            let note = match scope.applies(framework, &row.id) {
                Applicability::NotApplicable(reason) if result.status == Status::NotApplicable => reason,
                _ => row.note.clone(),
            };
            Some(Row {
                id: row.id.clone(),
                label: row.label.clone(),
                title: row.title.clone(),
                note,
                status: result.status.as_str(),
                status_label: result.status.label(),
                waived: result.waived,
                score: result.score,
                coverage: result.coverage,
                controls,
            })
        })
        .collect()
}

fn groups(framework: &Framework, rows: &[Row]) -> Vec<Group> {
    let by_id: HashMap<&str, &Row> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut groups: Vec<Group> = Vec::new();
    for heading in &framework.groups {
        let own = framework.requirements.iter().filter(|r| r.group == heading.id);
        let cells: Vec<Cell> = own
            .filter_map(|r| by_id.get(r.id.as_str()))
            .map(|row| {
                let status = Status::ALL
                    .into_iter()
                    .find(|s| s.as_str() == row.status)
                    .unwrap_or(Status::NotAssessed);
                Cell {
                    id: row.id.clone(),
                    label: row.label.clone(),
                    title: row.title.clone(),
                    status: row.status,
                    status_label: row.status_label,
                    sign: sign(status),
                }
            })
            .collect();
        if !cells.is_empty() {
            groups.push(Group {
                title: format!("{} {}", heading.label, heading.title),
                cells,
            });
        }
    }
    groups
}
