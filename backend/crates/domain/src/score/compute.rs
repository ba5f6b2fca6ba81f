//! Clauses 3 to 12 of the definition. Sums and products run in a fixed order, in `f64`.

use super::evidence::AttestedOutcome;
use super::input::{AssetState, ControlInput, Input, RequirementInput};
use super::output::{Basis, Bounds, ControlScore, FrameworkScore, Reason, RequirementScore, SCORE_SCHEMA, Status};

/// An asset meets a control from this standing on (clause 3).
const MEETS: f64 = 0.90;
/// A control fails where an assessed asset stands below this (clause 12).
const FAILING_STANDING: f64 = 0.50;

/// Whether waivers are heeded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waivers {
    Heeded,
    Ignored,
}

/// The score of a framework.
#[must_use]
pub fn compute(input: &Input) -> FrameworkScore {
    let heeded = controls(input, Waivers::Heeded);
    let raw = total(&requirements(input, &controls(input, Waivers::Ignored)), input).0;
    let requirements = requirements(input, &heeded);
    let (compliance_score, audit_coverage) = total(&requirements, input);
    let bounds = compliance_score.map_or(Bounds { low: 0.0, high: 1.0 }, |score| {
        let low = score * audit_coverage;
        Bounds {
            low,
            high: (low + (1.0 - audit_coverage)).min(1.0),
        }
    });
    FrameworkScore {
        schema: SCORE_SCHEMA.to_owned(),
        as_of: input.as_of,
        framework: input.framework.clone(),
        version: input.version.clone(),
        compliance_score,
        compliance_score_raw: raw,
        audit_coverage,
        bounds,
        requirements,
    }
}

/// The requirements alone, waivers heeded; what a project's pages show of several frameworks at once.
#[must_use]
pub fn requirement_results(input: &Input) -> Vec<RequirementScore> {
    requirements(input, &controls(input, Waivers::Heeded))
}

struct ControlResult {
    score: ControlScore,
    waived: bool,
    all_met: bool,
}

fn controls(input: &Input, waivers: Waivers) -> Vec<ControlResult> {
    input
        .controls
        .iter()
        .map(|control| control_result(control, waivers))
        .collect()
}

impl AssetState {
    /// The standing of the asset, waivers heeded (clause 3).
    #[must_use]
    pub fn standing(&self) -> f64 {
        standing(self, Waivers::Heeded)
    }
}

/// Clause 3: worst first, the k-th finding counts a k-th.
fn standing(asset: &AssetState, waivers: Waivers) -> f64 {
    let mut impacts: Vec<(f64, u64)> = asset
        .open
        .iter()
        .filter(|impact| waivers == Waivers::Ignored || !impact.waived)
        .map(|impact| (impact.value(), impact.count))
        .filter(|(value, _)| *value > 0.0)
        .collect();
    impacts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut standing = 1.0;
    let mut k = 0.0;
    for (impact, count) in impacts {
        for _ in 0..count {
            k += 1.0;
            standing *= 1.0 - impact / k;
        }
    }
    standing
}

#[derive(Default)]
struct Tally {
    assessed: u64,
    sum: f64,
    lowest: Option<f64>,
    fails: bool,
    unmet: bool,
}

fn tally(control: &ControlInput, waivers: Waivers) -> Tally {
    let mut tally = Tally::default();
    for asset in &control.assets {
        let standing = standing(asset, waivers);
        let meets = standing >= MEETS;
        tally.fails |= asset
            .open
            .iter()
            .any(|impact| impact.count > 0 && (waivers == Waivers::Ignored || !impact.waived) && impact.fails());
        if asset.freshness.fresh || !meets {
            tally.assessed += 1;
            tally.sum += standing;
            tally.lowest = Some(tally.lowest.map_or(standing, |lowest| lowest.min(standing)));
            tally.unmet |= !meets;
            tally.fails |= standing < FAILING_STANDING;
        }
    }
    tally
}

#[allow(clippy::cast_precision_loss, reason = "counts of assets are far below 2^53")]
fn control_result(control: &ControlInput, waivers: Waivers) -> ControlResult {
    let tally = tally(control, waivers);
    let in_scope = control.assets.len() as u64;
    let automated = tally
        .lowest
        .map(|lowest| 0.5 * (tally.sum / tally.assessed as f64) + 0.5 * lowest);
    let automated_coverage = if in_scope == 0 {
        0.0
    } else {
        tally.assessed as f64 / in_scope as f64
    };
    let attested = control.attested.map(AttestedOutcome::score);
    let attested_coverage = match (attested, control.automatable) {
        (None, _) => 0.0,
        (Some(_), true) => 0.5,
        (Some(_), false) => 1.0,
    };
    let (score, basis) = match (automated, attested) {
        (Some(a), Some(b)) => (Some(a.min(b)), Some(Basis::Both)),
        (Some(a), None) => (Some(a), Some(Basis::Automated)),
        (None, Some(b)) => (Some(b), Some(Basis::Attested)),
        (None, None) => (None, None),
    };
    ControlResult {
        waived: control
            .assets
            .iter()
            .any(|a| a.open.iter().any(|i| i.waived && i.count > 0)),
        all_met: !tally.unmet && attested.is_none_or(|a| a >= 1.0),
        score: ControlScore {
            id: control.id.clone(),
            score,
            coverage: automated_coverage.max(attested_coverage),
            automated,
            attested,
            basis,
            in_scope,
            assessed: tally.assessed,
            failing: tally.fails || attested == Some(0.0),
            reason: if score.is_none() { Some(reason(control)) } else { None },
        },
    }
}

fn reason(control: &ControlInput) -> Reason {
    if control.attested_before || control.assets.iter().any(|a| a.freshness.ever) {
        Reason::Stale
    } else if control.assets.iter().any(|a| a.freshness.errors) {
        Reason::ErrorsOnly
    } else {
        Reason::NoData
    }
}

fn requirements(input: &Input, controls: &[ControlResult]) -> Vec<RequirementScore> {
    input
        .requirements
        .iter()
        .map(|requirement| requirement_score(requirement, controls))
        .collect()
}

/// `sum(w * cov * score) / sum(w * cov)` and `sum(w * cov) / sum(w)`, clauses 9 and 10.
fn weigh(parts: impl Iterator<Item = (f64, f64, Option<f64>)>) -> (Option<f64>, f64) {
    let (mut weights, mut covered, mut scored) = (0.0, 0.0, 0.0);
    for (weight, coverage, score) in parts {
        weights += weight;
        covered += weight * coverage;
        scored += weight * coverage * score.unwrap_or(0.0);
    }
    let coverage = if weights > 0.0 { covered / weights } else { 0.0 };
    (if covered > 0.0 { Some(scored / covered) } else { None }, coverage)
}

fn requirement_score(requirement: &RequirementInput, controls: &[ControlResult]) -> RequirementScore {
    let own: Vec<(&ControlResult, f64)> = requirement
        .controls
        .iter()
        .filter_map(|(at, weight)| Some((controls.get(*at)?, *weight)))
        .collect();
    let (score, coverage) = weigh(own.iter().map(|(c, weight)| (*weight, c.score.coverage, c.score.score)));
    let status = if !requirement.applicable {
        Status::NotApplicable
    } else if own.iter().any(|(c, _)| c.score.failing) {
        Status::NotSatisfied
    } else if coverage == 0.0 {
        Status::NotAssessed
    } else if own.iter().all(|(c, _)| c.score.coverage >= 1.0 && c.all_met) {
        Status::Satisfied
    } else {
        Status::PartiallySatisfied
    };
    RequirementScore {
        id: requirement.id.clone(),
        status,
        score: score.filter(|_| requirement.applicable),
        coverage: requirement.applicable.then_some(coverage),
        waived: own.iter().any(|(c, _)| c.waived),
        controls: own.iter().map(|(c, _)| c.score.clone()).collect(),
    }
}

fn total(requirements: &[RequirementScore], input: &Input) -> (Option<f64>, f64) {
    weigh(
        requirements
            .iter()
            .zip(&input.requirements)
            .filter_map(|(result, requirement)| Some((requirement.weight, result.coverage?, result.score))),
    )
}
