//! How much of what should have been recorded was: per source, silences longer than its rhythm allows and numbers that are missing.

use crate::app::Context;
use crate::flow::FlowError;
use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use affiant_store::{instant, micros};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A span in which the record of a source has a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lost {
    /// The source.
    pub source: String,
    /// From.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub from: Instant,
    /// Until.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub until: Instant,
    /// Events that are missing: by their numbers, or as many as the rhythm would have given.
    pub missing: u64,
    /// `silence` or `sequence`.
    pub reason: String,
}

/// What was recorded of what was expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Coverage {
    /// Events recorded over events expected; null where nothing is expected.
    pub event_coverage: Option<f64>,
    /// Events of the sources of which something is expected.
    pub recorded: u64,
    /// Events that are missing.
    pub missing: u64,
    /// Where coverage was lost, by source and time.
    pub lost: Vec<Lost>,
}

/// The coverage of a period. What is yet to come is not missing.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn coverage(
    app: &Context,
    project: ProjectId,
    (start, end): (Instant, Instant),
) -> Result<Coverage, FlowError> {
    let scoped = app.store.project(project);
    let end = end.min(app.clock.now());
    let mut told = Coverage::default();
    let numbered = scoped.gaps(micros(start), micros(end)).await?;
    let sources = scoped.sources().await?;
    for source in &sources {
        let gaps = numbered.iter().filter(|gap| gap.source == source.name);
        let mut expects = source.expected_seconds > 0;
        for gap in gaps {
            expects = true;
            told.missing += gap.missing;
            told.lost.push(Lost {
                source: gap.source.clone(),
                from: instant(gap.from),
                until: instant(gap.until),
                missing: gap.missing,
                reason: gap.reason.clone(),
            });
        }
        // The record begins with its first event, or when the source was set up.
        let first = scoped.first_event(&source.name).await?;
        let begun = first.map_or(source.created_at, |first| first.min(source.created_at));
        let from = micros(start).max(begun);
        let period = (from, micros(end));
        if !expects || from >= period.1 {
            continue;
        }
        told.recorded += scoped.count_events(&source.name, period).await?;
        if source.expected_seconds > 0 {
            let rhythm = source.expected_seconds * 1_000_000;
            for (from, until) in scoped.silences(&source.name, period, rhythm).await? {
                // An outage whose numbers are missing is told once.
                let mut numbered = numbered.iter().filter(|gap| gap.source == source.name);
                if numbered.any(|gap| gap.from < until && gap.until > from) {
                    continue;
                }
                // Between two events as many are missing as fit without the second, which came.
                let between = from != period.0 && until != period.1;
                let missing = ((until - from) / rhythm - i64::from(between)).max(1).unsigned_abs();
                told.missing += missing;
                told.lost.push(Lost {
                    source: source.name.clone(),
                    from: instant(from),
                    until: instant(until),
                    missing,
                    reason: "silence".to_owned(),
                });
            }
        }
    }
    told.lost.sort_by(|a, b| (&a.source, a.from).cmp(&(&b.source, b.from)));
    told.event_coverage = share(told.recorded, told.missing);
    Ok(told)
}

/// What was recorded over what was expected; none where nothing was.
#[must_use]
pub fn share(recorded: u64, missing: u64) -> Option<f64> {
    let expected = recorded + missing;
    #[allow(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
    let share = recorded as f64 / expected.max(1) as f64;
    (expected > 0).then_some(share)
}
