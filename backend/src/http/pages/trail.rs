//! The trail: browse, filter, verify now, checkpoints, and the proof of one entry.

use super::sign_in::Bare;
use super::{Chrome, check_csrf, page, redirect};
use crate::app::Context;
use crate::auth::{Allowed, Principal, ReadTrail};
use crate::flow::verify_trail::KIND;
use crate::flow::{FlowError, trail};
use crate::http::api::trail::{TrailEntry, Verification, Which, begin, page as entries};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_trail::Head;
use affiant_trail::proof::Claim;
use askama::Template;
use serde::Deserialize;

/// Entries on a page.
const PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "pages/trail.html")]
struct TrailPage {
    chrome: Chrome,
    everywhere: bool,
    action: String,
    rows: Vec<Row>,
    /// The cursor of the next page.
    next: Option<u64>,
    /// The latest checkpoint, and its size.
    checkpoint: String,
    size: u64,
    /// It no longer continues what was signed.
    changed: bool,
    keys: Vec<String>,
    verification: Option<Verification>,
    one: Option<One>,
}

struct Row {
    index: u64,
    at: String,
    actor: String,
    action: String,
    outcome: String,
    project: String,
    detail: String,
    /// The column that was edited.
    differs: String,
}

/// One entry with its proof.
struct One {
    entry: TrailEntry,
    proof: Vec<String>,
}

impl From<TrailEntry> for Row {
    fn from(entry: TrailEntry) -> Self {
        let payload = entry.payload.unwrap_or_default();
        let text = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
        let is_event = entry.action == "event";
        let actor = if is_event { text("user") } else { text("actor") };
        let agent = text("agent");
        Self {
            index: entry.index,
            at: entry.at.format("%Y-%m-%d %H:%M:%S").to_string(),
            actor: match (actor.is_empty(), agent.is_empty()) {
                (true, _) => agent,
                (false, true) => actor,
                (false, false) => format!("{actor}, {agent}"),
            },
            action: entry.action,
            outcome: entry.outcome,
            project: entry.project.unwrap_or_default(),
            differs: entry.differs.unwrap_or_default(),
            detail: if is_event {
                format!("{} {}", text("action"), text("resource"))
            } else if text("detail").is_empty() {
                // Entries of the installation itself say what they do in the leaf.
                facts(&entry.leaf)
            } else {
                text("detail")
            },
        }
    }
}

/// The facts of a leaf, in words.
fn facts(leaf: &str) -> String {
    let leaf: serde_json::Value = serde_json::from_str(leaf).unwrap_or_default();
    let facts = leaf["refs"].as_object().into_iter().flatten();
    let facts = facts.filter_map(|(key, fact)| Some(format!("{key}: {}", fact.as_str()?)));
    facts.collect::<Vec<_>>().join(", ")
}

/// What is looked at.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct View {
    action: String,
    before: Option<u64>,
    entry: Option<u64>,
}

/// Shows the trail.
#[get("/trail")]
pub async fn show(
    who: Allowed<ReadTrail>,
    app: web::Data<Context>,
    view: web::Query<View>,
) -> Result<HttpResponse, Problem> {
    render(&app, &who.principal, &view).await
}

/// Verifies the trail now.
#[post("/trail/verify")]
pub async fn verify(
    who: Allowed<ReadTrail>,
    app: web::Data<Context>,
    form: web::Form<Bare>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    begin(&app, &who.principal).await?;
    Ok(redirect("/trail"))
}

async fn render(app: &Context, who: &Principal, view: &View) -> Result<HttpResponse, Problem> {
    let everywhere = who.reach::<ReadTrail>().is_all();
    let which = |action: &str, cursor: Option<u64>| Which {
        limit: None,
        cursor,
        action: (!action.is_empty()).then(|| action.to_owned()),
    };
    let rows = entries(app, who, &which(view.action.trim(), view.before), PAGE).await?;
    let next = (rows.len() as u64 == PAGE).then(|| rows.last().map(|row| row.index));
    let (checkpoint, changed) = match trail::sign(app).await {
        Ok(note) => (note, false),
        // Exactly then the page is wanted.
        Err(FlowError::Trail(_)) => {
            let last = app.store.latest_checkpoints(1).await?.pop();
            (last.map_or_else(String::new, |last| last.note), true)
        }
        Err(other) => return Err(other.into()),
    };
    let size = Head::parse(&checkpoint).map_or(0, |head| head.size);
    let one = match view.entry {
        None => None,
        Some(index) => {
            let found = entries(app, who, &which("", Some(index.saturating_add(1))), 1)
                .await?
                .pop();
            let missing = || Problem::not_found("there is no such entry");
            let entry = found.filter(|entry| entry.index == index).ok_or_else(missing)?;
            let proof = trail::prove(app, Claim::Inclusion { size, index }).await?;
            Some(One {
                entry,
                proof: proof.iter().map(|hash| hex::encode(hash.0)).collect(),
            })
        }
    };
    let keys = trail::keys(app).await?;
    let latest = app.store.latest_job(KIND).await?.filter(|_| everywhere);
    let verification = latest.map(Verification::try_from).transpose()?;
    page(&TrailPage {
        chrome: Chrome::new(app, who, "Trail", "", "").await?,
        everywhere,
        action: view.action.clone(),
        rows: rows.into_iter().map(Row::from).collect(),
        next: next.flatten(),
        checkpoint,
        changed,
        size,
        keys: keys.iter().map(|(_, key)| key.public().as_str().to_owned()).collect(),
        verification,
        one,
    })
}
