//! Where a project stands.

use super::{Chrome, check_csrf, day, filters, minute, page, redirect};
use crate::app::Context;
use crate::auth::{Allowed, Assess, In, Principal, Read, WriteRetention};
use crate::flow::advise::first_fixes;
use crate::flow::decide::without_owner;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_domain::score::{Bounds, FrameworkScore, Status};
use affiant_domain::{Instant, Severity};
use affiant_report::Recommendation;
use affiant_store::{FindingFilter, instant, micros};
use askama::Template;
use chrono::Duration;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Overview {
    chrome: Chrome,
    name: String,
    may_assess: bool,
    cards: Vec<Card>,
    fixes: Vec<Recommendation>,
    opened: u64,
    closed: u64,
    open_total: u64,
    open: Vec<(&'static str, u64)>,
    due: Vec<String>,
    /// Why the clock is not trusted, and whether who looks may confirm it.
    clock: Option<(String, bool)>,
}

struct Card {
    id: String,
    name: String,
    score: Option<f64>,
    coverage: f64,
    bounds: Bounds,
    delta: Option<f64>,
    failing: usize,
    partial: usize,
    satisfied: usize,
    unknown: usize,
    curve: Option<Curve>,
    trend_label: String,
}

/// A course as points of an SVG, 320 by 65.
pub(super) struct Curve {
    pub(super) line: String,
    pub(super) area: String,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) points: Vec<(String, Option<f64>, f64)>,
}

type TrendRow = (i64, Option<f64>, f64, f64, f64);

impl Curve {
    fn new(rows: &[TrendRow]) -> Option<Self> {
        let (first, last) = (rows.first()?, rows.last()?);
        if rows.len() < 2 || first.0 == last.0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "a drawing")]
        let x = |at: i64| (at - first.0) as f64 / (last.0 - first.0) as f64 * 320.0;
        let y = |value: f64| 5.0 + 65.0 * (1.0 - value);
        let join = |points: &mut dyn Iterator<Item = (f64, f64)>| {
            points
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let line = join(&mut rows.iter().filter_map(|row| Some((x(row.0), y(row.1?)))));
        let high = rows.iter().map(|row| (x(row.0), y(row.4)));
        let area = join(&mut high.chain(rows.iter().rev().map(|row| (x(row.0), y(row.3)))));
        let points = rows
            .iter()
            .rev()
            .map(|row| (day(instant(row.0)), row.1, row.2))
            .collect();
        Some(Self {
            line,
            area,
            from: day(instant(first.0)),
            until: day(instant(last.0)),
            points,
        })
    }
}

/// Shows a project's scores.
#[get("/p/{project}")]
pub async fn show(at: In<Read>) -> Result<HttpResponse, Problem> {
    let now = at.app.clock.now();
    let mut cards = Vec::new();
    let mut latest = None;
    for framework in at.app.catalogue.frameworks.values() {
        let stored = at.scoped().latest_assessment(&framework.row.id, now).await?;
        latest = latest.max(stored.as_ref().map(|(row, _)| row.id));
        let trend = at.scoped().trend(&framework.row.id, now - Duration::days(400)).await?;
        cards.push(card(
            &framework.row.id,
            &framework.row.name,
            stored.map(|(_, score)| score).as_ref(),
            &trend,
            now,
        ));
    }
    let fixes = first_fixes(&at.app, at.id(), latest, at.known()).await?;
    let month = micros(now - Duration::days(30));
    let scoped = at.scoped();
    let counted = at
        .app
        .changes
        .of(at.id(), || scoped.changed_between(month, micros(now) + 1));
    let (opened, closed) = counted.await?;
    let counts = at
        .scoped()
        .count_findings(&FindingFilter {
            state: Some(0),
            ..FindingFilter::default()
        })
        .await?;
    page(&Overview {
        chrome: Chrome::new(&at.app, &at.principal, &at.project.name, &at.project.slug, "Overview").await?,
        name: at.project.name.clone(),
        may_assess: at.may::<Assess>(),
        cards,
        fixes,
        opened,
        closed,
        open_total: counts.values().sum(),
        open: Severity::ALL
            .into_iter()
            .map(|s| (s.as_str(), counts.get(&s).copied().unwrap_or(0)))
            .collect(),
        due: due(&at, now).await?,
        clock: clock(&at.app, &at.principal).await?,
    })
}

fn card(id: &str, name: &str, score: Option<&FrameworkScore>, trend: &[TrendRow], now: Instant) -> Card {
    let count = |status| score.map_or(0, |s| s.requirements.iter().filter(|r| r.status == status).count());
    let before = trend
        .iter()
        .rev()
        .find(|row| row.0 <= micros(now - Duration::days(90)))
        .and_then(|row| row.1);
    let now_score = score.and_then(|s| s.compliance_score);
    Card {
        id: id.to_owned(),
        name: name.to_owned(),
        score: now_score,
        coverage: score.map_or(0.0, |s| s.audit_coverage),
        bounds: score.map_or(Bounds { low: 0.0, high: 1.0 }, |s| s.bounds),
        delta: now_score.zip(before).map(|(now, before)| now - before),
        failing: count(Status::NotSatisfied),
        partial: count(Status::PartiallySatisfied),
        satisfied: count(Status::Satisfied),
        unknown: count(Status::NotAssessed),
        curve: Curve::new(trend),
        trend_label: format!("Course of the {name} score with its bounds"),
    }
}

/// Why the clock is not trusted, and whether whoever looks may confirm it.
pub(super) async fn clock(app: &Context, who: &Principal) -> Result<Option<(String, bool)>, Problem> {
    let found = app.store.clock_suspicion().await?;
    let may_confirm = who.reach::<WriteRetention>().is_all();
    Ok(found.map(|(why, _)| (why, may_confirm)))
}

/// Confirms the clock.
#[post("/clock/confirmation")]
pub async fn confirm_clock(
    who: Allowed<WriteRetention>,
    app: web::Data<Context>,
    form: web::Form<ClockForm>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    if !who.principal.reach::<WriteRetention>().is_all() {
        return Err(Problem::forbidden("retention:write for all projects"));
    }
    crate::flow::clock_watch::confirm(&app, &who.principal.name).await?;
    Ok(redirect("/"))
}

/// A form that confirms.
#[derive(Deserialize)]
pub struct ClockForm {
    csrf: String,
}

async fn due(at: &In<Read>, now: Instant) -> Result<Vec<String>, Problem> {
    let soon = micros(now + Duration::days(60));
    let mut due = Vec::new();
    let waivers = at.scoped().waivers(None, 500).await?;
    let orphaned = without_owner(&at.app, at.id(), &waivers).await?;
    for waiver in waivers {
        if orphaned.contains(&waiver.id) {
            due.push((
                waiver.requested_at,
                format!(
                    "A waiver of {}, who has left, wants somebody else to look after it",
                    waiver.owner
                ),
            ));
        }
        if waiver.state == "requested" {
            due.push((
                waiver.requested_at,
                format!("A waiver asked for by {} waits for a decision", waiver.requested_by),
            ));
        } else if waiver.state == "approved" && waiver.until_at > micros(now) && waiver.until_at < soon {
            due.push((
                waiver.until_at,
                format!("A waiver ends on {}", day(instant(waiver.until_at))),
            ));
        }
    }
    let known = at.scoped().attestations_known(micros(now)).await?;
    let ending = known.iter().filter(|a| a.until_at > micros(now) && a.until_at < soon);
    let renewed = |control: &str, until: i64| known.iter().any(|a| a.control == control && a.until_at > until);
    for attestation in ending.filter(|a| !renewed(&a.control, a.until_at)) {
        let text = format!(
            "The statement on {} ends on {}",
            attestation.control,
            day(instant(attestation.until_at))
        );
        due.push((attestation.until_at, text));
    }
    for schedule in at.scoped().schedules().await?.into_iter().filter(|s| s.enabled).take(1) {
        if let Some(next) = crate::http::api::schedules::upcoming(&schedule.cron, &schedule.zone, now, 1).first() {
            due.push((
                micros(*next),
                format!("The next scheduled assessment is at {} UTC", minute(*next)),
            ));
        }
    }
    due.sort();
    due.truncate(12);
    Ok(due.into_iter().map(|(_, text)| text).collect())
}
