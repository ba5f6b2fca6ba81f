//! The evidence file, `affiant.evidence/1`: all that the score reads.

use crate::{Instant, Severity};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// The value of `schema` in an evidence file.
pub const SCHEMA: &str = "affiant.evidence/1";

/// Everything the score of one framework at one instant depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The instant that is scored, UTC.
    pub as_of: Instant,
    /// The project's name.
    pub project: String,
    /// The framework and its requirements.
    pub framework: FrameworkEvidence,
    /// Every control that a requirement names, with the assets in its scope.
    pub controls: Vec<ControlEvidence>,
    /// Complete runs of tools.
    pub scans: Vec<ScanEvidence>,
    /// Outcomes of single checks.
    pub results: Vec<ResultEvidence>,
    /// Failures over time.
    pub findings: Vec<FindingEvidence>,
    /// Accepted risks.
    pub waivers: Vec<WaiverEvidence>,
    /// People's statements.
    pub attestations: Vec<Attestation>,
}

/// One framework at one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameworkEvidence {
    /// Catalogue id, `pci-dss`.
    pub id: String,
    /// Version, `4.0.1`.
    pub version: String,
    /// The scored requirements.
    pub requirements: Vec<RequirementEvidence>,
}

/// One scored clause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementEvidence {
    /// Catalogue id, `pci-8.6.2`.
    pub id: String,
    /// Weight within the framework, positive.
    pub weight: f64,
    /// False where it is scoped out.
    pub applicable: bool,
    /// The controls that meet it, with crosswalk weights.
    pub controls: Vec<ControlWeight>,
}

/// A control and its crosswalk weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlWeight {
    /// Control id.
    pub id: String,
    /// Crosswalk weight, positive.
    pub weight: f64,
}

/// A control and its scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlEvidence {
    /// Control id.
    pub id: String,
    /// How long a scan or result stays fresh, days, at least 1.
    pub window_days: f64,
    /// Whether tools can test it.
    pub automatable: bool,
    /// The assets in scope.
    pub assets: Vec<String>,
}

/// One complete run of a tool over an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanEvidence {
    /// The asset.
    pub asset: String,
    /// When the run ended.
    pub completed_at: Instant,
    /// The controls it exercised with strength 0.5 or more.
    pub controls: Vec<String>,
}

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultOutcome {
    /// The check holds.
    Pass,
    /// It does not; its finding stands beside it.
    Fail,
    /// The check could not be run.
    Error,
    /// The check does not concern this asset.
    NotApplicable,
}

/// The outcome of one check on one asset at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultEvidence {
    /// The asset.
    pub asset: String,
    /// The controls the check speaks for with strength 0.5 or more.
    pub controls: Vec<String>,
    /// What came out.
    pub outcome: ResultOutcome,
    /// When.
    pub observed_at: Instant,
}

/// A failure tracked over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingEvidence {
    /// Its id.
    pub id: String,
    /// The asset it stands on.
    pub asset: String,
    /// Control ids with the strength of the mapping, above 0 and at most 1.
    pub controls: BTreeMap<String, f64>,
    /// Its severity.
    pub severity: Severity,
    /// When it was open.
    pub open: Vec<Interval>,
}

/// A half-open interval `[from, until)`; without end where `until` is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// First instant inside.
    pub from: Instant,
    /// First instant outside, or null. The field itself must be there.
    #[serde(deserialize_with = "present")]
    pub until: Option<Instant>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Instant>, D::Error> {
    Option::deserialize(deserializer)
}

impl Interval {
    /// Whether the instant lies inside.
    #[must_use]
    pub fn holds(&self, at: Instant) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// An approved, dated acceptance of one finding's risk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaiverEvidence {
    /// The finding's id.
    pub finding: String,
    /// First instant inside.
    pub from: Instant,
    /// First instant outside.
    pub until: Instant,
}

/// What a person states of a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttestedOutcome {
    /// It works.
    Effective,
    /// It works in part.
    PartiallyEffective,
    /// It does not work.
    Ineffective,
}

impl AttestedOutcome {
    /// 1, 0.5 or 0.
    #[must_use]
    pub const fn score(self) -> f64 {
        match self {
            Self::Effective => 1.0,
            Self::PartiallyEffective => 0.5,
            Self::Ineffective => 0.0,
        }
    }
}

/// A person's signed statement on one control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The control's id.
    pub control: String,
    /// What is stated.
    pub outcome: AttestedOutcome,
    /// First instant of validity.
    pub from: Instant,
    /// First instant after it.
    pub until: Instant,
}
