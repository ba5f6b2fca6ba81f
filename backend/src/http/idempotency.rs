//! `Idempotency-Key`: every POST of the API takes one. The same key and request give the same answer, which is stored in the transaction of
//! the work; a handler whose work is one transaction need not know of it.

use super::problem::Problem;
use super::{App, BODY};
use crate::app::Context;
use crate::auth::Principal;
use crate::flow::FlowError;
use crate::flow::keyed::{Begun, Content, Keyed};
use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use affiant_domain::sha256_hex;
use chrono::Duration;
use serde::Serialize;
use std::sync::Arc;

/// The name of the header.
const HEADER: &str = "idempotency-key";
/// Headers that are part of an answer.
const KEPT: [HeaderName; 3] = [CONTENT_TYPE, ETAG, LOCATION];

/// Routes that store the answer with their work by themselves: they read a file first, or compute for long.
const THEIR_OWN: [&str; 6] = [
    "/api/v1/projects/{project}/scans",
    "/api/v1/projects/{project}/findings",
    "/api/v1/projects/{project}/audit-events",
    "/api/v1/projects/{project}/assessments",
    "/api/v1/projects/{project}/reports",
    "/api/v1/reports",
];
/// Routes whose work is many transactions and goes on where it was when it is asked for again, or asks another service: their answer is
/// stored behind it.
const BEHIND: [&str; 5] = [
    "/api/v1/projects/{project}/sources/{source}/pull",
    "/api/v1/projects/{project}/retention/runs",
    "/api/v1/privacy/requests/{request}/steps",
    "/api/v1/privacy/answers",
    "/api/v1/screen",
];
/// Routes whose answer shows a secret.
const SECRET: [&str; 2] = ["/api/v1/tokens", "/api/v1/tokens/{token}/rotate"];

/// How long the answer of a route is kept, and whether it may name a data subject.
fn kept(route: &str) -> (Duration, bool) {
    let time = if SECRET.contains(&route) {
        Duration::minutes(10)
    } else {
        Duration::days(1)
    };
    (time, route.starts_with("/api/v1/privacy/"))
}

/// A request that came with a key, or without.
pub(super) enum Start {
    /// The work is to be done; under a key, where there is one.
    Fresh(Option<Arc<Keyed>>),
    /// It was done before.
    Answered(HttpResponse),
}

/// Claims the key of a request, where it has one. `digest` stands for its content.
///
/// # Errors
/// [`Problem`] where the key is none, in use, or was used for another request.
pub(super) async fn begin(
    app: &Context,
    principal: &Principal,
    request: &HttpRequest,
    digest: &str,
) -> Result<Start, Problem> {
    let mut keys = request.headers().get_all(HEADER);
    let Some(key) = keys.next() else {
        return Ok(Start::Fresh(None));
    };
    if keys.next().is_some() {
        return Err(Problem::invalid(
            "Idempotency-Key",
            "The header was sent twice. Send one key.",
        ));
    }
    let is_key = |key: &&str| (1..=200).contains(&key.len());
    let key = key.to_str().ok().filter(is_key);
    let key =
        key.ok_or_else(|| Problem::invalid("Idempotency-Key", "a key has 1 to 200 printable ASCII characters"))?;
    let owner = format!("{} {}", principal.identity(), request.path());
    let content = format!("{} {} {digest}", request.method(), request.query_string());
    let route = request.match_pattern().unwrap_or_default();
    Ok(match Keyed::begin(app, (&owner, key), &content, kept(&route)).await? {
        Begun::Fresh(keyed) => Start::Fresh(Some(keyed)),
        Begun::Before(status, content) => Start::Answered(answer(status, content)),
    })
}

/// Does the work of a request that stores its answer with it, or refuses. What was answered without a change is stored behind it.
pub(super) async fn finish<F>(app: &Context, keyed: Option<Arc<Keyed>>, work: F) -> Result<HttpResponse, Problem>
where
    F: Future<Output = Result<(StatusCode, Content), Problem>>,
{
    let Some(keyed) = keyed else {
        return work.await.map(|(status, content)| answer(status.as_u16(), content));
    };
    let done = keyed.renewed_while(app, work).await;
    if done.is_err() {
        keyed.release().await;
    }
    let (status, content) = done?;
    if status == StatusCode::OK {
        store_behind(app, &keyed, status, &content).await?;
    }
    keyed.finish();
    Ok(answer(status.as_u16(), content))
}

/// Stores the work of a request, and its answer with it: `prepare` takes its time, `commit` is one transaction.
///
/// # Errors
/// Those of the work.
pub(super) async fn prepared<P, C, Fut, D, T>(
    app: &Context,
    keyed: Option<Arc<Keyed>>,
    prepare: P,
    commit: C,
) -> Result<HttpResponse, Problem>
where
    P: Future<Output = Result<D, FlowError>>,
    C: FnOnce(Context, D) -> Fut,
    Fut: Future<Output = Result<T, FlowError>>,
    T: Serialize,
{
    let Some(keyed) = keyed else {
        let done = commit(app.clone(), prepare.await?).await?;
        return Ok(answer(201, Content::json(&done)?));
    };
    let draft = keyed.renewed_while(app, prepare).await;
    if draft.is_err() {
        keyed.release().await;
    }
    let draft = draft?;
    let own = &keyed;
    let together = |store: affiant_store::Store| async move {
        let within = Context {
            store: store.clone(),
            ..app.clone()
        };
        let content = Content::json(&commit(within, draft).await?)?;
        let (claim, settled) = own.settled(201, &content)?;
        store.settle_claim(&claim, &settled).await?;
        Ok::<_, FlowError>(content)
    };
    let stored = app.store.together(together).await;
    if stored.is_err() {
        keyed.release().await;
    }
    let content = stored?;
    keyed.finish();
    Ok(answer(201, content))
}

async fn store_behind(app: &Context, keyed: &Keyed, status: StatusCode, content: &Content) -> Result<(), Problem> {
    let (claim, settled) = keyed.settled(status.as_u16(), content)?;
    Ok(app.store.settle_claim(&claim, &settled).await?)
}

/// Lets requests with a key through once, and answers their retries.
///
/// # Errors
/// Those of what stands behind.
pub async fn once(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let route = request.match_pattern().unwrap_or_default();
    let is_keyed = request.method() == Method::POST && request.headers().contains_key(HEADER);
    let principal = request.extensions().get::<Principal>().cloned();
    let app = request.app_data::<web::Data<Context>>().cloned();
    let known = principal.zip(app).filter(|_| is_keyed && route.starts_with("/api/"));
    let Some((principal, app)) = known.filter(|_| !THEIR_OWN.contains(&route.as_str())) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    keyed(&app, &principal, request, next).await
}

async fn keyed(
    app: &web::Data<Context>,
    principal: &Principal,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = match read(&mut request).await {
        Ok(digest) => begin(app, principal, request.request(), &digest).await,
        Err(problem) => Err(problem),
    };
    let keyed = match started {
        Ok(Start::Fresh(Some(keyed))) => keyed,
        Ok(Start::Fresh(None)) => return Ok(next.call(request).await?.map_into_boxed_body()),
        Ok(Start::Answered(before)) => return Ok(request.into_response(before)),
        Err(problem) => return Ok(request.into_response(HttpResponse::from_error(problem))),
    };
    if BEHIND.contains(&request.match_pattern().unwrap_or_default().as_str()) {
        behind(app, &keyed, request, next).await
    } else {
        within(app, &keyed, request, next).await
    }
}

/// Reads the body, so that nothing is held open while it comes, and puts it back; gives its digest.
async fn read(request: &mut ServiceRequest) -> Result<String, Problem> {
    let body = request.extract::<web::Payload>().await;
    let body = body.map_err(|error| Problem::invalid("body", error.to_string()))?;
    let body = super::api::bytes(body, BODY).await?;
    let digest = sha256_hex(&body);
    request.set_payload(Payload::from(body));
    Ok(digest)
}

/// The handler's work and the answer are one transaction: extractors give the handler a context that is in it. The request is held by nobody
/// else while the handler has it, as the router wants.
async fn within(
    app: &web::Data<Context>,
    keyed: &Keyed,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let open = match app.store.open().await {
        Ok(open) => open,
        Err(error) => return Ok(request.into_response(HttpResponse::from_error(Problem::from(error)))),
    };
    let within = Context {
        store: open.store(),
        ..app.get_ref().clone()
    };
    request.extensions_mut().insert(App(web::Data::new(within)));
    let answered = next.call(request).await?.map_into_boxed_body();
    // Nobody else may hold the transaction when it is committed.
    answered.request().extensions_mut().remove::<App>();
    if !answered.status().is_success() {
        drop(open);
        keyed.release().await;
        return Ok(answered);
    }
    let (answered, status, content) = taken(answered).await?;
    let stored = async {
        let (claim, settled) = keyed.settled(status, &content)?;
        open.store().settle_claim(&claim, &settled).await?;
        Ok::<_, FlowError>(open.commit().await?)
    };
    Ok(told(keyed, answered, stored.await).await)
}

async fn behind(
    app: &web::Data<Context>,
    keyed: &Keyed,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let answered = keyed
        .renewed_while(app, next.call(request))
        .await?
        .map_into_boxed_body();
    if !answered.status().is_success() {
        keyed.release().await;
        return Ok(answered);
    }
    let (answered, status, content) = taken(answered).await?;
    let stored = async {
        let (claim, settled) = keyed.settled(status, &content)?;
        Ok::<_, FlowError>(app.store.settle_claim(&claim, &settled).await?)
    };
    Ok(told(keyed, answered, stored.await).await)
}

/// The answer, once it is stored; else why it is not.
async fn told(
    keyed: &Keyed,
    answered: ServiceResponse<BoxBody>,
    stored: Result<(), FlowError>,
) -> ServiceResponse<BoxBody> {
    match stored {
        Ok(()) => {
            keyed.finish();
            answered
        }
        Err(error) => {
            keyed.release().await;
            answered.into_response(HttpResponse::from_error(Problem::from(error)))
        }
    }
}

/// What an answer consists of.
async fn taken(
    answered: ServiceResponse<BoxBody>,
) -> Result<(ServiceResponse<BoxBody>, u16, Content), actix_web::Error> {
    let (request, response) = answered.into_parts();
    let (head, body) = response.into_parts();
    let body = to_bytes(body)
        .await
        .map_err(actix_web::error::ErrorInternalServerError)?;
    let value = |name: HeaderName| {
        let value = head.headers().get(&name)?.to_str().ok()?;
        Some((name.to_string(), value.to_owned()))
    };
    let content = Content {
        headers: KEPT.into_iter().filter_map(value).collect(),
        body: body.to_vec(),
    };
    let status = head.status().as_u16();
    let answered = ServiceResponse::new(request, head.set_body(body).map_into_boxed_body());
    Ok((answered, status, content))
}

fn answer(status: u16, content: Content) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::OK));
    for header in content.headers {
        response.insert_header(header);
    }
    response.body(content.body)
}
