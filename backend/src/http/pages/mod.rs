//! Pages, rendered here and useful without script: one file per page. Forms carry a secret against forged requests.

mod assessments;
mod confirm;
mod control;
mod filters;
mod finding;
mod findings;
mod framework;
mod home;
mod imports;
pub mod intake;
mod overview;
mod people;
mod privacy;
mod reports;
mod sign_in;
mod small;
mod sources;
mod trail;

use crate::app::Context;
use crate::auth::{Principal, ReadActions, ReadTrail, Way, WritePeople, WritePrivacy};
use crate::http::problem::Problem;
use actix_web::body::{BoxBody, EitherBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::{Method, header};
use actix_web::middleware::{ErrorHandlerResponse, ErrorHandlers};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use affiant_domain::Instant;
use askama::Template;
use subtle::ConstantTimeEq;

/// Files that pages use, by path: body and media type.
const ASSETS: [(&str, &[u8], &str); 3] = [
    (
        "app.css",
        include_bytes!("../../../../templates/assets/app.css"),
        "text/css; charset=utf-8",
    ),
    (
        "favicon.svg",
        include_bytes!("../../../../templates/assets/favicon.svg"),
        "image/svg+xml; charset=utf-8",
    ),
    (
        "vendor/modern-normalize.css",
        include_bytes!("../../../../templates/assets/vendor/modern-normalize.css"),
        "text/css; charset=utf-8",
    ),
];

/// Every route of the pages.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/assets/{path:.*}").route(web::get().to(asset)));
    config.service(
        web::scope("")
            .wrap(ErrorHandlers::new().default_handler(dress_error))
            .service(home::show)
            .service(home::create)
            .service(sign_in::depart)
            .service(sign_in::come_back)
            .service(sign_in::come_back_from)
            .service(sign_in::put_out)
            .service(sign_in::emergency)
            .service(intake::ask)
            .service(intake::take)
            .service(sign_in::break_glass)
            .service(sign_in::arrive)
            .service(sign_in::leave)
            .service(people::show)
            .service(people::add)
            .service(people::remove)
            .service(people::end)
            .service(people::leave)
            .service(people::account)
            .service(people::end_own)
            .service(people::actions)
            .service(privacy::show)
            .service(privacy::create)
            .service(privacy::go)
            .service(trail::show)
            .service(trail::verify)
            .service(overview::show)
            .service(overview::confirm_clock)
            .service(framework::show)
            .service(control::show)
            .service(control::attest)
            .service(findings::show)
            .service(finding::show)
            .service(finding::waive)
            .service(finding::decide)
            .service(finding::take)
            .service(imports::show)
            .service(imports::upload)
            .service(assessments::show)
            .service(assessments::run)
            .service(assessments::schedule)
            .service(sources::show)
            .service(sources::set)
            .service(sources::act)
            .service(sources::expect)
            .service(sources::forget)
            .service(reports::show)
            .service(reports::make)
            .service(reports::download)
            .default_service(web::to(nothing_here)),
    );
}

async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Problem> {
    if request.path().starts_with("/api/") {
        return Err(Problem::not_found("there is nothing at this address"));
    }
    missing(&request).await
}

async fn asset(path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let found = ASSETS.iter().find(|(name, ..)| *name == path.as_str());
    let (_, body, kind) = found.ok_or_else(|| Problem::not_found("there is no such file"))?;
    Ok(HttpResponse::Ok()
        .content_type(*kind)
        .insert_header(("Cache-Control", "public, max-age=3600"))
        .body(*body))
}

/// The page for an address where there is nothing.
pub(super) async fn missing(_: &HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("there is nothing at this address"))
}

/// What every page needs.
pub(crate) struct Chrome {
    pub(crate) title: String,
    /// Slug of the project; empty outside of one.
    pub(crate) project: String,
    pub(crate) projects: Vec<(String, String)>,
    pub(crate) active: &'static str,
    pub(crate) user: String,
    pub(crate) csrf: String,
    /// Whether whoever asks sees the project from a room alone.
    pub(crate) is_guest: bool,
    /// Pages of the installation: path and name.
    pub(crate) places: Vec<(&'static str, &'static str)>,
}

impl Chrome {
    async fn new(
        app: &Context,
        who: &Principal,
        title: &str,
        project: &str,
        active: &'static str,
    ) -> Result<Self, Problem> {
        let all = app.store.projects(who.known().only()).await?;
        let asked = all.iter().find(|row| row.slug == project).map(|row| row.id);
        let guest = who.is_guest(asked);
        Ok(Self {
            title: title.to_owned(),
            project: project.to_owned(),
            projects: all.into_iter().map(|p| (p.slug, p.name)).collect(),
            active,
            user: format!("{} ({})", who.name, who.roles()),
            csrf: who.csrf().to_owned(),
            places: places(who),
            is_guest: guest,
        })
    }

    fn bare(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            project: String::new(),
            projects: Vec::new(),
            active: "",
            user: String::new(),
            csrf: String::new(),
            places: Vec::new(),
            is_guest: false,
        }
    }

    /// Paths and names of a project's pages.
    pub(crate) fn pages(&self) -> Vec<(&'static str, &'static str)> {
        let all = [
            ("", "Overview"),
            ("/findings?state=open", "Findings"),
            ("/imports", "Imports"),
            ("/assessments", "Assessments"),
            ("/sources", "Sources"),
            ("/reports", "Reports"),
        ];
        let seen = |(_, name): &(&str, &str)| !self.is_guest || *name == "Reports";
        all.into_iter().filter(seen).collect()
    }

    /// Version of the program.
    pub(crate) const fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// The pages of the installation that somebody may open.
fn places(who: &Principal) -> Vec<(&'static str, &'static str)> {
    let all = [
        (who.may::<WritePeople>(), "/people", "People"),
        (who.may::<ReadActions>(), "/actions", "Actions"),
        (who.may::<ReadTrail>(), "/trail", "Trail"),
        (who.reach::<WritePrivacy>().is_all(), "/privacy", "Privacy"),
        (matches!(who.way, Way::Session { .. }), "/account", "Account"),
    ];
    all.into_iter()
        .filter(|(may, ..)| *may)
        .map(|(_, path, name)| (path, name))
        .collect()
}

/// A page as an answer.
fn page(template: &impl Template) -> Result<HttpResponse, Problem> {
    let body = template
        .render()
        .map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(body))
}

fn redirect(to: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish()
}

/// A form must carry the session's secret.
fn check_csrf(who: &Principal, given: &str) -> Result<(), Problem> {
    let wanted = who.csrf();
    if !wanted.is_empty() && bool::from(wanted.as_bytes().ct_eq(given.as_bytes())) {
        Ok(())
    } else {
        Err(Problem::forbidden(
            "a form of this site, sent from the session that opened it",
        ))
    }
}

fn day(at: Instant) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn minute(at: Instant) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

#[derive(Template)]
#[template(path = "pages/message.html")]
struct Message {
    chrome: Chrome,
    heading: String,
    text: String,
    show_home: bool,
    /// Ways to sign in: address and name.
    ways: Vec<(String, String)>,
}

/// What a page says in the place of what was asked for.
fn explain(request: &HttpRequest, status: u16, error: Option<&actix_web::Error>) -> Message {
    let who = request.extensions().get::<Principal>().cloned();
    let lost = who.as_ref().is_some_and(|who| who.grants.is_empty());
    let providers = request.app_data::<web::Data<Context>>().map(|app| app.sign_in.clone());
    let back_to = match *request.method() {
        Method::GET => request.uri().path_and_query().map_or("/", |path| path.as_str()),
        _ => "/",
    };
    let back_to = serde_urlencoded::to_string([("return", back_to)]).unwrap_or_default();
    let way = |provider: &std::sync::Arc<crate::auth::oidc::Provider>| {
        let settings = &provider.settings;
        (
            format!("/sign-in/with/{}?{back_to}", settings.name),
            settings.title_or_name().to_owned(),
        )
    };
    let ways: Vec<(String, String)> = providers
        .iter()
        .flat_map(|known| known.providers.iter().map(way))
        .collect();
    let (heading, text) = match status {
        401 if ways.is_empty() => (
            "Sign in",
            "Open the one-time link that the server printed when it started. A new one is printed at each start; there is no password."
                .to_owned(),
        ),
        401 => ("Sign in", "Your organisation says who you are; there is no password here.".to_owned()),
        403 | 404 if lost => (
            "No role yet",
            "You are signed in, and nobody has given you or your groups a role. Ask an administrator of Affiant.".to_owned(),
        ),
        404 => ("Not found", "There is nothing at this address, or nothing that you may see.".to_owned()),
        _ => ("That did not work", error.map(ToString::to_string).unwrap_or_default()),
    };
    let mut chrome = Chrome::bare(heading);
    if let Some(who) = who.filter(|_| lost) {
        chrome.csrf = who.csrf().to_owned();
        chrome.user = who.name;
    }
    Message {
        chrome,
        heading: heading.to_owned(),
        text,
        show_home: status != 401 && !lost,
        ways: if status == 401 { ways } else { Vec::new() },
    }
}

/// An error of a page becomes a page.
#[allow(clippy::unnecessary_wraps, reason = "the shape that the middleware asks for")]
fn dress_error<B>(response: ServiceResponse<B>) -> actix_web::Result<ErrorHandlerResponse<B>> {
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/problem+json");
    if !is_problem || response.request().path().starts_with("/api/") {
        return Ok(ErrorHandlerResponse::Response(response.map_into_left_body()));
    }
    let message = explain(response.request(), status.as_u16(), response.response().error());
    let body = message.render().unwrap_or_default();
    let (request, response) = response.into_parts();
    let mut dressed: HttpResponse<BoxBody> = response.set_body(BoxBody::new(body));
    dressed.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/html; charset=utf-8"),
    );
    let response: ServiceResponse<EitherBody<B>> = ServiceResponse::new(request, dressed.map_into_right_body());
    Ok(ErrorHandlerResponse::Response(response))
}
