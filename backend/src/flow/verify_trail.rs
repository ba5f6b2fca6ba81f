//! Verifies the trail as it is stored: what is written for an export goes through the verifier on its way, and nothing of it is kept.

use super::{FlowError, trail};
use crate::app::Context;
use affiant_store::StoreError;
use affiant_trail::Trusted;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use utoipa::ToSchema;

/// The kind of its job.
pub const KIND: &str = "verify_trail";
/// Bytes handed over at once.
const PIECE: usize = 256 << 10;
/// Pieces that may wait.
const WAITING: usize = 4;

/// What came of verifying the trail.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TrailVerdict {
    /// Whether it is intact.
    pub intact: bool,
    /// The first thing that is wrong, where it is not.
    pub fault: Option<String>,
    /// Entries.
    pub entries: u64,
    /// Checkpoints that agree.
    pub checkpoints: u64,
    /// Payloads that are there and are what their entries commit to.
    pub payloads: u64,
    /// Payloads that nobody can read any more.
    pub erased: u64,
    /// Payloads that were purged.
    pub purged: u64,
}

/// Verifies all of the trail, payloads too.
///
/// # Errors
/// [`FlowError`] where the database fails; a trail that is not intact is a verdict.
pub async fn verify(app: &Context) -> Result<TrailVerdict, FlowError> {
    let (sender, receiver) = sync_channel(WAITING);
    let checked = tokio::task::spawn_blocking(move || {
        affiant_trail::verify(
            io::BufReader::with_capacity(PIECE, Incoming::new(receiver)),
            &Trusted::default(),
        )
    });
    let (app, runtime) = (app.clone(), tokio::runtime::Handle::current());
    // On a thread of its own, since it waits where the verifier is slower.
    let written = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let mut out = trail::export(&app, Outgoing::new(sender), None, true).await?;
            out.flush()
                .map_err(|error| FlowError::Io("the verifier".to_owned(), error))
        })
    });
    let (written, checked) = (written.await, checked.await);
    // A verifier that found a fault reads no further, and the writer finds nobody reading.
    let checked = checked.map_err(|_| FlowError::Worker)?;
    match written.map_err(|_| FlowError::Worker)? {
        Ok(()) => {}
        Err(FlowError::Io(_, error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        // What cannot even be written is not intact.
        Err(FlowError::Trail(fault) | FlowError::Store(StoreError::Damaged(fault))) => {
            return Ok(TrailVerdict {
                fault: Some(fault),
                ..TrailVerdict::default()
            });
        }
        Err(error) => return Err(error),
    }
    Ok(match checked {
        Ok(found) => TrailVerdict {
            intact: true,
            fault: None,
            entries: found.entries,
            checkpoints: found.checkpoints,
            payloads: found.intact,
            erased: found.erased,
            purged: found.purged,
        },
        Err(fault) => TrailVerdict {
            fault: Some(fault.to_string()),
            ..TrailVerdict::default()
        },
    })
}

/// Writes into a bounded channel.
struct Outgoing {
    piece: Vec<u8>,
    sender: SyncSender<Vec<u8>>,
}

impl Outgoing {
    fn new(sender: SyncSender<Vec<u8>>) -> Self {
        Self {
            piece: Vec::with_capacity(PIECE),
            sender,
        }
    }
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender
            .send(piece)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// Reads from that channel, until its writer is gone.
struct Incoming {
    piece: io::Cursor<Vec<u8>>,
    receiver: Receiver<Vec<u8>>,
}

impl Incoming {
    fn new(receiver: Receiver<Vec<u8>>) -> Self {
        Self {
            piece: io::Cursor::default(),
            receiver,
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            match self.receiver.recv() {
                Ok(piece) => self.piece = io::Cursor::new(piece),
                Err(_) => return Ok(0),
            }
        }
    }
}
