//! The reader's side: a first look at the whole source, and batches on their way to the store.

use super::{EventsResult, Numbered, prepare};
use crate::app::Context;
use crate::flow::ingest::Rejected;
use crate::flow::{FlowError, invalid};
use affiant_domain::Instant;
use affiant_domain::audit::AuditEvent;
use affiant_domain::observation::{Observation, Place};
use affiant_domain::retention::Rules;
use affiant_ingest::{Format, Formats, Kind, Limits, ReadError, Rejection, Sink, Source, Stop};
use affiant_store::NewEvent;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Events that are stored together, and held in memory.
pub(super) const BATCH: usize = 500;
/// Rejected records that a result shows.
const SHOWN: usize = 20;

/// What a first look at a source found.
#[derive(Default)]
pub(super) struct First {
    pub(super) result: EventsResult,
    /// The events, where they are no more than a batch.
    pub(super) events: Option<Vec<AuditEvent>>,
    /// Records that it may hold.
    most: u64,
    /// Line of the last event.
    line: u64,
}

impl First {
    /// Ends the reading of a source that holds too much, whatever its format.
    const fn is_too_much(&self) -> bool {
        self.result.read + self.result.rejected > self.most
    }
}

/// Reads a source to its end, and keeps of it what one batch holds.
pub(super) fn look(
    formats: &Formats,
    source: &dyn Source,
    wanted: Option<&str>,
    limits: &Limits,
) -> Result<(Arc<Format>, First), FlowError> {
    let format = formats.recognise(source, wanted, limits)?;
    if format.kind == Kind::Findings {
        let what = format!("{} holds findings; send it to scans", format.title);
        return Err(invalid("format", what));
    }
    let mut first = First {
        events: Some(Vec::new()),
        most: limits.records,
        ..First::default()
    };
    first.result.format.clone_from(&format.name);
    let read = format.read(source, limits, &mut first);
    if first.is_too_much() {
        let what = format!("it holds more than {} records", limits.records);
        return Err(ReadError::Limit { line: first.line, what }.into());
    }
    read?;
    let result = &first.result;
    if result.read == 0 && result.rejected > 0 {
        let rejected = result.rejections.first();
        let (at, why) = rejected.map_or(("", "no event could be read"), |r| (r.at.as_str(), r.why.as_str()));
        return Err(invalid(at, why));
    }
    Ok((format, first))
}

impl Sink for First {
    fn observation(&mut self, _: Observation<'_>) -> Result<(), Stop> {
        Err(Stop)
    }
    fn event(&mut self, event: AuditEvent, place: Place) -> Result<(), Stop> {
        self.line = place.line;
        self.result.read += 1;
        if let Some(events) = &mut self.events {
            if events.len() < BATCH {
                events.push(event);
            } else {
                self.events = None;
            }
        }
        if self.is_too_much() { Err(Stop) } else { Ok(()) }
    }
    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop> {
        self.result.rejected += 1;
        if self.result.rejections.len() < SHOWN {
            self.result.rejections.push(Rejected {
                at: rejection.at,
                why: rejection.why,
            });
        }
        Ok(())
    }
    fn remark(&mut self, remark: String) {
        self.result.remarks.push(remark);
    }
}

/// What makes an event ready to be stored.
pub(super) struct Preparing {
    pub(super) app: Context,
    pub(super) now: Instant,
    /// Frameworks of events that name none.
    pub(super) tags: Vec<String>,
    pub(super) rules: Rules,
    pub(super) numbered: Numbered,
}

impl Preparing {
    pub(super) fn event(&mut self, mut event: AuditEvent) -> NewEvent {
        if event.tags.is_empty() {
            event.tags.clone_from(&self.tags);
        }
        prepare(&self.app, event, (self.now, &self.rules), &mut self.numbered)
    }
}

/// Hands events over in batches.
pub(super) struct Batches {
    pub(super) preparing: Preparing,
    pub(super) pending: Vec<NewEvent>,
    pub(super) sender: Sender<Vec<NewEvent>>,
}

impl Batches {
    /// Hands over what is there; waits where two batches wait.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        let batch = std::mem::replace(&mut self.pending, Vec::with_capacity(BATCH));
        if batch.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(batch).map_err(|_| Stop)
    }
}

impl Sink for Batches {
    fn observation(&mut self, _: Observation<'_>) -> Result<(), Stop> {
        Err(Stop)
    }
    fn event(&mut self, event: AuditEvent, _: Place) -> Result<(), Stop> {
        let event = self.preparing.event(event);
        self.pending.push(event);
        if self.pending.len() < BATCH {
            return Ok(());
        }
        self.flush()
    }
    /// They were counted at the first look.
    fn reject(&mut self, _: Rejection) -> Result<(), Stop> {
        Ok(())
    }
}
