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
const BATCH: u64 = 20;
/// Bytes of an answer that are looked at.
const ANSWER: usize = 10_000;

/// What a processor's secret is sealed for.
#[must_use]
pub fn secret_purpose(processor: Uuid) -> String {
    format!("processor {processor}")
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
    let now = app.clock.now();
    let due = app.store.take_notices(now, now + Duration::minutes(2), BATCH).await?;
    for notice in due {
        send(app, notice).await?;
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
    let opened = |what: &str, bytes: &[u8]| app.key.open(what, bytes).map_err(|error| error.to_string());
    let body = String::from_utf8(opened(BODY, &notice.body)?).map_err(|error| error.to_string())?;
    let secret = opened(&secret_purpose(notice.processor), &notice.secret)?;
    let (id, at) = (notice.id.to_string(), app.clock.now().timestamp());
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(15))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| error.to_string())?;
    let answer = client
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
    let text = answer.bytes().await.map_err(|_| "its answer breaks off".to_owned())?;
    Ok(serde_json::from_slice(&text[..text.len().min(ANSWER)]).unwrap_or_default())
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
                row.answer = answer["text"].as_str().unwrap_or_default().chars().take(1000).collect();
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
    keep(app, row, "schedule").await
}

/// Keeps what became of a notice, with its entry where it came to an end.
async fn keep(app: &Context, row: entity::processor_notice::Model, actor: &str) -> Result<(), FlowError> {
    if row.state == "waiting" {
        return Ok(app.store.change_notice(row).await?);
    }
    let detail = json!({ "request": row.request_id, "processor": row.processor_id, "state": row.state, "attempts": row.attempts });
    let change = |app: Context| async move {
        app.store.change_notice(row).await?;
        Ok::<_, FlowError>(((), detail))
    };
    app.deed((actor, "processor.told", None), change).await
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
    state.clone_into(&mut row.state);
    row.answer = text.trim().chars().take(1000).collect();
    row.answered_at = Some(micros(app.clock.now()));
    keep(app, row, actor).await
}
