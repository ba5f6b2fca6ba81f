//! One-time links, until single sign-on lands.

use super::{check_csrf, redirect};
use crate::app::Context;
use crate::auth::{Allowed, Read, SESSION_COOKIE, Way, hash, random};
use crate::http::problem::Problem;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_store::{entity, micros};
use chrono::Duration;
use serde::Deserialize;

/// How long a session holds.
const HOURS: i64 = 12;

/// Uses a link up and begins a session.
#[get("/sign-in/{secret}")]
pub async fn arrive(
    app: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let link = app
        .store
        .use_link(&hash(&path), now)
        .await?
        .ok_or_else(Problem::unauthenticated)?;
    let secret = random();
    let row = entity::session::Model {
        hash: hash(&secret),
        name: link.name,
        role: link.role,
        csrf: random(),
        created_at: micros(now),
        expires_at: micros(now + Duration::hours(HOURS)),
    };
    app.store.add_session(row).await?;
    let mut response = redirect("/");
    let secure = request.connection_info().scheme() == "https";
    let cookie = Cookie::build(SESSION_COOKIE, secret)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .finish();
    response
        .add_cookie(&cookie)
        .map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(response)
}

/// A form with nothing but its secret.
#[derive(Deserialize)]
pub struct Bare {
    pub(super) csrf: String,
}

/// Ends the session.
#[post("/sign-out")]
pub async fn leave(
    who: Allowed<Read>,
    app: web::Data<Context>,
    form: web::Form<Bare>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    if let Way::Session { hash, .. } = &who.principal.way {
        app.store.end_session(hash).await?;
    }
    let mut response = redirect("/");
    let mut cookie = Cookie::build(SESSION_COOKIE, "").path("/").finish();
    cookie.make_removal();
    response
        .add_cookie(&cookie)
        .map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(response)
}
