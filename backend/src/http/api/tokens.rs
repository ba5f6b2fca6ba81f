//! API tokens: shown once, kept as hashes.

use super::lineage::{self, Confirmation, Lineage};
use super::{bytes, time, uuid};
use crate::app::Context;
use crate::auth::oidc::OidcError;
use crate::auth::{Allowed, PERMISSIONS, Principal, Role, WriteTokens, hash, token};
use crate::http::App;
use crate::http::certificate;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, delete, get, post, web};
use affiant_store::{Maker, NewToken, Root, entity, instant};
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
    /// Permissions to which it is bound; all of its role, where none is named.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The client certificate without which it is worth nothing: `sha256:…`, `dns:…` or `uri:…`; null where it is bound to none.
    #[serde(default)]
    pub holder: Option<String>,
    /// Who made it.
    #[serde(default)]
    pub made_by: String,
    /// The token by which it was made; null where it was made otherwise.
    #[serde(default)]
    pub made_by_token: Option<Uuid>,
    /// The person whose it is; null where it is nobody's.
    #[serde(default)]
    pub person: Option<Uuid>,
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
            scopes: row
                .scopes
                .split(' ')
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect(),
            holder: (!row.holder.is_empty()).then_some(row.holder),
            made_by: row.actor,
            made_by_token: row.by_token,
            person: row.person_id,
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
    /// `ingest`, `auditor`, `member`, `privacy`, `compliance` or `admin`.
    #[schema(example = "ingest")]
    pub role: String,
    /// Slug of its project; all, where it is not given.
    pub project: Option<String>,
    /// When it ends, a year from now at most; 90 days from now where it is not given.
    pub expires_at: Option<String>,
    /// Permissions to which it is bound, such as `scans:write`; all of its role, where none is named.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The client certificate without which it is worth nothing: `sha256:` and its fingerprint, or a name in it, `dns:…` or `uri:…`.
    #[schema(example = "uri:spiffe://acme.example/ci")]
    pub holder: Option<String>,
}

/// List tokens
///
/// Needs the permission `tokens:write`.
#[utoipa::path(tag = "tokens", responses((status = 200, body = [Token]), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/tokens")]
pub async fn list(who: Allowed<WriteTokens>, app: App) -> Result<HttpResponse, Problem> {
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
    app: App,
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
    // A token makes none that outlives it.
    let expires_at = who.until.map_or(expires_at, |until| until.min(expires_at));
    if expires_at <= now || expires_at - now > Duration::days(LONGEST) {
        return Err(Problem::invalid("/expires_at", "a token ends within a year from now"));
    }
    let scopes = scopes(&new.scopes, role, who)?;
    let holder = holder(new.holder.as_deref(), who)?;
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
        person: who.person,
        scopes: &scopes,
        subject: "",
        holder: &holder,
        maker: who.maker(),
    };
    let make = |app: Context| async move {
        let made = app.store.add_token(&row, now).await?.ok_or_else(revoked)?;
        let detail = told(&made);
        Ok::<_, Problem>((made, detail))
    };
    let made = app.deed((&who.name, "token.made", project), make).await?;
    Ok((made, secret))
}

/// What makes something was revoked while it did.
pub(super) fn revoked() -> Problem {
    Problem::new("unauthenticated", "the token or session by which it is made has ended")
}

fn told(token: &entity::token::Model) -> serde_json::Value {
    serde_json::json!({ "token": token.id, "name": token.name, "role": token.role })
}

/// The certificate to which a token is bound: that of the token by which it is made, where that is bound to one.
fn holder(wanted: Option<&str>, who: &Principal) -> Result<String, Problem> {
    let known = |text: &str| {
        let what = "sha256: and 64 hexadecimal digits, dns: and a name, or uri: and an address";
        certificate::holder(text).ok_or_else(|| Problem::invalid("/holder", what))
    };
    let wanted = wanted.map(known).transpose()?;
    match wanted {
        Some(wanted) if !who.holder.is_empty() && wanted != who.holder => {
            Err(Problem::forbidden("that is not bound to a certificate"))
        }
        Some(wanted) => Ok(wanted),
        None => Ok(who.holder.clone()),
    }
}

/// The permissions to which a token is bound: of its role, and no more than whoever makes it is bound to.
fn scopes(wanted: &[String], role: Role, who: &Principal) -> Result<Vec<String>, Problem> {
    let of_role = |scope: &str| {
        PERMISSIONS
            .iter()
            .any(|(name, roles)| *name == scope && roles.contains(&role))
    };
    let own = |scope: &str| {
        who.scopes
            .as_ref()
            .is_none_or(|own| own.iter().any(|known| known == scope))
    };
    if let Some(scope) = wanted.iter().find(|scope| !of_role(scope)) {
        let scope: String = scope.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(Problem::invalid(
            "/scopes",
            format!("the role has no permission \"{scope}\""),
        ));
    }
    if let Some(scope) = wanted.iter().find(|scope| !own(scope)) {
        return Err(Problem::forbidden(scope));
    }
    // An empty list means all of the role: where nothing is left of a bound, nothing is given.
    if wanted.is_empty() && who.scopes.is_some() {
        let shared = PERMISSIONS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| of_role(name) && own(name));
        let shared: Vec<String> = shared.map(str::to_owned).collect();
        if shared.is_empty() {
            return Err(Problem::forbidden("that the role shares with your token"));
        }
        return Ok(shared);
    }
    Ok(wanted.to_vec())
}

/// How a token is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The old one holds for so many seconds more, a week at most.
    #[serde(default = "hour")]
    #[schema(example = 3600)]
    pub overlap_seconds: u32,
}

const fn hour() -> u32 {
    3600
}

/// Replace a token by a new one
///
/// The new one can do the same and holds as long from now as the old one did; the old one holds on for the overlap. Needs the
/// permission `tokens:write`.
#[utoipa::path(tag = "tokens", params(("token" = String, Path, description = "Id")), request_body = Rotation, responses((status = 201, body = Token), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/tokens/{token}/rotate")]
pub async fn rotate(
    who: Allowed<WriteTokens>,
    app: App,
    path: web::Path<String>,
    wanted: web::Json<Rotation>,
) -> Result<HttpResponse, Problem> {
    if wanted.overlap_seconds > 7 * 86_400 {
        return Err(Problem::invalid("/overlap_seconds", "a week (604800) at most"));
    }
    let now = app.clock.now();
    let reach = who.principal.reach::<WriteTokens>();
    let old = app.store.token_by_id(uuid(&path, "token")?, reach.only(), now).await?;
    let old = old.ok_or_else(|| Problem::not_found("there is no such token, or it has ended"))?;
    let held: Vec<String> = old
        .scopes
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    let role = Role::parse(&old.role).ok_or_else(|| Problem::internal("a token without a role"))?;
    let scopes = scopes(&held, role, &who.principal)?;
    if !who.principal.holder.is_empty() && who.principal.holder != old.holder {
        return Err(Problem::forbidden("that is not bound to a certificate"));
    }
    let until = now + Duration::microseconds(old.expires_at - old.created_at);
    let secret = token();
    let row = NewToken {
        project: old.project_id,
        name: &old.name,
        prefix: &secret[..10],
        hash: &hash(&secret),
        role: &old.role,
        actor: &who.principal.name,
        expires_at: who.principal.until.map_or(until, |own| own.min(until)),
        // It is whose who asked for it: they alone were shown it.
        person: who.principal.person,
        scopes: &scopes,
        subject: &old.subject,
        holder: &old.holder,
        maker: who.principal.maker(),
    };
    let overlap = Duration::seconds(wanted.overlap_seconds.into());
    let change = |app: Context| async move {
        let made = app.store.add_token(&row, now).await?.ok_or_else(revoked)?;
        app.store.adopt_made(old.id, made.id).await?;
        app.store.shorten_token(old.id, now + overlap).await?;
        let detail = told(&made);
        Ok::<_, Problem>((made, detail))
    };
    let of = (who.principal.name.as_str(), "token.rotated", old.project_id);
    let made = app.deed(of, change).await?;
    Ok(HttpResponse::Created().json(Token {
        token: Some(secret),
        ..made.into()
    }))
}

/// List what a token made
///
/// The tokens and memberships that it made, and those that these tokens made in turn: they are revoked with it. Needs the permission
/// `tokens:write`.
#[utoipa::path(tag = "tokens", params(("token" = String, Path, description = "Id")), responses((status = 200, body = Lineage), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/tokens/{token}/made")]
pub async fn made_by(who: Allowed<WriteTokens>, app: App, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let (id, now) = (uuid(&path, "token")?, app.clock.now());
    let reach = who.principal.reach::<WriteTokens>();
    let found = app.store.known_token(id, reach.only()).await?;
    found.ok_or_else(no_token)?;
    let made = app.store.made_by(Root::Token(id), now).await?;
    let slugs = super::people::slugs(&app, &who.principal).await?;
    Ok(HttpResponse::Ok().json(Lineage::new(made, &slugs)?))
}

fn no_token() -> Problem {
    Problem::not_found("there is no such token, or it was revoked before")
}

/// Revoke a token at once
///
/// What it made is revoked with it; where it made anything, that is listed first, and `confirm=true` is wanted. Needs the permission
/// `tokens:write`.
#[utoipa::path(tag = "tokens", params(("token" = String, Path, description = "Id"), Confirmation), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/api/v1/tokens/{token}")]
pub async fn revoke(
    who: Allowed<WriteTokens>,
    app: App,
    path: web::Path<String>,
    query: web::Query<Confirmation>,
) -> Result<HttpResponse, Problem> {
    let (id, reach, now) = (
        uuid(&path, "token")?,
        who.principal.reach::<WriteTokens>(),
        app.clock.now(),
    );
    let found = app.store.known_token(id, reach.only()).await?;
    found.ok_or_else(no_token)?;
    query.of(&app.store.made_by(Root::Token(id), now).await?)?;
    let end = |app: Context| async move {
        let made = app
            .store
            .revoke_token(id, reach.only(), now)
            .await?
            .ok_or_else(no_token)?;
        Ok::<_, Problem>(((), serde_json::json!({ "token": id, "made": lineage::told(&made) })))
    };
    app.deed((&who.principal.name, "token.revoked", None), end).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// How long a pipeline's token holds, minutes.
const MINUTES: i64 = 15;

/// The token of a workload, as RFC 8693 asks for it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Exchange {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`.
    #[schema(example = "urn:ietf:params:oauth:grant-type:token-exchange")]
    pub grant_type: String,
    /// The token that the platform gave the workload.
    pub subject_token: String,
    /// `urn:ietf:params:oauth:token-type:jwt` or `…:id_token`.
    #[schema(example = "urn:ietf:params:oauth:token-type:jwt")]
    pub subject_token_type: String,
}

/// A push token of minutes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exchanged {
    /// The token.
    pub access_token: String,
    /// `urn:ietf:params:oauth:token-type:access_token`.
    pub issued_token_type: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds that it holds.
    pub expires_in: i64,
}

/// Exchange a pipeline's token for a push token
///
/// The pipeline shows the OIDC token that its own platform gave it; where its issuer is trusted and its claims meet a rule of the
/// configuration, it gets a token that pushes to that rule's project for fifteen minutes. The body is a form, as RFC 8693 has it. Needs
/// no permission.
#[utoipa::path(tag = "tokens", security(()), request_body(content = Exchange, content_type = "application/x-www-form-urlencoded"), responses((status = 200, body = Exchanged), (status = 401, body = Problem), (status = 503, body = Problem)))]
#[post("/api/v1/token-exchange")]
pub async fn exchange(app: App, body: web::Payload) -> Result<HttpResponse, Problem> {
    let body = bytes(body, 64 << 10).await?;
    let refused = |why: String| Problem::new("unauthenticated", format!("the workload's token is refused: {why}"));
    let asked: Option<Exchange> = serde_urlencoded::from_bytes(&body).ok();
    let known = |asked: &Exchange| {
        asked.grant_type == "urn:ietf:params:oauth:grant-type:token-exchange"
            && [
                "urn:ietf:params:oauth:token-type:jwt",
                "urn:ietf:params:oauth:token-type:id_token",
            ]
            .contains(&asked.subject_token_type.as_str())
    };
    let asked = asked
        .filter(known)
        .ok_or_else(|| refused("no exchange as RFC 8693 has it".to_owned()))?;
    let now = app.clock.now();
    let matched = match app.sign_in.providers.workload(&asked.subject_token, now).await {
        Ok(matched) => matched,
        Err(OidcError::Refused(why) | OidcError::Unproved(why)) => return Err(refused(why)),
        Err(away @ OidcError::Away(_)) => return Err(away.into()),
    };
    let project = app.store.project_by_slug(&matched.project).await?;
    let project = project.ok_or_else(|| refused("its project is not there".to_owned()))?;
    let secret = token();
    let name: String = format!("{}:{}", matched.issuer, matched.subject)
        .chars()
        .take(80)
        .collect();
    let row = NewToken {
        project: Some(project.id),
        name: &name,
        prefix: &secret[..10],
        hash: &hash(&secret),
        role: Role::Ingest.as_str(),
        actor: &format!("workload:{}", matched.issuer),
        expires_at: now + Duration::minutes(MINUTES),
        person: None,
        scopes: &[],
        subject: &matched.subject,
        holder: "",
        maker: Maker::default(),
    };
    let of = (row.actor, "token.exchanged", Some(project.id));
    let (new, subject) = (&row, &matched.subject);
    let make = |app: Context| async move {
        let made = app.store.add_token(new, now).await?.ok_or_else(revoked)?;
        Ok::<_, Problem>(((), serde_json::json!({ "token": made.id, "subject": subject })))
    };
    app.deed(of, make).await?;
    Ok(HttpResponse::Ok().json(Exchanged {
        access_token: secret,
        issued_token_type: "urn:ietf:params:oauth:token-type:access_token".to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: MINUTES * 60,
    }))
}
