//! Requests of data subjects: taken in, brought forward step by step by two people, and fulfilled once, with a signed certificate.

mod erase;
mod hand_over;
mod plan;

pub use erase::{end_restrictions, forget_again, resume};
pub use hand_over::{SetAside, package, read_set_aside};
pub use plan::{Class, preview};

use super::{FlowError, invalid};
use crate::app::Context;
use affiant_domain::Instant;
use affiant_domain::actor::Actor;
use affiant_domain::request::{Right, State, Step, due};
use affiant_store::{StoreError, damaged, entity, instant, micros, stored_json};
use chrono::Duration;
use erase::{UNDER_WAY, fulfil};
use plan::plan;
use serde_json::json;
use uuid::Uuid;

/// What the identifier of a request is sealed for.
pub(crate) const IDENTIFIER: &str = "privacy.identifier";
/// Records that are looked at together.
const PAGE: u64 = 1000;
/// Grounds on which records may be kept or set aside.
pub const GROUNDS: [&str; 5] = ["17.3.a", "17.3.b", "17.3.c", "17.3.d", "17.3.e"];

fn conflict(what: &str) -> FlowError {
    FlowError::Conflict(what.to_owned())
}

/// Takes a request in. One that is open already for the same person and right is given back instead of a second one.
///
/// # Errors
/// [`FlowError`] where something is wrong with it.
pub async fn receive(
    app: &Context,
    right: Right,
    identifier: &str,
    received: Instant,
    actor: &str,
) -> Result<(entity::privacy_request::Model, bool), FlowError> {
    let identifier = identifier.trim();
    if identifier.is_empty() || identifier.len() > 500 || identifier.chars().any(char::is_control) {
        return Err(invalid("/identifier", "what events call the person, at most 500 bytes"));
    }
    let now = app.clock.now();
    if received > now || now - received > Duration::days(366) {
        return Err(invalid("/received_at", "within the last year, and not in the future"));
    }
    for row in app.store.named_requests().await? {
        let is_same = |known: String| known.eq_ignore_ascii_case(identifier);
        let is_open = !state_of(&row)?.is_closed();
        if is_open && row.kind == right.as_str() && identifier_of(app, &row)?.is_some_and(is_same) {
            return Ok((row, false));
        }
    }
    let sealed = app.key.seal(IDENTIFIER, identifier.as_bytes());
    let row = entity::privacy_request::Model {
        id: Uuid::now_v7(),
        subject_id: None,
        kind: right.as_str().to_owned(),
        state: State::Received.as_str().to_owned(),
        handlers: json!([actor]).to_string(),
        approver: String::new(),
        proof: String::new(),
        reason: String::new(),
        ground: String::new(),
        plan: "[]".to_owned(),
        done: "[]".to_owned(),
        outcome: String::new(),
        certificate: String::new(),
        identifier: Some(sealed.map_err(|error| FlowError::Trail(error.to_string()))?),
        received_at: micros(received),
        created_at: micros(now),
        paused: 0,
        extended_at: None,
        closed_at: None,
    };
    let new = row.clone();
    let keep = |app: Context| async move {
        app.store.add_request(new.clone()).await?;
        Ok::<_, FlowError>(((), json!({ "request": new.id, "right": new.kind })))
    };
    app.deed((actor, "request.received", None), keep).await?;
    Ok((row, true))
}

/// Whose request it is; none once they are forgotten.
///
/// # Errors
/// [`StoreError::Damaged`] where it is there and cannot be opened.
pub fn identifier_of(app: &Context, row: &entity::privacy_request::Model) -> Result<Option<String>, StoreError> {
    let Some(sealed) = &row.identifier else { return Ok(None) };
    let bytes = app.key.open(IDENTIFIER, sealed).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| damaged("privacy_request", row.id, "identifier cannot be opened"))?;
    Ok(Some(text))
}

/// Where a request stands.
///
/// # Errors
/// [`StoreError::Damaged`] where the word is none that is known.
pub fn state_of(row: &entity::privacy_request::Model) -> Result<State, StoreError> {
    let unknown = || damaged("privacy_request", row.id, format_args!("unknown state {}", row.state));
    State::parse(&row.state).ok_or_else(unknown)
}

/// When it is due.
#[must_use]
pub fn due_at(row: &entity::privacy_request::Model) -> Instant {
    let paused = Duration::microseconds(row.paused);
    due(instant(row.received_at), row.extended_at.is_some(), paused)
}

/// Brings a request a step further.
///
/// # Errors
/// [`FlowError::Conflict`] where the step cannot be made now, [`FlowError::Forbidden`] where it wants another person.
pub async fn step(
    app: &Context,
    id: Uuid,
    (step, text, ground): (Step, &str, &str),
    who: Actor<'_>,
) -> Result<entity::privacy_request::Model, FlowError> {
    let actor = who.name;
    let row = app.store.request(id).await?;
    let mut row = row.ok_or_else(|| FlowError::NotFound("there is no such request".to_owned()))?;
    let was = row.clone();
    if row.outcome == UNDER_WAY && step != Step::Fulfil {
        return Err(conflict("it is being fulfilled"));
    }
    let state = state_of(&row)?;
    let next = state
        .after(step)
        .ok_or_else(|| conflict("the request is not where this step can be made"))?;
    let now = app.clock.now();
    let needs_text = matches!(step, Step::VerifyIdentity | Step::Refuse | Step::Extend);
    if needs_text && !(3..=2000).contains(&text.trim().chars().count()) {
        return Err(invalid("/text", "write 3 to 2000 characters"));
    }
    let mut handlers: Vec<String> = stored_json(("privacy_request", id, "handlers"), &row.handlers)?;
    match step {
        Step::VerifyIdentity => {
            text.trim().clone_into(&mut row.proof);
            // The clock stands while identity is being proved.
            row.paused = micros(now) - row.created_at;
        }
        Step::Plan => {
            if !ground.is_empty() && !GROUNDS.contains(&ground) {
                return Err(invalid("/ground", format!("one of {}", GROUNDS.join(", "))));
            }
            (if ground.is_empty() { "17.3.e" } else { ground }).clone_into(&mut row.ground);
            text.trim().clone_into(&mut row.reason);
            let (subject, plan) = plan(app, &row, now).await?;
            row.subject_id = subject;
            row.plan = serde_json::to_string(&plan).unwrap_or_default();
        }
        Step::Approve => {
            // Whoever planned it is among them.
            if handlers.is_empty() {
                return Err(affiant_store::damaged("privacy_request", id, "nobody handled it").into());
            }
            if let Some(handler) = handlers.iter().find(|handler| !who.is_second_to(handler)) {
                return Err(FlowError::Forbidden(format!(
                    "a request is approved by somebody else than {handler}, who handled it; {actor} is not a second person"
                )));
            }
            actor.clone_into(&mut row.approver);
        }
        Step::Fulfil => return fulfil(app, row, actor).await,
        Step::Refuse => text.trim().clone_into(&mut row.reason),
        Step::Withdraw => {}
        Step::Extend => {
            if row.extended_at.is_some() {
                return Err(conflict("it was extended before, and can be once"));
            }
            // The person is told within the first month.
            if now > due_at(&row) {
                return Err(conflict("the first month is over: it can no longer be extended"));
            }
            row.extended_at = Some(micros(now));
            text.trim().clone_into(&mut row.reason);
        }
    }
    if step != Step::Approve && !handlers.iter().any(|handler| handler == actor) {
        handlers.push(actor.to_owned());
        row.handlers = json!(handlers).to_string();
    }
    next.as_str().clone_into(&mut row.state);
    if next.is_closed() {
        row.closed_at = Some(micros(now));
        (if next == State::Refused {
            "refused_unfounded"
        } else {
            "withdrawn"
        })
        .clone_into(&mut row.outcome);
    }
    save(app, &was, row, (step, actor)).await
}

async fn save(
    app: &Context,
    was: &entity::privacy_request::Model,
    row: entity::privacy_request::Model,
    (step, actor): (Step, &str),
) -> Result<entity::privacy_request::Model, FlowError> {
    let word = Step::ALL
        .iter()
        .find(|(_, known)| *known == step)
        .map_or("", |(word, _)| word);
    let new = row.clone();
    let keep = |app: Context| async move {
        let detail = json!({ "request": new.id, "step": word, "state": new.state });
        if !app.store.change_request(was, new).await? {
            return Err(conflict("somebody else brought the request further meanwhile"));
        }
        Ok(((), detail))
    };
    app.deed((actor, "request.step", None), keep).await?;
    Ok(row)
}
