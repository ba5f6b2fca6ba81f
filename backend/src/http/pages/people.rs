//! People and roles, one's own sessions, and the log of actions.

use super::confirm::Confirm;
use super::sign_in::Bare;
use super::small::Small;
use super::{Chrome, check_csrf, day, minute, page, redirect};
use crate::app::Context;
use crate::auth::{Allowed, Principal, ReadActions, Way, WritePeople};
use crate::http::api::lineage;
use crate::http::api::people::{
    Action, Membership, MembershipRequest, Person, give, latest, let_go, made_in_sessions, put_out, take, visible,
};
use crate::http::problem::Problem;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, get, post, web};
use affiant_domain::Instant;
use affiant_store::{Root, instant};
use askama::Template;
use serde::Deserialize;
use std::collections::HashMap;
use uuid::Uuid;

#[derive(Template)]
#[template(path = "pages/people.html")]
struct People {
    chrome: Chrome,
    error: String,
    everywhere: bool,
    people: Vec<Person>,
    rows: Vec<Row>,
    providers: Vec<(String, String)>,
}

struct Row {
    id: Uuid,
    who: String,
    is_group: bool,
    role: String,
    /// What of the project, where it is not all.
    room: String,
    project: String,
    ends: String,
    actor: String,
}

/// Shows who may do what.
#[get("/people")]
pub async fn show(who: Allowed<WritePeople>, app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    render(&app, &who.principal, String::new()).await
}

async fn render(app: &Context, who: &Principal, error: String) -> Result<HttpResponse, Problem> {
    let everywhere = who.reach::<WritePeople>().is_all();
    let people: Vec<Person> = if everywhere {
        let people = app.store.people().await?.into_iter().map(Person::try_from);
        people.collect::<Result<_, _>>()?
    } else {
        Vec::new()
    };
    let names: HashMap<Uuid, String> = people.iter().map(|person| (person.id, person.name.clone())).collect();
    let row = |row: Membership| Row {
        id: row.id,
        is_group: row.group.is_some(),
        who: row.group.unwrap_or_else(|| {
            let name = row.person.and_then(|id| names.get(&id).cloned());
            name.unwrap_or_else(|| "a person".to_owned())
        }),
        room: room(&row.frameworks, row.from, row.until),
        role: row.role,
        project: row.project.unwrap_or_else(|| "all projects".to_owned()),
        ends: row.ends_at.map_or_else(String::new, minute),
        actor: row.actor,
    };
    page(&People {
        chrome: Chrome::new(app, who, "People", "", "").await?,
        error,
        everywhere,
        providers: app
            .sign_in
            .providers
            .iter()
            .map(|provider| {
                (
                    provider.settings.name.clone(),
                    provider.settings.title_or_name().to_owned(),
                )
            })
            .collect(),
        rows: visible(app, who).await?.into_iter().map(row).collect(),
        people,
    })
}

fn room(frameworks: &[String], from: Option<Instant>, until: Option<Instant>) -> String {
    let mut parts = Vec::new();
    if !frameworks.is_empty() {
        parts.push(frameworks.join(", "));
    }
    parts.extend(from.map(|at| format!("from {}", day(at))));
    parts.extend(until.map(|at| format!("before {}", day(at))));
    parts.join("; ")
}

/// A membership as the form sends it.
#[derive(Deserialize)]
pub struct Form {
    csrf: String,
    #[serde(default)]
    project: String,
    #[serde(default)]
    person: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    provider: String,
    role: String,
    #[serde(default)]
    ends: String,
    #[serde(default)]
    frameworks: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
}

/// Gives a membership.
#[post("/people/memberships")]
pub async fn add(
    who: Allowed<WritePeople>,
    app: web::Data<Context>,
    form: web::Form<Form>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    let wanted = MembershipRequest {
        project: some(&form.project),
        person: form.person.parse().ok(),
        group: some(&form.group),
        provider: some(&form.provider).filter(|_| some(&form.group).is_some()),
        role: form.role.clone(),
        ends_at: some(&form.ends).map(|day| format!("{day}T23:59:59Z")),
        frameworks: form
            .frameworks
            .split([' ', ','])
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect(),
        from: some(&form.from).map(|day| format!("{day}T00:00:00Z")),
        until: some(&form.until).map(|day| format!("{day}T00:00:00Z")),
    };
    match give(&app, &who.principal, &wanted).await {
        Ok(_) => Ok(redirect("/people")),
        Err(problem) if problem.status == 400 => render(&app, &who.principal, problem.detail).await,
        Err(problem) => Err(problem),
    }
}

/// Ends a membership.
#[post("/people/memberships/{membership}")]
pub async fn remove(
    who: Allowed<WritePeople>,
    app: web::Data<Context>,
    path: web::Path<Uuid>,
    form: web::Form<Bare>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    take(&app, &who.principal, *path).await?;
    Ok(redirect("/people"))
}

async fn named(app: &Context, person: Uuid) -> Result<String, Problem> {
    let person = app.store.person(person).await?;
    Ok(person
        .ok_or_else(|| Problem::not_found("there is no such person"))?
        .name)
}

/// Lets somebody leave.
#[post("/people/{person}/leave")]
pub async fn leave(
    who: Allowed<WritePeople>,
    app: web::Data<Context>,
    path: web::Path<Uuid>,
    form: web::Form<Bare>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    if !who.principal.reach::<WritePeople>().is_all() {
        return Err(Problem::forbidden("people:write for all projects"));
    }
    if !form.is_confirmed() {
        let made = app.store.made_by(Root::Person(*path), app.clock.now()).await?;
        let (heading, action) = (named(&app, *path).await?, format!("/people/{path}/leave"));
        return Confirm {
            chrome: Chrome::new(&app, &who.principal, "People", "", "").await?,
            heading: format!("Has {heading} left?"),
            text: match made.is_empty() {
                true => "Their sessions end, and roles given to them alone are taken. They have no tokens.",
                false => "Their sessions end, and roles given to them alone are taken. This is revoked with them:",
            },
            items: lineage::named(&made, 100),
            action,
            fields: Vec::new(),
            button: "Has left",
            back: "/people".to_owned(),
        }
        .ask();
    }
    let_go(&app, &who.principal, *path).await?;
    Ok(redirect("/people"))
}

/// Ends all sessions of somebody.
#[post("/people/{person}/sessions")]
pub async fn end(
    who: Allowed<WritePeople>,
    app: web::Data<Context>,
    path: web::Path<Uuid>,
    form: web::Form<Bare>,
) -> Result<HttpResponse, Problem> {
    check_csrf(&who.principal, &form.csrf)?;
    if !who.principal.reach::<WritePeople>().is_all() {
        return Err(Problem::forbidden("people:write for all projects"));
    }
    if !form.is_confirmed() {
        let (_, made) = made_in_sessions(&app, *path).await?;
        let (heading, action) = (named(&app, *path).await?, format!("/people/{path}/sessions"));
        return Confirm {
            chrome: Chrome::new(&app, &who.principal, "People", "", "").await?,
            heading: format!("End the sessions of {heading}?"),
            text: match made.is_empty() {
                true => "They are signed out everywhere. Nothing was made in these sessions.",
                false => "They are signed out everywhere. What was made in these sessions is revoked:",
            },
            items: lineage::named(&made, 100),
            action,
            fields: Vec::new(),
            button: "End sessions",
            back: "/people".to_owned(),
        }
        .ask();
    }
    put_out(&app, &who.principal, *path).await?;
    Ok(redirect("/people"))
}

#[derive(Template)]
#[template(path = "pages/account.html")]
struct Account {
    chrome: Chrome,
    roles: String,
    sessions: Vec<Session>,
}

struct Session {
    id: String,
    browser: String,
    begun: String,
    seen: String,
    is_this: bool,
}

/// Whoever is signed in, with a role or without.
fn signed_in(request: &HttpRequest) -> Result<Principal, Problem> {
    let who = request.extensions().get::<Principal>().cloned();
    who.ok_or_else(Problem::unauthenticated)
}

/// Shows one's own sessions.
#[get("/account")]
pub async fn account(request: HttpRequest, app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let who = signed_in(&request)?;
    let own = own_sessions(&app, &who).await?;
    let session = |row: affiant_store::entity::session::Model| Session {
        is_this: matches!(&who.way, Way::Session { hash, .. } if *hash == row.hash),
        id: row.hash,
        browser: row.browser,
        begun: minute(instant(row.created_at)),
        seen: minute(instant(row.seen_at)),
    };
    page(&Account {
        roles: who.roles(),
        sessions: own.into_iter().map(session).collect(),
        chrome: Chrome::new(&app, &who, "Account", "", "").await?,
    })
}

async fn own_sessions(app: &Context, who: &Principal) -> Result<Vec<affiant_store::entity::session::Model>, Problem> {
    let now = app.clock.now();
    Ok(match (who.person, &who.way) {
        (Some(person), _) => app.store.sessions_of(person, now).await?,
        (None, Way::Session { hash, .. }) => app.store.session(hash, now).await?.into_iter().collect(),
        _ => Vec::new(),
    })
}

/// Ends one of one's own sessions.
#[post("/account/sessions/{session}")]
pub async fn end_own(
    request: HttpRequest,
    app: web::Data<Context>,
    path: web::Path<String>,
    form: Small<Bare>,
) -> Result<HttpResponse, Problem> {
    let who = signed_in(&request)?;
    check_csrf(&who, &form.csrf)?;
    let own = own_sessions(&app, &who).await?;
    if !own.iter().any(|row| row.hash == *path) {
        return Err(Problem::not_found("there is no such session"));
    }
    let hash = path.as_str();
    let over = |app: Context| async move {
        app.store.end_session(hash).await?;
        Ok::<_, Problem>(((), serde_json::json!({})))
    };
    app.deed((&who.name, "session.ended", None), over).await?;
    Ok(redirect("/account"))
}

#[derive(Template)]
#[template(path = "pages/actions.html")]
struct Actions {
    chrome: Chrome,
    rows: Vec<Action>,
}

impl Actions {
    fn at(row: &Action) -> String {
        row.at.format("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// Shows what was done and refused.
#[get("/actions")]
pub async fn actions(who: Allowed<ReadActions>, app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    page(&Actions {
        rows: latest(&app, &who.principal).await?,
        chrome: Chrome::new(&app, &who.principal, "Actions", "", "").await?,
    })
}
