//! SCIM 2.0 (RFC 7643, RFC 7644): a directory tells who is there, who has left and who is in which group. Each provider of the
//! configuration has an address of its own, `/scim/v2/{provider}`, and no directory sees what another told.

mod filter;
mod groups;
mod patch;
mod users;

use crate::app::Context;
use crate::auth::{Allowed, ProvisionPeople};
use crate::http::problem::Problem;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError, get, web};
use affiant_store::{Asked, StoreError};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt;

/// Bytes of a body: a group of some ten thousand people.
const BODY: usize = 2 << 20;
/// Resources on a page at most.
const PAGE: u64 = 200;
/// How often a change is made again where another came between.
const TRIES: usize = 8;
/// Members of a group.
const MEMBERS: usize = 20_000;
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// Every route.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(service)
        .service(kinds)
        .service(schemas)
        .service(users::list)
        .service(users::create)
        .service(users::show)
        .service(users::replace)
        .service(users::change)
        .service(users::remove)
        .service(groups::list)
        .service(groups::create)
        .service(groups::show)
        .service(groups::replace)
        .service(groups::change)
        .service(groups::remove);
}

/// An error as RFC 7644 section 3.12 writes it.
#[derive(Debug)]
struct Fault {
    status: u16,
    kind: &'static str,
    detail: String,
}

impl Fault {
    fn new(status: u16, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
        }
    }

    fn missing() -> Self {
        Self::new(404, "", "there is no such resource")
    }

    fn taken() -> Self {
        Self::new(409, "uniqueness", "another resource has this name or identity")
    }

    /// It was changed by somebody else meanwhile; never sent.
    fn stale() -> Self {
        Self::new(409, "stale", "it was changed meanwhile")
    }

    fn is_stale(&self) -> bool {
        self.kind == "stale"
    }

    fn busy() -> Self {
        Self::new(503, "", "others change it at the same time; try again")
    }

    fn value(detail: impl Into<String>) -> Self {
        Self::new(400, "invalidValue", detail)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let problem = Problem::from(error);
        Self::new(problem.status, "", problem.detail)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let kind = if problem.status == 400 { "invalidSyntax" } else { "" };
        Self::new(problem.status, kind, problem.detail)
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.to_string(),
            "detail": self.detail,
        });
        if !self.kind.is_empty() {
            body["scimType"] = self.kind.into();
        }
        let mut response = HttpResponse::build(self.status_code());
        if self.status == 503 {
            response.insert_header(("Retry-After", "2"));
        }
        response.content_type("application/scim+json").body(body.to_string())
    }
}

/// The directory that an address names.
struct Directory {
    /// Its provider, by the name in the configuration.
    provider: String,
    /// Its provider's issuer.
    issuer: String,
    /// Whether it knows people by the subject of their ID tokens.
    by_subject: bool,
    /// Who speaks for it.
    actor: String,
    /// Address under which its resources are.
    base: String,
}

impl Directory {
    fn of(app: &Context, who: &Allowed<ProvisionPeople>, provider: &str) -> Result<Self, Fault> {
        if !who.principal.reach::<ProvisionPeople>().is_all() {
            return Err(Problem::forbidden("people:provision for all projects").into());
        }
        let provider = app.sign_in.providers.by_name(provider).ok_or_else(Fault::missing)?;
        Ok(Self {
            issuer: provider.issuer().to_owned(),
            by_subject: provider.settings.directory_claim == "sub",
            actor: who.principal.name.clone(),
            base: format!(
                "{}/scim/v2/{}",
                app.sign_in.public_url.trim_end_matches('/'),
                provider.settings.name
            ),
            provider: provider.settings.name.clone(),
        })
    }

    /// Changes something together with its entry in the trail; the work gives what came of it and what the entry says.
    async fn deed<T, F, Fut>(&self, app: &Context, kind: &str, work: F) -> Result<T, Fault>
    where
        F: FnOnce(Context) -> Fut,
        Fut: Future<Output = Result<(T, Value), Fault>>,
    {
        let with = |app: Context| async move {
            let (done, mut detail) = work(app).await?;
            detail["provider"] = self.provider.clone().into();
            Ok((done, detail))
        };
        app.deed((&self.actor, kind, None), with).await
    }
}

fn answer(status: StatusCode, body: &Value) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if let Some(at) = body["meta"]["location"].as_str() {
        response.insert_header(("Location", at));
    }
    response.content_type("application/scim+json").body(body.to_string())
}

/// A body as an object, read where it is known who asks.
async fn object(body: web::Payload) -> Result<Map<String, Value>, Fault> {
    let bytes = crate::http::api::bytes(body, BODY).await?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Fault::new(400, "invalidSyntax", "the body is not an object")),
        Err(error) => Err(Fault::new(
            400,
            "invalidSyntax",
            format!("the body is not JSON: {error}"),
        )),
    }
}

/// The value of an attribute; names of attributes have no case.
fn attribute<'v>(map: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    map.iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A text of at most so many characters; none where it is missing or null.
fn text<'v>(map: &'v Map<String, Value>, name: &str, most: usize) -> Result<Option<&'v str>, Fault> {
    match attribute(map, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= most => Ok(Some(text)),
        Some(Value::String(_)) => Err(Fault::value(format!("{name} has at most {most} characters"))),
        Some(_) => Err(Fault::value(format!("{name} is not a text"))),
    }
}

/// Which resources are asked for. RFC 7644 section 3.4.2.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    #[serde(default)]
    filter: String,
    start_index: Option<i64>,
    count: Option<i64>,
    #[serde(default)]
    excluded_attributes: String,
}

impl Query {
    fn asked(&self, known: &[&'static str]) -> Result<Asked, Fault> {
        let start = self.start_index.unwrap_or(1).max(1);
        let count = self.count.unwrap_or(100).max(0);
        Ok(Asked {
            equal: filter::parse(&self.filter, known)?,
            skip: u64::try_from(start - 1).unwrap_or(0),
            take: u64::try_from(count).unwrap_or(0).min(PAGE),
        })
    }

    fn page(&self, (all, found): (u64, Vec<Value>)) -> HttpResponse {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": all,
            "startIndex": self.start_index.unwrap_or(1).max(1),
            "itemsPerPage": found.len(),
            "Resources": found,
        });
        answer(StatusCode::OK, &body)
    }

    fn excludes(&self, name: &str) -> bool {
        self.excluded_attributes
            .split(',')
            .any(|one| one.trim().eq_ignore_ascii_case(name))
    }
}

/// Says what of SCIM is there.
#[get("/scim/v2/{provider}/ServiceProviderConfig")]
async fn service(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<String>,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path)?;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": PAGE},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": false},
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "API token",
            "description": "A token bound to people:provision, as Authorization: Bearer",
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{}/ServiceProviderConfig", directory.base)},
    });
    Ok(answer(StatusCode::OK, &body))
}

/// Says which kinds of resource are there.
#[get("/scim/v2/{provider}/ResourceTypes")]
async fn kinds(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<String>,
) -> Result<HttpResponse, Fault> {
    let directory = Directory::of(&app, &who, &path)?;
    let kind = |name: &str, at: &str, schema: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": name, "name": name, "endpoint": at, "schema": schema,
            "meta": {"resourceType": "ResourceType", "location": format!("{}/ResourceTypes/{name}", directory.base)},
        })
    };
    let all = vec![kind("User", "/Users", USER), kind("Group", "/Groups", GROUP)];
    Ok(whole(all))
}

/// A list that is one page.
fn whole(all: Vec<Value>) -> HttpResponse {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": all.len(), "startIndex": 1, "itemsPerPage": all.len(), "Resources": all,
    });
    answer(StatusCode::OK, &body)
}

/// Says which attributes are kept; others are passed over.
#[get("/scim/v2/{provider}/Schemas")]
async fn schemas(
    who: Allowed<ProvisionPeople>,
    app: web::Data<Context>,
    path: web::Path<String>,
) -> Result<HttpResponse, Fault> {
    Directory::of(&app, &who, &path)?;
    let text = |name: &str, required: bool, exact: bool, uniqueness: &str| {
        json!({
            "name": name, "type": "string", "multiValued": false, "required": required, "caseExact": exact, "mutability": "readWrite",
            "returned": "default", "uniqueness": uniqueness,
        })
    };
    let part = |name: &str| text(name, false, false, "none");
    let flag = |name: &str| json!({"name": name, "type": "boolean", "multiValued": false, "required": false, "mutability": "readWrite", "returned": "default"});
    let complex = |name: &str, many: bool, parts: Vec<Value>| {
        json!({
            "name": name, "type": "complex", "multiValued": many, "required": false, "mutability": "readWrite", "returned": "default",
            "subAttributes": parts,
        })
    };
    let user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": USER, "name": "User", "attributes": [
        text("userName", true, false, "server"), text("externalId", false, true, "none"), part("displayName"),
        complex("name", false, vec![part("formatted"), part("givenName"), part("familyName")]),
        complex("emails", true, vec![part("value"), part("type"), flag("primary")]), flag("active"),
    ]});
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": GROUP, "name": "Group", "attributes": [
        text("displayName", true, false, "server"), text("externalId", false, true, "none"),
        complex("members", true, vec![part("value"), part("display")]),
    ]});
    Ok(whole(vec![user, group]))
}
