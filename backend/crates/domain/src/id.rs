//! Typed identifiers (UUID version 7), so that one kind cannot be passed for another.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// A project: the unit of permission, of scope and of scoring.
    ProjectId,
    /// A thing that is assessed.
    AssetId,
    /// One complete run of a tool over an asset.
    ScanId,
    /// A failure tracked over time.
    FindingId,
    /// An accepted risk.
    WaiverId,
    /// A person's statement on a control.
    AttestationId,
    /// A stored score.
    AssessmentId,
    /// When a project is assessed.
    ScheduleId,
    /// A stored report.
    ReportId,
    /// An API token.
    TokenId,
    /// A unit of background work.
    JobId,
    /// A stored audit event.
    EventId,
}
