//! Says what to fix first: what raises a score or its coverage most.

use super::FlowError;
use super::assess::Reading;
use crate::app::Context;
use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use affiant_domain::score::{FrameworkScore, Input, compute};
use affiant_report::Recommendation;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use uuid::Uuid;

type Worked = Arc<OnceCell<Vec<Recommendation>>>;

/// Remembers for each project what to fix first, until its next assessment. Whoever asks while it is worked out waits for it.
#[derive(Debug, Default)]
pub struct Advice(Mutex<HashMap<ProjectId, (Uuid, Worked)>>);

impl Advice {
    fn of(&self, project: ProjectId, assessment: Uuid) -> Worked {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&project) {
            Some((of, worked)) if *of == assessment => worked.clone(),
            _ => {
                let worked = Worked::default();
                known.insert(project, (assessment, worked.clone()));
                worked
            }
        }
    }
}

/// What to fix first in a project, over all frameworks, as it is known; worked out once for each assessment.
///
/// # Errors
/// [`FlowError`] where the project is not there or the database fails.
pub async fn first_fixes(
    app: &Context,
    project: ProjectId,
    assessment: Option<Uuid>,
    known: Instant,
) -> Result<Vec<Recommendation>, FlowError> {
    let work = || async move {
        let app = app.clone();
        let worked = tokio::task::spawn_blocking(move || {
            Handle::current().block_on(async {
                let now = app.clock.now();
                let reading = Reading::load(&app, &app.catalogue, project, now, known).await?;
                Ok(recommend_over_all(&reading))
            })
        });
        worked.await.map_err(|_| FlowError::Worker)?
    };
    match assessment {
        Some(id) => app.advice.of(project, id).get_or_try_init(work).await.cloned(),
        None => work().await,
    }
}

/// What raises the score most, one finding at a time; then what raises the coverage most.
#[must_use]
pub fn recommend(readings: &[Reading<'_>], input: &Input) -> Vec<Recommendation> {
    let now = compute(input);
    let mut all = fixes(readings, input, now.compliance_score.unwrap_or(0.0));
    all.extend(gaps(readings, input, &now));
    all
}

/// What raises the scores most over all frameworks, one finding at a time, and the coverage; a gain is the sum over the frameworks.
#[must_use]
pub fn recommend_over_all(reading: &Reading<'_>) -> Vec<Recommendation> {
    let readings = std::slice::from_ref(reading);
    let mut sums: BTreeMap<(bool, String), Recommendation> = BTreeMap::new();
    for framework in reading.catalogue.frameworks.values() {
        for advice in recommend(readings, &reading.input(framework)) {
            let key = (advice.raises == "coverage", advice.title.clone());
            match sums.get_mut(&key) {
                Some(known) => known.gain += advice.gain,
                None => {
                    sums.insert(key, advice);
                }
            }
        }
    }
    let mut all: Vec<Recommendation> = sums.into_values().collect();
    all.sort_by(|a, b| b.raises.cmp(&a.raises).then_with(|| b.gain.total_cmp(&a.gain)));
    let (scores, coverage): (Vec<_>, Vec<_>) = all.into_iter().partition(|advice| advice.raises == "score");
    scores.into_iter().take(8).chain(coverage.into_iter().take(6)).collect()
}

/// The worst groups of findings: what closing one of them alone would bring.
fn fixes(readings: &[Reading<'_>], input: &Input, now: f64) -> Vec<Recommendation> {
    const CANDIDATES: usize = 12;
    let mut candidates = Vec::new();
    for reading in readings {
        let prefix = if readings.len() > 1 {
            format!("{}/", reading.scope.project.slug)
        } else {
            String::new()
        };
        for group in reading.aggregates.open.keys().filter(|group| !group.waived) {
            let speaks = reading.speaks(group.check, group.severity);
            let reach: f64 = speaks
                .iter()
                .map(|(_, strength)| strength * group.severity.weight())
                .sum();
            let asset = reading.assets.get(&group.asset).map(|a| format!("{prefix}{}", a.key));
            if let Some(asset) = asset.filter(|_| reach > 0.0) {
                candidates.push((reach, asset, group, reading));
            }
        }
    }
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    candidates.truncate(CANDIDATES);
    let mut found: Vec<Recommendation> = candidates
        .into_iter()
        .filter_map(|(_, asset, group, reading)| {
            let mut better = input.clone();
            for (control, strength) in reading.speaks(group.check, group.severity) {
                let at = better.controls.binary_search_by(|c| c.id.as_str().cmp(control)).ok()?;
                let state = better.controls.get_mut(at)?.assets.iter_mut().find(|a| a.id == asset);
                let same = |i: &&mut affiant_domain::score::Impact| {
                    !i.waived
                        && i.severity == group.severity
                        && i.strength.to_bits() == strength.to_bits()
                        && i.count > 0
                };
                if let Some(impact) = state.and_then(|state| state.open.iter_mut().find(same)) {
                    impact.count -= 1;
                }
            }
            let gain = compute(&better).compliance_score.unwrap_or(0.0) - now;
            let check = reading.aggregates.checks.get(&group.check)?;
            Some(Recommendation {
                title: format!("Fix {} on {asset}", check.title),
                reason: format!("{} finding of {}, rule {}", group.severity, check.tool, check.rule),
                gain,
                raises: "score".to_owned(),
            })
        })
        .filter(|r| r.gain > 1e-9)
        .collect();
    found.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    found.truncate(6);
    found
}

/// The controls whose missing evidence costs most coverage.
fn gaps(readings: &[Reading<'_>], input: &Input, now: &FrameworkScore) -> Vec<Recommendation> {
    let total: f64 = input
        .requirements
        .iter()
        .filter(|r| r.applicable)
        .map(|r| r.weight)
        .sum();
    let Some(catalogue) = readings.first().map(|r| r.catalogue) else {
        return Vec::new();
    };
    let mut missing: BTreeMap<usize, f64> = BTreeMap::new();
    let covered: HashMap<&str, f64> = now
        .requirements
        .iter()
        .flat_map(|r| r.controls.iter().map(|c| (c.id.as_str(), c.coverage)))
        .collect();
    for requirement in input.requirements.iter().filter(|r| r.applicable) {
        let weights: f64 = requirement.controls.iter().map(|(_, w)| w).sum();
        for (at, weight) in &requirement.controls {
            let coverage = input
                .controls
                .get(*at)
                .and_then(|c| covered.get(c.id.as_str()))
                .copied()
                .unwrap_or(0.0);
            *missing.entry(*at).or_default() += requirement.weight * weight / weights * (1.0 - coverage) / total;
        }
    }
    let mut ranked: Vec<(usize, f64)> = missing.into_iter().filter(|(_, gain)| *gain > 0.001).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked
        .into_iter()
        .take(6)
        .filter_map(|(at, gain)| {
            let row = catalogue.controls.get(&input.controls.get(at)?.id)?;
            let (verb, why) = if row.automatable {
                (
                    "Scan for",
                    format!("no fresh scan on every asset in scope ({})", row.applies_to.join(", ")),
                )
            } else {
                ("Attest", "only a statement answers for it".to_owned())
            };
            Some(Recommendation {
                title: format!("{verb} {}: {}", row.id, row.title),
                reason: why,
                gain,
                raises: "coverage".to_owned(),
            })
        })
        .collect()
}
