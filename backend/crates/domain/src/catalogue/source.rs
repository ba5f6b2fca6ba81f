//! The rows of a catalogue file (TOML). Every table may stand in any file.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One catalogue file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// The framework that the requirements of this file belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework: Option<FrameworkRow>,
    /// Headings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<GroupRow>,
    /// Clauses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirement: Vec<RequirementRow>,
    /// Common controls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<ControlRow>,
    /// Control to requirement weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crosswalk: Vec<CrosswalkRow>,
    /// Check to control mappings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mapping: Vec<MappingRow>,
    /// Tool profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool: Vec<ToolRow>,
    /// Trust in framework tags that tools ship.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trust: Vec<TrustRow>,
    /// NIST SP 800-53 to requirements.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bridge: Vec<BridgeRow>,
}

/// Why a catalogue file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct SourceError {
    /// The file.
    pub file: String,
    /// What is wrong, with line and column.
    pub what: String,
}

impl Source {
    /// Reads a catalogue file.
    ///
    /// # Errors
    /// [`SourceError`] names the file and the place.
    pub fn parse(file: &str, text: &str) -> Result<Self, SourceError> {
        toml::from_str(text).map_err(|error| SourceError {
            file: file.to_owned(),
            what: error.to_string(),
        })
    }
}

/// Head of a framework.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameworkRow {
    /// `pci-dss`.
    pub id: String,
    /// Short name for pages.
    pub name: String,
    /// Full title, in our words.
    pub title: String,
    /// Version of the rule set.
    pub version: String,
    /// Who publishes it and where the numbers come from.
    pub source: String,
    /// First day of force, `YYYY-MM-DD`.
    pub valid_from: String,
    /// Scope tag of an asset that this framework looks for, for people.
    pub scope: String,
}

/// A heading.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRow {
    /// `pci-8.6`.
    pub id: String,
    /// The heading above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// As it is written, `8.6`.
    pub label: String,
    /// In our words.
    pub title: String,
}

/// Who or what can answer for a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// A scanner's finding or passed check.
    Finding,
    /// An audit event.
    Event,
    /// A field of a register.
    Register,
    /// A number or clock that the platform computes.
    Metric,
    /// A person or a document.
    Attestation,
}

impl EvidenceKind {
    /// The word on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finding => "finding",
            Self::Event => "event",
            Self::Register => "register",
            Self::Metric => "metric",
            Self::Attestation => "attestation",
        }
    }
}

/// A clause of a framework.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementRow {
    /// `pci-8.6.2`.
    pub id: String,
    /// As the framework writes it, `8.6.2`.
    pub label: String,
    /// The heading it stands under.
    pub group: String,
    /// In our words.
    pub title: String,
    /// What can answer for it, most useful first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceKind>,
    /// The framework's own marks (`SP`, `N25`, `R`, `A`, …).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// How often it must be shown, days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_days: Option<u32>,
    /// Numbers and remarks.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Citation of the law or standard, where it is more than the label.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// Applies only where every one of these profiles is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_for: Vec<String>,
    /// First day of force, where later than the framework's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// First day without force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// What took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
    /// Why it is shown and not scored; empty where it is scored.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub not_scored: String,
    /// Weight within the framework.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
}

const fn one() -> f64 {
    1.0
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    clippy::float_cmp,
    reason = "the shape that serde asks for"
)]
fn is_one(weight: &f64) -> bool {
    *weight == 1.0
}

impl RequirementRow {
    /// Whether it counts in the score.
    #[must_use]
    pub const fn is_scored(&self) -> bool {
        self.not_scored.is_empty()
    }
}

/// A common control.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRow {
    /// `SEC-01`.
    pub id: String,
    /// What holds when it works.
    pub title: String,
    /// Heading under which pages list it.
    pub family: String,
    /// How long a scan or result is fresh evidence, days.
    pub window_days: u32,
    /// Whether tools can test it.
    pub automatable: bool,
    /// The kinds of asset it must hold on; none where only a statement answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applies_to: Vec<String>,
    /// How to show that it holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
}

/// What a control counts for the requirements it serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrosswalkRow {
    /// Control id.
    pub control: String,
    /// Requirement id to weight, above 0 and at most 1.
    pub to: BTreeMap<String, f64>,
}

/// What a match says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// Failures lower, passes assure.
    #[default]
    Both,
    /// Only what is bad says anything.
    Fail,
    /// Only what is good says anything.
    Pass,
}

/// A mapping from checks or events to controls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingRow {
    /// `m43`, stable, never reused.
    pub id: String,
    /// What it matches; every key given must hold, of a list any.
    pub when: When,
    /// Control id to strength, above 0 and at most 1.
    pub controls: BTreeMap<String, f64>,
    /// What a match says.
    #[serde(default, skip_serializing_if = "is_both")]
    pub polarity: Polarity,
    /// Why.
    pub rationale: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_both(polarity: &Polarity) -> bool {
    *polarity == Polarity::Both
}

/// The conditions of a mapping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// `tool/rule`, with `*` allowed at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<String>,
    /// Normalised tool names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool: Vec<String>,
    /// CWE numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cwe: Vec<u32>,
    /// True: the check is a known vulnerability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cve: Option<bool>,
    /// Severities of the finding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<crate::Severity>,
    /// Tags, verbatim.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    /// Platform categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<String>,
    /// OCSF class numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ocsf_class: Vec<u32>,
    /// Values of a finding's own compliance field, verbatim, `*` allowed at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compliance: Vec<String>,
    /// Normalised actions of audit events, `*` allowed at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub event: Vec<String>,
    /// Outcomes of audit events: `success`, `failure`, `denied`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcome: Vec<String>,
}

/// What a tool exercises when its file lists no checks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolRow {
    /// Normalised name.
    pub id: String,
    /// Controls that a complete run exercises.
    pub controls: Vec<String>,
}

/// How far the framework tags of a tool are to be trusted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustRow {
    /// Normalised tool name, or `*`.
    pub tool: String,
    /// Above 0 and at most 1.
    pub trust: f64,
    /// Tags that say nothing because the tool puts them on everything; `*` allowed at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blanket: Vec<String>,
}

/// A NIST SP 800-53 control and the requirements that it reaches.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeRow {
    /// `AC-2`.
    pub nist: String,
    /// Requirement ids.
    pub to: Vec<String>,
}
