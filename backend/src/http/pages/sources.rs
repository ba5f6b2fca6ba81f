//! Audit stores: what is pulled from where, how far, and where the record has gaps.

use super::{Chrome, check_csrf, minute, page, redirect};
use crate::auth::{In, Read, WriteSources};
use crate::flow::FlowError;
use crate::flow::sources::{
    Coverage, Operation, Pulled, Wanted, coverage, expect as expect_it, forget as forget_it, pull as pull_now,
    remove as remove_it, set as set_up,
};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_store::instant;
use askama::Template;
use chrono::Duration;
use serde::Deserialize;

/// Days that the page looks back over.
const DAYS: i64 = 30;

#[derive(Template)]
#[template(path = "pages/sources.html")]
struct Sources {
    chrome: Chrome,
    error: String,
    done: Option<(String, Pulled)>,
    may_write: bool,
    /// Beginning of the environment variables that this project may name.
    variables: String,
    rows: Vec<Row>,
    covered: String,
    recorded: u64,
    missing: u64,
    lost: Vec<Lost>,
    formats: Vec<(String, String)>,
    expected: Vec<Expected>,
}

/// An operation that an agent is expected to record.
struct Expected {
    id: String,
    agent: String,
    action: String,
    within: String,
    since: String,
}

struct Row {
    name: String,
    kind: String,
    place: String,
    format: String,
    every: String,
    expected: String,
    last: String,
    error: String,
    pulls: bool,
}

struct Lost {
    source: String,
    from: String,
    until: String,
    missing: u64,
    reason: &'static str,
    /// Where the span begins and how wide it is, in thousandths of the period.
    x: i64,
    width: i64,
}

/// Shows the sources.
#[get("/p/{project}/sources")]
pub async fn show(at: In<Read>) -> Result<HttpResponse, Problem> {
    render(&at, None, String::new()).await
}

async fn render<P: crate::auth::Permission>(
    at: &In<P>,
    done: Option<(String, Pulled)>,
    error: String,
) -> Result<HttpResponse, Problem> {
    let now = at.app.clock.now();
    let start = now - Duration::days(DAYS);
    let told = coverage(&at.app, at.id(), (start, now)).await?;
    let rows = at.scoped().sources().await?;
    let expected = at.scoped().expected_operations().await?;
    let events = at
        .app
        .formats
        .iter()
        .filter(|format| format.kind == affiant_ingest::Kind::Events);
    page(&Sources {
        chrome: Chrome::new(&at.app, &at.principal, "Sources", &at.project.slug, "Sources").await?,
        error,
        done,
        may_write: at.may::<WriteSources>(),
        variables: at.app.sources.of(&at.project.slug).variables,
        rows: rows.into_iter().map(row).collect(),
        covered: told
            .event_coverage
            .map_or_else(String::new, |share| format!("{:.1}", share * 100.0)),
        recorded: told.recorded,
        missing: told.missing,
        lost: lost(&told, start.timestamp(), now.timestamp()),
        expected: expected
            .into_iter()
            .map(|row| Expected {
                id: row.id.to_string(),
                within: span(row.within_seconds),
                since: minute(instant(row.created_at)),
                agent: row.agent,
                action: row.action,
            })
            .collect(),
        formats: events
            .map(|format| (format.name.clone(), format.title.clone()))
            .collect(),
    })
}

fn lost(told: &Coverage, start: i64, end: i64) -> Vec<Lost> {
    let per_mille = |at: i64| (at - start).clamp(0, end - start) * 1000 / (end - start).max(1);
    let spans = told.lost.iter().map(|span| {
        let (x, to) = (per_mille(span.from.timestamp()), per_mille(span.until.timestamp()));
        Lost {
            source: span.source.clone(),
            from: minute(span.from),
            until: minute(span.until),
            missing: span.missing,
            reason: if span.reason == "silence" {
                "no event within the expected time"
            } else {
                "numbers are missing"
            },
            x,
            width: (to - x).max(4),
        }
    });
    spans.collect()
}

fn row(source: affiant_store::entity::source::Model) -> Row {
    let settings: serde_json::Value = serde_json::from_str(&source.settings).unwrap_or_default();
    let text = |key: &str| {
        settings
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let places = ["bucket", "container", "path", "query"].map(text);
    let place = places.into_iter().find(|place| !place.is_empty()).unwrap_or_default();
    Row {
        place: format!(
            "{place}{}{}",
            if text("prefix").is_empty() { "" } else { "/" },
            text("prefix")
        ),
        pulls: source.kind != "push",
        every: span(source.every_seconds),
        expected: if source.expected_seconds > 0 {
            span(source.expected_seconds)
        } else {
            String::new()
        },
        last: source
            .last_done_at
            .map_or_else(|| "not yet".to_owned(), |at| minute(instant(at))),
        name: source.name,
        kind: source.kind,
        format: source.format,
        error: source.last_error,
    }
}

/// A span of time in the largest unit that divides it.
fn span(seconds: i64) -> String {
    for (unit, name) in [(86_400, "days"), (3600, "hours"), (60, "minutes")] {
        if seconds % unit == 0 {
            let count = seconds / unit;
            return if count == 1 {
                name.trim_end_matches('s').to_owned()
            } else {
                format!("{count} {name}")
            };
        }
    }
    format!("{seconds} seconds")
}

/// A source as the form sends it.
#[derive(Deserialize)]
pub struct Form {
    csrf: String,
    name: String,
    settings: String,
    format: String,
    asset: String,
    #[serde(default)]
    tags: String,
    every_minutes: i64,
    expected_minutes: i64,
}

/// Sets a source up.
#[post("/p/{project}/sources")]
pub async fn set(at: In<WriteSources>, form: web::Form<Form>) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let settings = match serde_json::from_str(&form.settings) {
        Ok(settings) => settings,
        Err(error) => return render(&at, None, format!("The settings are not JSON: {error}")).await,
    };
    let wanted = Wanted {
        name: form.name.trim().to_owned(),
        settings,
        format: form.format.clone(),
        asset: form.asset.trim().to_owned(),
        tags: form
            .tags
            .split([',', ' '])
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        every_seconds: form.every_minutes.saturating_mul(60),
        expected_seconds: form.expected_minutes.saturating_mul(60),
    };
    match set_up(&at.app, at.id(), &wanted, &at.principal.name).await {
        Ok(_) => Ok(redirect(&format!("/p/{}/sources", at.project.slug))),
        Err(FlowError::Invalid { at: key, what }) => render(&at, None, format!("{key}: {what}")).await,
        Err(error) => Err(error.into()),
    }
}

/// What to do with a source.
#[derive(Deserialize)]
pub struct Deed {
    csrf: String,
    deed: String,
}

/// Pulls or removes a source.
#[post("/p/{project}/sources/{source}")]
pub async fn act(
    at: In<WriteSources>,
    path: web::Path<(String, String)>,
    form: web::Form<Deed>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let missing = || Problem::not_found("there is no such source");
    if form.deed == "remove" {
        remove_it(&at.app, at.id(), &path.1, &at.principal.name).await?;
        return Ok(redirect(&format!("/p/{}/sources", at.project.slug)));
    }
    let source = at.scoped().source(&path.1).await?.ok_or_else(missing)?;
    match pull_now(&at.app, &source).await {
        Ok(pulled) => render(&at, Some((source.name, pulled)), String::new()).await,
        Err(error @ (FlowError::Invalid { .. } | FlowError::Away(_))) => render(&at, None, error.to_string()).await,
        Err(error) => Err(error.into()),
    }
}

/// An operation as the form sends it.
#[derive(Deserialize)]
pub struct ExpectForm {
    csrf: String,
    agent: String,
    action: String,
    within_hours: i64,
}

/// Expects an operation of an agent.
#[post("/p/{project}/expected-operations")]
pub async fn expect(at: In<WriteSources>, form: web::Form<ExpectForm>) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let wanted = Operation {
        agent: form.agent.clone(),
        action: form.action.clone(),
        within_seconds: form.within_hours.saturating_mul(3600),
    };
    match expect_it(&at.app, at.id(), &wanted, &at.principal.name).await {
        Ok(_) => Ok(redirect(&format!("/p/{}/sources", at.project.slug))),
        Err(FlowError::Invalid { at: key, what }) => render(&at, None, format!("{key}: {what}")).await,
        Err(error) => Err(error.into()),
    }
}

/// Which operation is expected no longer.
#[derive(Deserialize)]
pub struct ForgetForm {
    csrf: String,
}

/// Expects an operation no longer.
#[post("/p/{project}/expected-operations/{operation}")]
pub async fn forget(
    at: In<WriteSources>,
    path: web::Path<(String, String)>,
    form: web::Form<ForgetForm>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&at.principal, &form.csrf)?;
    let missing = || Problem::not_found("there is no such expected operation");
    let id = path.1.parse().map_err(|_| missing())?;
    forget_it(&at.app, at.id(), id, &at.principal.name).await?;
    Ok(redirect(&format!("/p/{}/sources", at.project.slug)))
}
