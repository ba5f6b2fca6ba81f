//! Lets go of what is past its date, in bounded batches, and of nothing that a hold keeps. What would be too much at once waits for a person.

use super::FlowError;
use super::clock_watch::may_delete;
use crate::app::Context;
use crate::trail::PLACES;
use affiant_domain::id::ProjectId;
use affiant_domain::retention::{asks, asks_for_several};
use affiant_store::{Draft, Due, Keeping, Purged, entity, instant, micros};
use affiant_trail::ranges;
use serde::Serialize;
use utoipa::ToSchema;

/// Records that go in one transaction.
const BATCH: u64 = 500;
/// Records that get another date together.
const PAGE: u64 = 1000;
/// After so many microseconds no event is on its way any more that has its date by a rule of before.
const SETTLED: i64 = 60_000_000;

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
    /// Records that stay for a duty, of which what is personal is past its ceiling.
    pub payloads_due: u64,
    /// Records past their date that a hold keeps.
    pub held: u64,
    /// Records in all.
    pub all: u64,
    /// Records that went.
    pub purged: u64,
    /// Records that stayed without what was personal in them.
    pub payloads_purged: u64,
    /// Whether it waits for a person.
    pub waits: bool,
    /// For what it waits.
    pub waits_for: Option<WaitsFor>,
}

/// What a deletion waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// More than five in a hundred records would go at once: run it again with `confirm`.
    Confirmation,
    /// The clock is not trusted: confirm the clock, or let the server run for 24 hours. `confirm` does not lift this.
    Clock,
}

impl WaitsFor {
    /// What something past its date waits for; none where it may go.
    ///
    /// # Errors
    /// [`FlowError`] where the database fails.
    pub async fn find(app: &Context, is_due: bool, asks: bool, confirm: bool) -> Result<Option<Self>, FlowError> {
        Ok(if is_due && !may_delete(app).await? {
            Some(Self::Clock)
        } else {
            (asks && !confirm).then_some(Self::Confirmation)
        })
    }

    /// What to do, for a person at a terminal.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Confirmation => "more than 5 % at once: run again with --confirm if that is right",
            Self::Clock => "the clock is not trusted: see affiant clock",
        }
    }
}

/// What came of deleting what does not belong to one project: restrictions that ended, keys of backups.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct DeletionRun {
    /// How many were past their date.
    pub due: u64,
    /// How many are done.
    pub done: u64,
    /// Whether it waits for a person.
    pub waits: bool,
    /// For what it waits.
    pub waits_for: Option<WaitsFor>,
}

impl DeletionRun {
    /// A run that may go on, or waits.
    ///
    /// # Errors
    /// [`FlowError`] where the database fails.
    pub async fn begin(app: &Context, (due, all): (usize, u64), confirm: bool) -> Result<Self, FlowError> {
        let due = due as u64;
        let waits_for = WaitsFor::find(app, due > 0, asks_for_several(due, all), confirm).await?;
        Ok(Self {
            due,
            done: 0,
            waits: waits_for.is_some(),
            waits_for,
        })
    }
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
    apply_rules(app).await?;
    let scoped = app.store.project(ProjectId(project.id));
    let now = app.clock.now();
    let Due {
        due,
        payloads,
        held,
        all,
    } = scoped.due(now).await?;
    let is_due = due + payloads > 0;
    let waits_for = WaitsFor::find(app, is_due, asks(due + payloads, all), wish.confirm).await?;
    let waits = waits_for.is_some();
    let mut told = RetentionRun {
        project: project.slug.clone(),
        due,
        payloads_due: payloads,
        held,
        all,
        purged: 0,
        payloads_purged: 0,
        waits,
        waits_for,
    };
    if wish.dry_run || waits || due + payloads == 0 {
        if waits && !wish.dry_run {
            tracing::warn!(project = %project.id, due, all, ?waits_for, "records past their date wait for a person");
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
    loop {
        let tell = |purged: &Purged| entry(purged, (project.id, "ceiling"), (actor, micros(now)));
        let batch = scoped.purge_payloads((BATCH, now), tell).await?;
        if batch.records == 0 {
            break;
        }
        told.payloads_purged += batch.records;
    }
    Ok(told)
}

/// Changes a rule and gives the events that are stored their new dates; gives how many have another one. Where it breaks off, the next
/// run of retention goes on before it lets anything go.
///
/// # Errors
/// [`FlowError`] where the rule is none, or the database fails.
pub async fn change_rule(app: &Context, row: entity::retention_rule::Model, actor: &str) -> Result<u64, FlowError> {
    let own = row.clone();
    let keep = |app: Context| async move {
        let detail = serde_json::json!({ "rule": own.id, "at_least": own.at_least, "at_most": own.at_most, "reason": own.reason });
        app.store.change_rule(own).await?;
        Ok::<_, FlowError>(((), detail))
    };
    app.deed((actor, "retention.rule-changed", None), keep).await?;
    apply_rules(app).await
}

/// Gives stored events their dates by the rules in force, where a rule was changed and they have not got them yet.
async fn apply_rules(app: &Context) -> Result<u64, FlowError> {
    let changed = app.store.changed_rules().await?;
    let Some(as_of) = changed.iter().filter(|row| row.pending).map(|row| row.changed_at).max() else {
        return Ok(0);
    };
    let rules = app.store.retention_rules().await?;
    let (mut after, mut count) = (None, 0);
    loop {
        let page = app.store.dated_events(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let mut changes = Vec::new();
        for event in page {
            let mut keep = Keeping::from(rules.keep(instant(event.at), &event.tags, None));
            // What is stored is never kept shorter than was said when it came: its sender may have asked for it. The ceiling holds for
            // it all the same.
            if event.keep.until > keep.until {
                let end = rules.ceiling(instant(event.at), &event.tags);
                let end = end.map(|(end, rule)| (micros(end), rule));
                keep = Keeping {
                    payload: end.filter(|(end, _)| *end < event.keep.until),
                    ..event.keep.clone()
                };
            }
            if keep != event.keep {
                changes.push((event.id, keep));
            }
        }
        count += changes.len() as u64;
        if !changes.is_empty() {
            app.store.date_events(changes).await?;
        }
    }
    // An event that was on its way when the rule was changed is looked at once more by the next run.
    if micros(app.clock.now()) - as_of > SETTLED {
        app.store.rules_applied(as_of).await?;
    }
    Ok(count)
}

/// The record of a purge: how many, by which rule, and the places of the entries whose payloads are gone.
fn entry(purged: &Purged, (project, rule): (uuid::Uuid, &str), (actor, at): (&str, i64)) -> Draft {
    let places = ranges(&purged.indices);
    Draft {
        action: "retention.purged".to_owned(),
        outcome: "success",
        actor: actor.to_owned(),
        concerns: Vec::new(),
        project: Some(project),
        record: None,
        refs: vec![
            ("rule", rule.to_owned()),
            ("records", purged.records.to_string()),
            (PLACES, places),
        ],
        content: serde_json::json!({ "actor": actor, "detail": serde_json::json!({ "rule": rule }).to_string() })
            .to_string(),
        at,
    }
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
