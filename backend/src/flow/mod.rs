//! Use cases, named by verbs. Each loads, lets the domain decide, and saves.

pub mod advise;
pub mod assess;
pub mod backup;
pub mod budget;
pub mod clock_watch;
pub mod decide;
pub mod enforce_retention;
pub mod events;
pub mod evidence;
pub mod fulfil_request;
pub mod ingest;
pub mod keyed;
pub mod project;
mod publish_checkpoint;
pub mod readiness;
pub mod recent;
pub mod reconcile;
pub mod refusals;
pub mod register_evidence;
pub mod report;
pub mod rotate_keys;
pub mod screen;
pub mod sources;
pub mod sweep;
pub mod tell_processors;
pub mod trail;
pub mod verify_trail;

use affiant_domain::catalogue::UnknownFramework;
use affiant_ingest::ReadError;
use affiant_store::StoreError;

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// It is not there, or not for whoever asks.
    #[error("{0}")]
    NotFound(String),
    /// What was sent is wrong: what, and where.
    #[error("{what}")]
    Invalid {
        /// JSON Pointer, parameter or line.
        at: String,
        /// What is wrong.
        what: String,
    },
    /// A file was refused whole.
    #[error("the file is refused: {0}")]
    Refused(#[from] ReadError),
    /// An import would close so much that it wants to be confirmed.
    #[error("this snapshot would close {closing} of {open} open findings; send it with confirm=true if that is meant")]
    MassClose {
        /// How many would close.
        closing: u64,
        /// How many are open now.
        open: u64,
    },
    /// It does not fit with what is there.
    #[error("{0}")]
    Conflict(String),
    /// The first request with an idempotency key is still at work.
    #[error(
        "The first request with this Idempotency-Key is still being processed. Retry after the time in Retry-After."
    )]
    KeyInUse,
    /// Another request came with an idempotency key.
    #[error("This Idempotency-Key was used for a different request. Use a new key for a new request.")]
    KeyReused,
    /// As much of this kind is being done as there may be at once.
    #[error("The server is busy with other large requests. Try again after the time in Retry-After.")]
    Busy,
    /// Whoever asks may not.
    #[error("{0}")]
    Forbidden(String),
    /// A framework that is not known.
    #[error(transparent)]
    Framework(#[from] UnknownFramework),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
    /// Another's store, away or unwilling.
    #[error("{0}")]
    Away(String),
    /// A file of our own.
    #[error("cannot use {0}: {1}")]
    Io(String, std::io::Error),
    /// A report could not be drawn.
    #[error("the report could not be made: {0}")]
    Report(String),
    /// The trail is damaged, or cannot be signed.
    #[error("{0}")]
    Trail(String),
    /// A part of the program ended early.
    #[error("a worker ended before its work was done")]
    Worker,
}

impl FlowError {
    /// What may be kept where readers see it: a fault of ours is told to the log alone.
    #[must_use]
    pub fn for_readers(&self) -> String {
        match self {
            Self::Store(_) | Self::Io(..) | Self::Report(_) | Self::Trail(_) | Self::Worker => {
                tracing::error!(error = %self, "work failed");
                "a fault of the server; its log says which".to_owned()
            }
            told => told.to_string(),
        }
    }
}

impl From<StoreError> for FlowError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Conflict(what),
            StoreError::ClaimLost => Self::KeyInUse,
            other => Self::Store(other),
        }
    }
}

/// An [`FlowError::Invalid`].
pub(crate) fn invalid(at: impl Into<String>, what: impl Into<String>) -> FlowError {
    FlowError::Invalid {
        at: at.into(),
        what: what.into(),
    }
}
