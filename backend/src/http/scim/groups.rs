//! Groups of a directory. RFC 7643 section 4.2. A role given to a group of the provider holds for its members here too.

use super::{Directory, Fault, GROUP, MEMBERS, Query, TRIES, answer, attribute, object, patch, text};
use crate::app::Context;
use crate::auth::{Allowed, ProvisionPeople};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, patch, post, put, web};
use affiant_store::{Telling, entity, instant};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const FILTERS: [&str; 3] = ["displayName", "externalId", "id"];

/// What a body says of a group.
struct Said {
    name: String,
    external_id: String,
    members: Vec<Uuid>,
}

impl Said {
    fn of(body: &Map<String, Value>) -> Result<Self, Fault> {
        let name = text(body, "displayName", 200)?.unwrap_or_default().trim();
        if name.is_empty() {
            return Err(Fault::value("displayName is missing"));
        }
        let listed = match attribute(body, "members") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(all)) if all.len() <= MEMBERS => all.as_slice(),
            Some(_) => return Err(Fault::value(format!("members is a list of at most {MEMBERS}"))),
        };
        let mut members = Vec::with_capacity(listed.len());
        for one in listed {
            let value = one.as_object().and_then(|one| attribute(one, "value"));
            let id = value.and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
            members.push(id.ok_or_else(|| Fault::value("a member has the id of a user as value"))?);
        }
        members.sort_unstable();
        members.dedup();
        Ok(Self {
            name: name.to_owned(),
            external_id: text(body, "externalId", 200)?.unwrap_or_default().to_owned(),
            members,
        })
    }
}

/// A group as a resource, with its members where they are wanted.
async fn resource(
    app: &Context,
    directory: &Directory,
    row: &entity::directory_group::Model,
    with_members: bool,
) -> Result<Map<String, Value>, Fault> {
    let at = |micros: i64| instant(micros).to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut map = Map::new();
    let own = json!({
        "schemas": [GROUP], "id": row.id, "displayName": row.name,
        "meta": {
            "resourceType": "Group", "created": at(row.created_at), "lastModified": at(row.changed_at),
            "location": format!("{}/Groups/{}", directory.base, row.id),
        },
    });
    if let Value::Object(own) = own {
        map.extend(own);
    }
    if !row.external_id.is_empty() {
        map.insert("externalId".to_owned(), row.external_id.clone().into());
    }
    if with_members {
        let members = app.store.members_of(row.id).await?;
        let member = |(id, name): (Uuid, String)| json!({ "value": id, "display": name });
        map.insert("members".to_owned(), members.into_iter().map(member).collect());
    }
    Ok(map)
}

async fn known(app: &Context, directory: &Directory, id: &str) -> Result<entity::directory_group::Model, Fault> {
    let id = Uuid::parse_str(id).map_err(|_| Fault::missing())?;
    let found = app.store.told_group(&directory.issuer, id).await?;
    found.ok_or_else(Fault::missing)
}

/// Lists groups.
#[get("/scim/v2/{provider}/Groups")]
pub async fn list(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<String>,
    query: web::Query<Query>,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path)?;
    let asked = query.asked(&FILTERS)?;
    let (all, rows) = app.store.told_groups(&directory.issuer, &asked).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let with_members = !query.excludes("members");
        found.push(Value::Object(resource(&app, &directory, row, with_members).await?));
    }
    Ok(query.page((all, found)))
}

async fn take(
    app: &Context,
    directory: &Directory,
    was: Option<&entity::directory_group::Model>,
    body: &Map<String, Value>,
) -> Result<Option<entity::directory_group::Model>, Fault> {
    let said = Said::of(body)?;
    let tell = |app: Context| async move {
        let group = (was, said.name.as_str(), said.external_id.as_str());
        let told = app
            .store
            .tell_group(&directory.issuer, group, &said.members, app.clock.now())
            .await?;
        match told {
            Telling::Done(row) => {
                let detail = json!({ "group": row.name, "members": said.members.len() });
                Ok((row, detail))
            }
            Telling::Stale => Err(Fault::stale()),
            Telling::Taken => Err(Fault::taken()),
            Telling::Missing | Telling::Bound => Err(Fault::missing()),
        }
    };
    match directory.deed(app, "group.changed", tell).await {
        Err(fault) if fault.is_stale() => Ok(None),
        told => told.map(Some),
    }
}

/// Takes in a new group.
#[post("/scim/v2/{provider}/Groups")]
pub async fn create(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path)?;
    let made = take(&app, &directory, None, &object(body).await?).await?;
    let row = made.ok_or_else(Fault::busy)?;
    let body = resource(&app, &directory, &row, true).await?;
    Ok(answer(StatusCode::CREATED, &Value::Object(body)))
}

/// Shows a group.
#[get("/scim/v2/{provider}/Groups/{id}")]
pub async fn show(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<(String, String)>,
    query: web::Query<Query>,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path.0)?;
    let row = known(&app, &directory, &path.1).await?;
    let body = resource(&app, &directory, &row, !query.excludes("members")).await?;
    Ok(answer(StatusCode::OK, &Value::Object(body)))
}

/// Puts what is said in place of what was.
#[put("/scim/v2/{provider}/Groups/{id}")]
pub async fn replace(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<(String, String)>,
    body: web::Payload,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path.0)?;
    let body = object(body).await?;
    for _ in 0..TRIES {
        let was = known(&app, &directory, &path.1).await?;
        if let Some(row) = take(&app, &directory, Some(&was), &body).await? {
            let body = resource(&app, &directory, &row, true).await?;
            return Ok(answer(StatusCode::OK, &Value::Object(body)));
        }
    }
    Err(Fault::busy())
}

/// Changes a group: mostly, who is in it.
#[patch("/scim/v2/{provider}/Groups/{id}")]
pub async fn change(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<(String, String)>,
    body: web::Payload,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path.0)?;
    let body = object(body).await?;
    for _ in 0..TRIES {
        let was = known(&app, &directory, &path.1).await?;
        let mut changed = resource(&app, &directory, &was, true).await?;
        patch::apply(&mut changed, &body)?;
        if let Some(row) = take(&app, &directory, Some(&was), &changed).await? {
            let body = resource(&app, &directory, &row, true).await?;
            return Ok(answer(StatusCode::OK, &Value::Object(body)));
        }
    }
    Err(Fault::busy())
}

/// Forgets a group.
#[delete("/scim/v2/{provider}/Groups/{id}")]
pub async fn remove(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path.0)?;
    let was = known(&app, &directory, &path.1).await?;
    let own = &directory;
    let forget = |app: Context| async move {
        let gone = app.store.forget_group(&own.issuer, was.id).await?;
        if gone {
            Ok(((), json!({ "group": was.name })))
        } else {
            Err(Fault::missing())
        }
    };
    directory.deed(&app, "group.forgotten", forget).await?;
    Ok(HttpResponse::NoContent().finish())
}
