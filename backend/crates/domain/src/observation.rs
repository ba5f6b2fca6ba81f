//! What a scanner said, in our words: the records that readers give and that imports take.

use crate::{Instant, Severity, fingerprint::Fingerprint};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// One rule of one tool, with all that a mapping can match on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Check {
    /// Normalised name of the tool: lower case, `trivy`, `prowler`, `codeql`.
    pub tool: String,
    /// The rule's id as the tool writes it, normalised (`AVD-AWS-0088` is `AWS-0088`).
    pub rule: String,
    /// A title for people.
    pub title: String,
    /// CWE numbers, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cwe: Vec<u32>,
    /// A CVE (or another vulnerability id), where the rule is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cve: Option<String>,
    /// Tags as the tool gives them, such as `owasp/A03:2021`, and references of its own to frameworks
    /// (`PCI-4.0/8.6.2`, `NIST.800-53.r5/AC-2`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Platform category: `vulnerability`, `secret`, `misconfiguration`, `license`, `eol`, `malware`, `code`, ….
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// Class number of OCSF, where the file is OCSF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsf_class: Option<u32>,
    /// How to put it right, in the tool's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remediation: String,
    /// Where the tool explains the rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help_url: String,
}

/// What came out of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It failed and stands open.
    Open,
    /// It failed, and the scanner itself set it aside, with its reason.
    Suppressed(String),
    /// It was there before and is no longer (SARIF `absent`, a resolved or archived record).
    Gone,
    /// It holds.
    Pass,
    /// It does not concern this asset.
    NotApplicable,
    /// It could not be run, or a person must look.
    Error,
}

impl Outcome {
    /// Whether it is a failure that is kept as a finding.
    #[must_use]
    pub const fn is_finding(&self) -> bool {
        matches!(self, Self::Open | Self::Suppressed(_) | Self::Gone)
    }
}

/// A resource that the file names, under the asset that was scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// `resource.s3`, `workload`, `host`, ….
    pub kind: Cow<'a, str>,
    /// Its identifier in the file.
    pub name: Cow<'a, str>,
}

/// Where a record stands in the original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Offset of its first byte in the (inflated) file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u32,
    /// Its first line, from 1.
    pub line: u64,
}

/// One thing that a scanner said of one asset.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The rule.
    pub check: Arc<Check>,
    /// The resource it is about, where the file names one.
    pub resource: Option<Resource<'a>>,
    /// What came out.
    pub outcome: Outcome,
    /// How bad it is.
    pub severity: Severity,
    /// Whether the file itself calls this record a finding (ASFF calls passes so).
    pub counted: bool,
    /// One line for people.
    pub title: Cow<'a, str>,
    /// What the tool says of this occurrence.
    pub message: Cow<'a, str>,
    /// File, package or object, where the tool names one.
    pub location: Cow<'a, str>,
    /// Line in that file, from 1; 0 where there is none.
    pub line: u32,
    /// Identity.
    pub fingerprint: Fingerprint,
    /// Where it stands in the original.
    pub place: Place,
    /// When the tool saw it, where the file says so per record.
    pub observed_at: Option<Instant>,
    /// Name of the package, for a known vulnerability.
    pub package: Cow<'a, str>,
    /// CVSS base score, 0 to 10, where the tool gives one.
    pub cvss: Option<f64>,
}

/// The issue that a finding tells, by which those of several tools are linked: a known vulnerability of a package; else a rule, or the
/// first weakness where the tool names any, at a place. None where the finding does not say enough.
#[must_use]
pub fn issue(check: &Check, package: &str, location: &str, line: u32) -> Option<Fingerprint> {
    let package = package.trim().to_lowercase();
    match &check.cve {
        Some(id) if !package.is_empty() => Some(Fingerprint::of(&["vulnerability", &id.to_uppercase(), &package])),
        Some(_) => None,
        None if location.is_empty() => None,
        None => {
            let place = location.trim_start_matches("./");
            let line = line.to_string();
            let what = match check.cwe.first() {
                _ if check.category == "secret" && line != "0" => "secret".to_owned(),
                Some(cwe) if line != "0" => format!("cwe {cwe}"),
                _ => format!("rule {}", check.rule),
            };
            Some(Fingerprint::of(&["place", &what, place, &line]))
        }
    }
}

/// What the file says of the run as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// Normalised name of the tool; of several, the first.
    pub tool: String,
    /// Its version.
    pub tool_version: String,
    /// When the run ended, by the file.
    pub scanned_at: Option<Instant>,
}

/// The name of a tool, normalised: lower case, spaces as `-`, without an edition (`Semgrep OSS` is `semgrep`).
#[must_use]
pub fn tool_name(name: &str) -> String {
    let name = name.trim();
    let mut out = String::with_capacity(name.len());
    for c in name.chars().take(80) {
        if c.is_alphanumeric() || matches!(c, '.' | '+' | '_' | '-') {
            out.extend(c.to_lowercase());
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    let out = out.trim_end_matches('-');
    let out = out
        .strip_suffix("-oss")
        .or_else(|| out.strip_suffix("-pro"))
        .unwrap_or(out);
    if out.is_empty() {
        "unknown".to_owned()
    } else {
        out.to_owned()
    }
}

/// A rule id, normalised for matching: the old `AVD-` and `KSV012` forms of Trivy become the present ones.
#[must_use]
pub fn rule_id<'r>(tool: &str, rule: &'r str) -> Cow<'r, str> {
    let rule = rule.trim();
    if tool != "trivy" {
        return Cow::Borrowed(rule);
    }
    let rule = rule.strip_prefix("AVD-").unwrap_or(rule);
    for family in ["KSV", "DS", "KCV"] {
        if let Some(digits) = rule
            .strip_prefix(family)
            .filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
        {
            return Cow::Owned(format!("{family}-{digits:0>4}"));
        }
    }
    Cow::Borrowed(rule)
}

/// CWE numbers in a text such as `CWE-79: …`, `external/cwe/cwe-079` or `79`.
#[must_use]
pub fn cwe_number(text: &str) -> Option<u32> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = match lower.find("cwe-").map(|at| &lower[at + 4..]) {
        Some(rest) => rest,
        None => lower.strip_prefix("cwe").unwrap_or(&lower),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let whole = lower.contains("cwe") || end == digits.len();
    digits[..end].parse().ok().filter(|n| *n > 0 && whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_normalised() {
        assert_eq!(tool_name("Semgrep OSS"), "semgrep");
        assert_eq!(tool_name(""), "unknown");
        assert_eq!(rule_id("trivy", "AVD-AWS-0088"), "AWS-0088");
        assert_eq!(rule_id("trivy", "KSV012"), "KSV-0012");
        assert_eq!(rule_id("checkov", "KSV012"), "KSV012");
        assert_eq!(cwe_number("external/cwe/cwe-079"), Some(79));
        assert_eq!(cwe_number("CWE-89: SQL"), Some(89));
        assert_eq!(cwe_number("89"), Some(89));
        assert_eq!(cwe_number("security"), None);
        assert_eq!(cwe_number("3 apples"), None);
    }
}
