//! Search in findings.

use super::{Chrome, day, page};
use crate::auth::{In, Read};
use crate::http::api::findings::{FindingQuery, state_word};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, web};
use affiant_domain::Severity;
use affiant_store::instant;
use askama::Template;
use uuid::Uuid;

#[derive(Template)]
#[template(path = "pages/findings.html")]
struct Findings {
    chrome: Chrome,
    q: String,
    state: String,
    severity: String,
    asset: String,
    tool: String,
    assets: Vec<String>,
    /// By severity; none where more than 2,000 hold the text that is searched for.
    counts: Option<Vec<(&'static str, u64)>>,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: Uuid,
    severity: &'static str,
    title: String,
    location: String,
    asset: String,
    tool: String,
    rule: String,
    state: &'static str,
    opened: String,
}

/// Shows the findings that fit.
#[get("/p/{project}/findings")]
pub async fn show(at: In<Read>, query: web::Query<FindingQuery>) -> Result<HttpResponse, Problem> {
    let filter = query.filter()?;
    let found = at.scoped().findings(&filter, query.cursor()?.as_ref(), 50).await?;
    let counts = match filter.text.as_deref().unwrap_or_default() {
        "" => Some(at.scoped().count_findings(&filter).await?),
        _ => at.scoped().count_matching(&filter).await?,
    };
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let next = found.next.map(|cursor| {
        let fields = [
            ("q", &query.q),
            ("state", &query.state),
            ("severity", &query.severity),
            ("asset", &query.asset),
            ("tool", &query.tool),
        ];
        let kept = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref().filter(|v| !v.is_empty())?.clone())));
        let pairs: Vec<(&str, String)> = kept.chain([("cursor", cursor.encode())]).collect();
        format!("?{}", serde_urlencoded::to_string(pairs).unwrap_or_default())
    });
    page(&Findings {
        chrome: Chrome::new(&at.app, &at.principal, "Findings", &at.project.slug, "Findings").await?,
        q: text(&query.q),
        state: text(&query.state),
        severity: text(&query.severity),
        asset: text(&query.asset),
        tool: text(&query.tool),
        assets: at.scoped().named_assets().await?.into_iter().map(|a| a.key).collect(),
        counts: counts.map(|counts| {
            let count = |s: Severity| (s.as_str(), counts.get(&s).copied().unwrap_or(0));
            Severity::ALL.into_iter().map(count).collect()
        }),
        rows: found
            .items
            .into_iter()
            .map(|row| Row {
                id: row.finding.id,
                severity: row.severity.as_str(),
                title: row.finding.title,
                location: row.finding.location,
                asset: row.asset,
                tool: row.check.tool,
                rule: row.check.rule,
                state: state_word(row.state),
                opened: day(instant(row.finding.opened_at)),
            })
            .collect(),
        next,
    })
}
