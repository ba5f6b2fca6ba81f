//! One control: how its score comes about, down to the findings.

use super::{Chrome, check_csrf, day, filters, minute, page, redirect};
use crate::auth::{Attest, In, Read};
use crate::flow::assess::Reading;
use crate::flow::decide;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_domain::Severity;
use affiant_domain::catalogue::{ControlRow, Framework};
use affiant_domain::period::parse_instant;
use affiant_domain::score::{AssetState, ControlScore, Reason, compute};
use affiant_store::{FindingFilter, NewAttestation, instant, micros};
use askama::Template;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

#[derive(Template)]
#[template(path = "pages/control.html")]
struct ControlPage {
    chrome: Chrome,
    id: String,
    title: String,
    family: String,
    hint: String,
    window: u32,
    automatable: bool,
    applies_to: String,
    framework: String,
    framework_name: String,
    score: ControlScore,
    reason: &'static str,
    formula: String,
    assets: Vec<Asset>,
    /// Where not all findings are listed: how many are.
    listed: Option<u64>,
    statements: Vec<Statement>,
    may_attest: bool,
    serves: Vec<(String, String, String, f64)>,
    mappings: Vec<(String, f64, String)>,
}

struct Asset {
    key: String,
    standing: String,
    fresh: bool,
    ever: bool,
    evidence: String,
    findings: Vec<Finding>,
    /// It has open findings, and none of them is listed.
    left_out: bool,
}

struct Finding {
    id: Uuid,
    title: String,
    severity: &'static str,
    waived: bool,
    factor: String,
}

struct Statement {
    outcome: String,
    tone: &'static str,
    statement: String,
    evidence: String,
    actor: String,
    from: String,
    until: String,
}

/// From which framework one came.
#[derive(Deserialize)]
pub struct Query {
    framework: Option<String>,
}

/// Findings that the page lists.
const LISTED: u64 = 400;

/// Shows a control.
#[get("/p/{project}/controls/{control}")]
pub async fn show(
    at: In<Read>,
    path: web::Path<(String, String)>,
    query: web::Query<Query>,
) -> Result<HttpResponse, Problem> {
    let missing = || Problem::not_found("there is no such control");
    let row = at.app.catalogue.controls.get(&path.1).ok_or_else(missing)?;
    let framework = framework_of(&at, row, query.framework.as_deref()).ok_or_else(missing)?;
    let now = at.app.clock.now();
    let reading = Reading::load(&at.app, &at.app.catalogue, at.id(), now, at.known()).await?;
    let input = reading.input(framework);
    let scores = compute(&input);
    let score = scores
        .requirements
        .iter()
        .flat_map(|r| &r.controls)
        .find(|c| c.id == row.id)
        .cloned()
        .ok_or_else(missing)?;
    let states = input
        .controls
        .iter()
        .find(|c| c.id == row.id)
        .map(|c| c.assets.as_slice())
        .unwrap_or_default();
    let (assets, cut) = assets(&at, &reading, row, states).await?;
    let statements = at.scoped().attestations(Some(&row.id), 50).await?;
    page(&ControlPage {
        chrome: Chrome::new(&at.app, &at.principal, &row.id, &at.project.slug, "Overview").await?,
        id: row.id.clone(),
        title: row.title.clone(),
        family: row.family.clone(),
        hint: row.evidence.clone(),
        window: row.window_days,
        automatable: row.automatable,
        applies_to: row.applies_to.join(", "),
        framework: framework.row.id.clone(),
        framework_name: framework.row.name.clone(),
        reason: match score.reason {
            Some(Reason::Stale) => "the evidence is too old",
            Some(Reason::ErrorsOnly) => "the checks could not be run",
            Some(Reason::NoData) => "there is no evidence",
            None => "",
        },
        formula: formula(&score, states),
        assets,
        listed: cut.then_some(LISTED),
        statements: statements.into_iter().map(statement).collect(),
        may_attest: at.may::<Attest>(),
        serves: serves(&at, row),
        mappings: at
            .app
            .catalogue
            .mappings
            .iter()
            .filter_map(|m| Some((m.id.clone(), *m.controls.get(&row.id)?, m.rationale.clone())))
            .collect(),
        score,
    })
}

fn framework_of<'a>(at: &'a In<Read>, row: &ControlRow, wanted: Option<&str>) -> Option<&'a Framework> {
    let catalogue = &at.app.catalogue;
    let serves = |framework: &&Framework| {
        framework
            .scored()
            .any(|r| catalogue.crosswalk.get(&r.id).is_some_and(|w| w.contains_key(&row.id)))
    };
    wanted
        .and_then(|id| catalogue.frameworks.get(id))
        .filter(serves)
        .or_else(|| catalogue.frameworks.values().find(serves))
}

fn formula(score: &ControlScore, states: &[AssetState]) -> String {
    let mut parts = Vec::new();
    if let Some(automated) = score.automated {
        let standings: Vec<f64> = states
            .iter()
            .filter(|s| s.freshness.fresh || s.standing() < 0.9)
            .map(AssetState::standing)
            .collect();
        let lowest = standings.iter().copied().fold(1.0, f64::min);
        #[allow(clippy::cast_precision_loss, reason = "a small count")]
        let mean = standings.iter().sum::<f64>() / standings.len().max(1) as f64;
        parts.push(format!(
            "by tools = ½ · mean {mean:.4} + ½ · lowest {lowest:.4} = {automated:.4}"
        ));
    }
    if let Some(attested) = score.attested {
        parts.push(format!("by statement = {attested}"));
    }
    if let (Some(_), Some(_), Some(total)) = (score.automated, score.attested, score.score) {
        parts.push(format!("score = the smaller = {total:.4}"));
    }
    if score.in_scope > 0 {
        parts.push(format!(
            "coverage by tools = {} assessed / {} in scope",
            score.assessed, score.in_scope
        ));
    }
    if parts.is_empty() {
        "There is nothing to compute yet.".to_owned()
    } else {
        parts.join(";  ")
    }
}

/// The assets with what lowers them; also whether findings were left out.
async fn assets(
    at: &In<Read>,
    reading: &Reading<'_>,
    row: &ControlRow,
    states: &[AssetState],
) -> Result<(Vec<Asset>, bool), Problem> {
    let mut checks: Vec<i64> = reading
        .aggregates
        .checks
        .keys()
        .copied()
        .filter(|check| {
            Severity::ALL
                .iter()
                .any(|s| reading.speaks(*check, *s).iter().any(|(control, _)| *control == row.id))
        })
        .collect();
    checks.sort_unstable();
    let filter = FindingFilter {
        state: Some(0),
        checks: Some(checks),
        ..FindingFilter::default()
    };
    let page = at.scoped().findings(&filter, None, LISTED).await?;
    let cut = page.next.is_some();
    let now = micros(reading.as_of);
    let waived: HashSet<Uuid> = at
        .scoped()
        .waivers_at(now, now)
        .await?
        .into_iter()
        .map(|w| w.finding_id)
        .collect();
    let mut by_asset: BTreeMap<String, Vec<(f64, Finding)>> = BTreeMap::new();
    for found in page.items {
        let severity = found.severity;
        let speaks = reading
            .speaks(found.finding.check_id, severity)
            .iter()
            .find(|(control, _)| *control == row.id);
        let Some((_, strength)) = speaks else {
            continue;
        };
        let impact = strength * severity.weight();
        let finding = Finding {
            id: found.finding.id,
            title: found.finding.title,
            severity: severity.as_str(),
            waived: waived.contains(&found.finding.id),
            factor: format!(
                "impact {impact:.3} = strength {strength} × {} {:.2}",
                severity,
                severity.weight()
            ),
        };
        by_asset.entry(found.asset).or_default().push((impact, finding));
    }
    let evidence = evidence(reading, row);
    let assets = states
        .iter()
        .map(|state| {
            let mut findings = by_asset.remove(&state.id).unwrap_or_default();
            findings.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
            Asset {
                key: state.id.clone(),
                standing: if state.freshness.fresh || !state.open.is_empty() {
                    format!("{:.4}", state.standing())
                } else {
                    "–".to_owned()
                },
                fresh: state.freshness.fresh,
                ever: state.freshness.ever,
                evidence: evidence.get(state.id.as_str()).cloned().unwrap_or_default(),
                left_out: findings.is_empty() && state.open.iter().any(|impact| impact.count > 0),
                findings: number(findings),
            }
        })
        .collect();
    Ok((assets, cut))
}

/// Writes to each finding with which share it counts.
fn number(findings: Vec<(f64, Finding)>) -> Vec<Finding> {
    let mut k = 0_u32;
    findings
        .into_iter()
        .map(|(impact, mut finding)| {
            if finding.waived {
                finding.factor.push_str("; waived, so it does not count");
            } else if impact > 0.0 {
                k += 1;
                finding.factor.push_str(&format!(
                    "; counts as × (1 − {impact:.3}/{k}) = {:.4}",
                    1.0 - impact / f64::from(k)
                ));
            }
            finding
        })
        .collect()
}

/// The latest scan or result that speaks for the control, by asset.
fn evidence(reading: &Reading<'_>, row: &ControlRow) -> HashMap<String, String> {
    let mut latest: HashMap<String, (i64, String)> = HashMap::new();
    let mut note = |asset: Uuid, at: i64, what: String| {
        if let Some(asset) = reading.assets.get(&asset) {
            let entry = latest.entry(asset.key.clone()).or_insert((i64::MIN, String::new()));
            if at > entry.0 {
                *entry = (at, what);
            }
        }
    };
    for scan in &reading.aggregates.scans {
        if reading
            .exercised(&scan.tool, &scan.checklist)
            .is_some_and(|controls| controls.contains(row.id.as_str()))
        {
            note(
                scan.asset,
                scan.at,
                format!("{} {}", scan.tool, minute(instant(scan.at))),
            );
        }
    }
    for result in reading.aggregates.results.iter().filter(|r| r.outcome < 2) {
        if reading
            .speaks(result.check, Severity::High)
            .iter()
            .any(|(control, s)| *control == row.id && *s >= 0.5)
        {
            let tool = reading
                .aggregates
                .checks
                .get(&result.check)
                .map_or("", |check| check.tool.as_str());
            note(
                result.asset,
                result.at,
                format!("{tool} {}", minute(instant(result.at))),
            );
        }
    }
    latest.into_iter().map(|(asset, (_, what))| (asset, what)).collect()
}

fn statement(row: affiant_store::entity::attestation::Model) -> Statement {
    Statement {
        tone: match row.outcome.as_str() {
            "effective" => "good",
            "partially_effective" => "warn",
            _ => "bad",
        },
        outcome: row.outcome.replace('_', " "),
        statement: row.statement,
        evidence: row.evidence,
        actor: row.actor,
        from: day(instant(row.from_at)),
        until: row.revoked_at.map_or_else(
            || day(instant(row.until_at)),
            |at| format!("withdrawn {}", day(instant(at))),
        ),
    }
}

fn serves(at: &In<Read>, row: &ControlRow) -> Vec<(String, String, String, f64)> {
    let catalogue = &at.app.catalogue;
    catalogue
        .requirements_of(&row.id)
        .into_iter()
        .filter_map(|(id, weight)| {
            let (framework, requirement) = catalogue.requirement(id)?;
            Some((
                framework.row.name.clone(),
                requirement.label.clone(),
                requirement.title.clone(),
                weight,
            ))
        })
        .collect()
}

/// A statement to record.
#[derive(Deserialize)]
pub struct Form {
    csrf: String,
    framework: String,
    outcome: String,
    statement: String,
    evidence: String,
    until: String,
}

/// Records a statement.
#[post("/p/{project}/controls/{control}/statements")]
pub async fn attest(
    at: In<Attest>,
    path: web::Path<(String, String)>,
    form: web::Form<Form>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let until = parse_instant(&form.until).map_err(|error| Problem::invalid("until", error.to_string()))?;
    let clean = |text: &str| text.replace('\0', "");
    let new = NewAttestation {
        control: &path.1,
        outcome: &form.outcome,
        statement: &clean(&form.statement),
        evidence: &clean(&form.evidence),
        actor: &at.principal.name,
        from: at.app.clock.now(),
        until,
    };
    decide::attest(&at.app, at.id(), &new).await?;
    let framework = at
        .app
        .catalogue
        .frameworks
        .get(&form.framework)
        .map_or("", |f| f.row.id.as_str());
    Ok(redirect(&format!(
        "/p/{}/controls/{}?framework={framework}",
        at.project.slug, path.1
    )))
}
