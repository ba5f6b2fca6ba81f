//! All projects.

use super::{Chrome, check_csrf, filters, page, redirect};
use crate::app::Context;
use crate::auth::{Allowed, ReadFramework, WriteProjects};
use crate::flow::project;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_domain::id::ProjectId;
use affiant_store::FindingFilter;
use askama::Template;
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Template)]
#[template(path = "pages/home.html")]
struct Home {
    chrome: Chrome,
    frameworks: Vec<String>,
    rows: Vec<Row>,
    may_create: bool,
    clock: Option<(String, bool)>,
}

struct Row {
    slug: String,
    name: String,
    cells: Vec<Cell>,
    /// Whether whoever asks sees it from a room alone.
    is_guest: bool,
    open: u64,
}

struct Cell {
    framework: String,
    score: Option<f64>,
    coverage: f64,
}

/// Shows where every project stands.
#[get("/")]
pub async fn show(who: Allowed<ReadFramework>, app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let mut rows = Vec::new();
    for project in app
        .store
        .projects(who.principal.reach::<ReadFramework>().only())
        .await?
    {
        let scoped = app.store.project(ProjectId(project.id));
        let mut cells = Vec::new();
        for framework in app.catalogue.frameworks.keys() {
            let latest = scoped
                .assessments(Some(framework), 1)
                .await?
                .pop()
                .filter(|row| row.as_of <= affiant_store::micros(now))
                .filter(|row| {
                    let span = (row.as_of, row.as_of);
                    who.principal.admits::<ReadFramework>(Some(project.id), framework, span)
                });
            cells.push(Cell {
                framework: framework.clone(),
                score: latest.as_ref().and_then(|row| row.score),
                coverage: latest.map_or(0.0, |row| row.coverage),
            });
        }
        let guest = who.principal.is_guest(Some(project.id));
        let open = scoped
            .count_findings(&FindingFilter {
                state: Some(0),
                ..FindingFilter::default()
            })
            .await?;
        rows.push(Row {
            slug: project.slug,
            name: project.name,
            cells,
            open: if guest { 0 } else { open.values().sum() },
            is_guest: guest,
        });
    }
    page(&Home {
        chrome: Chrome::new(&app, &who.principal, "All projects", "", "").await?,
        frameworks: app.catalogue.frameworks.values().map(|f| f.row.name.clone()).collect(),
        rows,
        may_create: who.principal.reach::<WriteProjects>().is_all(),
        clock: super::overview::clock(&app, &who.principal).await?,
    })
}

/// A project to make.
#[derive(Deserialize)]
pub struct Form {
    csrf: String,
    name: String,
    slug: String,
}

/// Makes a project.
#[post("/projects")]
pub async fn create(
    who: Allowed<WriteProjects>,
    app: web::Data<Context>,
    form: web::Form<Form>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    if !who.principal.reach::<WriteProjects>().is_all() {
        return Err(Problem::forbidden("projects:write for all projects"));
    }
    let made = project::create(&app, &form.slug, &form.name, &BTreeSet::new(), &who.principal.name).await?;
    Ok(redirect(&format!("/p/{}/imports", made.slug)))
}
