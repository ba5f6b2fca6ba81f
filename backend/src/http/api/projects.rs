//! Projects.

use crate::auth::{Allowed, In, Read, ReadFramework, WriteProjects};
use crate::flow::project::{create as make, profiles, update as change};
use crate::http::App;
use crate::http::problem::Problem;
use actix_web::{HttpRequest, HttpResponse, get, patch, post, web};
use affiant_store::{entity, instant};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// A project.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Name in addresses.
    #[schema(example = "payments")]
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// Profiles that decide which requirements apply.
    pub profiles: BTreeSet<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl TryFrom<&entity::project::Model> for Project {
    type Error = Problem;

    fn try_from(row: &entity::project::Model) -> Result<Self, Problem> {
        Ok(Self {
            slug: row.slug.clone(),
            name: row.name.clone(),
            profiles: profiles(row)?,
            created_at: instant(row.created_at),
        })
    }
}

/// A project to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// Name in addresses: lower-case letters, digits and dashes.
    #[schema(example = "payments")]
    pub slug: String,
    /// Name for people.
    #[schema(example = "Payments")]
    pub name: String,
    /// Profiles, such as `service-provider`.
    #[serde(default)]
    pub profiles: BTreeSet<String>,
}

/// Changes of a project; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChange {
    /// New name.
    pub name: Option<String>,
    /// New profiles.
    pub profiles: Option<BTreeSet<String>>,
}

fn etag(project: &Project) -> String {
    let json = serde_json::to_vec(project).unwrap_or_default();
    format!("\"{}\"", &affiant_domain::sha256_hex(&json)[..16])
}

/// List the projects that you may see
///
/// Needs the permission `frameworks:read`.
#[utoipa::path(tag = "projects", responses((status = 200, description = "Projects, by slug", body = [Project]), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/projects")]
pub async fn list(who: Allowed<ReadFramework>, app: App) -> Result<HttpResponse, Problem> {
    let all = app
        .store
        .projects(who.principal.reach::<ReadFramework>().only())
        .await?;
    let seen = all.iter().map(Project::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(seen))
}

/// Make a project
///
/// It is scheduled for a daily assessment of every framework. Needs the permission `projects:write` for all projects.
#[utoipa::path(tag = "projects", request_body = NewProject, responses((status = 201, body = Project), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
#[post("/api/v1/projects")]
pub async fn create(
    who: Allowed<WriteProjects>,
    app: App,
    new: web::Json<NewProject>,
) -> Result<HttpResponse, Problem> {
    if !who.principal.reach::<WriteProjects>().is_all() {
        return Err(Problem::forbidden("projects:write for all projects"));
    }
    let row = make(&app, &new.slug, &new.name, &new.profiles, &who.principal.name).await?;
    let project = Project::try_from(&row)?;
    Ok(HttpResponse::Created()
        .insert_header(("ETag", etag(&project)))
        .json(project))
}

/// Show a project
///
/// Needs the permission `read`.
#[utoipa::path(tag = "projects", params(("project" = String, Path, description = "Slug")), responses((status = 200, body = Project), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}")]
pub async fn show(at: In<Read>) -> Result<HttpResponse, Problem> {
    let project = Project::try_from(&at.project)?;
    Ok(HttpResponse::Ok().insert_header(("ETag", etag(&project))).json(project))
}

/// Change a project
///
/// `If-Match` with the `ETag` of what you read keeps you from undoing somebody else's change. Needs the permission `projects:write`.
#[utoipa::path(tag = "projects", params(("project" = String, Path, description = "Slug"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")), request_body = ProjectChange, responses((status = 200, body = Project), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem)))]
#[patch("/api/v1/projects/{project}")]
pub async fn update(
    at: In<WriteProjects>,
    request: HttpRequest,
    change_: web::Json<ProjectChange>,
) -> Result<HttpResponse, Problem> {
    let before = Project::try_from(&at.project)?;
    let wanted = request.headers().get("if-match").and_then(|value| value.to_str().ok());
    if wanted.is_some_and(|tag| tag != "*" && tag != etag(&before)) {
        return Err(Problem::new(
            "precondition-failed",
            "the project was changed since you read it",
        ));
    }
    let name = change_.name.clone().unwrap_or(before.name);
    let wanted = change_.profiles.clone().unwrap_or(before.profiles);
    change(&at.app, at.id(), &name, &wanted, &at.principal.name).await?;
    let project = Project {
        slug: before.slug,
        name,
        profiles: wanted,
        created_at: before.created_at,
    };
    Ok(HttpResponse::Ok().insert_header(("ETag", etag(&project))).json(project))
}
