//! People, what they and their groups are members of, and the log of what was done and refused.

use super::lineage::{Confirmation, Lineage, told};
use super::{List, time, uuid};
use crate::app::Context;
use crate::auth::{Allowed, PERMISSIONS, Principal, ReadActions, ReadFramework, Role, WritePeople};
use crate::http::App;
use crate::http::problem::Problem;
use crate::trail::Trail;
use actix_web::{HttpResponse, delete, get, post, web};
use affiant_domain::Instant;
use affiant_store::{EntryFilter, Made, Member, NewMembership, Root, StoreError, entity, instant, stored_json};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// Who is asking.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Name in records.
    pub name: String,
    /// What they may do.
    pub roles: Vec<Held>,
}

/// A role that somebody holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Held {
    /// The role.
    #[schema(example = "member")]
    pub role: String,
    /// Slug of the project; all, where none is named.
    pub project: Option<String>,
}

/// Show who you are and what you may do
///
/// Needs the permission `frameworks:read`.
#[utoipa::path(tag = "people", responses((status = 200, body = Me), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/me")]
pub async fn me(who: Allowed<ReadFramework>, app: App) -> Result<HttpResponse, Problem> {
    let slugs = slugs(&app, &who.principal).await?;
    let held = |grant: &crate::auth::Grant| Held {
        role: grant.role.as_str().to_owned(),
        project: grant.project.and_then(|id| slugs.get(&id).cloned()),
    };
    Ok(HttpResponse::Ok().json(Me {
        name: who.principal.name.clone(),
        roles: who.principal.grants.iter().map(held).collect(),
    }))
}

pub(crate) async fn slugs(app: &Context, who: &Principal) -> Result<HashMap<Uuid, String>, Problem> {
    let all = app.store.projects(who.known().only()).await?;
    Ok(all.into_iter().map(|project| (project.id, project.slug)).collect())
}

/// Somebody who signed in at least once.
#[derive(Debug, Serialize, ToSchema)]
pub struct Person {
    /// Identifier.
    pub id: Uuid,
    /// Who vouches for them.
    pub issuer: String,
    /// Their name there; with the issuer it is who they are.
    pub subject: String,
    /// Name in records: one name is one person.
    pub name: String,
    /// Where they are written to.
    pub email: String,
    /// Their groups, as the provider last told them.
    pub groups: Vec<String>,
    /// Whether the provider's directory told them by SCIM: who leaves there leaves here.
    pub told: bool,
    /// When they last signed in or were asked about.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub seen_at: Instant,
}

impl TryFrom<entity::person::Model> for Person {
    type Error = StoreError;

    fn try_from(row: entity::person::Model) -> Result<Self, StoreError> {
        Ok(Self {
            groups: stored_json(("person", row.id, "member_of"), &row.member_of)?,
            id: row.id,
            told: !row.standing.is_empty(),
            seen_at: instant(row.seen_at),
            issuer: row.issuer,
            subject: row.subject,
            name: row.name,
            email: row.email,
        })
    }
}

/// List the people who signed in
///
/// Needs the permission `people:write` for all projects.
#[utoipa::path(tag = "people", responses((status = 200, body = List<Person>), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/people")]
pub async fn people(who: Allowed<WritePeople>, app: App) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let items = app.store.people().await?;
    let items = items.into_iter().map(Person::try_from).collect::<Result<_, _>>()?;
    Ok(HttpResponse::Ok().json(List::<Person> { items, next: None }))
}

fn everywhere(who: &Principal) -> Result<(), Problem> {
    if who.reach::<WritePeople>().is_all() {
        Ok(())
    } else {
        Err(Problem::forbidden("people:write for all projects"))
    }
}

/// End all sessions of somebody
///
/// Tokens and memberships that were made in them are revoked; where there are any, they are listed first, and `confirm=true` is wanted. Needs the permission `people:write` for all projects.
#[utoipa::path(tag = "people", params(("person" = String, Path, description = "Identifier"), Confirmation), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/api/v1/people/{person}/sessions")]
pub async fn end_sessions(
    who: Allowed<WritePeople>,
    app: App,
    path: web::Path<String>,
    query: web::Query<Confirmation>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let person = uuid(&path, "person")?;
    query.of(&made_in_sessions(&app, person).await?.1)?;
    put_out(&app, &who.principal, person).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The sessions of somebody, and what was made in them.
pub(crate) async fn made_in_sessions(app: &Context, person: Uuid) -> Result<(Vec<String>, Made), Problem> {
    let now = app.clock.now();
    let sessions = app.store.sessions_of(person, now).await?;
    let sessions: Vec<String> = sessions.into_iter().map(|session| session.hash).collect();
    let made = app.store.made_by(Root::Sessions(&sessions), now).await?;
    Ok((sessions, made))
}

/// Ends all sessions of somebody.
pub(crate) async fn put_out(app: &Context, who: &Principal, person: Uuid) -> Result<(), Problem> {
    let now = app.clock.now();
    let person = app.store.person(person).await?;
    let person = person.ok_or_else(|| Problem::not_found("there is no such person"))?;
    let end = |app: Context| async move {
        let sessions = app.store.sessions_of(person.id, now).await?;
        let sessions: Vec<String> = sessions.into_iter().map(|session| session.hash).collect();
        let made = app.store.end_and_revoke(&sessions, now).await?;
        Ok(((), serde_json::json!({ "of": person.name, "made": told(&made) })))
    };
    app.deed((&who.name, "session.ended", None), end).await
}

/// Let somebody leave
///
/// Their sessions end, their tokens are revoked with what those made, and roles given to them alone are taken. Where there are tokens they are
/// listed first, and `confirm=true` is wanted. Who signs in again is back, with what their groups have. Needs the permission `people:write` for all projects.
#[utoipa::path(tag = "people", params(("person" = String, Path, description = "Identifier"), Confirmation), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/api/v1/people/{person}")]
pub async fn leave(
    who: Allowed<WritePeople>,
    app: App,
    path: web::Path<String>,
    query: web::Query<Confirmation>,
) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let person = uuid(&path, "person")?;
    query.of(&app.store.made_by(Root::Person(person), app.clock.now()).await?)?;
    let_go(&app, &who.principal, person).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List what is revoked with somebody
///
/// Their tokens, and what those made in turn. Needs the permission `people:write` for all projects.
#[utoipa::path(tag = "people", params(("person" = String, Path, description = "Identifier")), responses((status = 200, body = Lineage), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/people/{person}/made")]
pub async fn made_by(who: Allowed<WritePeople>, app: App, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let person = uuid(&path, "person")?;
    let known = app.store.person(person).await?;
    known.ok_or_else(|| Problem::not_found("there is no such person"))?;
    let made = app.store.made_by(Root::Person(person), app.clock.now()).await?;
    let slugs = slugs(&app, &who.principal).await?;
    Ok(HttpResponse::Ok().json(Lineage::new(made, &slugs)?))
}

/// Lets somebody leave.
pub(crate) async fn let_go(app: &Context, who: &Principal, person: Uuid) -> Result<(), Problem> {
    let now = app.clock.now();
    let person = app.store.person(person).await?;
    let person = person.ok_or_else(|| Problem::not_found("there is no such person"))?;
    let part = |app: Context| async move {
        app.store.leave(person.id, now).await?;
        Ok(((), serde_json::json!({ "of": person.name })))
    };
    app.deed((&who.name, "person.left", None), part).await
}

/// What somebody, or a group, may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Membership {
    /// Identifier.
    pub id: Uuid,
    /// Slug of the project; all, where none is named.
    pub project: Option<String>,
    /// The person.
    pub person: Option<Uuid>,
    /// The group, as its provider names it.
    pub group: Option<String>,
    /// The provider of the group, by its name in the configuration.
    pub provider: Option<String>,
    /// As what.
    #[schema(example = "member")]
    pub role: String,
    /// Until when, where it ends.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub ends_at: Option<Instant>,
    /// Of an auditor's room: frameworks.
    pub frameworks: Vec<String>,
    /// Of an auditor's room: from when on.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub from: Option<Instant>,
    /// Of an auditor's room: until before when.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub until: Option<Instant>,
    /// Who gave it.
    pub actor: String,
    /// The token by which it was given; null where it was given otherwise.
    pub made_by_token: Option<Uuid>,
    /// When.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub created_at: Instant,
}

pub(super) fn shown(row: entity::membership::Model, slugs: &HashMap<Uuid, String>) -> Result<Membership, StoreError> {
    Ok(Membership {
        frameworks: stored_json(("membership", row.id, "frameworks"), &row.frameworks)?,
        id: row.id,
        project: row.project_id.and_then(|id| slugs.get(&id).cloned()),
        person: row.person_id,
        provider: (!row.provider.is_empty()).then_some(row.provider),
        group: (!row.member_of.is_empty()).then_some(row.member_of),
        role: row.role,
        ends_at: row.ends_at.map(instant),
        from: row.from_at.map(instant),
        until: row.until_at.map(instant),
        actor: row.actor,
        made_by_token: row.by_token,
        created_at: instant(row.created_at),
    })
}

/// List memberships
///
/// Those of the projects whose people you manage. Needs the permission `people:write`.
#[utoipa::path(tag = "people", responses((status = 200, body = List<Membership>), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/memberships")]
pub async fn memberships(who: Allowed<WritePeople>, app: App) -> Result<HttpResponse, Problem> {
    let items = visible(&app, &who.principal).await?;
    Ok(HttpResponse::Ok().json(List::<Membership> { items, next: None }))
}

/// The memberships of the projects whose people somebody manages.
pub(crate) async fn visible(app: &Context, who: &Principal) -> Result<Vec<Membership>, Problem> {
    let slugs = slugs(app, who).await?;
    let rows = app.store.memberships(who.reach::<WritePeople>().only()).await?;
    Ok(rows
        .into_iter()
        .map(|row| shown(row, &slugs))
        .collect::<Result<_, _>>()?)
}

/// A membership to give.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MembershipRequest {
    /// Slug of the project; all, where none is named.
    pub project: Option<String>,
    /// A person, by identifier.
    pub person: Option<Uuid>,
    /// Or a group of a provider, by name.
    #[schema(example = "payments-team")]
    pub group: Option<String>,
    /// The provider of the group, by its name in the configuration; the only one, where none is named.
    pub provider: Option<String>,
    /// `admin`, `compliance`, `member`, `auditor` or `privacy`.
    #[schema(example = "member")]
    pub role: String,
    /// Until when, where it ends.
    pub ends_at: Option<String>,
    /// For an auditor: these frameworks and nothing else; every reading is written down.
    #[serde(default)]
    pub frameworks: Vec<String>,
    /// For an auditor: nothing before.
    pub from: Option<String>,
    /// For an auditor: nothing from then on.
    pub until: Option<String>,
}

/// Make somebody, or a group, a member
///
/// Needs the permission `people:write`, for the project or for all.
#[utoipa::path(tag = "people", request_body = MembershipRequest, responses((status = 201, body = Membership), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[post("/api/v1/memberships")]
pub async fn add(
    who: Allowed<WritePeople>,
    app: App,
    wanted: web::Json<MembershipRequest>,
) -> Result<HttpResponse, Problem> {
    let row = give(&app, &who.principal, &wanted).await?;
    let slugs = slugs(&app, &who.principal).await?;
    Ok(HttpResponse::Created().json(shown(row, &slugs)?))
}

/// Gives a membership, within the projects whose people the giver manages.
pub(crate) async fn give(
    app: &Context,
    who: &Principal,
    wanted: &MembershipRequest,
) -> Result<entity::membership::Model, Problem> {
    let reach = who.reach::<WritePeople>();
    let role = Role::parse(&wanted.role).filter(|role| *role != Role::Ingest);
    let role = role.ok_or_else(|| Problem::invalid("/role", "admin, compliance, member, auditor or privacy"))?;
    let project = match &wanted.project {
        None if reach.is_all() => None,
        None => return Err(Problem::forbidden("people:write for all projects")),
        Some(slug) => {
            let found = app.store.project_by_slug(&slug.replace('\0', "")).await?;
            let found = found.map(|project| project.id).filter(|id| reach.covers(*id));
            Some(found.ok_or_else(|| Problem::invalid("/project", "there is no such project"))?)
        }
    };
    let group = wanted.group.as_deref().map(str::trim).filter(|group| !group.is_empty());
    let mut known = app
        .sign_in
        .providers
        .iter()
        .map(|provider| provider.settings.name.clone());
    let provider = match &wanted.provider {
        Some(name) => known.find(|known| known == name),
        None => known.next().filter(|_| known.next().is_none()),
    };
    if group.is_some() && provider.is_none() && wanted.provider.is_some() {
        return Err(Problem::invalid("/provider", "there is no such provider"));
    }
    if group.is_some() && provider.is_none() && !app.sign_in.providers.is_empty() {
        return Err(Problem::invalid("/provider", "name the provider whose group it is"));
    }
    let provider = provider.unwrap_or_default();
    let member = match (wanted.person, group) {
        (Some(id), None) => {
            let known = app.store.person(id).await?;
            known.ok_or_else(|| Problem::invalid("/person", "there is no such person"))?;
            Member::Person(id)
        }
        (None, Some(group)) if group.len() <= 200 => Member::Group(&provider, group),
        _ => return Err(Problem::invalid("/group", "a person, or a group of at most 200 bytes")),
    };
    let now = app.clock.now();
    let ends_at = wanted
        .ends_at
        .as_deref()
        .map(|text| time("/ends_at", text))
        .transpose()?;
    if ends_at.is_some_and(|at| at <= now) {
        return Err(Problem::invalid("/ends_at", "a time to come"));
    }
    // Nobody gives more than they have, nor for longer.
    let own = |(name, roles): &&(&str, &[Role])| {
        roles.contains(&role)
            && who
                .scopes
                .as_ref()
                .is_some_and(|own| !own.iter().any(|scope| scope == name))
    };
    if let Some((missing, _)) = PERMISSIONS.iter().find(own) {
        return Err(Problem::forbidden(missing));
    }
    let own_end = who.until_of::<WritePeople>(project);
    let ends_at = match (ends_at, own_end) {
        (Some(wanted), Some(own)) => Some(wanted.min(own)),
        (wanted, own) => wanted.or(own),
    };
    let window = (
        wanted.from.as_deref().map(|text| time("/from", text)).transpose()?,
        wanted.until.as_deref().map(|text| time("/until", text)).transpose()?,
    );
    let bound = !wanted.frameworks.is_empty() || window.0.is_some() || window.1.is_some();
    if bound && role != Role::Auditor {
        return Err(Problem::invalid(
            "/frameworks",
            "a room of frameworks and time is for an auditor",
        ));
    }
    for id in &wanted.frameworks {
        let known = app.catalogue.framework(id);
        known.map_err(|error| Problem::invalid("/frameworks", error.to_string()))?;
    }
    let new = NewMembership {
        frameworks: &wanted.frameworks,
        window,
        project,
        member,
        role: role.as_str(),
        ends_at,
        actor: &who.name,
        maker: who.maker(),
    };
    let give = |app: Context| async move {
        let row = app.store.add_membership(&new, now).await?;
        let row = row.ok_or_else(super::tokens::revoked)?;
        let detail = serde_json::json!({ "role": row.role, "group": row.member_of, "person": row.person_id });
        Ok((row, detail))
    };
    app.deed((&who.name, "membership.given", project), give).await
}

/// End a membership
///
/// It holds no longer from the next request on. Needs the permission `people:write`.
#[utoipa::path(tag = "people", params(("membership" = String, Path, description = "Identifier")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/api/v1/memberships/{membership}")]
pub async fn remove(who: Allowed<WritePeople>, app: App, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    take(&app, &who.principal, uuid(&path, "membership")?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Ends a membership of a project whose people somebody manages.
pub(crate) async fn take(app: &Context, who: &Principal, id: Uuid) -> Result<(), Problem> {
    let reach = who.reach::<WritePeople>();
    let end = |app: Context| async move {
        if !app.store.remove_membership(id, reach.only()).await? {
            return Err(Problem::not_found("there is no such membership"));
        }
        Ok(((), serde_json::json!({ "membership": id })))
    };
    app.deed((&who.name, "membership.ended", None), end).await
}

/// Something that was done or refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Action {
    /// Its place in the trail.
    pub index: u64,
    /// When.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub at: Instant,
    /// Who; empty where nobody is known, or nobody may know any more.
    pub actor: String,
    /// What: `sign-in`, `sign-in.refused`, `sign-out`, `session.ended`, `membership.given`, …
    #[schema(example = "sign-in.refused")]
    pub kind: String,
    /// Slug of the project, where it was in one.
    pub project: Option<String>,
    /// The column beside the entry's leaf that was edited; null where all agree.
    pub differs: Option<String>,
    /// More of it.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}

/// List the latest actions
///
/// Two hundred at most, latest first: of the projects in which you may read them. Needs the permission `actions:read`.
#[utoipa::path(tag = "people", responses((status = 200, body = List<Action>), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/actions")]
pub async fn actions(who: Allowed<ReadActions>, app: App) -> Result<HttpResponse, Problem> {
    let items = latest(&app, &who.principal).await?;
    Ok(HttpResponse::Ok().json(List::<Action> { items, next: None }))
}

/// The latest actions that somebody may read.
pub(crate) async fn latest(app: &Context, who: &Principal) -> Result<Vec<Action>, Problem> {
    let slugs = slugs(app, who).await?;
    let reach = who.reach::<ReadActions>();
    let filter = EntryFilter {
        only: reach.only(),
        actions_only: true,
        ..EntryFilter::default()
    };
    let rows = app.store.trail_entries(&filter, 200).await?;
    let contents = app.store.contents(&rows).await?;
    let action = |row: entity::trail_entry::Model| {
        let told: Option<Told> = contents.get(&row.idx).and_then(|text| serde_json::from_str(text).ok());
        let told = told.unwrap_or_default();
        // As the leaf tells it: what stands beside it is what entries are found by.
        let (entry, differs) = Trail::told(&row);
        let entry = entry.unwrap_or_default();
        let project = entry.project.as_deref().and_then(|id| id.parse::<Uuid>().ok());
        Action {
            index: row.idx.unsigned_abs(),
            at: instant(affiant_trail::micros(&entry.at).unwrap_or_default()),
            actor: told.actor,
            kind: entry.action,
            project: project.and_then(|id| slugs.get(&id).cloned()),
            differs: differs.map(str::to_owned),
            detail: serde_json::from_str(&told.detail).unwrap_or_else(|_| serde_json::json!({})),
        }
    };
    Ok(rows.into_iter().map(action).collect())
}

/// The sealed part of an action.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    actor: String,
    detail: String,
}
