//! People of a directory. RFC 7643 section 4.1.

use super::{Directory, Fault, Query, TRIES, USER, answer, attribute, object, patch, text};
use crate::app::Context;
use crate::auth::oidc::shown;
use crate::auth::{Allowed, ProvisionPeople};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, patch, post, put, web};
use affiant_store::{Telling, Told, entity, instant, stored_json};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const FILTERS: [&str; 3] = ["userName", "externalId", "id"];
/// What is kept and given back beside what Affiant itself uses.
const KEPT: [&str; 3] = ["displayName", "name", "emails"];
/// Bytes of that.
const PROFILE: usize = 16 << 10;

/// What a body says of somebody.
struct Said {
    external_id: String,
    user_name: String,
    name: String,
    email: String,
    profile: String,
    active: bool,
}

impl Said {
    fn of(body: &Map<String, Value>) -> Result<Self, Fault> {
        let user_name = text(body, "userName", 200)?.unwrap_or_default();
        if user_name.trim().is_empty() {
            return Err(Fault::value("userName is missing"));
        }
        let external_id = text(body, "externalId", 200)?.unwrap_or_default();
        if external_id.is_empty() {
            let what = "externalId is missing: it must be what the provider's directory_claim says of the person";
            return Err(Fault::value(what));
        }
        let kept = KEPT.iter().filter_map(|name| {
            let value = attribute(body, name)?;
            Some(((*name).to_owned(), value.clone()))
        });
        let kept: Map<String, Value> = kept.collect();
        let profile = Value::Object(kept.clone()).to_string();
        if profile.len() > PROFILE {
            return Err(Fault::value(format!("name and emails have at most {PROFILE} bytes")));
        }
        Ok(Self {
            external_id: external_id.to_owned(),
            user_name: user_name.to_owned(),
            name: called(&kept).unwrap_or_else(|| shown(user_name)),
            email: email(&kept).chars().filter(|c| !c.is_control()).take(200).collect(),
            profile,
            active: active(body)?,
        })
    }

    fn told<'s>(&'s self, directory: &Directory) -> Told<'s> {
        Told {
            external_id: &self.external_id,
            is_subject: directory.by_subject,
            user_name: &self.user_name,
            name: &self.name,
            email: &self.email,
            profile: &self.profile,
            active: self.active,
        }
    }
}

/// Entra writes truth values as texts.
fn active(body: &Map<String, Value>) -> Result<bool, Fault> {
    match attribute(body, "active") {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Bool(active)) => Ok(*active),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Fault::value("active is true or false")),
    }
}

fn called(kept: &Map<String, Value>) -> Option<String> {
    let of_name = |part: &str| kept.get("name")?.get(part)?.as_str();
    let display = kept.get("displayName").and_then(Value::as_str);
    let both = || Some(format!("{} {}", of_name("givenName")?, of_name("familyName")?));
    let all = [
        display.map(str::to_owned),
        of_name("formatted").map(str::to_owned),
        both(),
    ];
    all.into_iter()
        .flatten()
        .map(|name| shown(&name))
        .find(|name| !name.is_empty())
}

fn email(kept: &Map<String, Value>) -> &str {
    let all = kept.get("emails").and_then(Value::as_array);
    let primary = all.into_iter().flatten().find(|one| one["primary"] == true);
    let first = primary.or_else(|| all.and_then(|all| all.first()));
    first.and_then(|one| one["value"].as_str()).unwrap_or_default()
}

/// Somebody as a resource.
fn resource(directory: &Directory, row: &entity::person::Model) -> Result<Map<String, Value>, Fault> {
    // A PATCH writes what it reads: a profile that cannot be read must not be written over.
    let mut map: Map<String, Value> = match row.profile.as_str() {
        "" => Map::new(),
        profile => stored_json(("person", row.id, "profile"), profile)?,
    };
    let at = |micros: i64| instant(micros).to_rfc3339_opts(SecondsFormat::Millis, true);
    let own = json!({
        "schemas": [USER], "id": row.id, "externalId": row.external_id, "userName": row.user_name, "active": row.standing == "active",
        "meta": {
            "resourceType": "User", "created": at(row.created_at), "lastModified": at(row.left_at.unwrap_or(row.created_at)),
            "location": format!("{}/Users/{}", directory.base, row.id),
        },
    });
    if let Value::Object(own) = own {
        map.extend(own);
    }
    Ok(map)
}

fn shown_as(directory: &Directory, status: StatusCode, row: &entity::person::Model) -> Result<HttpResponse, Fault> {
    Ok(answer(status, &Value::Object(resource(directory, row)?)))
}

async fn known(app: &Context, directory: &Directory, id: &str) -> Result<entity::person::Model, Fault> {
    let id = Uuid::parse_str(id).map_err(|_| Fault::missing())?;
    let found = app.store.told_person(&directory.issuer, id).await?;
    found.ok_or_else(Fault::missing)
}

/// Lists people.
#[get("/scim/v2/{provider}/Users")]
pub async fn list(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<String>,
    query: web::Query<Query>,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path)?;
    let asked = query.asked(&FILTERS)?;
    let (all, rows) = app.store.told_people(&directory.issuer, &asked).await?;
    let found = rows.iter().map(|row| Ok(Value::Object(resource(&directory, row)?)));
    Ok(query.page((all, found.collect::<Result<_, Fault>>()?)))
}

/// Takes in somebody new.
#[post("/scim/v2/{provider}/Users")]
pub async fn create(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path)?;
    let said = Said::of(&object(body).await?)?;
    let own = &directory;
    let tell = |app: Context| async move {
        let told = said.told(own);
        match app.store.tell_person(&own.issuer, &told, app.clock.now()).await? {
            Telling::Done(row) => {
                let detail = json!({ "of": row.name });
                Ok((row, detail))
            }
            Telling::Taken | Telling::Missing | Telling::Stale | Telling::Bound => Err(Fault::taken()),
        }
    };
    let row = directory.deed(&app, "person.provisioned", tell).await?;
    shown_as(&directory, StatusCode::CREATED, &row)
}

/// Shows somebody.
#[get("/scim/v2/{provider}/Users/{id}")]
pub async fn show(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path.0)?;
    let row = known(&app, &directory, &path.1).await?;
    shown_as(&directory, StatusCode::OK, &row)
}

async fn take(
    app: &Context,
    directory: &Directory,
    was: &entity::person::Model,
    body: &Map<String, Value>,
) -> Result<Option<HttpResponse>, Fault> {
    let said = Said::of(body)?;
    let kind = match (was.standing.as_str(), said.active) {
        ("active", false) => "person.left",
        ("inactive", true) => "person.returned",
        _ => "person.changed",
    };
    let tell = |app: Context| async move {
        let told = said.told(directory);
        match app
            .store
            .retell_person(&directory.issuer, was, &told, app.clock.now())
            .await?
        {
            Telling::Done(row) => {
                let detail = json!({ "of": row.name });
                Ok((row, detail))
            }
            Telling::Taken => Err(Fault::taken()),
            Telling::Missing => Err(Fault::missing()),
            Telling::Stale => Err(Fault::stale()),
            Telling::Bound => Err(Fault::new(
                400,
                "mutability",
                "externalId: they were given the role admin here; take it from them before their identity changes",
            )),
        }
    };
    let row = match directory.deed(app, kind, tell).await {
        Err(fault) if fault.is_stale() => return Ok(None),
        told => told?,
    };
    Ok(Some(shown_as(directory, StatusCode::OK, &row)?))
}

/// Puts what is said in place of what was.
#[put("/scim/v2/{provider}/Users/{id}")]
pub async fn replace(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<(String, String)>,
    body: web::Payload,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path.0)?;
    let mut body = object(body).await?;
    for _ in 0..TRIES {
        let was = known(&app, &directory, &path.1).await?;
        if attribute(&body, "externalId").is_none() {
            body.insert("externalId".to_owned(), was.external_id.clone().into());
        }
        if let Some(done) = take(&app, &directory, &was, &body).await? {
            return Ok(done);
        }
    }
    Err(Fault::busy())
}

/// Changes somebody.
#[patch("/scim/v2/{provider}/Users/{id}")]
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
        let mut changed = resource(&directory, &was)?;
        patch::apply(&mut changed, &body)?;
        if let Some(done) = take(&app, &directory, &was, &changed).await? {
            return Ok(done);
        }
    }
    Err(Fault::busy())
}

/// Lets somebody go.
#[delete("/scim/v2/{provider}/Users/{id}")]
pub async fn remove(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path.0)?;
    let was = known(&app, &directory, &path.1).await?;
    let own = &directory;
    let forget = |app: Context| async move {
        let gone = app.store.forget_person(&own.issuer, was.id, app.clock.now()).await?;
        if gone {
            Ok(((), json!({ "of": was.name })))
        } else {
            Err(Fault::missing())
        }
    };
    directory.deed(&app, "person.left", forget).await?;
    Ok(HttpResponse::NoContent().finish())
}
