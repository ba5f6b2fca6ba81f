//! Tells processors of requests that they are to carry out too (GDPR Articles 19 and 28(3)(e)): signed, tried again, and their answers
//! tracked. The signature is that of Standard Webhooks, so that their own libraries check it.

use super::FlowError;
use crate::app::Context;
use affiant_domain::request::Right;
use affiant_store::{DueNotice, entity, micros};
use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{Duration, SecondsFormat};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

/// What bodies are sealed for; secrets likewise, by the processor.
pub(crate) const BODY: &str = "processor.notice";
/// How often one is tried: over about four days.
const TRIES: i32 = 12;
/// Notices that are sent at once.
const BATCH: usize = 20;
/// Bytes of an answer that are looked at.
const ANSWER: usize = 10_000;

/// What a processor's secret is sealed for.
#[must_use]
pub fn secret_purpose(processor: Uuid) -> String {
    format!("processor {processor}")
}

/// Whether a processor may be told at an address: it is within one that the operator allows, over TLS but on this machine.
#[must_use]
pub fn is_allowed(allowed: &[String], url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if !is_plain || !(url.scheme() == "https" || url.scheme() == "http" && is_local) {
        return false;
    }
    allowed
        .iter()
        .filter_map(|one| reqwest::Url::parse(one).ok())
        .any(|one| {
            let path = one.path().trim_end_matches('/');
            let below = url
                .path()
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            one.scheme() == url.scheme()
                && one.host_str() == url.host_str()
                && one.port_or_known_default() == url.port_or_known_default()
                && below
        })
}

/// Writes down whom a request is to be told to, with what they need to carry it out. `app` is that of the deed that fulfils it.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn announce(
    app: &Context,
    request: &entity::privacy_request::Model,
    identifier: &str,
) -> Result<Vec<String>, FlowError> {
    let right = Right::parse(&request.kind);
    if !matches!(right, Some(Right::Erasure | Right::Rectification | Right::Restriction)) || identifier.is_empty() {
        return Ok(Vec::new());
    }
    let now = app.clock.now();
    let mut told = Vec::new();
    for processor in app
        .store
        .processors()
        .await?
        .into_iter()
        .filter(|row| row.ended_at.is_none())
    {
        let id = Uuid::now_v7();
        let body = json!({
            "type": format!("subject.{}", request.kind), "id": id, "request": request.id, "identifier": identifier,
            "at": now.to_rfc3339_opts(SecondsFormat::Secs, true),
        });
        let by_hand = processor.secret.is_none();
        let sealed = app.key.seal(BODY, body.to_string().as_bytes());
        app.store
            .add_notice(entity::processor_notice::Model {
                id,
                request_id: request.id,
                processor_id: processor.id,
                state: if by_hand { "by_hand" } else { "waiting" }.to_owned(),
                answer: String::new(),
                attempts: 0,
                body: (!by_hand).then(|| sealed.ok()).flatten(),
                next_at: micros(now),
                created_at: micros(now),
                sent_at: None,
                answered_at: None,
            })
            .await?;
        told.push(processor.name);
    }
    Ok(told)
}

/// Sends what is due.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn send_due(app: &Context) -> Result<(), FlowError> {
    for _ in 0..BATCH {
        let now = app.clock.now();
        let Some(notice) = app.store.take_notice(now, now + Duration::minutes(2)).await? else {
            return Ok(());
        };
        let id = notice.id;
        if let Err(error) = send(app, notice).await {
            tracing::error!(%error, notice = %id, "what became of a notice could not be kept; it is tried again");
        }
    }
    Ok(())
}

/// The signature of Standard Webhooks 1.0 over id, time and body.
#[must_use]
pub fn signature(secret: &[u8], id: &str, at: i64, body: &str) -> String {
    #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

async fn post(app: &Context, notice: &DueNotice) -> Result<Value, String> {
    if !is_allowed(&app.webhooks, &notice.url) {
        return Err("the operator no longer allows its address".to_owned());
    }
    let opened = |what: &str, bytes: &[u8]| app.key.open(what, bytes).map_err(|error| error.to_string());
    let body = String::from_utf8(opened(BODY, &notice.body)?).map_err(|error| error.to_string())?;
    let secret = opened(&secret_purpose(notice.processor), &notice.secret)?;
    let (id, at) = (notice.id.to_string(), app.clock.now().timestamp());
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(15))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| error.to_string())?;
    let mut answer = client
        .post(&notice.url)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", signature(&secret, &id, at, &body))
        .body(body)
        .send()
        .await
        .map_err(|error| {
            if error.is_timeout() {
                "it does not answer in time"
            } else {
                "it cannot be reached"
            }
            .to_owned()
        })?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status().as_u16()));
    }
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|_| "its answer breaks off".to_owned())? {
        text.extend_from_slice(&piece);
        if text.len() > ANSWER {
            return Ok(Value::Null);
        }
    }
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

async fn send(app: &Context, notice: DueNotice) -> Result<(), FlowError> {
    let outcome = post(app, &notice).await;
    let now = app.clock.now();
    let Some(mut row) = app.store.notice(notice.id).await? else {
        return Ok(());
    };
    row.attempts = notice.attempts + 1;
    match outcome {
        Ok(answer) => {
            row.sent_at = Some(micros(now));
            row.state = "sent".to_owned();
            if let Some(state @ ("done" | "refused")) = answer["state"].as_str() {
                state.clone_into(&mut row.state);
                row.answered_at = Some(micros(now));
                let text = answer["text"].as_str().unwrap_or_default();
                row.answer = text.chars().filter(|c| *c != '\0').take(1000).collect();
            }
        }
        Err(why) => {
            row.answer = why;
            if row.attempts >= TRIES {
                row.state = "failed".to_owned();
            } else {
                // A quarter of a minute, then twice as long each time, at most half a day.
                let wait = Duration::seconds(15) * 2_i32.pow(u32::try_from(row.attempts).unwrap_or(0).min(12));
                row.next_at = micros(now + wait.min(Duration::hours(12)));
            }
        }
    }
    keep(app, (&notice_as_taken(&notice), row), "schedule").await
}

/// What a notice was when it was taken: what came of it is kept only where it still is.
fn notice_as_taken(notice: &DueNotice) -> (String, i32) {
    ("waiting".to_owned(), notice.attempts)
}

/// Keeps what became of a notice, with its entry where it came to an end.
async fn keep(
    app: &Context,
    (was, row): (&(String, i32), entity::processor_notice::Model),
    actor: &str,
) -> Result<(), FlowError> {
    if row.state == "waiting" {
        app.store.change_notice((&was.0, was.1), row).await?;
        return Ok(());
    }
    let detail = json!({ "request": row.request_id, "processor": row.processor_id, "state": row.state, "attempts": row.attempts });
    let change = |app: Context| async move {
        if !app.store.change_notice((&was.0, was.1), row).await? {
            return Err(FlowError::Conflict("somebody else kept an answer meanwhile".to_owned()));
        }
        Ok::<_, FlowError>(((), detail))
    };
    app.deed((actor, "processor.told", None), change).await?;
    // What was told is gone from the database's files too.
    Ok(app.store.scrub().await?)
}

/// Writes down what a processor answered by other means.
///
/// # Errors
/// [`FlowError`] where there is no such notice, or the answer is none.
pub async fn answered(app: &Context, id: Uuid, state: &str, text: &str, actor: &str) -> Result<(), FlowError> {
    if !["done", "refused"].contains(&state) {
        return Err(super::invalid("/state", "done or refused"));
    }
    let row = app.store.notice(id).await?;
    let mut row = row.ok_or_else(|| FlowError::NotFound("there is no such notice".to_owned()))?;
    let was = (row.state.clone(), row.attempts);
    state.clone_into(&mut row.state);
    row.answer = text.trim().chars().take(1000).collect();
    row.answered_at = Some(micros(app.clock.now()));
    keep(app, (&was, row), actor).await
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn an_address_is_within_one_that_is_allowed() {
        let allowed = [
            "https://hooks.example.com".to_owned(),
            "https://api.example/told/".to_owned(),
            "http://127.0.0.1:9/".to_owned(),
        ];
        for good in [
            "https://hooks.example.com/",
            "https://hooks.example.com/a?b=c",
            "https://api.example/told",
            "https://api.example/told/x",
            "http://127.0.0.1:9/x",
        ] {
            assert!(is_allowed(&allowed, good), "{good}");
        }
        for bad in [
            "https://hooks.example.com.evil.net/",
            "https://hooks.example.com@evil.net/",
            "http://hooks.example.com/",
            "https://hooks.example.com:8443/",
            "https://api.example/toldx",
            "https://api.example/told/../x",
            "http://127.0.0.1:99/",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!is_allowed(&allowed, bad), "{bad}");
        }
    }
}
