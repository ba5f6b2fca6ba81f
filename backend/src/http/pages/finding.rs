//! One finding: what the scanner said, down to the lines of its report, and what became of it.

use super::{Chrome, check_csrf, day, minute, page, redirect};
use crate::auth::{DecideWaivers, In, Read, RequestWaivers};
use crate::flow::decide as flow;
use crate::http::api::findings::state_word;
use crate::http::api::uuid;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_domain::Severity;
use affiant_domain::catalogue::Mapper;
use affiant_domain::period::parse_instant;
use affiant_store::{FindingDetail, FindingRow, NewWaiver, entity, instant, micros, stored_severity, stored_state};
use askama::Template;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Template)]
#[template(path = "pages/finding.html")]
struct FindingPage {
    chrome: Chrome,
    id: Uuid,
    title: String,
    severity: &'static str,
    state: &'static str,
    waived: bool,
    asset: String,
    tool: String,
    rule: String,
    location: String,
    opened: String,
    cwe: String,
    cve: String,
    cvss: String,
    package: String,
    secret: String,
    same: Vec<Same>,
    message: String,
    remediation: String,
    suppression: String,
    lines: Vec<(i64, String, bool)>,
    no_lines: &'static str,
    first_line: i64,
    format: String,
    received: String,
    digest: String,
    import: Uuid,
    controls: Vec<Control>,
    history: Vec<(String, String)>,
    waivers: Vec<Waiver>,
    may_request: bool,
}

struct Control {
    id: String,
    title: String,
    requirements: String,
    strength: f64,
    impact: String,
}

/// Another finding of the same issue.
struct Same {
    id: Uuid,
    tool: String,
    rule: String,
    asset: String,
    state: &'static str,
}

struct Waiver {
    id: Uuid,
    state: String,
    kind: String,
    reason: String,
    from: String,
    until: String,
    requested_by: String,
    decided_by: String,
    /// Who looks after it, where that is not who asked.
    owner: String,
    wants_owner: bool,
    may_take: bool,
    may_decide: bool,
    may_revoke: bool,
}

/// Lines of the report that are shown.
const LINES: usize = 60;
/// Bytes of a line that are shown.
const LINE: usize = 400;

/// Shows a finding.
#[get("/p/{project}/findings/{finding}")]
pub async fn show(at: In<Read>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let found = at
        .scoped()
        .finding(uuid(&path.1, "finding")?)
        .await?
        .ok_or_else(|| Problem::not_found("there is no such finding"))?;
    let now = at.app.clock.now();
    let id = found.row.finding.id;
    let (lines, no_lines) = lines(&at, &found).await?;
    let severity = found.row.severity;
    let waivers = at.scoped().waivers(Some(id), 50).await?;
    let orphaned = flow::without_owner(&at.app, at.id(), &waivers).await?;
    let held = at.scoped().waivers_at(micros(now), micros(now)).await?;
    let location = match found.row.finding.line {
        0 => found.row.finding.location.clone(),
        line => format!("{}:{line}", found.row.finding.location),
    };
    let (format, received, digest) = found.import.as_ref().map_or_else(Default::default, |import| {
        (
            import.format.clone(),
            minute(instant(import.recorded_at)),
            import.digest.clone(),
        )
    });
    page(&FindingPage {
        chrome: Chrome::new(
            &at.app,
            &at.principal,
            &found.row.finding.title,
            &at.project.slug,
            "Findings",
        )
        .await?,
        id,
        severity: severity.as_str(),
        state: state_word(found.row.state),
        waived: held.iter().any(|waiver| waiver.finding_id == id),
        asset: found.row.asset.clone(),
        tool: found.row.check.tool.clone(),
        rule: found.row.check.rule.clone(),
        location,
        opened: minute(instant(found.row.finding.opened_at)),
        cwe: found
            .row
            .check
            .cwe
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        cve: found.row.check.cve.clone().unwrap_or_default(),
        cvss: found
            .row
            .finding
            .cvss
            .map_or_else(String::new, |score| format!("{score:.1}")),
        package: found.row.finding.package.clone(),
        secret: found.row.finding.secret.clone(),
        same: found.same.iter().map(same).collect(),
        remediation: found.row.check.remediation.clone(),
        suppression: found.row.finding.suppression.clone(),
        controls: controls(&at, &found, severity),
        history: history(&found)?,
        first_line: found.row.finding.place_line,
        import: found.row.finding.import_id,
        lines,
        no_lines,
        format,
        received,
        digest,
        waivers: waivers
            .into_iter()
            .map(|row| waiver(&at, orphaned.contains(&row.id), row))
            .collect(),
        may_request: at.may::<RequestWaivers>(),
        title: found.row.finding.title,
        message: found.row.finding.message,
    })
}

/// The very lines of the scanner's report that hold the finding.
async fn lines(at: &In<Read>, found: &FindingDetail) -> Result<(Vec<(i64, String, bool)>, &'static str), Problem> {
    let original = found.import.as_ref().and_then(|import| import.original_id);
    let Some(head) = (match original {
        Some(id) => at.scoped().original(id).await?,
        None => None,
    }) else {
        return Ok((Vec::new(), "The original is not kept."));
    };
    let row = &found.row.finding;
    let length = usize::try_from(row.place_length).unwrap_or(0).clamp(1, 64 << 10);
    let bytes = at
        .scoped()
        .original_excerpt(&head, row.place_offset.unsigned_abs(), length)
        .await?;
    let text = String::from_utf8_lossy(&bytes);
    // A byte order mark is not part of the offsets; a record never begins in the middle of a line that is shown.
    let target = u64::from(row.line.unsigned_abs());
    let wanted = format!("\"startLine\": {target}");
    let shown = text.lines().take(LINES).enumerate().map(|(n, line)| {
        let hit = n == 0 || (target > 0 && line.contains(&wanted));
        let line: String = line.chars().take(LINE).collect();
        (row.place_line + i64::try_from(n).unwrap_or(0), line, hit)
    });
    let shown: Vec<_> = shown.collect();
    let why = if shown.is_empty() {
        "The original is too large to be shown in part; download it."
    } else {
        ""
    };
    Ok((shown, why))
}

fn same(row: &FindingRow) -> Same {
    Same {
        id: row.finding.id,
        tool: row.check.tool.clone(),
        rule: row.check.rule.clone(),
        asset: row.asset.clone(),
        state: state_word(row.state),
    }
}

fn controls(at: &In<Read>, found: &FindingDetail, severity: Severity) -> Vec<Control> {
    let catalogue = &at.app.catalogue;
    Mapper::new(catalogue)
        .controls(&found.row.check, severity)
        .into_iter()
        .map(|(id, strength)| Control {
            id: id.to_owned(),
            title: catalogue
                .controls
                .get(id)
                .map_or_else(String::new, |row| row.title.clone()),
            requirements: catalogue
                .requirements_of(id)
                .into_iter()
                .map(|(id, _)| id)
                .collect::<Vec<_>>()
                .join(", "),
            strength,
            impact: format!("{:.3}", strength * severity.weight()),
        })
        .collect()
}

fn history(found: &FindingDetail) -> Result<Vec<(String, String)>, Problem> {
    let f = &found.row.finding;
    let mut state = stored_state(f.id, f.first_state)?;
    let mut severity = stored_severity(f.id, f.first_severity)?;
    let began = format!("{} as {severity}", state_word(state));
    let mut all = vec![(minute(instant(f.opened_at)), began)];
    for change in &found.transitions {
        let (next, graver) = (
            stored_state(f.id, change.state)?,
            stored_severity(f.id, change.severity)?,
        );
        let mut what = Vec::new();
        if next != state {
            what.push(match (state_word(state), state_word(next)) {
                ("closed", "open") => "opened again".to_owned(),
                (_, word) => word.to_owned(),
            });
        }
        if graver != severity {
            what.push(format!("now {graver}"));
        }
        (state, severity) = (next, graver);
        all.push((minute(instant(change.at)), what.join(", ")));
    }
    Ok(all)
}

fn waiver(at: &In<Read>, wants_owner: bool, row: entity::waiver::Model) -> Waiver {
    let is_second = [&row.requested_by, &row.owner]
        .into_iter()
        .all(|first| at.principal.actor().is_second_to(first));
    let decides = at.may::<DecideWaivers>();
    Waiver {
        id: row.id,
        may_decide: decides && row.state == "requested" && is_second,
        may_take: wants_owner && at.may::<RequestWaivers>(),
        wants_owner,
        may_revoke: decides && row.state == "approved",
        state: row.state,
        kind: row.kind.replace('_', " "),
        reason: row.reason,
        from: day(instant(row.from_at)),
        until: day(instant(row.until_at)),
        owner: if row.owner == row.requested_by {
            String::new()
        } else {
            row.owner
        },
        requested_by: row.requested_by,
        decided_by: row.decided_by.unwrap_or_default(),
    }
}

/// A waiver to ask for.
#[derive(Deserialize)]
pub struct Ask {
    csrf: String,
    kind: String,
    until: String,
    reason: String,
}

/// Asks for a waiver.
#[post("/p/{project}/findings/{finding}/waivers")]
pub async fn waive(
    at: In<RequestWaivers>,
    path: web::Path<(String, String)>,
    form: web::Form<Ask>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let finding = uuid(&path.1, "finding")?;
    let until = parse_instant(&form.until).map_err(|error| Problem::invalid("until", error.to_string()))?;
    let reason = form.reason.replace('\0', "");
    let new = NewWaiver {
        finding,
        kind: &form.kind,
        reason: &reason,
        actor: &at.principal.name,
        from: at.app.clock.now(),
        until,
    };
    flow::request_waiver(&at.app, at.id(), &new).await?;
    Ok(redirect(&format!("/p/{}/findings/{finding}", at.project.slug)))
}

/// A decision on a waiver.
#[derive(Deserialize)]
pub struct Decision {
    csrf: String,
    finding: Uuid,
    decision: String,
}

/// Decides on a waiver.
#[post("/p/{project}/waivers/{waiver}")]
pub async fn decide(
    at: In<DecideWaivers>,
    path: web::Path<(String, String)>,
    form: web::Form<Decision>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let id = uuid(&path.1, "waiver")?;
    match form.decision.as_str() {
        "revoke" => flow::revoke_waiver(&at.app, at.id(), id, &at.principal.name).await?,
        decision => flow::decide_waiver(&at.app, at.id(), id, decision == "approve", at.principal.actor()).await?,
    }
    Ok(redirect(&format!("/p/{}/findings/{}", at.project.slug, form.finding)))
}

/// A waiver to take over.
#[derive(Deserialize)]
pub struct Take {
    csrf: String,
    finding: Uuid,
}

/// Takes over a waiver whose owner has left.
#[post("/p/{project}/waivers/{waiver}/owner")]
pub async fn take(
    at: In<RequestWaivers>,
    path: web::Path<(String, String)>,
    form: web::Form<Take>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    flow::take_waiver(&at.app, at.id(), uuid(&path.1, "waiver")?, &at.principal.name).await?;
    Ok(redirect(&format!("/p/{}/findings/{}", at.project.slug, form.finding)))
}
