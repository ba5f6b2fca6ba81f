//! What operators see of requests: an id on each, a line in the log, and counts for Prometheus. Paths are told as routes, without the
//! names in them, and nothing that a client wrote is.

use super::limits::address;
use crate::app::Context;
use crate::auth::Principal;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use ipnet::IpNet;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

tokio::task_local! {
    static REQUEST: Uuid;
}

/// The id of the request that is being answered; a new one outside of any.
#[must_use]
pub fn request_id() -> Uuid {
    REQUEST.try_with(|id| *id).unwrap_or_else(|_| Uuid::now_v7())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

/// What is counted.
pub struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    seconds: Family<Route, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("affiant");
        let answered = Family::<Answered, Counter>::default();
        let seconds =
            Family::<Route, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 8)));
        registry.register("http_requests", "Requests that were answered", answered.clone());
        registry.register("http_request_seconds", "Seconds until an answer began", seconds.clone());
        Self {
            registry,
            answered,
            seconds,
        }
    }
}

/// Gives each request an id, and tells of it when it is answered.
///
/// # Errors
/// Those of the handler.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let (id, begun) = (Uuid::now_v7(), Instant::now());
    let method = request.method().clone();
    let metrics = request.app_data::<web::Data<Metrics>>().cloned();
    let app = request.app_data::<web::Data<Context>>().cloned();
    let shows = request.headers().contains_key("authorization");
    let span = tracing::info_span!(
        "request", otel.kind = "server", http.request.method = known(&method),
        http.route = tracing::field::Empty, http.response.status_code = tracing::field::Empty,
        otel.status_code = tracing::field::Empty, request = %id,
    );
    crate::telemetry::follow(&span, request.headers());
    let answer = REQUEST.scope(id, next.call(request)).instrument(span.clone()).await;
    let (route, status) = match &answer {
        Ok(answer) => (answer.request().match_pattern(), answer.status().as_u16()),
        Err(error) => (None, error.as_response_error().status_code().as_u16()),
    };
    let route = route.unwrap_or_else(|| "unknown".to_owned());
    // Who comes without anything is asked to sign in, and not refused.
    let exchanges = route == "/api/v1/token-exchange";
    let refused = matches!(status, 403 | 429) || status == 401 && (shows || exchanges);
    if let (true, Some(app), Ok(answer)) = (refused, &app, &answer) {
        let who = answer
            .request()
            .extensions()
            .get::<Principal>()
            .map(|who| who.name.clone());
        let now = affiant_store::micros(app.clock.now());
        match who {
            Some(who) => app.refusals.note(&who, (known(&method), &route), status, now),
            // The sign-in counts its own.
            None if route.starts_with("/auth/") => {}
            None if exchanges && status == 401 => app.refusals.stranger("exchange", now),
            None => app.refusals.stranger(stranger(status), now),
        }
    }
    let took = begun.elapsed();
    crate::telemetry::name(&span, format!("{} {route}", known(&method)));
    span.record("http.route", &route);
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    if !matches!(route.as_str(), "/healthz" | "/readyz" | "/metrics") {
        let ms = took.as_millis();
        if matches!(status, 401 | 403 | 429) {
            tracing::info!(request = %id, %method, route, status, ms, "refused");
        } else {
            tracing::debug!(request = %id, %method, route, status, ms, "answered");
        }
    }
    if let Some(metrics) = metrics {
        let labels = Answered {
            method: known(&method).to_owned(),
            route: route.clone(),
            status,
        };
        metrics.answered.get_or_create(&labels).inc();
        metrics
            .seconds
            .get_or_create(&Route { route })
            .observe(took.as_secs_f64());
    }
    let mut answer = answer?;
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        answer
            .headers_mut()
            .insert(HeaderName::from_static("x-request-id"), value);
    }
    Ok(answer)
}

/// What strangers cause, by kind.
const fn stranger(status: u16) -> &'static str {
    match status {
        401 => "token",
        429 => "rate",
        _ => "forbidden",
    }
}

/// A method by its name. Clients invent methods: each would be a label for good.
fn known(method: &Method) -> &'static str {
    let all = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    all.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}

/// Counts for Prometheus, for the networks that the operator names; for others there is nothing here.
pub async fn metrics(request: HttpRequest, app: web::Data<Context>, metrics: web::Data<Metrics>) -> HttpResponse {
    // What comes through a proxy comes from whom the proxy names.
    let peer = request.peer_addr().map(|peer| peer.ip());
    let from = address(peer, request.headers(), &app.sign_in.trusted_proxies);
    let behind = request.headers().contains_key("x-forwarded-for") && app.sign_in.trusted_proxies.is_empty();
    let allowed = |net: &IpNet| !behind && net.contains(&from);
    if !app.sign_in.metrics_from.iter().any(allowed) {
        return HttpResponse::NotFound().finish();
    }
    let mut text = String::new();
    if encode(&mut text, &metrics.registry).is_err() {
        return HttpResponse::InternalServerError().finish();
    }
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text)
}
