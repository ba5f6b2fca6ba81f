//! What there is to be assessed against, and what can be read.

use crate::auth::{Allowed, Read};
use crate::http::App;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A framework.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FrameworkSummary {
    /// Id.
    #[schema(example = "pci-dss")]
    pub id: String,
    /// Title.
    pub title: String,
    /// Version.
    pub version: String,
    /// Rows.
    pub rows: usize,
    /// Rows that are scored.
    pub scored: usize,
}

/// A requirement.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Requirement {
    /// Id.
    #[schema(example = "pci-8.6.2")]
    pub id: String,
    /// As the framework writes it.
    pub label: String,
    /// In our words.
    pub title: String,
    /// Whether it is scored.
    pub scored: bool,
    /// Controls with crosswalk weights.
    pub controls: BTreeMap<String, f64>,
}

/// A format that is read.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct InputFormat {
    /// Name.
    #[schema(example = "sarif")]
    pub name: String,
    /// Title.
    pub title: String,
    /// `findings` or `events`.
    pub kind: String,
}

/// List the frameworks
///
/// Needs the permission `read`.
#[utoipa::path(tag = "catalogue", responses((status = 200, body = [FrameworkSummary]), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/frameworks")]
pub async fn frameworks(_: Allowed<Read>, app: App) -> HttpResponse {
    let all: Vec<FrameworkSummary> = app
        .catalogue
        .frameworks
        .values()
        .map(|f| FrameworkSummary {
            id: f.row.id.clone(),
            title: f.row.title.clone(),
            version: f.row.version.clone(),
            rows: f.requirements.len(),
            scored: f.scored().count(),
        })
        .collect();
    HttpResponse::Ok().json(all)
}

/// List the requirements of a framework
///
/// Needs the permission `read`.
#[utoipa::path(tag = "catalogue", params(("framework" = String, Path, description = "Framework")), responses((status = 200, body = [Requirement]), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/frameworks/{framework}/requirements")]
pub async fn framework(_: Allowed<Read>, app: App, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let framework = app
        .catalogue
        .framework(&path)
        .map_err(|error| Problem::invalid("framework", error.to_string()))?;
    let rows: Vec<Requirement> = framework
        .requirements
        .iter()
        .map(|row| Requirement {
            id: row.id.clone(),
            label: row.label.clone(),
            title: row.title.clone(),
            scored: row.is_scored(),
            controls: app
                .catalogue
                .controls_of(&row.id)
                .into_iter()
                .map(|(c, w)| (c.id.clone(), w))
                .collect(),
        })
        .collect();
    Ok(HttpResponse::Ok().json(rows))
}

/// List the formats that are read
///
/// Needs the permission `read`.
#[utoipa::path(tag = "catalogue", responses((status = 200, body = [InputFormat]), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/formats")]
pub async fn formats(_: Allowed<Read>, app: App) -> HttpResponse {
    let kind = |kind| {
        if kind == affiant_ingest::Kind::Events {
            "events"
        } else {
            "findings"
        }
    };
    let all: Vec<InputFormat> = app
        .formats
        .iter()
        .map(|f| InputFormat {
            name: f.name.clone(),
            title: f.title.clone(),
            kind: kind(f.kind).to_owned(),
        })
        .collect();
    HttpResponse::Ok().json(all)
}
