//! API tokens: shown once, kept as hashes.

use super::{time, uuid};
use crate::app::Context;
use crate::auth::{Allowed, Principal, Role, WriteTokens, hash, token};
use crate::http::problem::Problem;
use actix_web::{HttpResponse, delete, get, post, web};
use affiant_store::{NewToken, entity, instant};
use chrono::Duration;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest life of a token, days.
const LONGEST: i64 = 366;

/// A token, without its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// What it may do.
    #[schema(example = "ingest")]
    pub role: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Its secret; only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<String>,
}

impl From<entity::token::Model> for Token {
    fn from(row: entity::token::Model) -> Self {
        Self {
            id: row.id,
            name: row.name,
            prefix: row.prefix,
            role: row.role,
            expires_at: instant(row.expires_at),
            last_used_at: row.last_used_at.map(instant),
            revoked_at: row.revoked_at.map(instant),
            token: None,
        }
    }
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is for.
    #[schema(example = "ci")]
    pub name: String,
    /// `ingest`, `auditor`, `member`, `compliance` or `admin`.
    #[schema(example = "ingest")]
    pub role: String,
    /// Slug of its project; all, where it is not given.
    pub project: Option<String>,
    /// When it ends, a year from now at most; 90 days from now where it is not given.
    pub expires_at: Option<String>,
}

/// List tokens
///
/// Needs the permission `tokens:write`.
#[utoipa::path(tag = "tokens", responses((status = 200, body = [Token]), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/tokens")]
pub async fn list(who: Allowed<WriteTokens>, app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let all: Vec<Token> = app
        .store
        .tokens(who.principal.reach::<WriteTokens>().only())
        .await?
        .into_iter()
        .map(Token::from)
        .collect();
    Ok(HttpResponse::Ok().json(all))
}

/// Make a token
///
/// The secret is in the answer and nowhere else. Needs the permission `tokens:write`.
#[utoipa::path(tag = "tokens", request_body = TokenRequest, responses((status = 201, body = Token), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[post("/api/v1/tokens")]
pub async fn create(
    who: Allowed<WriteTokens>,
    app: web::Data<Context>,
    new: web::Json<TokenRequest>,
) -> Result<HttpResponse, Problem> {
    let (row, secret) = make(&app, &new, &who.principal).await?;
    Ok(HttpResponse::Created().json(Token {
        token: Some(secret),
        ..row.into()
    }))
}

/// Makes a token that can do no more than who makes it: for projects whose tokens they may make, and only of roles they have there.
pub(crate) async fn make(
    app: &Context,
    new: &TokenRequest,
    who: &Principal,
) -> Result<(entity::token::Model, String), Problem> {
    let role = Role::parse(&new.role).ok_or_else(|| {
        Problem::invalid(
            "/role",
            format!("unknown role; known are {}", Role::ALL.map(Role::as_str).join(", ")),
        )
    })?;
    if new.name.trim().is_empty() || new.name.chars().count() > 80 || new.name.chars().any(char::is_control) {
        return Err(Problem::invalid("/name", "a name has 1 to 80 characters"));
    }
    let now = app.clock.now();
    let expires_at = new
        .expires_at
        .as_deref()
        .map_or(Ok(now + Duration::days(90)), |text| time("/expires_at", text))?;
    if expires_at <= now || expires_at - now > Duration::days(LONGEST) {
        return Err(Problem::invalid("/expires_at", "a token ends within a year from now"));
    }
    let reach = who.reach::<WriteTokens>();
    let project = match (&new.project, reach.only()) {
        (None, None) => None,
        (None, Some([own])) => Some(*own),
        (None, Some(_)) => return Err(Problem::invalid("/project", "name the project that the token is for")),
        (Some(slug), _) => {
            let found = app.store.project_by_slug(&slug.replace('\0', "")).await?;
            let found = found.map(|project| project.id).filter(|id| reach.covers(*id));
            Some(found.ok_or_else(|| Problem::invalid("/project", "there is no such project"))?)
        }
    };
    let secret = token();
    let row = NewToken {
        project,
        name: &new.name,
        prefix: &secret[..10],
        hash: &hash(&secret),
        role: role.as_str(),
        actor: &who.name,
        expires_at,
    };
    Ok((app.store.add_token(&row, now).await?, secret))
}

/// Revoke a token at once
///
/// Needs the permission `tokens:write`.
#[utoipa::path(tag = "tokens", params(("token" = String, Path, description = "Id")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/api/v1/tokens/{token}")]
pub async fn revoke(
    who: Allowed<WriteTokens>,
    app: web::Data<Context>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    if app
        .store
        .revoke_token(
            uuid(&path, "token")?,
            who.principal.reach::<WriteTokens>().only(),
            app.clock.now(),
        )
        .await?
    {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(Problem::not_found("there is no such token, or it was revoked before"))
    }
}
