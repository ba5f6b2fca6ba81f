//! What people decide: waivers and attestations.

use super::{FlowError, invalid};
use crate::app::Context;
use affiant_domain::Instant;
use affiant_domain::actor::{Actor, person_behind};
use affiant_domain::id::ProjectId;
use affiant_store::{NewAttestation, NewWaiver, RecordKind, entity, micros};
use chrono::Duration;
use serde_json::json;
use uuid::Uuid;

/// Reasons for which a risk can be accepted.
pub const WAIVER_KINDS: [&str; 3] = ["accepted_risk", "false_positive", "out_of_scope"];
/// What can be stated of a control.
pub const OUTCOMES: [&str; 3] = ["effective", "partially_effective", "ineffective"];
/// The longest waiver or attestation, days.
const LONGEST: i64 = 731;

fn check_span(from: Instant, until: Instant) -> Result<(), FlowError> {
    if until <= from {
        return Err(invalid("/until", "it ends after it begins"));
    }
    if until - from > Duration::days(LONGEST) {
        return Err(invalid("/until", "it holds for two years at most; renew it then"));
    }
    Ok(())
}

fn check_text(at: &str, text: &str) -> Result<(), FlowError> {
    let n = text.trim().chars().count();
    if (3..=4000).contains(&n) {
        Ok(())
    } else {
        Err(invalid(at, "write 3 to 4000 characters"))
    }
}

/// Requests a waiver of a finding.
///
/// # Errors
/// [`FlowError`] where something is wrong with it or the finding is not in the project.
pub async fn request_waiver(
    app: &Context,
    project: ProjectId,
    new: &NewWaiver<'_>,
) -> Result<entity::waiver::Model, FlowError> {
    if !WAIVER_KINDS.contains(&new.kind) {
        return Err(invalid(
            "/kind",
            format!("unknown kind \"{}\"; known are {}", new.kind, WAIVER_KINDS.join(", ")),
        ));
    }
    check_text("/reason", new.reason)?;
    check_span(new.from, new.until)?;
    let ask = |app: Context| async move {
        let made = app.store.project(project).request_waiver(new, app.clock.now()).await?;
        let made = made.ok_or_else(|| FlowError::NotFound("there is no such finding".to_owned()))?;
        app.store.vouch(RecordKind::Waiver, &[made.id], app.clock.now()).await?;
        let detail = json!({ "waiver": made.id, "finding": made.finding_id, "kind": made.kind, "reason": made.reason });
        Ok((made, detail))
    };
    app.deed((new.actor, "waiver.requested", Some(project.0)), ask).await
}

/// Approves or refuses a waiver. Whoever asked for it does not decide on it, nor does a token without a person.
///
/// # Errors
/// [`FlowError::Forbidden`] for who is no second pair of eyes, [`FlowError::Conflict`] where it was decided before.
pub async fn decide_waiver(
    app: &Context,
    project: ProjectId,
    id: Uuid,
    approve: bool,
    who: Actor<'_>,
) -> Result<(), FlowError> {
    let scoped = app.store.project(project);
    let waiver = scoped
        .waiver(id)
        .await?
        .ok_or_else(|| FlowError::NotFound("there is no such waiver".to_owned()))?;
    for first in [&waiver.requested_by, &waiver.owner] {
        if !who.is_second_to(first) {
            return Err(FlowError::Forbidden(format!(
                "a waiver is decided on by somebody else than {first}, who asked for it or looks after it; {} is not a second person",
                who.name
            )));
        }
    }
    let actor = who.name;
    let decide = |app: Context| async move {
        let scoped = app.store.project(project);
        if !scoped.decide_waiver(id, approve, actor, app.clock.now()).await? {
            return Err(FlowError::Conflict("the waiver was decided on before".to_owned()));
        }
        app.store.vouch(RecordKind::Waiver, &[id], app.clock.now()).await?;
        Ok(((), json!({ "waiver": id })))
    };
    let kind = if approve { "waiver.approved" } else { "waiver.rejected" };
    app.deed((actor, kind, Some(project.0)), decide).await
}

/// Gives a waiver to who asks for it, to look after: where its owner has left, somebody must.
///
/// # Errors
/// [`FlowError::Conflict`] where it has ended, or its owner has not left.
pub async fn take_waiver(app: &Context, project: ProjectId, id: Uuid, actor: &str) -> Result<(), FlowError> {
    let scoped = app.store.project(project);
    let waiver = scoped
        .waiver(id)
        .await?
        .ok_or_else(|| FlowError::NotFound("there is no such waiver".to_owned()))?;
    if without_owner(app, project, std::slice::from_ref(&waiver))
        .await?
        .is_empty()
    {
        return Err(FlowError::Conflict(format!(
            "{} looks after it and has not left",
            waiver.owner
        )));
    }
    let take = |app: Context| async move {
        if !app.store.project(project).give_waiver(id, actor).await? {
            return Err(FlowError::Conflict("the waiver has ended".to_owned()));
        }
        app.store.vouch(RecordKind::Waiver, &[id], app.clock.now()).await?;
        Ok(((), json!({ "waiver": id, "from": waiver.owner })))
    };
    app.deed((actor, "waiver.taken-over", Some(project.0)), take).await
}

/// Of these waivers, those that hold or are asked for and whose owner has left.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn without_owner(
    app: &Context,
    project: ProjectId,
    waivers: &[entity::waiver::Model],
) -> Result<Vec<Uuid>, FlowError> {
    let now = micros(app.clock.now());
    let lives = |waiver: &&entity::waiver::Model| {
        matches!(waiver.state.as_str(), "requested" | "approved") && waiver.until_at > now
    };
    let live: Vec<&entity::waiver::Model> = waivers.iter().filter(lives).collect();
    let mut owners: Vec<&str> = live.iter().map(|waiver| person_behind(&waiver.owner)).collect();
    owners.sort_unstable();
    owners.dedup();
    let left = app.store.project(project).have_left(&owners).await?;
    let orphaned = live
        .into_iter()
        .filter(|waiver| left.iter().any(|name| name == person_behind(&waiver.owner)));
    Ok(orphaned.map(|waiver| waiver.id).collect())
}

/// Ends an approved waiver.
///
/// # Errors
/// [`FlowError`] where it is not there or not approved.
pub async fn revoke_waiver(app: &Context, project: ProjectId, id: Uuid, actor: &str) -> Result<(), FlowError> {
    let scoped = app.store.project(project);
    if scoped.waiver(id).await?.is_none() {
        return Err(FlowError::NotFound("there is no such waiver".to_owned()));
    }
    let revoke = |app: Context| async move {
        let scoped = app.store.project(project);
        if !scoped.revoke_waiver(id, actor, app.clock.now()).await? {
            return Err(FlowError::Conflict("only an approved waiver can be revoked".to_owned()));
        }
        app.store.vouch(RecordKind::Waiver, &[id], app.clock.now()).await?;
        Ok(((), json!({ "waiver": id })))
    };
    app.deed((actor, "waiver.revoked", Some(project.0)), revoke).await
}

/// Records a statement on a control.
///
/// # Errors
/// [`FlowError`] where something is wrong with it or the control is not known.
pub async fn attest(
    app: &Context,
    project: ProjectId,
    new: &NewAttestation<'_>,
) -> Result<entity::attestation::Model, FlowError> {
    if !app.catalogue.controls.contains_key(new.control) {
        let control: String = new.control.chars().take(60).collect();
        return Err(invalid(
            "/control",
            format!("unknown control \"{control}\"; `affiant frameworks list --controls` lists them all"),
        ));
    }
    if !OUTCOMES.contains(&new.outcome) {
        return Err(invalid(
            "/outcome",
            format!("unknown outcome \"{}\"; known are {}", new.outcome, OUTCOMES.join(", ")),
        ));
    }
    check_text("/statement", new.statement)?;
    check_span(new.from, new.until)?;
    let attest = |app: Context| async move {
        let made = app.store.project(project).attest(new, app.clock.now()).await?;
        app.store
            .vouch(RecordKind::Attestation, &[made.id], app.clock.now())
            .await?;
        let detail = json!({ "attestation": made.id, "control": made.control, "outcome": made.outcome });
        Ok((made, detail))
    };
    app.deed((new.actor, "attestation.made", Some(project.0)), attest).await
}
