//! Imports. An import is written in transactions of some milliseconds, so that others write between them, and nobody sees it: its row says
//! that it is on its way. It becomes visible, with what it closes, by one change of that row ([`PendingImport::publish`]); then its
//! changes are copied into the findings ([`Store::settle_import`]). What never became visible is taken away ([`Store::sweep_import`]).
//!
//! One import at a time is between its beginning and its end in a part of an asset. Its row is the lock, for as long as a lease is renewed.

mod assets;
mod end;
mod pending;
mod read;
mod rows;
mod write;

pub(crate) use assets::{IS_VISIBLE, intern_assets};
pub use pending::{Begun, Now, PendingImport};
pub use rows::{Change, Ending, NewFinding, NewImport, NewResult, NewScan, ScopeRow, StoredFinding};

use affiant_domain::matching::State;
use std::time::Duration;

/// Rows of other tables written by one statement.
const ROWS_AT_ONCE: usize = 200;
/// How long a transaction of an import goes on writing.
const STEP: Duration = Duration::from_millis(20);
/// How long an import may be silent before another takes it for dead.
const LEASE: Duration = Duration::from_secs(30);
/// How often the lease is renewed.
const RENEWAL: Duration = Duration::from_secs(5);

/// The instant from which an import counts that is not visible.
pub(crate) const NEVER: i64 = i64::MAX;

/// How far an import is, as its row says it. What is not [`SETTLED`] holds the lock on its part of its asset.
pub(crate) const SETTLED: i16 = 0;
/// Visible; its changes are being copied into the findings.
pub(crate) const VISIBLE: i16 = 1;
/// Being written.
pub(crate) const PENDING: i16 = 2;
/// Being taken away.
pub(crate) const ABANDONED: i16 = 3;

const fn state_code(state: State) -> i16 {
    match state {
        State::Open => 0,
        State::Closed => 1,
        State::Suppressed => 2,
    }
}
