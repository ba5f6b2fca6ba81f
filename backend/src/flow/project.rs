//! Makes and changes projects.

use super::{FlowError, invalid};
use crate::app::Context;
use affiant_domain::catalogue::PROFILES;
use affiant_domain::id::ProjectId;
use affiant_domain::schedule::DEFAULT_CRON;
use affiant_store::{NewProject, StoreError, entity};
use std::collections::BTreeSet;

/// The profiles of a stored project.
///
/// # Errors
/// [`FlowError`] where they are damaged: what applies would be guessed.
pub fn profiles(project: &entity::project::Model) -> Result<BTreeSet<String>, FlowError> {
    let profiles = serde_json::from_str(&project.profiles);
    profiles.map_err(|error| StoreError::Damaged(format!("profiles of {}: {error}", project.slug)).into())
}

/// Checks a slug: 2 to 60 lower-case letters, digits and dashes, beginning with a letter.
///
/// # Errors
/// [`FlowError::Invalid`] says what a slug is.
pub fn check_slug(slug: &str) -> Result<(), FlowError> {
    let letters = slug
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let begins = slug.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if letters && begins && (2..=60).contains(&slug.len()) {
        Ok(())
    } else {
        Err(invalid(
            "/slug",
            "a slug is 2 to 60 lower-case letters, digits and dashes, and begins with a letter",
        ))
    }
}

fn check(name: &str, wanted: &BTreeSet<String>) -> Result<(), FlowError> {
    if name.trim().is_empty() || name.chars().count() > 120 {
        return Err(invalid("/name", "a name has 1 to 120 characters"));
    }
    match wanted
        .iter()
        .find(|profile| !PROFILES.iter().any(|(id, _)| id == profile))
    {
        Some(unknown) => {
            let known = PROFILES.map(|(id, _)| id).join(", ");
            Err(invalid(
                "/profiles",
                format!("unknown profile \"{unknown}\"; known are {known}"),
            ))
        }
        None => Ok(()),
    }
}

/// Makes a project, with a daily schedule for every framework.
///
/// # Errors
/// [`FlowError`] where something is wrong with it or the slug is taken.
pub async fn create(
    app: &Context,
    slug: &str,
    name: &str,
    wanted: &BTreeSet<String>,
    actor: &str,
) -> Result<entity::project::Model, FlowError> {
    check_slug(slug)?;
    check(name, wanted)?;
    let now = app.clock.now();
    let create = |app: Context| async move {
        let new = NewProject {
            slug,
            name,
            profiles: wanted,
        };
        let project = app.store.create_project(&new, now).await?;
        let scoped = app.store.project(ProjectId(project.id));
        for framework in app.catalogue.frameworks.keys() {
            scoped.set_schedule(framework, DEFAULT_CRON, "UTC", true, now).await?;
        }
        let detail = serde_json::json!({ "project": project.id, "slug": slug, "profiles": wanted });
        Ok((project, detail))
    };
    app.deed((actor, "project.created", None), create).await
}

/// Changes a project.
///
/// # Errors
/// [`FlowError`] where something is wrong with the new values.
pub async fn update(
    app: &Context,
    id: ProjectId,
    name: &str,
    wanted: &BTreeSet<String>,
    actor: &str,
) -> Result<(), FlowError> {
    check(name, wanted)?;
    let change = |app: Context| async move {
        app.store.update_project(id, name, wanted).await?;
        Ok(((), serde_json::json!({ "name": name, "profiles": wanted })))
    };
    app.deed((actor, "project.changed", Some(id.0)), change).await
}
