//! The reader's side of an import: a thread that hands over batches.

use affiant_domain::Severity;
use affiant_domain::asset::AssetKey;
use affiant_domain::audit::AuditEvent;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, RunInfo};
use affiant_ingest::{FileSource, Format, Limits, ReadError, Rejection, Sink, Stop};
use std::path::PathBuf;
use std::sync::Arc;

/// Records handed over at once.
const BATCH: usize = 1000;
/// Batches that may wait.
const WAITING: usize = 4;

/// A record on its way from the reader to the store.
pub(super) struct Row {
    pub(super) check: Arc<Check>,
    pub(super) resource: Option<AssetKey>,
    pub(super) outcome: Outcome,
    pub(super) severity: Severity,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) location: String,
    pub(super) line: u32,
    pub(super) fingerprint: Fingerprint,
    pub(super) place: Place,
}

/// What a reader says.
pub(super) enum Item {
    Format(String),
    Version(String),
    Run(RunInfo),
    Listed(Arc<Check>),
    Row(Box<Row>),
    Passed(u64),
    Rejected(Rejection),
    Remark(String),
}

/// Collects batches on the reader's thread.
struct Channel {
    sender: tokio::sync::mpsc::Sender<Vec<Item>>,
    batch: Vec<Item>,
}

impl Channel {
    fn put(&mut self, item: Item) -> Result<(), Stop> {
        self.batch.push(item);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.sender.blocking_send(batch).map_err(|_| Stop)
    }
}

impl Sink for Channel {
    fn version(&mut self, version: &str) {
        let _ = self.put(Item::Version(version.chars().take(60).collect()));
    }
    fn run(&mut self, run: &RunInfo) {
        let _ = self.put(Item::Run(run.clone()));
    }
    fn listed(&mut self, check: &Arc<Check>) {
        let _ = self.put(Item::Listed(check.clone()));
    }
    fn observation(&mut self, o: Observation<'_>) -> Result<(), Stop> {
        let row = Row {
            resource: o.resource.map(|r| AssetKey::resource(&r.kind, &r.name)),
            check: o.check,
            outcome: o.outcome,
            severity: o.severity,
            title: o.title.into_owned(),
            message: o.message.into_owned(),
            location: o.location.into_owned(),
            line: o.line,
            fingerprint: o.fingerprint,
            place: o.place,
        };
        self.put(Item::Row(Box::new(row)))
    }
    fn passed(&mut self, count: u64) {
        let _ = self.put(Item::Passed(count));
    }
    fn event(&mut self, _event: AuditEvent, _place: Place) -> Result<(), Stop> {
        Err(Stop)
    }
    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop> {
        self.put(Item::Rejected(rejection))
    }
    fn remark(&mut self, remark: String) {
        let _ = self.put(Item::Remark(remark));
    }
}

/// Reads a file on a thread of its own.
pub(super) fn start_reader(
    path: PathBuf,
    format: Arc<Format>,
    limits: Limits,
) -> (
    tokio::sync::mpsc::Receiver<Vec<Item>>,
    tokio::task::JoinHandle<Result<(), ReadError>>,
) {
    let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
    let handle = tokio::task::spawn_blocking(move || {
        let mut channel = Channel {
            sender,
            batch: Vec::with_capacity(BATCH),
        };
        channel.batch.push(Item::Format(format.name.clone()));
        format.read(&FileSource(path), &limits, &mut channel)?;
        channel.flush().map_err(ReadError::from)
    });
    (receiver, handle)
}
