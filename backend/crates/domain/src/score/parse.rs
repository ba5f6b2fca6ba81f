//! Reads an evidence file and refuses what is malformed, naming the JSON path. Never guesses.

use super::evidence::{ControlEvidence, ControlWeight, Evidence, FindingEvidence, RequirementEvidence, SCHEMA};
use std::collections::{BTreeMap, BTreeSet};

/// Why an evidence file is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{path}: {what}")]
pub struct EvidenceError {
    /// JSON path of the offending value, `$.findings[3].severity`.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

fn error(path: String, what: impl Into<String>) -> EvidenceError {
    EvidenceError {
        path,
        what: what.into(),
    }
}

/// Reads and validates an evidence file.
///
/// # Errors
/// The first fault found, with its path.
pub fn parse(json: &[u8]) -> Result<Evidence, EvidenceError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let evidence: Evidence = serde_path_to_error::deserialize(&mut reader).map_err(|fault| {
        let path = fault.path().to_string();
        let path = if path == "." {
            "$".to_owned()
        } else {
            format!("$.{path}")
        };
        error(path, fault.into_inner().to_string())
    })?;
    reader.end().map_err(|fault| error("$".to_owned(), fault.to_string()))?;
    validate(&evidence)?;
    Ok(evidence)
}

/// Checks what the types cannot say: references, ranges, contradictions.
///
/// # Errors
/// The first fault found, with its path.
pub fn validate(evidence: &Evidence) -> Result<(), EvidenceError> {
    if evidence.schema != SCHEMA {
        return Err(error("$.schema".to_owned(), format!("expected \"{SCHEMA}\"")));
    }
    let controls = unique(&evidence.controls, "controls", |c| &c.id)?;
    for (at, control) in evidence.controls.iter().enumerate() {
        if !(control.window_days.is_finite() && control.window_days >= 1.0) {
            return Err(error(
                format!("$.controls[{at}].window_days"),
                "a window is at least one day",
            ));
        }
    }
    let known = |path: String, id: &str| {
        if controls.contains_key(id) {
            Ok(())
        } else {
            Err(error(path, format!("no control \"{id}\" in controls")))
        }
    };
    requirements(evidence, &known)?;
    for (at, scan) in evidence.scans.iter().enumerate() {
        each(&scan.controls, &format!("$.scans[{at}].controls"), &known)?;
    }
    for (at, result) in evidence.results.iter().enumerate() {
        each(&result.controls, &format!("$.results[{at}].controls"), &known)?;
    }
    let findings = findings(evidence, &known)?;
    for (at, waiver) in evidence.waivers.iter().enumerate() {
        if !findings.contains_key(waiver.finding.as_str()) {
            return Err(error(
                format!("$.waivers[{at}].finding"),
                format!("no finding \"{}\" in findings", waiver.finding),
            ));
        }
        if waiver.until < waiver.from {
            return Err(error(format!("$.waivers[{at}].until"), "the interval is reversed"));
        }
    }
    for (at, attestation) in evidence.attestations.iter().enumerate() {
        known(format!("$.attestations[{at}].control"), &attestation.control)?;
        if attestation.until < attestation.from {
            return Err(error(format!("$.attestations[{at}].until"), "the interval is reversed"));
        }
    }
    Ok(())
}

fn each<F>(ids: &[String], path: &str, known: &F) -> Result<(), EvidenceError>
where
    F: Fn(String, &str) -> Result<(), EvidenceError>,
{
    ids.iter()
        .enumerate()
        .try_for_each(|(at, id)| known(format!("{path}[{at}]"), id))
}

fn requirements<F>(evidence: &Evidence, known: &F) -> Result<(), EvidenceError>
where
    F: Fn(String, &str) -> Result<(), EvidenceError>,
{
    unique(&evidence.framework.requirements, "framework.requirements", |r| &r.id)?;
    for (at, requirement) in evidence.framework.requirements.iter().enumerate() {
        let path = format!("$.framework.requirements[{at}]");
        positive(requirement.weight, format!("{path}.weight"))?;
        if requirement.controls.is_empty() {
            return Err(error(
                format!("{path}.controls"),
                "a requirement has at least one control",
            ));
        }
        unique(
            &requirement.controls,
            &format!("framework.requirements[{at}].controls"),
            |c| &c.id,
        )?;
        for (n, control) in requirement.controls.iter().enumerate() {
            known(format!("{path}.controls[{n}].id"), &control.id)?;
            positive(control.weight, format!("{path}.controls[{n}].weight"))?;
        }
    }
    Ok(())
}

fn positive(weight: f64, path: String) -> Result<(), EvidenceError> {
    if weight.is_finite() && weight > 0.0 {
        Ok(())
    } else {
        Err(error(path, "a weight is positive"))
    }
}

fn findings<'a, F>(evidence: &'a Evidence, known: &F) -> Result<BTreeMap<&'a str, &'a FindingEvidence>, EvidenceError>
where
    F: Fn(String, &str) -> Result<(), EvidenceError>,
{
    let by_id = unique(&evidence.findings, "findings", |f| &f.id)?;
    for (at, finding) in evidence.findings.iter().enumerate() {
        for (control, strength) in &finding.controls {
            let path = format!("$.findings[{at}].controls.{control}");
            known(path.clone(), control)?;
            if !(*strength > 0.0 && *strength <= 1.0) {
                return Err(error(path, "a strength is above 0 and at most 1"));
            }
        }
        for (n, interval) in finding.open.iter().enumerate() {
            if interval.until.is_some_and(|until| until < interval.from) {
                return Err(error(
                    format!("$.findings[{at}].open[{n}].until"),
                    "the interval is reversed",
                ));
            }
        }
    }
    Ok(by_id)
}

/// Whether two rows say the same; the order of the lists inside does not matter.
trait Same {
    fn same(&self, other: &Self) -> bool;
}

impl Same for ControlEvidence {
    fn same(&self, other: &Self) -> bool {
        let assets = |row: &Self| row.assets.iter().cloned().collect::<BTreeSet<_>>();
        let bare = |row: &Self| Self {
            assets: Vec::new(),
            ..row.clone()
        };
        bare(self) == bare(other) && assets(self) == assets(other)
    }
}

impl Same for ControlWeight {
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Same for RequirementEvidence {
    fn same(&self, other: &Self) -> bool {
        let weights = |row: &Self| {
            row.controls
                .iter()
                .map(|c| (c.id.clone(), c.weight))
                .collect::<BTreeMap<_, _>>()
        };
        let bare = |row: &Self| Self {
            controls: Vec::new(),
            ..row.clone()
        };
        bare(self) == bare(other) && weights(self) == weights(other)
    }
}

impl Same for FindingEvidence {
    fn same(&self, other: &Self) -> bool {
        let open = |row: &Self| row.open.iter().copied().collect::<BTreeSet<_>>();
        let bare = |row: &Self| Self {
            open: Vec::new(),
            ..row.clone()
        };
        bare(self) == bare(other) && open(self) == open(other)
    }
}

/// Exact duplicates are one; the same id with two contents is a fault.
fn unique<'a, T: Same>(
    items: &'a [T],
    path: &str,
    id: impl Fn(&'a T) -> &'a String,
) -> Result<BTreeMap<&'a str, &'a T>, EvidenceError> {
    let mut seen: BTreeMap<&'a str, &'a T> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let key: &'a str = id(item).as_str();
        if let Some(first) = seen.insert(key, item)
            && !first.same(item)
        {
            return Err(error(
                format!("$.{path}[{at}].id"),
                format!("\"{key}\" is there twice with two contents"),
            ));
        }
    }
    Ok(seen)
}
