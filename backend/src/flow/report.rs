//! Gathers a period for an auditor, over one project or all.

use super::FlowError;
use super::advise::recommend;
use super::assess::{Reading, Request, Scored, chosen, score_known};
use super::sources::share;
use crate::app::Context;
use affiant_domain::audit::EventOutcome;
use affiant_domain::catalogue::{Applicability, Catalogue, Framework, Mapper, Polarity};
use affiant_domain::id::ProjectId;
use affiant_domain::matching::State;
use affiant_domain::period::Period;
use affiant_domain::score::{AttestedOutcome, FrameworkScore, Input, Status, compute};
use affiant_domain::{Instant, Severity, sha256_hex};
use affiant_report::{
    Change, CoverageLost, EventLine, EventSection, FindingLine, FindingSection, Incident, Metric, Metrics, ProjectLine,
    Report, ReportingPeriod, RequirementLine, TrendPoint,
};
use affiant_store::{EvidenceFinding, NewReport, RecordKind, entity, instant, micros};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Findings that a report lists; the rest are counted.
const LISTED: usize = 10_000;
/// Events that a report lists.
const EVENTS: u64 = 200;
/// Stretches of a period in which changes are counted.
const STRETCHES: i32 = 13;

/// A report that is not stored yet, with the scores that it rests on.
pub struct Draft {
    report: Report,
    scored: Vec<Scored>,
    project: Option<Uuid>,
    framework: String,
    period: Period,
    made_at: Instant,
}

/// Makes and stores a report for a framework and period, over one project or all of those given.
///
/// # Errors
/// [`FlowError`] where the framework is not known, the period lies in the future, or the database fails.
#[tracing::instrument(name = "make report", skip_all)]
pub async fn make(
    app: &Context,
    framework: &str,
    projects: &[entity::project::Model],
    overall: bool,
    period: Period,
    actor: &str,
) -> Result<(entity::report::Model, Report), FlowError> {
    let draft = draft(app, framework, projects, overall, period).await?;
    store(app, draft, actor).await
}

/// Makes a report; stores nothing.
///
/// # Errors
/// [`FlowError`] where the framework is not known, the period lies in the future, or the database fails.
pub async fn draft(
    app: &Context,
    framework: &str,
    projects: &[entity::project::Model],
    overall: bool,
    period: Period,
) -> Result<Draft, FlowError> {
    let app = &app.patient();
    let now = app.clock.now();
    if period.start() >= now {
        return Err(super::invalid("/period", "the period has not begun yet"));
    }
    let framework = *chosen(&app.catalogue, &[framework.to_owned()])?
        .first()
        .ok_or(FlowError::Worker)?;
    // The report and the assessments that it cites look at one state of each project.
    let mut known = Vec::new();
    for project in projects {
        known.push(app.store.project(ProjectId(project.id)).known(now).await?);
    }
    let report = gather(app, framework, (projects, &known), overall, period, now).await?;
    let wanted = [framework.row.id.clone()];
    let mut scored = Vec::new();
    for (project, known) in projects.iter().zip(known) {
        scored.push(score_known(app, ProjectId(project.id), &wanted, report.scored_at, known).await?);
    }
    Ok(Draft {
        report,
        scored,
        project: projects.first().map(|project| project.id).filter(|_| !overall),
        framework: framework.row.id.clone(),
        period,
        made_at: now,
    })
}

/// Stores a report together with the assessments that it cites.
///
/// # Errors
/// [`FlowError`] where the database fails; then none of it is stored.
pub async fn store(app: &Context, draft: Draft, actor: &str) -> Result<(entity::report::Model, Report), FlowError> {
    let request = Request {
        origin: "report",
        actor,
        slot: None,
    };
    let (project, mut report) = (draft.project, draft.report);
    for (line, scored) in report.projects.iter_mut().zip(&draft.scored) {
        if let Some((assessment, digest)) = scored.cited() {
            line.assessment = assessment.to_string();
            digest.clone_into(&mut line.evidence_digest);
        }
    }
    // A large one takes a second, for which nobody waits who writes.
    let packed = tokio::task::spawn_blocking(move || {
        let json = serde_json::to_vec_pretty(&report).map_err(|e| FlowError::Report(e.to_string()))?;
        Ok::<_, FlowError>((report, sha256_hex(&json), affiant_store::pack(&json)?))
    });
    let (report, digest, packed) = packed.await.map_err(|_| FlowError::Worker)??;
    let keep = |app: Context| async move {
        for scored in draft.scored {
            super::assess::store(&app, scored, request).await?;
        }
        let new = NewReport {
            project: draft.project,
            framework: &draft.framework,
            digest: &digest,
            actor,
            start: draft.period.start(),
            end: draft.period.end(),
            packed,
        };
        let row = app.store.store_report(new, draft.made_at).await?;
        app.store.vouch(RecordKind::Report, &[row.id], draft.made_at).await?;
        let detail = serde_json::json!({ "report": row.id, "framework": row.framework, "sha256": row.digest });
        Ok::<_, FlowError>(((row, report), detail))
    };
    app.deed((actor, "report.made", project), keep).await
}

async fn gather(
    app: &Context,
    framework: &Framework,
    (projects, known): (&[entity::project::Model], &[Instant]),
    overall: bool,
    period: Period,
    now: Instant,
) -> Result<Report, FlowError> {
    let end = period.end().min(now);
    let mut readings = Vec::new();
    let mut began = Vec::new();
    for (project, known) in projects.iter().zip(known) {
        readings.push(Reading::load(app, &app.catalogue, ProjectId(project.id), end, *known).await?);
        let reading = Reading::load(app, &app.catalogue, ProjectId(project.id), period.start(), *known).await?;
        began.push((project.slug.clone(), reading.input(framework)));
    }
    let inputs: Vec<(String, Input)> = readings
        .iter()
        .map(|r| (r.scope.project.slug.clone(), r.input(framework)))
        .collect();
    let input = merge(&inputs);
    let score = compute(&input);
    let at_start = compute(&merge(&began)).compliance_score;
    let mapper = Mapper::new(&app.catalogue);
    let mut parts = Parts::default();
    for reading in &readings {
        parts.project(app, reading, framework, period).await?;
        parts.events(app, reading, &mapper, period).await?;
    }
    let subject = if overall {
        "All projects".to_owned()
    } else {
        projects.first().map_or_else(String::new, |p| p.name.clone())
    };
    let lines = readings
        .iter()
        .zip(&inputs)
        .map(|(reading, (_, input))| {
            let own = compute(input);
            ProjectLine {
                slug: reading.scope.project.slug.clone(),
                name: reading.scope.project.name.clone(),
                compliance_score: own.compliance_score,
                audit_coverage: own.audit_coverage,
                assessment: String::new(),
                evidence_digest: String::new(),
            }
        })
        .collect();
    Ok(Report {
        framework: framework.row.id.clone(),
        framework_title: framework.row.title.clone(),
        framework_version: framework.row.version.clone(),
        subject,
        projects: lines,
        reporting_period: ReportingPeriod {
            start: period.start(),
            end: period.end(),
        },
        scored_at: end,
        metrics: parts.metrics(&score, at_start),
        definitions: definitions(),
        requirements: requirements(&app.catalogue, framework, &readings, &score),
        changes: parts.stretches(period),
        trend: trend(app, framework, projects, period, overall).await?,
        recommendations: recommend(&readings, &input),
        findings: parts.findings,
        audit_events: parts.events,
        security_incidents: parts.incidents,
        coverage_lost: parts.lost,
        catalogue_digest: app.catalogue.digest().to_owned(),
        evidence_digest: input.digest(),
        generated_at: now,
    })
}

/// One input over several projects: every asset counts, a statement counts where every project has one (the worst of them), and a
/// requirement applies where it applies to any.
#[must_use]
pub fn merge(inputs: &[(String, Input)]) -> Input {
    if let [(_, only)] = inputs {
        return only.clone();
    }
    let Some((_, first)) = inputs.first() else {
        return Input {
            as_of: Instant::UNIX_EPOCH,
            framework: String::new(),
            version: String::new(),
            requirements: Vec::new(),
            controls: Vec::new(),
        };
    };
    let mut merged = first.clone();
    for (at, control) in merged.controls.iter_mut().enumerate() {
        let same: Vec<_> = inputs
            .iter()
            .filter_map(|(slug, input)| Some((slug, input.controls.get(at)?)))
            .collect();
        control.assets = same
            .iter()
            .flat_map(|(slug, c)| {
                c.assets.iter().cloned().map(move |mut asset| {
                    asset.id = format!("{slug}/{}", asset.id);
                    asset
                })
            })
            .collect();
        control.assets.sort_by(|a, b| a.id.cmp(&b.id));
        let stated: Option<Vec<AttestedOutcome>> = same.iter().map(|(_, c)| c.attested).collect();
        control.attested = stated.and_then(|all| all.into_iter().min_by(|a, b| a.score().total_cmp(&b.score())));
        control.attested_before = same.iter().any(|(_, c)| c.attested_before);
    }
    for (at, requirement) in merged.requirements.iter_mut().enumerate() {
        requirement.applicable = inputs
            .iter()
            .any(|(_, input)| input.requirements.get(at).is_some_and(|r| r.applicable));
    }
    merged
}

#[derive(Default)]
struct Parts {
    findings: FindingSection,
    open: BTreeMap<Severity, u64>,
    suppressed: u64,
    events: EventSection,
    incidents: Vec<Incident>,
    incident_count: u64,
    lost: Vec<CoverageLost>,
    recorded: u64,
    missing: u64,
    operations: u64,
    high_risk: u64,
    processing: u64,
    opened: Vec<i64>,
    closed: Vec<i64>,
}

impl Parts {
    async fn project(
        &mut self,
        app: &Context,
        reading: &Reading<'_>,
        framework: &Framework,
        period: Period,
    ) -> Result<(), FlowError> {
        let scoped = app.store.project(ProjectId(reading.scope.project.id));
        let (start, end) = (micros(period.start()), micros(reading.as_of));
        let waived: BTreeSet<Uuid> = scoped
            .waivers_at(end, micros(reading.known))
            .await?
            .into_iter()
            .map(|w| w.finding_id)
            .collect();
        let mut after = None;
        let mut kept: Vec<(EvidenceFinding, &'static str, Option<i64>)> = Vec::new();
        loop {
            let page = scoped
                .evidence_findings(after, 5000, end, micros(reading.known))
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for finding in page {
                let is_within = |at: &&i64| **at >= start && **at < end;
                self.opened.extend(finding.opened.iter().filter(is_within));
                self.closed.extend(finding.closed.iter().filter(is_within));
                let last = finding.closed.last().copied();
                // What a scanner set aside is counted as that while it is, and is not closed by it.
                let (status, until) = match finding.state {
                    State::Open if waived.contains(&finding.id) => ("waived", None),
                    State::Open => ("open", None),
                    State::Suppressed => {
                        self.suppressed += 1;
                        if finding.open.is_empty() {
                            continue;
                        }
                        ("suppressed", None)
                    }
                    // One that was never open closed nothing.
                    State::Closed if last.is_some_and(|at| at >= start) => ("closed", last),
                    State::Closed => continue,
                };
                if finding.state == State::Open {
                    *self.open.entry(finding.severity).or_default() += 1;
                }
                self.findings.total += 1;
                kept.push((finding, status, until));
            }
            kept.sort_by_key(|(f, status, _)| (*status == "closed", f.severity.rank(), f.id));
            kept.truncate(LISTED);
        }
        self.list(app, reading, framework, kept).await
    }

    async fn list(
        &mut self,
        app: &Context,
        reading: &Reading<'_>,
        framework: &Framework,
        kept: Vec<(EvidenceFinding, &'static str, Option<i64>)>,
    ) -> Result<(), FlowError> {
        let scoped = app.store.project(ProjectId(reading.scope.project.id));
        let ids: Vec<Uuid> = kept.iter().map(|(finding, ..)| finding.id).collect();
        let rows: HashMap<Uuid, _> = scoped
            .findings_by_id(&ids)
            .await?
            .into_iter()
            .map(|row| (row.finding.id, row))
            .collect();
        for (finding, status, until) in kept {
            let Some(row) = rows.get(&finding.id) else {
                continue;
            };
            self.findings.items.push(FindingLine {
                id: finding.id.to_string(),
                project: reading.scope.project.slug.clone(),
                asset: row.asset.clone(),
                tool: row.check.tool.clone(),
                rule: row.check.rule.clone(),
                title: row.finding.title.clone(),
                location: row.finding.location.clone(),
                severity: finding.severity.as_str().to_owned(),
                status: status.to_owned(),
                opened_at: finding.open.first().map_or(reading.as_of, |(from, _)| instant(*from)),
                closed_at: until.map(instant),
                requirements: bears_on(reading, framework, finding.check, finding.severity),
            });
        }
        let rank = |f: &FindingLine| {
            (
                f.status == "closed",
                f.severity.parse::<Severity>().map_or(9, Severity::rank),
            )
        };
        self.findings
            .items
            .sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id)));
        self.findings.items.truncate(LISTED);
        Ok(())
    }

    async fn events(
        &mut self,
        app: &Context,
        reading: &Reading<'_>,
        mapper: &Mapper<'_>,
        period: Period,
    ) -> Result<(), FlowError> {
        let scoped = app.store.project(ProjectId(reading.scope.project.id));
        let bounds = (micros(period.start()), micros(period.end()));
        let summary = scoped.event_summary(bounds.0, bounds.1).await?;
        let id = ProjectId(reading.scope.project.id);
        let covered = super::sources::coverage(app, id, (period.start(), period.end())).await?;
        self.recorded += covered.recorded;
        self.missing += covered.missing;
        self.lost.extend(covered.lost.into_iter().map(|lost| CoverageLost {
            project: reading.scope.project.slug.clone(),
            source: lost.source,
            from: lost.from,
            until: lost.until,
            missing: lost.missing,
            reason: lost.reason,
        }));
        self.events.total += summary.all;
        self.operations += summary.agent_operations;
        self.high_risk += summary.high_risk;
        self.processing += summary.processing;
        // Every one of the period counts, whatever its risk and however many others there are; the latest are listed.
        let fails = |action: &str, outcome: &str| {
            let controls = mapper.event_controls(action, outcome);
            controls.iter().any(|(_, _, polarity)| *polarity == Polarity::Fail)
        };
        let mut kinds = Vec::new();
        for action in scoped.actions_of_events().await? {
            let failing = EventOutcome::ALL
                .iter()
                .filter(|outcome| fails(&action, outcome.as_str()));
            kinds.extend(failing.map(|outcome| (action.clone(), outcome.as_str().to_owned())));
        }
        let (count, latest) = scoped.events_like(bounds, &kinds, EVENTS).await?;
        self.incident_count += count;
        self.incidents.extend(latest.into_iter().map(|event| Incident {
            at: instant(event.at),
            project: reading.scope.project.slug.clone(),
            description: format!("{} ({})", event.action, event.outcome),
            resource: event.resource,
            severity: event.risk,
        }));
        let page = scoped.events(bounds, &["HIGH", "CRITICAL"], None, EVENTS).await?;
        for row in page.items {
            let event = row.event;
            self.events.items.push(EventLine {
                at: instant(event.at),
                project: reading.scope.project.slug.clone(),
                agent: event.agent,
                action: event.action,
                resource: event.resource,
                outcome: event.outcome,
                risk: event.risk,
            });
        }
        self.events.items.sort_by_key(|event| std::cmp::Reverse(event.at));
        Ok(())
    }

    fn metrics(&mut self, score: &FrameworkScore, at_start: Option<f64>) -> Metrics {
        self.findings.open_by_severity = Severity::ALL
            .into_iter()
            .map(|s| (s.as_str().to_owned(), self.open.get(&s).copied().unwrap_or(0)))
            .collect();
        Metrics {
            total_ai_operations: self.operations,
            high_risk_operations: self.high_risk,
            data_processing_events: self.processing,
            security_incidents: self.incident_count,
            compliance_score: score.compliance_score,
            compliance_score_raw: score.compliance_score_raw,
            compliance_score_at_start: at_start,
            audit_coverage: score.audit_coverage,
            bounds: score.bounds,
            event_coverage: share(self.recorded, self.missing),
            suppressed_by_scanners: self.suppressed,
        }
    }

    fn stretches(&self, period: Period) -> Vec<Change> {
        let span = (period.end() - period.start()) / STRETCHES;
        (0..STRETCHES)
            .map(|n| {
                let whole = |at: Instant| at - chrono::Duration::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
                let from = whole(period.start() + span * n);
                // The last one ends with the period: its last second counts.
                let until = if n + 1 == STRETCHES {
                    period.end()
                } else {
                    whole(period.start() + span * (n + 1))
                };
                let count = |all: &[i64]| {
                    all.iter()
                        .filter(|at| **at >= micros(from) && **at < micros(until))
                        .count() as u64
                };
                Change {
                    from,
                    opened: count(&self.opened),
                    closed: count(&self.closed),
                }
            })
            .collect()
    }
}

fn bears_on(reading: &Reading<'_>, framework: &Framework, check: i64, severity: Severity) -> Vec<String> {
    let controls: BTreeSet<&str> = reading
        .speaks(check, severity)
        .iter()
        .map(|(control, _)| *control)
        .collect();
    framework
        .scored()
        .filter(|row| {
            reading
                .catalogue
                .crosswalk
                .get(&row.id)
                .is_some_and(|w| w.keys().any(|c| controls.contains(c.as_str())))
        })
        .map(|row| row.label.clone())
        .collect()
}

fn requirements(
    catalogue: &Catalogue,
    framework: &Framework,
    readings: &[Reading<'_>],
    score: &FrameworkScore,
) -> Vec<RequirementLine> {
    let groups: HashMap<&str, &str> = framework
        .groups
        .iter()
        .map(|g| (g.id.as_str(), g.title.as_str()))
        .collect();
    let scores: HashMap<&str, _> = score.requirements.iter().map(|r| (r.id.as_str(), r)).collect();
    framework
        .scored()
        .filter_map(|row| {
            let result = scores.get(row.id.as_str())?;
            let because = readings
                .iter()
                .find_map(|reading| match reading.scope.applies(framework, &row.id) {
                    Applicability::NotApplicable(reason) if result.coverage.is_none() => Some(reason),
                    _ => None,
                });
            // What does not apply fails by nothing.
            let applies = result.status != Status::NotApplicable;
            let failing = result.controls.iter().filter(|c| c.failing && applies);
            Some(RequirementLine {
                id: row.id.clone(),
                label: row.label.clone(),
                title: row.title.clone(),
                group: groups
                    .get(row.group.as_str())
                    .map_or_else(String::new, |title| (*title).to_owned()),
                status: result.status,
                score: result.score,
                coverage: result.coverage,
                waived: result.waived && applies,
                failing_controls: failing
                    .filter_map(|c| catalogue.controls.get(&c.id))
                    .map(|c| c.title.clone())
                    .collect(),
                not_applicable_because: because,
            })
        })
        .collect()
}

async fn trend(
    app: &Context,
    framework: &Framework,
    projects: &[entity::project::Model],
    period: Period,
    overall: bool,
) -> Result<Vec<TrendPoint>, FlowError> {
    let Some(project) = projects.first().filter(|_| !overall) else {
        return Ok(Vec::new());
    };
    let points = app
        .store
        .project(ProjectId(project.id))
        .trend(&framework.row.id, period.start())
        .await?;
    let inside = points.into_iter().filter(|(at, ..)| *at <= micros(period.end()));
    Ok(inside
        .map(|(at, score, coverage, low, high)| TrendPoint {
            at: instant(at),
            score,
            coverage,
            low,
            high,
        })
        .collect())
}

fn definitions() -> Vec<Metric> {
    const TEXTS: [(&str, &str); 10] = [
        ("total_ai_operations", "Audit events of the period that name an agent."),
        (
            "high_risk_operations",
            "Audit events of the period whose own risk level is HIGH or CRITICAL: model updates, escalation of privilege, export of data and the like.",
        ),
        (
            "data_processing_events",
            "Audit events of the period that name a category of data or whose action works on data.",
        ),
        (
            "security_incidents",
            "Audit events of the period that show a breach of a control (logs stopped or cleared, integrity violated, a breach suspected) or that a detector called critical.",
        ),
        (
            "compliance_score",
            "Weighted mean over applicable requirements of what their controls score, weighted by what is covered; 0 to 1, at the end of the period.",
        ),
        ("compliance_score_raw", "The same with no waiver heeded."),
        (
            "audit_coverage",
            "Weighted share of applicable requirements that fresh evidence covers; 0 to 1, at the end of the period.",
        ),
        (
            "bounds",
            "The score if all that is not covered turned out bad (low) or good (high).",
        ),
        (
            "event_coverage",
            "Events recorded over events expected, of the sources of which a rhythm is expected or that number their records; empty where nothing is expected.",
        ),
        (
            "suppressed_by_scanners",
            "Findings that a scanner itself set aside; they are not open and lower nothing until a person rules on them.",
        ),
    ];
    TEXTS
        .iter()
        .map(|(name, definition)| Metric {
            name: (*name).to_owned(),
            definition: (*definition).to_owned(),
        })
        .collect()
}
