//! The score as it is printed, `affiant.score/1`.

use crate::Instant;
use serde::{Deserialize, Serialize};

/// The value of `schema` in a score file.
pub const SCORE_SCHEMA: &str = "affiant.score/1";

/// The score of a framework and everything below it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameworkScore {
    /// Always [`SCORE_SCHEMA`].
    pub schema: String,
    /// The instant that was scored.
    pub as_of: Instant,
    /// Framework id.
    pub framework: String,
    /// Framework version.
    pub version: String,
    /// 0 to 1; null where nothing applicable is covered.
    pub compliance_score: Option<f64>,
    /// The same with no waiver heeded.
    pub compliance_score_raw: Option<f64>,
    /// 0 to 1: how much of what applies is covered by evidence.
    pub audit_coverage: f64,
    /// What the score would be if all that is not covered turned out bad, or good.
    pub bounds: Bounds,
    /// Every scored requirement, ordered by id.
    pub requirements: Vec<RequirementScore>,
}

/// The range in which the true score lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// If all that is not covered turned out bad.
    pub low: f64,
    /// If all that is not covered turned out good.
    pub high: f64,
}

/// What a requirement comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Scoped out, with a reason and an approver.
    NotApplicable,
    /// A control of it is failing.
    NotSatisfied,
    /// Nothing is known.
    NotAssessed,
    /// Fully covered, and everything holds.
    Satisfied,
    /// Something is known and nothing fails outright.
    PartiallySatisfied,
}

impl Status {
    /// Every status, worst first, as pages list them.
    pub const ALL: [Self; 5] = [
        Self::NotSatisfied,
        Self::PartiallySatisfied,
        Self::Satisfied,
        Self::NotAssessed,
        Self::NotApplicable,
    ];

    /// The word in files and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "not_applicable",
            Self::NotSatisfied => "not_satisfied",
            Self::NotAssessed => "not_assessed",
            Self::Satisfied => "satisfied",
            Self::PartiallySatisfied => "partially_satisfied",
        }
    }

    /// The words on pages and in documents.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotApplicable => "Not applicable",
            Self::NotSatisfied => "Not satisfied",
            Self::NotAssessed => "Not assessed",
            Self::Satisfied => "Satisfied",
            Self::PartiallySatisfied => "Partially satisfied",
        }
    }
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequirementScore {
    /// Catalogue id.
    pub id: String,
    /// What it comes to.
    pub status: Status,
    /// 0 to 1; null where not covered or not applicable.
    pub score: Option<f64>,
    /// 0 to 1; null where not applicable.
    pub coverage: Option<f64>,
    /// An open finding that speaks for a control of it is waived.
    pub waived: bool,
    /// Its controls, ordered by id.
    pub controls: Vec<ControlScore>,
}

/// What a control's score rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Tools alone.
    Automated,
    /// A statement alone.
    Attested,
    /// Tools and a statement.
    Both,
}

/// Why a control has no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There is evidence, but it is too old.
    Stale,
    /// The checks could not be run.
    ErrorsOnly,
    /// There is nothing.
    NoData,
}

/// One control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlScore {
    /// Control id.
    pub id: String,
    /// 0 to 1, or null.
    pub score: Option<f64>,
    /// 0 to 1.
    pub coverage: f64,
    /// The score by tools, or null.
    pub automated: Option<f64>,
    /// The score by statement, or null.
    pub attested: Option<f64>,
    /// What the score rests on.
    pub basis: Option<Basis>,
    /// Assets in scope.
    pub in_scope: u64,
    /// Assets assessed.
    pub assessed: u64,
    /// Whether it fails outright.
    pub failing: bool,
    /// Why there is no score.
    pub reason: Option<Reason>,
}
