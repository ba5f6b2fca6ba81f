//! How much of what should have been recorded was: per source and per expected operation of an agent, silences longer than its rhythm
//! allows and numbers that are missing.

use crate::app::Context;
use crate::flow::FlowError;
use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use affiant_store::{Gap, Stream, instant, micros};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A span in which the record of a source has a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lost {
    /// The source, or `agent: operation` of the register.
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
    /// Events of the sources and operations of which something is expected.
    pub recorded: u64,
    /// Events that are missing.
    pub missing: u64,
    /// Where coverage was lost, by source and time.
    pub lost: Vec<Lost>,
}

/// The coverage of a period: of sources with a rhythm or numbers, and of the operations that the register expects. What is yet to come is
/// not missing.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn coverage(
    app: &Context,
    project: ProjectId,
    (start, end): (Instant, Instant),
) -> Result<Coverage, FlowError> {
    let scoped = app.store.project(project);
    let period = (micros(start), micros(end.min(app.clock.now())));
    let mut told = Coverage::default();
    let numbered = scoped.gaps(period.0, period.1).await?;
    for source in &scoped.sources().await? {
        let gaps: Vec<&Gap> = numbered.iter().filter(|gap| gap.source == source.name).collect();
        for gap in &gaps {
            told.lose(&gap.source, (gap.from, gap.until), gap.missing, &gap.reason);
        }
        let stream = Expected {
            stream: Stream::Source(&source.name),
            name: source.name.clone(),
            within: source.expected_seconds * 1_000_000,
            since: source.created_at,
        };
        stream.cover(app, project, period, &gaps, &mut told).await?;
    }
    for operation in &scoped.expected_operations().await? {
        let (agent, action) = (operation.agent.as_str(), operation.action.as_str());
        let stream = Expected {
            stream: Stream::Operation { agent, action },
            name: format!("{agent}: {action}"),
            within: operation.within_seconds * 1_000_000,
            since: operation.created_at,
        };
        stream.cover(app, project, period, &[], &mut told).await?;
    }
    told.lost.sort_by(|a, b| (&a.source, a.from).cmp(&(&b.source, b.from)));
    told.event_coverage = share(told.recorded, told.missing);
    Ok(told)
}

impl Coverage {
    fn lose(&mut self, source: &str, (from, until): (i64, i64), missing: u64, reason: &str) {
        self.missing += missing;
        self.lost.push(Lost {
            source: source.to_owned(),
            from: instant(from),
            until: instant(until),
            missing,
            reason: reason.to_owned(),
        });
    }
}

/// Events that are expected.
struct Expected<'a> {
    stream: Stream<'a>,
    /// How it is told.
    name: String,
    /// An event is expected within so many microseconds; 0 where none is.
    within: i64,
    /// When it was set up.
    since: i64,
}

impl Expected<'_> {
    /// Counts what was recorded and what is missing. Gaps by number make a stream expected too.
    async fn cover(
        &self,
        app: &Context,
        project: ProjectId,
        (start, end): (i64, i64),
        gaps: &[&Gap],
        told: &mut Coverage,
    ) -> Result<(), FlowError> {
        let scoped = app.store.project(project);
        if self.within <= 0 && gaps.is_empty() {
            return Ok(());
        }
        // The record begins with its first event, or when it was set up.
        let first = scoped.first_event(self.stream).await?;
        let period = (start.max(first.map_or(self.since, |first| first.min(self.since))), end);
        if period.0 >= period.1 {
            return Ok(());
        }
        told.recorded += scoped.count_events(self.stream, period).await?;
        if self.within <= 0 {
            return Ok(());
        }
        for (from, until) in scoped.silences(self.stream, period, self.within).await? {
            // An outage whose numbers are missing is told once.
            if gaps.iter().any(|gap| gap.from < until && gap.until > from) {
                continue;
            }
            // Between two events as many are missing as fit without the second, which came.
            let between = from != period.0 && until != period.1;
            let missing = ((until - from) / self.within - i64::from(between))
                .max(1)
                .unsigned_abs();
            told.lose(&self.name, (from, until), missing, "silence");
        }
        Ok(())
    }
}

/// What was recorded over what was expected; none where nothing was.
#[must_use]
pub fn share(recorded: u64, missing: u64) -> Option<f64> {
    let expected = recorded + missing;
    #[allow(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
    let share = recorded as f64 / expected.max(1) as f64;
    (expected > 0).then_some(share)
}
