//! `Idempotency-Key`: the same key and request give the same answer, once done.

use crate::app::Context;
use crate::auth::Principal;
use crate::http::problem::Problem;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use affiant_store::Held;
use std::future::Future;

/// Does the work of a request once for its key. `digest` stands for the request's content.
pub(super) async fn once<F>(
    app: &Context,
    principal: &Principal,
    request: &HttpRequest,
    digest: &str,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: Future<Output = Result<(StatusCode, Vec<u8>), Problem>>,
{
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok());
    let Some(key) = key else {
        return work.await.map(|(status, body)| answer(status, body));
    };
    if key.is_empty() || key.len() > 200 {
        return Err(Problem::invalid("Idempotency-Key", "a key has 1 to 200 characters"));
    }
    let owner = format!("{} {}", principal.identity(), request.path());
    let content = format!("{} {} {digest}", request.method(), request.query_string());
    match app.store.hold(&owner, key, &content, app.clock.now()).await? {
        Held::Fresh => {}
        Held::Running => {
            return Err(Problem::new(
                "conflict",
                "the first request with this key is still at work",
            ));
        }
        Held::Other => {
            return Err(Problem::new("key-reused", "another request came with this key before"));
        }
        Held::Answer(kept) => {
            let status = u16::try_from(kept.status)
                .ok()
                .and_then(|code| StatusCode::from_u16(code).ok())
                .unwrap_or(StatusCode::OK);
            return Ok(answer(status, kept.body));
        }
    }
    match work.await {
        Ok((status, body)) => {
            app.store
                .keep_answer(&owner, key, status.as_u16(), "application/json", &body)
                .await?;
            Ok(answer(status, body))
        }
        Err(problem) => {
            app.store.release(&owner, key).await?;
            Err(problem)
        }
    }
}

fn answer(status: StatusCode, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status).content_type("application/json").body(body)
}
