//! Lets go of what is past its date, in bounded batches, and of nothing that a hold keeps. What would be too much at once waits for a person.

use super::FlowError;
use crate::app::Context;
use affiant_domain::id::ProjectId;
use affiant_domain::retention::asks;
use affiant_store::{Draft, Due, Purged, entity, micros};
use serde::Serialize;
use utoipa::ToSchema;

/// Records that go in one transaction.
const BATCH: u64 = 500;

/// How records are let go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Only says what would go.
    pub dry_run: bool,
    /// A person means it, though it is much at once.
    pub confirm: bool,
}

/// What came of it in a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionRun {
    /// Slug of the project.
    pub project: String,
    /// Records that were past their date and under no hold.
    pub due: u64,
    /// Records past their date that a hold keeps.
    pub held: u64,
    /// Records in all.
    pub all: u64,
    /// Records that went.
    pub purged: u64,
    /// Whether it waits for a person, because it is more than five in a hundred at once.
    pub waits: bool,
}

/// Lets go of what is past its date in a project.
///
/// # Errors
/// [`FlowError`] where the database fails; batches before that are gone, each with its entry.
#[tracing::instrument(name = "enforce retention", skip_all)]
pub async fn run(
    app: &Context,
    project: &entity::project::Model,
    wish: Wish,
    actor: &str,
) -> Result<RetentionRun, FlowError> {
    let scoped = app.store.project(ProjectId(project.id));
    let now = app.clock.now();
    let Due { due, held, all } = scoped.due(now).await?;
    let waits = asks(due, all) && !wish.confirm;
    let mut told = RetentionRun {
        project: project.slug.clone(),
        due,
        held,
        all,
        purged: 0,
        waits,
    };
    if wish.dry_run || waits || due == 0 {
        if waits && !wish.dry_run {
            tracing::warn!(project = %project.id, due, all, "more than five in a hundred records are past their date: confirm it");
        }
        return Ok(told);
    }
    for rule in scoped.due_rules(now).await? {
        loop {
            let tell = |purged: &Purged| entry(purged, (project.id, &rule), (actor, micros(now)));
            let batch = scoped.purge(&rule, (BATCH, now), tell).await?;
            if batch.records == 0 {
                break;
            }
            told.purged += batch.records;
        }
    }
    Ok(told)
}

/// The record of a purge: how many, by which rule, and the places of the entries whose payloads are gone.
fn entry(purged: &Purged, (project, rule): (uuid::Uuid, &str), (actor, at): (&str, i64)) -> Draft {
    let places = ranges(&purged.indices);
    Draft {
        action: "retention.purged".to_owned(),
        outcome: "success",
        actor: actor.to_owned(),
        project: Some(project),
        record: None,
        refs: vec![("rule", rule.to_owned()), ("records", purged.records.to_string())],
        content: serde_json::json!({ "actor": actor, "detail": serde_json::json!({ "rule": rule, "entries": places }).to_string() }).to_string(),
        at,
    }
}

/// Places as ranges: `3-7,9`.
fn ranges(indices: &[i64]) -> String {
    let mut out: Vec<(i64, i64)> = Vec::new();
    for index in indices {
        match out.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => out.push((*index, *index)),
        }
    }
    let one = |(from, to): &(i64, i64)| {
        if from == to {
            from.to_string()
        } else {
            format!("{from}-{to}")
        }
    };
    out.iter().map(one).collect::<Vec<_>>().join(",")
}

/// Lets go of what is past its date in all projects.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn run_all(app: &Context, wish: Wish, actor: &str) -> Result<Vec<RetentionRun>, FlowError> {
    let mut told = Vec::new();
    for project in app.store.projects(None).await? {
        told.push(run(app, &project, wish, actor).await?);
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn places_are_told_as_ranges() {
        assert_eq!(ranges(&[3, 4, 5, 9, 11, 12]), "3-5,9,11-12");
        assert_eq!(ranges(&[]), "");
    }
}
