//! What an import reads and writes, row by row.

use crate::idempotency::{Answer, Claim};
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::observation::Place;
use affiant_domain::{Severity, matching::State};
use uuid::Uuid;

/// A scope: an asset, a tool and a part of it.
#[derive(Clone, Debug)]
pub struct ScopeRow {
    /// Its id.
    pub id: i64,
    /// Time of its latest scan.
    pub latest_at: Option<i64>,
    /// The import of that scan.
    pub latest_import: Option<Uuid>,
}

/// A stored finding of a scope.
#[derive(Clone, Copy, Debug)]
pub struct StoredFinding {
    /// Its id.
    pub id: Uuid,
    /// Identity within the scope.
    pub fingerprint: u128,
    /// Which of several equal ones.
    pub occurrence: i32,
    /// Its present state.
    pub state: State,
    /// Its present severity.
    pub severity: Severity,
}

/// A finding to write.
#[derive(Debug)]
pub struct NewFinding {
    /// Its id.
    pub id: Uuid,
    /// The asset.
    pub asset: Uuid,
    /// The scope.
    pub scope: i64,
    /// The check.
    pub check: i64,
    /// Identity within the scope.
    pub fingerprint: u128,
    /// Which of several equal ones.
    pub occurrence: u32,
    /// How it begins.
    pub state: State,
    /// How bad it is.
    pub severity: Severity,
    /// When it opened.
    pub opened_at: i64,
    /// One line for people.
    pub title: String,
    /// What the tool says.
    pub message: String,
    /// File, package or object.
    pub location: String,
    /// Line in that file.
    pub line: u32,
    /// Why the scanner set it aside.
    pub suppression: String,
    /// Where it stands in the original.
    pub place: Place,
    /// Name of the package.
    pub package: String,
    /// CVSS base score.
    pub cvss: Option<f64>,
    /// The issue that it tells, as other tools may.
    pub group: Option<u128>,
    /// What is kept of a secret.
    pub secret: String,
}

/// A change of a stored finding.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The finding.
    pub finding: Uuid,
    /// The scan that shows it.
    pub scan: Uuid,
    /// When.
    pub at: i64,
    /// State from then on.
    pub state: State,
    /// Severity from then on.
    pub severity: Severity,
}

/// An outcome of a check to write, counted.
#[derive(Clone, Copy, Debug)]
pub struct NewResult {
    /// The scan.
    pub scan: Uuid,
    /// The asset.
    pub asset: Uuid,
    /// The check.
    pub check: i64,
    /// 0 pass, 1 fail, 2 error, 3 not applicable.
    pub outcome: i16,
    /// How often.
    pub count: i32,
    /// When.
    pub observed_at: i64,
}

/// What is known of a scan when its import ends.
#[derive(Debug)]
pub struct NewScan {
    /// Its id.
    pub id: Uuid,
    /// The version of its tool.
    pub tool_version: String,
    /// Ids of the checks that ran.
    pub checks: Vec<i64>,
}

/// An import that begins.
#[derive(Debug)]
pub struct NewImport<'a> {
    /// The asset.
    pub asset: &'a AssetKey,
    /// When it was scanned, where the sender says so.
    pub scanned_at: Option<Instant>,
    /// Part of the asset.
    pub part: &'a str,
    /// Snapshot or delta.
    pub mode: &'a str,
    /// Format.
    pub format: &'a str,
    /// SHA-256 of what came.
    pub digest: &'a str,
    /// Size of what came.
    pub size: i64,
    /// Who sent it.
    pub actor: &'a str,
}

/// What an import comes to.
#[derive(Debug)]
pub struct Ending<'a> {
    /// The original, where it is kept.
    pub original: Option<Uuid>,
    /// Version of the format.
    pub format_version: &'a str,
    /// What came of it, JSON.
    pub result: &'a str,
    /// When the run ended.
    pub completed_at: Instant,
    /// Scopes whose latest scan it holds, with the time of that scan.
    pub latest: &'a [(i64, i64)],
    /// The answer of the request that imports.
    pub answer: Option<(Claim, Answer)>,
}
