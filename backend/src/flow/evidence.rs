//! Exports the evidence of a stored assessment, as it was known then, with the catalogue of then.

use super::FlowError;
use super::assess::{Reading, outcome_of};
use crate::app::Context;
use affiant_domain::catalogue::{Catalogue, Framework, SPEAKS};
use affiant_domain::id::ProjectId;
use affiant_domain::score::{
    Attestation, ControlEvidence, ControlWeight, Evidence, FindingEvidence, FrameworkEvidence, Interval,
    RequirementEvidence, ResultEvidence, ResultOutcome, SCHEMA, ScanEvidence, WaiverEvidence,
};
use affiant_domain::{Instant, Severity};
use affiant_store::{EvidenceFinding, entity, instant, micros};
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// Findings read at once.
const PAGE: u64 = 5000;

/// The evidence of a stored assessment.
///
/// # Errors
/// [`FlowError`] where the database fails or the catalogue of then is not kept.
pub async fn of_assessment(app: &Context, row: &entity::assessment::Model) -> Result<Evidence, FlowError> {
    let then;
    let catalogue: &Catalogue = if row.catalogue_digest == app.catalogue.digest() {
        &app.catalogue
    } else {
        let json = app.store.catalogue(&row.catalogue_digest).await?;
        let json =
            json.ok_or_else(|| FlowError::NotFound("the catalogue of that assessment is not kept".to_owned()))?;
        then = Catalogue::new(
            serde_json::from_slice(&json).map_err(|e| affiant_store::StoreError::Damaged(e.to_string()))?,
        );
        &then
    };
    let (as_of, known) = (instant(row.as_of), instant(row.recorded_at));
    let reading = Reading::load(app, catalogue, ProjectId(row.project_id), as_of, known).await?;
    gather(app, &reading, catalogue.framework(&row.framework)?).await
}

/// All that the score of a framework reads.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn gather(app: &Context, reading: &Reading<'_>, framework: &Framework) -> Result<Evidence, FlowError> {
    let input = reading.input(framework);
    let catalogue = reading.catalogue;
    let controls: Vec<ControlEvidence> = input
        .controls
        .iter()
        .map(|control| {
            let window = catalogue.controls.get(&control.id).map_or(1, |row| row.window_days);
            ControlEvidence {
                id: control.id.clone(),
                window_days: f64::from(window),
                automatable: control.automatable,
                assets: control.assets.iter().map(|asset| asset.id.clone()).collect(),
            }
        })
        .collect();
    let used: HashSet<&str> = input.controls.iter().map(|control| control.id.as_str()).collect();
    let requirements = input
        .requirements
        .iter()
        .map(|requirement| RequirementEvidence {
            id: requirement.id.clone(),
            weight: requirement.weight,
            applicable: requirement.applicable,
            controls: requirement
                .controls
                .iter()
                .filter_map(|(at, weight)| {
                    Some(ControlWeight {
                        id: input.controls.get(*at)?.id.clone(),
                        weight: *weight,
                    })
                })
                .collect(),
        })
        .collect();
    let findings = findings(app, reading, &used).await?;
    let ids: HashSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    let waivers = waivers(app, reading, &ids).await?;
    Ok(Evidence {
        schema: SCHEMA.to_owned(),
        as_of: reading.as_of,
        project: reading.scope.project.slug.clone(),
        framework: FrameworkEvidence {
            id: framework.row.id.clone(),
            version: framework.row.version.clone(),
            requirements,
        },
        controls,
        scans: scans(reading, &used),
        results: results(reading, &used),
        attestations: attestations(reading, &used),
        findings,
        waivers,
    })
}

fn key<'r>(reading: &'r Reading<'_>, asset: Uuid) -> Option<&'r str> {
    reading.assets.get(&asset).map(|asset| asset.key.as_str())
}

fn scans(reading: &Reading<'_>, used: &HashSet<&str>) -> Vec<ScanEvidence> {
    let mut all = Vec::new();
    for scan in &reading.aggregates.scans {
        let exercised = reading.exercised(&scan.tool, &scan.checklist).into_iter().flatten();
        let controls: Vec<String> = exercised
            .filter(|control| used.contains(*control))
            .map(|control| (*control).to_owned())
            .collect();
        if let Some(asset) = key(reading, scan.asset).filter(|_| !controls.is_empty()) {
            all.push(ScanEvidence {
                asset: asset.to_owned(),
                completed_at: instant(scan.at),
                controls,
            });
        }
    }
    all
}

fn results(reading: &Reading<'_>, used: &HashSet<&str>) -> Vec<ResultEvidence> {
    let mut all = Vec::new();
    let mut push = |asset: Uuid, controls: Vec<String>, outcome: ResultOutcome, at: Instant| {
        if let Some(asset) = key(reading, asset).filter(|_| !controls.is_empty()) {
            all.push(ResultEvidence {
                asset: asset.to_owned(),
                controls,
                outcome,
                observed_at: at,
            });
        }
    };
    for result in &reading.aggregates.results {
        let outcome = match result.outcome {
            0 => ResultOutcome::Pass,
            1 => ResultOutcome::Fail,
            2 => ResultOutcome::Error,
            _ => ResultOutcome::NotApplicable,
        };
        let speaks = reading.speaks(result.check, Severity::High).iter();
        let strong = speaks.filter(|(control, strength)| *strength >= SPEAKS && used.contains(control));
        push(
            result.asset,
            strong.map(|(control, _)| (*control).to_owned()).collect(),
            outcome,
            instant(result.at),
        );
    }
    for (asset, action, outcome, at) in &reading.events {
        let speaks = reading.event_speaks(action, outcome).iter();
        let good = speaks.filter(|(control, polarity)| {
            *polarity != affiant_domain::catalogue::Polarity::Fail && used.contains(control)
        });
        push(
            *asset,
            good.map(|(control, _)| (*control).to_owned()).collect(),
            ResultOutcome::Pass,
            instant(*at),
        );
    }
    all
}

fn attestations(reading: &Reading<'_>, used: &HashSet<&str>) -> Vec<Attestation> {
    let known = reading
        .attestations
        .iter()
        .filter(|row| used.contains(row.control.as_str()));
    known
        .map(|row| Attestation {
            control: row.control.clone(),
            outcome: outcome_of(&row.outcome),
            from: instant(row.from_at),
            until: instant(row.until_at),
        })
        .collect()
}

async fn findings(
    app: &Context,
    reading: &Reading<'_>,
    used: &HashSet<&str>,
) -> Result<Vec<FindingEvidence>, FlowError> {
    let scoped = app.store.project(ProjectId(reading.scope.project.id));
    let (t, k) = (micros(reading.as_of), micros(reading.known));
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = scoped.evidence_findings(after, PAGE, t, k).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = Some(last.id);
        all.extend(page.iter().filter_map(|finding| dress(reading, used, finding)));
    }
}

fn dress(reading: &Reading<'_>, used: &HashSet<&str>, finding: &EvidenceFinding) -> Option<FindingEvidence> {
    let speaks = reading
        .speaks(finding.check, finding.severity)
        .iter()
        .filter(|(control, _)| used.contains(control));
    let controls: BTreeMap<String, f64> = speaks
        .map(|(control, strength)| ((*control).to_owned(), *strength))
        .collect();
    if controls.is_empty() {
        return None;
    }
    let open = finding
        .open
        .iter()
        .map(|(from, until)| Interval {
            from: instant(*from),
            until: until.map(instant),
        })
        .collect();
    Some(FindingEvidence {
        id: finding.id.to_string(),
        asset: key(reading, finding.asset)?.to_owned(),
        controls,
        severity: finding.severity,
        open,
    })
}

async fn waivers(
    app: &Context,
    reading: &Reading<'_>,
    findings: &HashSet<&str>,
) -> Result<Vec<WaiverEvidence>, FlowError> {
    let scoped = app.store.project(ProjectId(reading.scope.project.id));
    let held = scoped.waivers_at(micros(reading.as_of), micros(reading.known)).await?;
    let mut unique: HashMap<(Uuid, i64, i64), WaiverEvidence> = HashMap::new();
    for row in held
        .into_iter()
        .filter(|row| findings.contains(row.finding_id.to_string().as_str()))
    {
        let waiver = WaiverEvidence {
            finding: row.finding_id.to_string(),
            from: instant(row.from_at),
            until: instant(row.until_at),
        };
        unique.insert((row.finding_id, row.from_at, row.until_at), waiver);
    }
    let mut all: Vec<_> = unique.into_iter().collect();
    all.sort_by_key(|(key, _)| *key);
    Ok(all.into_iter().map(|(_, waiver)| waiver).collect())
}
