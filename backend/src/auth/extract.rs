//! Extractors that hold a permission: [`Allowed`] for the installation, [`In`] for the project in the path.

use super::{Permission, Principal, Role, Way, hash};
use crate::app::Context;
use crate::http::problem::Problem;
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use affiant_domain::id::ProjectId;
use affiant_store::{Scoped, entity};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

/// Name of the session's cookie.
pub const SESSION_COOKIE: &str = "affiant_session";

/// Somebody who has permission `P`.
pub struct Allowed<P: Permission> {
    /// Who.
    pub principal: Principal,
    marker: PhantomData<P>,
}

/// Somebody who has permission `P` in the project of the path.
pub struct In<P: Permission> {
    /// Who.
    pub principal: Principal,
    /// The project.
    pub project: entity::project::Model,
    /// The parts of the installation.
    pub app: web::Data<Context>,
    marker: PhantomData<P>,
}

impl<P: Permission> In<P> {
    /// The project's id.
    #[must_use]
    pub const fn id(&self) -> ProjectId {
        ProjectId(self.project.id)
    }

    /// The project's view of the store.
    #[must_use]
    pub fn scoped(&self) -> Scoped<'_> {
        self.app.store.project(self.id())
    }
}

/// Who is asking; none where nobody says, or says so wrongly.
///
/// # Errors
/// [`Problem`] where the database fails.
pub async fn principal_of(request: &HttpRequest) -> Result<Option<Principal>, Problem> {
    if let Some(known) = request.extensions().get::<Principal>() {
        return Ok(Some(known.clone()));
    }
    let app = request.app_data::<web::Data<Context>>().ok_or_else(|| Problem::internal("no context"))?.clone();
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let found = match header {
        Some(header) => match header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
            Some((_, secret)) => by_token(&app, secret.trim()).await?,
            None => None,
        },
        None => match request.cookie(SESSION_COOKIE) {
            Some(cookie) => by_session(&app, cookie.value()).await?,
            None => None,
        },
    };
    if let Some(principal) = &found {
        request.extensions_mut().insert(principal.clone());
    }
    Ok(found)
}

async fn by_token(app: &Context, secret: &str) -> Result<Option<Principal>, Problem> {
    /// How often the last use is noted, microseconds.
    const NOTED: i64 = 60_000_000;
    let now = app.clock.now();
    let Some(row) = app.store.token(&hash(secret), now).await? else { return Ok(None) };
    if row.last_used_at.is_none_or(|last| affiant_store::micros(now) - last > NOTED) {
        app.store.touch_token(row.id, now).await?;
    }
    let role = Role::parse(&row.role);
    Ok(role.map(|role| Principal { name: format!("token:{}", row.name), role, project: row.project_id, way: Way::Token(row.id) }))
}

async fn by_session(app: &Context, secret: &str) -> Result<Option<Principal>, Problem> {
    let Some(row) = app.store.session(&hash(secret), app.clock.now()).await? else { return Ok(None) };
    let role = Role::parse(&row.role);
    Ok(role.map(|role| Principal { name: row.name, role, project: None, way: Way::Session { hash: row.hash, csrf: row.csrf } }))
}

async fn allowed<P: Permission>(request: &HttpRequest) -> Result<Principal, Problem> {
    let principal = principal_of(request).await?.ok_or_else(Problem::unauthenticated)?;
    if !principal.may::<P>() {
        return Err(Problem::forbidden(P::NAME));
    }
    // A session is sent by the browser whether its owner means it or not: what changes something through the API must show that it
    // does not come from another site. Forms of pages carry a secret of their own.
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && matches!(principal.way, Way::Session { .. }) && request.path().starts_with("/api/") && !same_origin(request) {
        return Err(Problem::forbidden("a request of this site"));
    }
    Ok(principal)
}

/// Browsers say where a request comes from; programs with a session must say it too.
fn same_origin(request: &HttpRequest) -> bool {
    request.headers().get("sec-fetch-site").is_some_and(|site| site == "same-origin" || site == "none")
}

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<P: Permission> FromRequest for Allowed<P> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self { principal: allowed::<P>(&request).await?, marker: PhantomData }) })
    }
}

impl<P: Permission> FromRequest for In<P> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let principal = principal_of(&request).await?.ok_or_else(Problem::unauthenticated)?;
            let app = request.app_data::<web::Data<Context>>().ok_or_else(|| Problem::internal("no context"))?.clone();
            let slug = request.match_info().get("project").unwrap_or_default();
            // What belongs to somebody else looks like what is not there, whatever the role.
            let project = app.store.project_by_slug(slug).await?.filter(|project| principal.sees(project.id));
            let project = project.ok_or_else(|| Problem::not_found("there is no such project"))?;
            let principal = allowed::<P>(&request).await?;
            Ok(Self { principal, project, app, marker: PhantomData })
        })
    }
}
