//! What people decide: waivers and attestations.

use super::{FlowError, invalid};
use crate::app::Context;
use affiant_domain::Instant;
use affiant_domain::actor::are_one;
use affiant_domain::id::ProjectId;
use affiant_store::{NewAttestation, NewWaiver, entity};
use chrono::Duration;
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
    let made = app.store.project(project).request_waiver(new, app.clock.now()).await?;
    made.ok_or_else(|| FlowError::NotFound("there is no such finding".to_owned()))
}

/// Approves or refuses a waiver. Whoever asked for it does not decide on it.
///
/// # Errors
/// [`FlowError::Forbidden`] for the one who asked, [`FlowError::Conflict`] where it was decided before.
pub async fn decide_waiver(
    app: &Context,
    project: ProjectId,
    id: Uuid,
    approve: bool,
    actor: &str,
) -> Result<(), FlowError> {
    let scoped = app.store.project(project);
    let waiver = scoped
        .waiver(id)
        .await?
        .ok_or_else(|| FlowError::NotFound("there is no such waiver".to_owned()))?;
    if are_one(&waiver.requested_by, actor) {
        return Err(FlowError::Forbidden(
            "a waiver is decided on by somebody else than the one who asked for it".to_owned(),
        ));
    }
    if scoped.decide_waiver(id, approve, actor, app.clock.now()).await? {
        Ok(())
    } else {
        Err(FlowError::Conflict("the waiver was decided on before".to_owned()))
    }
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
    if scoped.revoke_waiver(id, actor, app.clock.now()).await? {
        Ok(())
    } else {
        Err(FlowError::Conflict("only an approved waiver can be revoked".to_owned()))
    }
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
    Ok(app.store.project(project).attest(new, app.clock.now()).await?)
}
