//! Signing in and out: by a provider, or by a link of the operator where none is set up.

use super::small::Small;
use super::{Chrome, check_csrf, page, redirect};
use crate::app::Context;
use crate::auth::oidc::{Attempt, OidcError};
use crate::auth::{Principal, SESSION_COOKIE, Way, hash, session};
use crate::http::problem::Problem;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, get, post, web};
use affiant_store::micros;
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use subtle::ConstantTimeEq;

/// What an attempt is sealed for, and the beginning of its cookie's name.
const ATTEMPT: &str = "__Host-affiant_sign_in";

/// A cookie that no other host can set, no script can read, and no plain connection carries. Browsers take loopback for safe.
fn cookie(name: String, value: String) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(true)
        .finish()
}

fn with_cookie(mut response: HttpResponse, cookie: &Cookie<'_>) -> Result<HttpResponse, Problem> {
    let added = response.add_cookie(cookie);
    added.map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(response)
}

fn without(name: &str) -> Cookie<'static> {
    let mut cookie = cookie(name.to_owned(), String::new());
    cookie.make_removal();
    cookie
}

fn browser(request: &HttpRequest) -> &str {
    let agent = request.headers().get(header::USER_AGENT);
    agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default()
}

/// A path of this site, or its beginning: never another site's.
fn own_path(path: &str) -> &str {
    let plain =
        path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && !path.contains(char::is_control);
    if plain { path } else { "/" }
}

/// Uses a link up and begins a session.
#[get("/sign-in/{secret}")]
pub async fn arrive(
    app: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let link = app.store.use_link(&hash(&path), app.clock.now()).await?;
    let link = link.ok_or_else(Problem::unauthenticated)?;
    put_out_old(&app, &request).await?;
    let secret = session::begin_by_link(&app, &link, browser(&request)).await?;
    with_cookie(redirect("/"), &cookie(SESSION_COOKIE.to_owned(), secret))
}

/// Whoever was signed in in this browser is not any more.
async fn put_out_old(app: &Context, request: &HttpRequest) -> Result<(), Problem> {
    if let Some(old) = request.cookie(SESSION_COOKIE) {
        app.store.end_session(&hash(old.value())).await?;
    }
    Ok(())
}

/// Where the browser wanted to go.
#[derive(Deserialize)]
pub struct Wish {
    #[serde(default, rename = "return")]
    back_to: String,
}

/// Sends the browser to a provider.
#[get("/sign-in/with/{provider}")]
pub async fn depart(
    app: web::Data<Context>,
    path: web::Path<String>,
    wish: web::Query<Wish>,
) -> Result<HttpResponse, Problem> {
    let missing = || Problem::not_found("there is no such provider");
    let provider = app.sign_in.providers.by_name(&path).ok_or_else(missing)?;
    let (url, attempt) = provider.begin(own_path(&wish.back_to), app.clock.now()).await?;
    let bytes = serde_json::to_vec(&attempt).map_err(|error| Problem::internal(&error.to_string()))?;
    let sealed = app.key.seal(ATTEMPT, &bytes);
    let sealed = sealed.map_err(|error| Problem::internal(&error.to_string()))?;
    let mut cookie = cookie(attempt_cookie(&attempt.state), URL_SAFE_NO_PAD.encode(sealed));
    cookie.set_max_age(actix_web::cookie::time::Duration::minutes(10));
    with_cookie(redirect(&url), &cookie)
}

/// Each attempt has a cookie of its own, so that two tabs do not end each other's.
fn attempt_cookie(state: &str) -> String {
    format!("{ATTEMPT}_{}", &hash(state)[..12])
}

/// What the provider sends the browser back with.
#[derive(Deserialize)]
pub struct Answer {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    error: String,
    /// Which provider answers. RFC 9207.
    iss: Option<String>,
}

/// Takes what the provider sent, and begins a session.
#[get("/auth/callback")]
pub async fn come_back(
    app: web::Data<Context>,
    request: HttpRequest,
    answer: web::Query<Answer>,
) -> Result<HttpResponse, Problem> {
    back(&app, &request, answer.into_inner(), None).await
}

/// Takes what one of several providers sent.
#[get("/auth/callback/{provider}")]
pub async fn come_back_from(
    app: web::Data<Context>,
    request: HttpRequest,
    path: web::Path<String>,
    answer: web::Query<Answer>,
) -> Result<HttpResponse, Problem> {
    back(&app, &request, answer.into_inner(), Some(&path)).await
}

async fn back(
    app: &Context,
    request: &HttpRequest,
    answer: Answer,
    from: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let name = attempt_cookie(&answer.state);
    let attempt = open_attempt(app, request, &answer, &name);
    let Some(attempt) = attempt else {
        let what = "this sign-in was not begun in this browser, took too long, or was used before; begin again";
        return with_cookie(
            HttpResponse::from_error(Problem::new("sign-in-refused", what)),
            &without(&name),
        );
    };
    let at = attempt.back_to.clone();
    let provider = attempt.provider.clone();
    match signed_in(app, attempt, answer, from).await {
        Ok((who, refresh)) => {
            put_out_old(app, request).await?;
            let begun = session::begin(app, &provider, &who, refresh, browser(request)).await?;
            let Some(secret) = begun else {
                let why = "the directory of the provider does not have them as active";
                refuse(app, &provider, why).await?;
                let what = "your organisation's directory does not have you as active here; ask whoever runs it";
                return with_cookie(
                    HttpResponse::from_error(Problem::new("sign-in-refused", what)),
                    &without(&name),
                );
            };
            let response = with_cookie(redirect(own_path(&at)), &cookie(SESSION_COOKIE.to_owned(), secret))?;
            with_cookie(response, &without(&name))
        }
        Err(error) => {
            match &error {
                // The provider gave its word for it: somebody who is known there was refused.
                OidcError::Unproved(why) => refuse(app, &provider, why).await?,
                OidcError::Refused(why) => {
                    tracing::info!(provider, why, "a sign-in is refused");
                    app.refusals.stranger("sign-in", micros(app.clock.now()));
                }
                OidcError::Away(_) => {}
            }
            with_cookie(HttpResponse::from_error(Problem::from(error)), &without(&name))
        }
    }
}

async fn refuse(app: &Context, provider: &str, why: &str) -> Result<(), Problem> {
    let detail = serde_json::json!({ "provider": provider, "why": why }).to_string();
    let of = ("", "sign-in.refused", None);
    Ok(app.store.record_action(of, &detail, app.clock.now()).await?)
}

/// The attempt that this browser began and that the answer is to.
fn open_attempt(app: &Context, request: &HttpRequest, answer: &Answer, name: &str) -> Option<Attempt> {
    let sealed = URL_SAFE_NO_PAD.decode(request.cookie(name)?.value()).ok()?;
    let bytes = app.key.open(ATTEMPT, &sealed).ok()?;
    let attempt: Attempt = serde_json::from_slice(&bytes).ok()?;
    let same = bool::from(attempt.state.as_bytes().ct_eq(answer.state.as_bytes()));
    (same && attempt.expires_at > micros(app.clock.now())).then_some(attempt)
}

async fn signed_in(
    app: &Context,
    attempt: Attempt,
    answer: Answer,
    at: Option<&str>,
) -> Result<(crate::auth::oidc::Identity, Option<String>), OidcError> {
    let refused = |why: &str| OidcError::Refused(why.to_owned());
    let provider = app.sign_in.providers.by_name(&attempt.provider);
    let provider = provider.ok_or_else(|| refused("it is no longer set up"))?;
    let several = app.sign_in.providers.iter().nth(1).is_some();
    let meant = if several { Some(attempt.provider.as_str()) } else { None };
    if at != meant || answer.iss.is_some_and(|iss| iss != provider.settings.issuer) {
        return Err(refused("another provider answers"));
    }
    if !answer.error.is_empty() || answer.code.is_empty() {
        let known: String = answer
            .error
            .chars()
            .filter(|c| c.is_ascii_lowercase() || *c == '_')
            .take(60)
            .collect();
        return Err(refused(if known.is_empty() { "no code" } else { &known }));
    }
    provider.finish(attempt, answer.code, app.clock.now()).await
}

#[derive(Template)]
#[template(path = "pages/emergency.html")]
struct Emergency {
    chrome: Chrome,
    error: &'static str,
}

fn emergency_page(error: &'static str) -> Result<HttpResponse, Problem> {
    page(&Emergency {
        chrome: Chrome::bare("Emergency access"),
        error,
    })
}

fn is_on(app: &Context) -> Result<(), Problem> {
    if app.sign_in.break_glass {
        Ok(())
    } else {
        Err(Problem::not_found("there is nothing at this address"))
    }
}

/// Asks for the password and the code of the administrator for emergencies.
#[get("/emergency")]
pub async fn emergency(app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    is_on(&app)?;
    emergency_page("")
}

/// Password and code.
#[derive(Deserialize)]
pub struct Glass {
    password: String,
    code: String,
}

/// Lets the administrator for emergencies in.
#[post("/emergency")]
pub async fn break_glass(
    app: web::Data<Context>,
    request: HttpRequest,
    form: Small<Glass>,
) -> Result<HttpResponse, Problem> {
    is_on(&app)?;
    let elsewhere = request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none");
    if elsewhere {
        return Err(Problem::forbidden("a form of this site"));
    }
    match crate::auth::break_glass::sign_in(&app, &form.password, &form.code, browser(&request)).await? {
        Some(secret) => {
            put_out_old(&app, &request).await?;
            with_cookie(redirect("/"), &cookie(SESSION_COOKIE.to_owned(), secret))
        }
        None => emergency_page(
            "Password or code is wrong, the code was used before, or too many attempts came: wait a quarter of an hour.",
        ),
    }
}

/// A form with nothing but its secret, and whether its question was answered.
#[derive(Deserialize)]
pub struct Bare {
    pub(super) csrf: String,
    #[serde(default)]
    confirmed: String,
}

impl Bare {
    /// Whether it was asked, and is meant.
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed == "yes"
    }
}

#[derive(Template)]
#[template(path = "pages/signed_out.html")]
struct SignedOut {
    chrome: Chrome,
    farewell: String,
    provider: String,
}

/// Ends the session, and offers to end that with the provider.
#[post("/sign-out")]
pub async fn leave(request: HttpRequest, app: web::Data<Context>, form: Small<Bare>) -> Result<HttpResponse, Problem> {
    // Who is a member of nothing may leave, too.
    let who = request.extensions().get::<Principal>().cloned();
    let who = who.ok_or_else(Problem::unauthenticated)?;
    check_csrf(&who, &form.csrf)?;
    let mut provider = None;
    if let Way::Session { hash, .. } = &who.way {
        let row = app.store.session(hash, app.clock.now()).await?;
        provider = row.and_then(|row| app.sign_in.providers.by_name(&row.provider));
        let end = |app: Context| async move {
            app.store.end_session(hash).await?;
            Ok::<_, Problem>(((), serde_json::json!({})))
        };
        app.deed((&who.name, "sign-out", None), end).await?;
    }
    let farewell = match &provider {
        Some(provider) => provider.farewell(app.clock.now()).await.unwrap_or_default(),
        None => String::new(),
    };
    let clear = (
        header::HeaderName::from_static("clear-site-data"),
        header::HeaderValue::from_static("\"cache\", \"storage\""),
    );
    if farewell.is_empty() {
        let mut response = redirect("/");
        response.headers_mut().insert(clear.0, clear.1);
        return with_cookie(response, &without(SESSION_COOKIE));
    }
    let mut response = page(&SignedOut {
        chrome: Chrome::bare("Signed out"),
        provider: provider.map_or_else(String::new, |provider| provider.settings.title_or_name().to_owned()),
        farewell: farewell.clone(),
    })?;
    response.headers_mut().insert(clear.0, clear.1);
    // A form may not lead to another site: the page does.
    if let Ok(value) = header::HeaderValue::from_str(&format!("0; url={farewell}")) {
        response
            .headers_mut()
            .insert(header::HeaderName::from_static("refresh"), value);
    }
    with_cookie(response, &without(SESSION_COOKIE))
}

/// A provider's word that a session or a person is out.
#[derive(Deserialize)]
pub struct Logout {
    logout_token: String,
}

/// Ends sessions because their provider ended them.
#[post("/auth/backchannel-logout")]
pub async fn put_out(app: web::Data<Context>, form: Small<Logout>) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let out = app.sign_in.providers.logged_out(&form.logout_token, now).await;
    let out = out.map_err(|error| match error {
        OidcError::Refused(why) | OidcError::Unproved(why) => Problem::invalid("logout_token", why),
        away @ OidcError::Away(_) => away.into(),
    })?;
    let person = match &out.subject {
        Some(subject) => app.store.person_of(&out.issuer, subject).await?,
        None => None,
    };
    let (sid, id) = (out.sid.as_deref(), person.as_ref().map(|person| person.id));
    let provider = out.provider.as_str();
    // A token that is sent again ends nothing, and is no news.
    if !app.store.has_sessions(provider, sid, id).await? {
        return Ok(HttpResponse::Ok().finish());
    }
    let name = person.as_ref().map_or("", |person| person.name.as_str());
    let end = |app: Context| async move {
        let ended = app.store.end_sessions(provider, sid, id).await?;
        Ok::<_, Problem>(((), serde_json::json!({ "provider": provider, "sessions": ended })))
    };
    app.deed((name, "session.ended", None), end).await?;
    Ok(HttpResponse::Ok().finish())
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn a_return_leads_nowhere_else() {
        for bad in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\/evil",
            "/a\nb",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(bad), "/", "{bad}");
        }
        assert_eq!(
            own_path("/p/payments/findings?state=open"),
            "/p/payments/findings?state=open"
        );
    }
}
