//! Requests of data subjects: both clocks, the plan, approval, certificates.

use super::{Chrome, check_csrf, day, page, redirect};
use crate::app::Context;
use crate::auth::{Allowed, Principal, WritePrivacy};
use crate::flow::FlowError;
use crate::flow::fulfil_request::{Class, GROUNDS, due_at, identifier_of, receive, state_of, step};
use crate::http::api::processors::{Breach, Processor, shown as processor, told as breach};
use crate::http::api::uuid;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, get, post, web};
use affiant_domain::request::{Right, State, Step};
use affiant_store::{entity, instant, stored_json};
use askama::Template;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "pages/privacy.html")]
struct Privacy {
    chrome: Chrome,
    error: String,
    rights: Vec<&'static str>,
    grounds: Vec<&'static str>,
    rows: Vec<Row>,
    processors: Vec<Processor>,
    breaches: Vec<Breach>,
    activities: Vec<entity::processing_activity::Model>,
}

struct Row {
    id: String,
    right: String,
    state: String,
    who: String,
    received: String,
    due: String,
    late: bool,
    extended: bool,
    plan: Vec<Class>,
    outcome: String,
    certificate: String,
    /// Who is told of it: processor, state, answer.
    told: Vec<(String, String, String)>,
    has_package: bool,
    /// Steps that can be made now: word and label.
    steps: Vec<(&'static str, &'static str)>,
    /// Whether one of them wants words, or a ground.
    wants_text: bool,
    wants_ground: bool,
}

impl Privacy {
    fn until(class: &Class) -> String {
        class.until.map_or_else(String::new, day)
    }
}

fn row(app: &Context, who: &Principal, row: &entity::privacy_request::Model) -> Result<Row, Problem> {
    let state = state_of(row)?;
    let handlers: Vec<String> = stored_json(("privacy_request", row.id, "handlers"), &row.handlers)?;
    let handled = handlers.iter().any(|handler| !who.actor().is_second_to(handler));
    let labels = [
        (Step::VerifyIdentity, "verify_identity", "Identity is proved"),
        (Step::Plan, "plan", "Plan"),
        (Step::Approve, "approve", "Approve"),
        (Step::Fulfil, "fulfil", "Fulfil"),
        (Step::Extend, "extend", "Extend"),
        (Step::Refuse, "refuse", "Refuse"),
        (Step::Withdraw, "withdraw", "Withdrawn"),
    ];
    let may = |step: Step| {
        state.after(step).is_some()
            && !(step == Step::Approve && handled)
            && !(step == Step::Extend && row.extended_at.is_some())
    };
    let steps: Vec<_> = labels.into_iter().filter(|(step, ..)| may(*step)).collect();
    let approved = matches!(state, State::Approved | State::Fulfilled);
    let due = due_at(row);
    let (column, plan) = if state == State::Fulfilled {
        ("done", &row.done)
    } else {
        ("plan", &row.plan)
    };
    Ok(Row {
        id: row.id.to_string(),
        right: row.kind.clone(),
        state: row.state.replace('_', " "),
        who: identifier_of(app, row)?.unwrap_or_else(|| "forgotten".to_owned()),
        received: day(instant(row.received_at)),
        due: day(due - chrono::Duration::seconds(1)),
        late: !state.is_closed() && due <= app.clock.now(),
        extended: row.extended_at.is_some(),
        plan: stored_json(("privacy_request", row.id, column), plan)?,
        outcome: row.outcome.replace('_', " "),
        certificate: row.certificate.clone(),
        told: Vec::new(),
        has_package: approved && matches!(row.kind.as_str(), "access" | "portability"),
        wants_text: !steps.is_empty(),
        wants_ground: steps.iter().any(|(step, ..)| *step == Step::Plan),
        steps: steps.into_iter().map(|(_, word, label)| (word, label)).collect(),
    })
}

fn everywhere(who: &Principal) -> Result<(), Problem> {
    if who.reach::<WritePrivacy>().is_all() {
        Ok(())
    } else {
        Err(Problem::forbidden("privacy:write for all projects"))
    }
}

async fn render(app: &Context, who: &Principal, error: String) -> Result<HttpResponse, Problem> {
    let mut rows = Vec::new();
    for one in app.store.requests(200).await? {
        let told = match one.state.as_str() {
            "fulfilled" => app.store.notices(one.id).await?,
            _ => Vec::new(),
        };
        let told = told
            .into_iter()
            .map(|(notice, name)| (name, notice.state.replace('_', " "), notice.answer));
        let told = told.collect();
        rows.push(Row {
            told,
            ..row(app, who, &one)?
        });
    }
    let now = app.clock.now();
    let in_force = |row: &entity::processing_activity::Model| row.ended_at.is_none();
    page(&Privacy {
        chrome: Chrome::new(app, who, "Privacy", "", "").await?,
        error,
        rights: Right::ALL.map(Right::as_str).to_vec(),
        grounds: GROUNDS.to_vec(),
        rows,
        processors: app
            .store
            .processors()
            .await?
            .into_iter()
            .filter(|row| row.ended_at.is_none())
            .map(|row| processor(row, now))
            .collect(),
        breaches: app
            .store
            .breaches()
            .await?
            .into_iter()
            .map(|row| breach(row, now))
            .collect(),
        activities: app.store.activities().await?.into_iter().filter(in_force).collect(),
    })
}

/// Shows requests.
#[get("/privacy")]
pub async fn show(who: Allowed<WritePrivacy>, app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    render(&app, &who.principal, String::new()).await
}

/// A request to take in.
#[derive(Deserialize)]
pub struct New {
    csrf: String,
    right: String,
    identifier: String,
}

/// Takes a request in.
#[post("/privacy")]
pub async fn create(
    who: Allowed<WritePrivacy>,
    app: web::Data<Context>,
    form: web::Form<New>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    everywhere(&who.principal)?;
    let right = Right::parse(&form.right).ok_or_else(|| Problem::invalid("right", "one of the six"))?;
    let done = receive(&app, right, &form.identifier, app.clock.now(), &who.principal.name).await;
    answer(&app, &who.principal, done.map(|_| ())).await
}

/// A step to make.
#[derive(Deserialize)]
pub struct Move {
    csrf: String,
    step: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    ground: String,
}

/// Brings a request a step further.
#[post("/privacy/{request}")]
pub async fn go(
    who: Allowed<WritePrivacy>,
    app: web::Data<Context>,
    path: web::Path<String>,
    form: web::Form<Move>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    everywhere(&who.principal)?;
    let chosen = Step::parse(&form.step).ok_or_else(|| Problem::invalid("step", "one of those on the page"))?;
    let text = form.text.replace('\0', "");
    let done = step(
        &app,
        uuid(&path, "request")?,
        (chosen, &text, &form.ground),
        who.principal.actor(),
    )
    .await;
    answer(&app, &who.principal, done.map(|_| ())).await
}

/// Back to the page, with what went wrong.
async fn answer(app: &Context, who: &Principal, done: Result<(), FlowError>) -> Result<HttpResponse, Problem> {
    match done {
        Ok(()) => Ok(redirect("/privacy")),
        Err(FlowError::Invalid { what, .. } | FlowError::Conflict(what) | FlowError::Forbidden(what)) => {
            render(app, who, what).await
        }
        Err(other) => Err(other.into()),
    }
}
