//! The company: three projects, a dozen agents, and what happened to them over a year.

use super::files::{self, Dice, STEPS};
use crate::app::Context;
use crate::cli::output::Failure;
use crate::clock::Clock;
use crate::flow::assess::{Request, assess};
use crate::flow::ingest::{Options, Upload, import};
use crate::flow::{decide, events, project};
use affiant_domain::actor::Actor;
use affiant_domain::id::ProjectId;
use affiant_domain::schedule::DEFAULT_CRON;
use affiant_domain::{Instant, Severity};
use affiant_store::{FindingFilter, NewAttestation, NewWaiver};
use chrono::{Duration, Timelike};
use std::collections::BTreeSet;
use std::io::Write;

struct Project {
    slug: &'static str,
    name: &'static str,
    profiles: &'static [&'static str],
    repos: &'static [&'static str],
    images: &'static [&'static str],
    account: &'static str,
    agents: &'static [&'static str],
    /// The step from which its cloud account is no longer scanned.
    silent_from: u64,
}

const COMPANY: [Project; 3] = [
    Project {
        slug: "payments",
        name: "Payments",
        profiles: &["service-provider"],
        repos: &["repo:payments-api", "repo:ledger", "repo:payment-agents"],
        images: &["image:payments-api", "image:ledger"],
        account: "210000000001",
        agents: &[
            "invoice-bot",
            "fraud-scorer",
            "reconciler",
            "dunning-writer",
            "chargeback-helper",
        ],
        silent_from: STEPS + 1,
    },
    Project {
        slug: "care",
        name: "Care portal",
        profiles: &[],
        repos: &["repo:care-portal", "repo:care-agents"],
        images: &["image:care-portal"],
        account: "210000000002",
        agents: &["triage-assistant", "letter-writer", "coding-helper", "appointment-bot"],
        silent_from: STEPS + 1,
    },
    Project {
        slug: "analytics",
        name: "Analytics",
        profiles: &[],
        repos: &["repo:warehouse"],
        images: &["image:notebook", "image:etl"],
        account: "210000000003",
        agents: &["report-writer", "query-planner", "churn-model"],
        silent_from: 18,
    },
];

/// Whether the company was made before.
pub(super) async fn is_there(app: &Context) -> Result<bool, Failure> {
    Ok(!app.store.projects(None).await.map_err(Failure::fault)?.is_empty())
}

/// Makes it, up to `now`.
pub(super) async fn make(app: &Context, clock: &Clock, now: Instant) -> Result<(), Failure> {
    let today = now
        .with_hour(6)
        .and_then(|t| t.with_minute(0))
        .and_then(|t| t.with_second(0))
        .and_then(|t| t.with_nanosecond(0))
        .unwrap_or(now);
    let today = if today > now { today - Duration::days(1) } else { today };
    let when = |step: u64| today - Duration::days(14) * i32::try_from(STEPS - 1 - step).unwrap_or(0);
    clock.set(when(0) - Duration::days(1));
    let mut ids = Vec::new();
    for plan in &COMPANY {
        let profiles: BTreeSet<String> = plan.profiles.iter().map(|p| (*p).to_owned()).collect();
        let made = project::create(app, plan.slug, plan.name, &profiles, "demo").await?;
        ids.push(ProjectId(made.id));
    }
    for step in 0..STEPS {
        let at = when(step);
        for (plan, id) in COMPANY.iter().zip(&ids) {
            clock.set(at - Duration::hours(2));
            scan(app, plan, *id, step, at - Duration::hours(3)).await?;
            let body = files::events(plan.slug, plan.agents, step, at - Duration::days(14)).to_string();
            let options = events::Options {
                source: "agent-gateway".to_owned(),
                ..events::Options::default()
            };
            let source = std::sync::Arc::new(affiant_ingest::OwnedBytes(body.into_bytes()));
            events::ingest_source(app, *id, source, (&options, events::PUSHED)).await?;
            clock.set(at - Duration::hours(1));
            decide_things(app, plan, *id, step, at).await?;
            clock.set(at);
            let request = Request {
                origin: "demo",
                actor: "demo",
                slot: None,
            };
            assess(app, *id, &[], at, request).await?;
        }
    }
    clock.set(now);
    for id in &ids {
        for framework in app.catalogue.frameworks.keys() {
            let scoped = app.store.project(*id);
            let set = scoped
                .set_schedule(framework, DEFAULT_CRON, "Europe/Berlin", true, now)
                .await;
            set.map_err(Failure::fault)?;
        }
    }
    Ok(())
}

async fn scan(app: &Context, plan: &Project, id: ProjectId, step: u64, at: Instant) -> Result<(), Failure> {
    let stamp = at.to_rfc3339();
    for repo in plan.repos {
        push(app, id, repo, &files::semgrep(repo, step), at).await?;
        push(app, id, repo, &files::gitleaks(repo, step), at).await?;
        push(app, id, repo, &files::checkov(repo, step), at).await?;
    }
    for image in plan.images {
        push(app, id, image, &files::trivy(image, step, &stamp), at).await?;
    }
    if step < plan.silent_from {
        push(
            app,
            id,
            &format!("account:{}", plan.account),
            &files::prowler(plan.account, step, &stamp),
            at,
        )
        .await?;
    }
    Ok(())
}

async fn push(
    app: &Context,
    id: ProjectId,
    asset: &str,
    report: &serde_json::Value,
    at: Instant,
) -> Result<(), Failure> {
    let mut file = tempfile::NamedTempFile::new_in(&app.spool).map_err(Failure::fault)?;
    let pretty = serde_json::to_vec_pretty(report).map_err(Failure::fault)?;
    file.write_all(&pretty).map_err(Failure::fault)?;
    let upload = Upload::of(file.path()).map_err(Failure::fault)?;
    let options = Options {
        asset: asset.to_owned(),
        part: String::new(),
        mode: "snapshot".to_owned(),
        format: None,
        scanned_at: Some(at),
        dry_run: false,
        confirm: true,
        actor: "ci".to_owned(),
    };
    import(app, id, &upload, &options).await?;
    Ok(())
}

/// What people do at this step: statements at the start and half-way, waivers now and then.
async fn decide_things(app: &Context, plan: &Project, id: ProjectId, step: u64, at: Instant) -> Result<(), Failure> {
    if step == 1 || step == 14 {
        attest(app, plan, id, step, at).await?;
    }
    if matches!(step, 6 | 15 | 22 | 25) {
        waive(app, id, step, at).await?;
    }
    Ok(())
}

async fn attest(app: &Context, plan: &Project, id: ProjectId, step: u64, at: Instant) -> Result<(), Failure> {
    let mut dice = Dice::new(&format!("attest {} {step}", plan.slug));
    for control in app.catalogue.controls.values().filter(|control| !control.automatable) {
        let roll = dice.below(100);
        if roll >= if step == 1 { 45 } else { 72 } {
            continue;
        }
        let outcome = match roll {
            0 => "ineffective",
            1..=6 => "partially_effective",
            _ => "effective",
        };
        let new = NewAttestation {
            control: &control.id,
            outcome,
            statement: "Reviewed with the owner; the records were seen and are kept.",
            evidence: "Review minutes, shared drive",
            actor: "jon.okafor",
            from: at,
            until: at + Duration::days(if step == 1 { 200 } else { 365 }),
        };
        decide::attest(app, id, &new).await?;
    }
    Ok(())
}

async fn waive(app: &Context, id: ProjectId, step: u64, at: Instant) -> Result<(), Failure> {
    let filter = FindingFilter {
        state: Some(0),
        severity: vec![Severity::High, Severity::Medium],
        ..FindingFilter::default()
    };
    let open = app
        .store
        .project(id)
        .findings(&filter, None, 40)
        .await
        .map_err(Failure::fault)?;
    let mut dice = Dice::new(&format!("waive {} {step}", id));
    let open = open.items;
    if open.is_empty() {
        return Ok(());
    }
    let row = &open[usize::try_from(dice.below(open.len() as u64)).unwrap_or(0)];
    let new = NewWaiver {
        finding: row.finding.id,
        kind: if step == 15 { "false_positive" } else { "accepted_risk" },
        reason: "The component is reached only from the internal network; the replacement is planned.",
        actor: "maria.keller",
        from: at,
        until: at + Duration::days(120),
    };
    let waiver = decide::request_waiver(app, id, &new).await?;
    if step != 25 {
        decide::decide_waiver(app, id, waiver.id, true, Actor::known("jon.okafor")).await?;
    }
    Ok(())
}
