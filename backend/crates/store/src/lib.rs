//! The only room that knows SQL: entities and repositories, for SQLite and PostgreSQL.
//!
//! [`Store`] holds the connections; [`Store::project`] gives a [`Scoped`] view that can see and change one project only, so that a query
//! that forgets the project cannot be written. Instants are microseconds since 1970.

mod access;
mod assess;
mod assessment;
mod asset;
mod backup;
mod break_glass;
mod clock;
mod connect;
mod connection;
mod coverage;
mod daily_run;
mod decision;
mod directory;
pub mod entity;
mod event;
mod finding;
mod finding_text;
mod foreign;
mod idempotency;
mod import;
mod job;
mod lineage;
mod mention;
mod migrate;
mod original;
mod outage;
mod page;
mod people;
mod privacy;
mod processor;
mod project;
mod record;
mod register;
mod report;
mod reread;
mod retention;
mod schedule;
mod sealed;
mod source;
mod sql;
mod stored;
mod trail;
mod view;

pub use access::NewToken;
pub use assess::{Aggregates, EvidenceFinding, FindingGroup, LatestResult, LatestScan};
pub use assessment::{NewAssessment, pack};
pub use asset::AssetRow;
pub use backup::BackupError;
pub use connect::{OpenTransaction, Store, StoreError};
pub use coverage::Stream;
pub use decision::{NewAttestation, NewWaiver};
pub use directory::{Asked, Telling, Told};
pub use event::{EventRow, EventSummary, Keeping, NewEvent};
pub use finding::{FindingDetail, FindingFilter, FindingRow};
pub use foreign::{Behind, ForeignQuery, ForeignRow, foreign_rows};
pub use idempotency::{Answer, Claim, Claimed};
pub use import::{
    Begun, Change, Ending, NewFinding, NewImport, NewResult, NewScan, Now, PendingImport, ScopeRow, StoredFinding,
};
pub use job::{ATTEMPTS, JobState};
pub use lineage::{Made, Maker, Root};
pub use mention::Mention;
pub use original::OriginalWriter;
pub use outage::Outage;
pub use page::{Cursor, Page};
pub use people::{Arrival, Member, NewMembership};
pub use privacy::HeldRecord;
pub use processor::DueNotice;
pub use project::NewProject;
pub use record::{KEPT, Record, RecordKind};
pub use report::NewReport;
pub use reread::{KeptImport, Refingerprint, Reread};
pub use retention::{Due, NewHold, Purged, Undated};
pub use schedule::DueSlot;
pub use sealed::{Sealed, SealedId};
pub use source::{Checkpoint, Gap, NewSource};
pub use stored::{damaged, stored_json, stored_severity, stored_state};
pub use trail::{Draft, EntryFilter, Extended, Log, Peopled, Subject, ToldEntry, TrailEnd, Written};

use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use chrono::TimeZone;

/// Microseconds since 1970.
#[must_use]
pub const fn micros(at: Instant) -> i64 {
    at.timestamp_micros()
}

/// The instant of so many microseconds since 1970; what lies beyond the calendar is its end, so that it stays before and after what it was.
#[must_use]
pub fn instant(micros: i64) -> Instant {
    let end = if micros < 0 { Instant::MIN_UTC } else { Instant::MAX_UTC };
    chrono::Utc.timestamp_micros(micros).single().unwrap_or(end)
}

/// One project's view of the store.
#[derive(Clone, Copy, Debug)]
pub struct Scoped<'s> {
    store: &'s Store,
    /// The project.
    pub project: ProjectId,
}

impl Store {
    /// The view of one project.
    #[must_use]
    pub const fn project(&self, project: ProjectId) -> Scoped<'_> {
        Scoped { store: self, project }
    }
}
