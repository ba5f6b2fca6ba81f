//! Where records go.

use crate::formats::Format;
use affiant_domain::Severity;
use affiant_domain::audit::AuditEvent;
use affiant_domain::observation::{Check, Observation, Outcome, Place, RunInfo};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sink's wish that reading ends.
#[derive(Clone, Copy, Debug)]
pub struct Stop;

/// Takes what a reader finds, in the order of the file.
pub trait Sink {
    /// Version of the format, by the file.
    fn version(&mut self, _version: &str) {}
    /// A run of a tool; of a file with several, each.
    fn run(&mut self, _run: &RunInfo) {}
    /// A check that the file lists as one that ran, whatever came of it.
    fn listed(&mut self, _check: &Arc<Check>) {}
    /// One outcome of one check.
    ///
    /// # Errors
    /// [`Stop`] ends the reading.
    fn observation(&mut self, observation: Observation<'_>) -> Result<(), Stop>;
    /// Passed checks that the file counts without naming them.
    fn passed(&mut self, _count: u64) {}
    /// One audit event.
    ///
    /// # Errors
    /// [`Stop`] ends the reading.
    fn event(&mut self, event: AuditEvent, place: Place) -> Result<(), Stop>;
    /// A record that cannot be read.
    ///
    /// # Errors
    /// [`Stop`] ends the reading.
    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop>;
    /// A text of the record that comes next is a secret: it must not be kept or shown in clear.
    fn secret(&mut self, _secret: &str) {}
    /// Numbers of records that are missing.
    fn gap(&mut self, _gap: SerialGap) {}
    /// The file does not tell the whole of its scope: what it does not hold may be there all the same.
    fn partial(&mut self, why: String) {
        self.remark(why);
    }
    /// Something that a person should know of how the file was read.
    fn remark(&mut self, _remark: String) {}
}

/// Records that a log numbers and does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialGap {
    /// When the record before them was written.
    pub from: affiant_domain::Instant,
    /// When the one behind them was.
    pub until: affiant_domain::Instant,
    /// How many are missing.
    pub missing: u64,
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Where: a line, and a pointer where there is one.
    pub at: String,
    /// What is wrong with it.
    pub why: String,
}

/// A file that was refused whole, as the command line prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// What is wrong and where.
    pub error: String,
}

/// Counts, and keeps nothing: `affiant formats check`.
#[derive(Debug, Default, Serialize)]
pub struct Counter {
    /// Name of the format.
    pub format: Option<String>,
    /// Its version, by the file.
    pub version: Option<String>,
    /// Records that the file calls findings, open or not.
    pub findings: u64,
    /// Those that import would open.
    pub open: u64,
    /// Passed checks.
    pub passed: u64,
    /// Audit events.
    pub events: u64,
    /// Records that cannot be read.
    pub rejected: Vec<Rejection>,
    /// Findings by severity.
    pub severity: BTreeMap<Severity, u64>,
    /// Why the whole file is refused.
    pub error: Option<String>,
    /// How the file was read, where a person should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Tools whose runs the file holds.
    #[serde(skip)]
    pub tools: Vec<String>,
}

impl Counter {
    /// A counter at zero.
    #[must_use]
    pub fn new() -> Self {
        let severity = Severity::ALL.into_iter().map(|severity| (severity, 0)).collect();
        Self {
            severity,
            ..Self::default()
        }
    }
}

/// Counts, and keeps the first records as they would be stored.
#[derive(Debug)]
pub struct Shown {
    counter: Counter,
    most: usize,
    records: Vec<Value>,
    /// Of the record that comes next.
    secrets: Vec<String>,
}

impl Shown {
    /// Keeps so many records.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            counter: Counter::new(),
            most,
            records: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// Notes the format.
    pub fn recognised_as(&mut self, format: &Format) {
        self.counter.format = Some(format.name.clone());
    }

    /// The counts and the records.
    #[must_use]
    pub fn into_parts(self) -> (Counter, Vec<Value>) {
        (self.counter, self.records)
    }
}

impl Sink for Shown {
    fn secret(&mut self, secret: &str) {
        let secret = secret.trim();
        if !secret.is_empty() {
            self.secrets.push(secret.to_owned());
        }
    }

    fn version(&mut self, version: &str) {
        self.counter.version(version);
    }

    fn observation(&mut self, observation: Observation<'_>) -> Result<(), Stop> {
        if self.records.len() < self.most {
            let o = &observation;
            let mask = |text: &str| {
                self.secrets
                    .iter()
                    .fold(text.to_owned(), |text, secret| text.replace(secret, "********"))
            };
            self.records.push(json!({
                "line": o.place.line, "outcome": format!("{:?}", o.outcome), "severity": o.severity.as_str(),
                "check": &*o.check, "title": mask(&o.title), "message": mask(&o.message), "location": mask(&o.location), "at_line": o.line,
                "resource": o.resource.as_ref().map(|r| format!("{}:{}", r.kind, r.name)),
                "observed_at": o.observed_at, "fingerprint": format!("{:032x}", o.fingerprint.0),
            }));
        }
        self.secrets.clear();
        self.counter.observation(observation)
    }

    fn passed(&mut self, count: u64) {
        self.counter.passed(count);
    }

    fn event(&mut self, event: AuditEvent, place: Place) -> Result<(), Stop> {
        if self.records.len() < self.most {
            self.records.push(json!({
                "line": place.line, "at": event.at, "id": event.event_id, "user": event.user, "agent": event.agent,
                "action": event.action, "resource": event.resource, "outcome": event.outcome.as_str(),
                "source_ip": event.source_ip, "detail": event.detail,
            }));
        }
        self.counter.event(event, place)
    }

    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop> {
        self.counter.reject(rejection)
    }

    fn remark(&mut self, remark: String) {
        self.counter.remark(remark);
    }
}

impl Sink for Counter {
    fn version(&mut self, version: &str) {
        if self.version.is_none() && !version.is_empty() {
            self.version = Some(version.chars().take(60).collect());
        }
    }

    fn run(&mut self, run: &RunInfo) {
        if !self.tools.contains(&run.tool) {
            self.tools.push(run.tool.clone());
        }
    }

    fn observation(&mut self, observation: Observation<'_>) -> Result<(), Stop> {
        if observation.counted {
            self.findings += 1;
            *self.severity.entry(observation.severity).or_default() += 1;
        }
        match observation.outcome {
            Outcome::Open => self.open += 1,
            Outcome::Pass => self.passed += 1,
            _ => {}
        }
        Ok(())
    }

    fn passed(&mut self, count: u64) {
        self.passed += count;
    }

    fn event(&mut self, _event: AuditEvent, _place: Place) -> Result<(), Stop> {
        self.events += 1;
        Ok(())
    }

    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop> {
        self.rejected.push(rejection);
        Ok(())
    }

    fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }
}
