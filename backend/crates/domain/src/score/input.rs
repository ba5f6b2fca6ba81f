//! The evidence in the form that is computed: controls in order of id, each asset's open findings as counted impacts.

use super::evidence::{AttestedOutcome, Evidence, ResultOutcome};
use crate::{Instant, Severity};
use std::collections::{BTreeMap, BTreeSet};

/// Strength from which a finding can make a control fail outright (clause 12).
const FAILING_STRENGTH: f64 = 0.3;
/// Impact from which it does (clause 12).
const FAILING_IMPACT: f64 = 0.20;

/// All that [`super::compute`] reads.
#[derive(Clone, Debug)]
pub struct Input {
    /// The instant that is scored.
    pub as_of: Instant,
    /// Framework id.
    pub framework: String,
    /// Framework version.
    pub version: String,
    /// Requirements, ordered by id.
    pub requirements: Vec<RequirementInput>,
    /// Controls, ordered by id.
    pub controls: Vec<ControlInput>,
}

/// A requirement and the positions of its controls.
#[derive(Clone, Debug)]
pub struct RequirementInput {
    /// Catalogue id.
    pub id: String,
    /// Weight within the framework.
    pub weight: f64,
    /// False where scoped out.
    pub applicable: bool,
    /// Position in [`Input::controls`] and crosswalk weight, ordered by control id.
    pub controls: Vec<(usize, f64)>,
}

/// A control and the assets in its scope.
#[derive(Clone, Debug)]
pub struct ControlInput {
    /// Control id.
    pub id: String,
    /// Whether tools can test it.
    pub automatable: bool,
    /// Assets in scope, ordered by id.
    pub assets: Vec<AssetState>,
    /// The outcome of the attestation that counts at the instant.
    pub attested: Option<AttestedOutcome>,
    /// An attestation was valid before and has run out.
    pub attested_before: bool,
}

/// How fresh the evidence on an asset is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// A scan or result within the window.
    pub fresh: bool,
    /// A scan or result at or before the instant, of any age.
    pub ever: bool,
    /// A check that could not be run.
    pub errors: bool,
}

/// What is known of one asset under one control.
#[derive(Clone, Debug, Default)]
pub struct AssetState {
    /// Asset id.
    pub id: String,
    /// Age of the evidence.
    pub freshness: Freshness,
    /// Open findings that speak for the control; order does not matter.
    pub open: Vec<Impact>,
}

/// Equal open findings, counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impact {
    /// Strength of the mapping.
    pub strength: f64,
    /// Severity of the finding.
    pub severity: Severity,
    /// Whether a waiver holds.
    pub waived: bool,
    /// How many.
    pub count: u64,
}

impl Impact {
    /// `strength * w(severity)`, clause 2.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.strength * self.severity.weight()
    }

    /// Whether one such finding alone makes the control fail.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.strength >= FAILING_STRENGTH && self.value() >= FAILING_IMPACT
    }
}

/// Brings validated evidence into the form that is computed.
#[must_use]
pub fn build(evidence: &Evidence) -> Input {
    let mut controls = scopes(evidence);
    let at = |id: &str, controls: &[ControlInput]| controls.binary_search_by(|c| c.id.as_str().cmp(id)).ok();
    note_freshness(evidence, &mut controls, &at);
    note_findings(evidence, &mut controls, &at);
    note_attestations(evidence, &mut controls, &at);
    let requirements: BTreeMap<&str, _> = evidence
        .framework
        .requirements
        .iter()
        .map(|r| (r.id.as_str(), r))
        .collect();
    let requirements = requirements
        .into_values()
        .map(|r| {
            let weights: BTreeMap<&str, f64> = r.controls.iter().map(|c| (c.id.as_str(), c.weight)).collect();
            RequirementInput {
                id: r.id.clone(),
                weight: r.weight,
                applicable: r.applicable,
                controls: weights
                    .into_iter()
                    .filter_map(|(id, w)| Some((at(id, &controls)?, w)))
                    .collect(),
            }
        })
        .collect();
    Input {
        as_of: evidence.as_of,
        framework: evidence.framework.id.clone(),
        version: evidence.framework.version.clone(),
        requirements,
        controls,
    }
}

fn scopes(evidence: &Evidence) -> Vec<ControlInput> {
    let by_id: BTreeMap<&str, _> = evidence.controls.iter().map(|c| (c.id.as_str(), c)).collect();
    by_id
        .into_values()
        .map(|control| {
            let assets: BTreeSet<&str> = control.assets.iter().map(String::as_str).collect();
            ControlInput {
                id: control.id.clone(),
                automatable: control.automatable,
                assets: assets
                    .into_iter()
                    .map(|id| AssetState {
                        id: id.to_owned(),
                        ..AssetState::default()
                    })
                    .collect(),
                attested: None,
                attested_before: false,
            }
        })
        .collect()
}

type At<'a> = &'a dyn Fn(&str, &[ControlInput]) -> Option<usize>;

fn state<'a>(controls: &'a mut [ControlInput], control: &str, asset: &str, at: At<'_>) -> Option<&'a mut AssetState> {
    let control = at(control, controls)?;
    let assets = &mut controls.get_mut(control)?.assets;
    let place = assets.binary_search_by(|a| a.id.as_str().cmp(asset)).ok()?;
    assets.get_mut(place)
}

fn note_freshness(evidence: &Evidence, controls: &mut [ControlInput], at: At<'_>) {
    let windows: BTreeMap<&str, f64> = evidence
        .controls
        .iter()
        .map(|c| (c.id.as_str(), c.window_days))
        .collect();
    let mut note = |asset: &str, control: &str, seen: Instant, evidences: bool, error: bool| {
        if seen > evidence.as_of {
            return;
        }
        let window = windows.get(control).copied().unwrap_or(1.0);
        if let Some(state) = state(controls, control, asset, at) {
            state.freshness.fresh |= evidences && within(evidence.as_of, seen, window);
            state.freshness.ever |= evidences;
            state.freshness.errors |= error;
        }
    };
    for scan in &evidence.scans {
        for control in &scan.controls {
            note(&scan.asset, control, scan.completed_at, true, false);
        }
    }
    for result in &evidence.results {
        let evidences = matches!(result.outcome, ResultOutcome::Pass | ResultOutcome::Fail);
        for control in &result.controls {
            note(
                &result.asset,
                control,
                result.observed_at,
                evidences,
                result.outcome == ResultOutcome::Error,
            );
        }
    }
}

/// `t - s <= window`, exact to the nanosecond.
fn within(as_of: Instant, seen: Instant, window_days: f64) -> bool {
    let nanos = |t: Instant| i128::from(t.timestamp()) * 1_000_000_000 + i128::from(t.timestamp_subsec_nanos());
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a saturating cast of a window beyond any calendar is right"
    )]
    let window = (window_days * 86_400e9) as i128;
    nanos(as_of) - nanos(seen) <= window
}

fn note_findings(evidence: &Evidence, controls: &mut [ControlInput], at: At<'_>) {
    let waived: BTreeSet<&str> = evidence
        .waivers
        .iter()
        .filter(|w| w.from <= evidence.as_of && evidence.as_of < w.until)
        .map(|w| w.finding.as_str())
        .collect();
    let unique: BTreeMap<&str, _> = evidence.findings.iter().map(|f| (f.id.as_str(), f)).collect();
    for finding in unique
        .into_values()
        .filter(|f| f.open.iter().any(|i| i.holds(evidence.as_of)))
    {
        for (control, strength) in &finding.controls {
            if let Some(state) = state(controls, control, &finding.asset, at) {
                state.open.push(Impact {
                    strength: *strength,
                    severity: finding.severity,
                    waived: waived.contains(finding.id.as_str()),
                    count: 1,
                });
            }
        }
    }
}

fn note_attestations(evidence: &Evidence, controls: &mut [ControlInput], at: At<'_>) {
    let mut latest: BTreeMap<usize, (Instant, AttestedOutcome)> = BTreeMap::new();
    for attestation in evidence.attestations.iter().filter(|a| a.from <= evidence.as_of) {
        let Some(control) = at(&attestation.control, controls) else {
            continue;
        };
        if attestation.until <= evidence.as_of {
            controls[control].attested_before = true;
            continue;
        }
        let candidate = (attestation.from, attestation.outcome);
        let best = latest.entry(control).or_insert(candidate);
        let worse = candidate.1.score() < best.1.score();
        if candidate.0 > best.0 || (candidate.0 == best.0 && worse) {
            *best = candidate;
        }
    }
    for (control, (_, outcome)) in latest {
        controls[control].attested = Some(outcome);
    }
}

impl Input {
    /// SHA-256 over the input in canonical form, hexadecimal. The exported evidence of an assessment, read again, gives the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut text = String::with_capacity(64 * 1024);
        self.canonical(&mut text);
        crate::sha256_hex(text.as_bytes())
    }

    fn canonical(&self, out: &mut String) {
        use std::fmt::Write;
        let _ = writeln!(
            out,
            "affiant.input/1 {} {} {}",
            self.as_of.timestamp_micros(),
            self.framework,
            self.version
        );
        for requirement in &self.requirements {
            let _ = writeln!(
                out,
                "requirement {} {:?} {}",
                requirement.id, requirement.weight, requirement.applicable
            );
            for (control, weight) in &requirement.controls {
                let id = self.controls.get(*control).map_or("", |control| control.id.as_str());
                let _ = writeln!(out, " by {id} {weight:?}");
            }
        }
        for control in &self.controls {
            let attested = control.attested.map(AttestedOutcome::score);
            let _ = writeln!(
                out,
                "control {} {} {attested:?} {}",
                control.id, control.automatable, control.attested_before
            );
            for asset in &control.assets {
                let freshness = &asset.freshness;
                let _ = writeln!(
                    out,
                    " on {:?} {} {} {}",
                    asset.id, freshness.fresh, freshness.ever, freshness.errors
                );
                for ((waived, severity, strength), count) in asset.merged() {
                    let _ = writeln!(
                        out,
                        "  open {} {waived} {strength} {count}",
                        Severity::from_rank(severity).unwrap_or(Severity::Unknown)
                    );
                }
            }
        }
    }
}

impl AssetState {
    /// Equal findings together, in a fixed order: waived, rank of the severity, bits of the strength.
    fn merged(&self) -> BTreeMap<(bool, i16, u64), u64> {
        let mut merged = BTreeMap::new();
        for impact in self.open.iter().filter(|impact| impact.count > 0) {
            *merged
                .entry((impact.waived, impact.severity.rank(), impact.strength.to_bits()))
                .or_default() += impact.count;
        }
        merged
    }
}
