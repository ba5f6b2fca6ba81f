//! The score: one pure function over the evidence, as stated in `docs/SCORING.md`.
//!
//! [`Evidence`] is the exported file; [`Input`] is the same in the form that is computed (identifiers as
//! positions, findings counted by asset and impact). Both ways in end in [`compute`], so that a stored assessment and
//! a recomputation from its exported file agree to the last bit.

mod compute;
mod display;
mod evidence;
mod input;
mod output;
mod parse;

pub use compute::{compute, requirement_results};
pub use display::per_cent;
pub use evidence::{
    Attestation, AttestedOutcome, ControlEvidence, ControlWeight, Evidence, FindingEvidence, FrameworkEvidence,
    Interval, RequirementEvidence, ResultEvidence, ResultOutcome, SCHEMA, ScanEvidence, WaiverEvidence,
};
pub use input::{AssetState, ControlInput, Freshness, Impact, Input, RequirementInput, build};
pub use output::{Basis, Bounds, ControlScore, FrameworkScore, Reason, RequirementScore, SCORE_SCHEMA, Status};
pub use parse::{EvidenceError, parse, validate};

#[cfg(test)]
mod laws;
