//! The server: routes, headers, errors. Handlers read the request, call one use case, and answer.

pub mod api;
pub mod certificate;
pub mod idempotency;
pub mod limits;
pub mod observe;
pub mod pages;
pub mod problem;
mod scim;
mod tiles;
mod upload;

use crate::app::Context;
use actix_web::dev::{Payload, Server};
use actix_web::middleware::{Compress, Condition, DefaultHeaders, NormalizePath, TrailingSlash, from_fn};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpServer, web};
use problem::Problem;
use std::future::{Ready, ready};
use std::net::TcpListener;
use utoipa_actix_web::AppExt;

/// Bytes of a JSON or form body.
const BODY: usize = 2 << 20;

/// What pages and answers may do in a browser: nothing that does not come from here, and no inline script or style.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
/// The API browser runs scripts of its own.
const DOCS_POLICY: &str = "default-src 'self'; object-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           frame-ancestors 'none'; base-uri 'none'";

/// The parts of the installation, for a handler: within the transaction of its request, where that has one.
#[derive(Clone)]
pub struct App(web::Data<Context>);

impl std::ops::Deref for App {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl App {
    /// Those that a request is given.
    ///
    /// # Errors
    /// [`Problem`] where the server was put together without them.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let within = request.extensions().get::<Self>().cloned();
        let all = || request.app_data::<web::Data<Context>>().cloned().map(Self);
        within.or_else(all).ok_or_else(|| Problem::internal("no context"))
    }
}

impl FromRequest for App {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// Starts the server on a listener.
///
/// # Errors
/// The system's, where the listener cannot be used.
pub fn serve(app: Context, listener: TcpListener, own_tls: Option<rustls::ServerConfig>) -> std::io::Result<Server> {
    let tls = app.sign_in.tls;
    let gate = web::Data::new(limits::Gate::new(&app.sign_in.limits));
    let counts = web::Data::new(observe::Metrics::default());
    let data = web::Data::new(app);
    let server = HttpServer::new(move || {
        let (app, api) = actix_web::App::new()
            .into_utoipa_app()
            .app_data(data.clone())
            .app_data(gate.clone())
            .app_data(counts.clone())
            .app_data(web::PayloadConfig::new(64 << 10))
            .app_data(
                web::JsonConfig::default()
                    .limit(BODY)
                    .error_handler(|error, _| json_problem(&error).into()),
            )
            .app_data(
                web::QueryConfig::default()
                    .error_handler(|error, _| Problem::invalid("query", error.to_string()).into()),
            )
            .app_data(
                web::PathConfig::default()
                    .error_handler(|_, _| Problem::not_found("there is nothing at this address").into()),
            )
            .app_data(
                web::FormConfig::default()
                    .limit(BODY)
                    .error_handler(|error, _| Problem::invalid("form", error.to_string()).into()),
            )
            .configure(api::routes)
            .split_for_parts();
        let docs = api::describe(api);
        app.app_data(web::Data::new(api::Document::new(&docs)))
            .service(web::resource("/api/openapi.json").route(web::get().to(api::openapi)))
            .service(
                web::scope("/api/docs")
                    .wrap(DefaultHeaders::new().add(("Content-Security-Policy", DOCS_POLICY)))
                    .service(api::browser(docs)),
            )
            .service(web::resource("/metrics").route(web::get().to(observe::metrics)))
            .configure(scim::routes)
            .configure(tiles::routes)
            .configure(pages::routes)
            .wrap(from_fn(idempotency::once))
            .wrap(from_fn(crate::auth::identify))
            .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
            .wrap(
                DefaultHeaders::new()
                    .add(("Content-Security-Policy", POLICY))
                    .add(("X-Content-Type-Options", "nosniff"))
                    .add(("X-Frame-Options", "DENY"))
                    .add(("Referrer-Policy", "same-origin"))
                    .add(("Cross-Origin-Opener-Policy", "same-origin"))
                    .add(("Cache-Control", "no-store")),
            )
            // Browsers that came by TLS once come by nothing else.
            .wrap(Condition::new(
                tls,
                DefaultHeaders::new().add(("Strict-Transport-Security", "max-age=31536000; includeSubDomains")),
            ))
            .wrap(Compress::default())
            .wrap(from_fn(observe::observe))
    });
    let server = server
        .on_connect(certificate::keep)
        .workers(
            std::thread::available_parallelism()
                .map_or(2, std::num::NonZero::get)
                .min(8),
        )
        .client_request_timeout(std::time::Duration::from_secs(20))
        .shutdown_timeout(20);
    Ok(match own_tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls)?,
        None => server.listen(listener)?,
    }
    .run())
}

/// Why a JSON body is refused, with its place.
fn json_problem(error: &actix_web::error::JsonPayloadError) -> Problem {
    use actix_web::error::JsonPayloadError as E;
    match error {
        E::OverflowKnownLength { limit, .. } => {
            Problem::new("too-large", format!("a JSON body has at most {limit} bytes"))
        }
        E::Overflow { limit } => Problem::new("too-large", format!("a JSON body has at most {limit} bytes")),
        E::Deserialize(error) => Problem::invalid(
            format!("line {} column {}", error.line(), error.column()),
            error.to_string(),
        ),
        other => Problem::invalid("body", other.to_string()),
    }
}
