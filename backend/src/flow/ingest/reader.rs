//! The reader's side of an import: a thread that hands over batches.

use super::Upload;
use crate::app::Context;
use crate::keys::Key;
use affiant_domain::Severity;
use affiant_domain::asset::AssetKey;
use affiant_domain::audit::AuditEvent;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, RunInfo, issue};
use affiant_ingest::{FileSource, Format, ReadError, Rejection, Sink, Stop};
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
    pub(super) package: String,
    pub(super) cvss: Option<f64>,
    pub(super) group: Option<Fingerprint>,
    pub(super) secret: String,
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
    /// The file does not tell the whole of its scope, and why.
    Partial(String),
}

/// Collects batches on the reader's thread.
struct Channel {
    sender: tokio::sync::mpsc::Sender<Vec<Item>>,
    batch: Vec<Item>,
    key: Key,
    masked: bool,
    secrets: Vec<String>,
}

impl Channel {
    /// What is kept of the secrets of a record; its texts are cleared of them.
    fn settle_secrets(&mut self, texts: [&mut String; 3]) -> String {
        let secrets = std::mem::take(&mut self.secrets);
        let stand_in = |secret: &String| {
            if self.masked {
                secret.clone()
            } else {
                self.key.stand_in(secret)
            }
        };
        for text in texts {
            for secret in secrets.iter().filter(|secret| secret.len() > 3) {
                if text.contains(secret.as_str()) {
                    *text = text.replace(secret.as_str(), "[secret]");
                }
            }
        }
        secrets
            .first()
            .map_or_else(String::new, |secret| self.key.describe(&stand_in(secret)))
    }

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
        let (mut title, mut message, mut location) =
            (o.title.into_owned(), o.message.into_owned(), o.location.into_owned());
        let secret = if self.secrets.is_empty() {
            String::new()
        } else {
            self.settle_secrets([&mut title, &mut message, &mut location])
        };
        let row = Row {
            group: issue(&o.check, &o.package, &location, o.line),
            resource: o.resource.map(|r| AssetKey::resource(&r.kind, &r.name)),
            check: o.check,
            outcome: o.outcome,
            severity: o.severity,
            title,
            message,
            location,
            line: o.line,
            fingerprint: o.fingerprint,
            place: o.place,
            package: o.package.into_owned(),
            cvss: o.cvss,
            secret,
        };
        self.put(Item::Row(Box::new(row)))
    }
    fn passed(&mut self, count: u64) {
        let _ = self.put(Item::Passed(count));
    }
    fn event(&mut self, _event: AuditEvent, _place: Place) -> Result<(), Stop> {
        Err(Stop)
    }
    fn secret(&mut self, secret: &str) {
        let secret = secret.trim();
        if !secret.is_empty() {
            self.secrets.push(secret.to_owned());
        }
    }
    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop> {
        self.secrets.clear();
        self.put(Item::Rejected(rejection))
    }
    fn partial(&mut self, why: String) {
        let _ = self.put(Item::Partial(why));
    }
    fn remark(&mut self, remark: String) {
        let _ = self.put(Item::Remark(remark));
    }
}

/// Reads a file on a thread of its own.
pub(super) fn start_reader(
    upload: &Upload,
    format: Arc<Format>,
    app: &Context,
) -> (
    tokio::sync::mpsc::Receiver<Vec<Item>>,
    tokio::task::JoinHandle<Result<(), ReadError>>,
) {
    let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
    let (path, masked, key, limits) = (upload.path.clone(), upload.masked, app.key.clone(), app.limits);
    let handle = tokio::task::spawn_blocking(move || {
        let mut channel = Channel {
            sender,
            batch: Vec::with_capacity(BATCH),
            key,
            masked,
            secrets: Vec::new(),
        };
        channel.batch.push(Item::Format(format.name.clone()));
        format.read(&FileSource(path), &limits, &mut channel)?;
        channel.flush().map_err(ReadError::from)
    });
    (receiver, handle)
}
