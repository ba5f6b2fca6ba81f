//! Assets, and rulings on what is in scope.

use super::{List, limit, listed, time};
use crate::app::Context;
use crate::auth::{In, Read, WriteAssets, WriteScope};
use crate::http::problem::Problem;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_domain::asset::AssetKey;
use affiant_domain::id::AssetId;
use affiant_store::{AssetRow, instant};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

/// An asset.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Asset {
    /// `kind:name`.
    #[schema(example = "repo:payments")]
    pub key: String,
    /// Its kind.
    #[schema(example = "repo")]
    pub kind: String,
    /// Whether people named it; others were named by scanners' files.
    pub named: bool,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
}

impl From<AssetRow> for Asset {
    fn from(row: AssetRow) -> Self {
        Self {
            key: row.key,
            kind: row.kind,
            named: row.named,
            first_seen_at: instant(row.first_seen_at),
        }
    }
}

/// An asset to register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAsset {
    /// `kind:name`; kinds are repo, image, host, account, cluster, workload, service, database, agent, pipeline, data, org.
    #[schema(example = "repo:payments")]
    pub key: String,
}

/// A ruling on an asset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetRuling {
    /// The asset.
    #[schema(example = "repo:website")]
    pub asset: String,
    /// The framework.
    #[schema(example = "pci-dss")]
    pub framework: String,
    /// Whether it is in scope.
    pub in_scope: bool,
    /// Why.
    pub reason: String,
    /// From when on; now, where it is not given.
    pub at: Option<String>,
}

/// A ruling on a requirement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequirementRuling {
    /// The requirement.
    #[schema(example = "pci-11.2.1")]
    pub requirement: String,
    /// Whether it applies.
    pub applicable: bool,
    /// Why.
    pub reason: String,
}

/// Which assets.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AssetQuery {
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u64>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// List assets
///
/// Needs the permission `read`.
#[utoipa::path(tag = "assets", params(("project" = String, Path, description = "Slug"), AssetQuery), responses((status = 200, body = List<Asset>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/assets")]
pub async fn list(at: In<Read>, query: web::Query<AssetQuery>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let limit = limit(query.limit)?;
    let after = match &query.cursor {
        None => String::new(),
        Some(cursor) => {
            let bytes = hex::decode(cursor).map_err(|_| Problem::invalid("cursor", "take it from the page before"))?;
            String::from_utf8(bytes)
                .ok()
                .filter(|key| !key.contains('\0'))
                .ok_or_else(|| Problem::invalid("cursor", "take it from the page before"))?
        }
    };
    let mut rows = at.scoped().assets_after(&after, limit + 1).await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = rows.last().filter(|_| more).map(|row| hex::encode(&row.key));
    let found = List {
        items: rows.into_iter().map(Asset::from).collect(),
        next,
    };
    Ok(listed(request.path(), request.query_string(), &found))
}

/// Register an asset
///
/// An asset that is there already is left as it is. Needs the permission `assets:write`.
#[utoipa::path(tag = "assets", params(("project" = String, Path, description = "Slug")), request_body = NewAsset, responses((status = 201, body = Asset), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/assets")]
pub async fn register(at: In<WriteAssets>, new: web::Json<NewAsset>) -> Result<HttpResponse, Problem> {
    let key = AssetKey::parse(&new.key).map_err(|error| Problem::invalid("/key", error.to_string()))?;
    let now = at.app.clock.now();
    let at = &at;
    let add = |app: Context| async move {
        let row = app.store.project(at.id()).register_asset(&key, now, now).await?;
        Ok((row, json!({ "asset": key.as_str() })))
    };
    let row = at.deed("asset.registered", add).await?;
    Ok(HttpResponse::Created().json(Asset::from(row)))
}

/// Rule whether an asset is in scope of a framework
///
/// An asset without a ruling is in scope. Needs the permission `scope:write`.
#[utoipa::path(tag = "scope", params(("project" = String, Path, description = "Slug")), request_body = AssetRuling, responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/scope/assets")]
pub async fn rule(at: In<WriteScope>, ruling: web::Json<AssetRuling>) -> Result<HttpResponse, Problem> {
    at.app
        .catalogue
        .framework(&ruling.framework)
        .map_err(|error| Problem::invalid("/framework", error.to_string()))?;
    reason(&ruling.reason)?;
    let now = at.app.clock.now();
    let from = ruling.at.as_deref().map_or(Ok(now), |text| time("/at", text))?;
    let asset = if ruling.asset.contains('\0') {
        None
    } else {
        at.scoped().asset(&ruling.asset).await?
    };
    let asset = asset.ok_or_else(|| Problem::invalid("/asset", "there is no such asset in this project"))?;
    let at = &at;
    let ruled = |app: Context| async move {
        let scoped = app.store.project(at.id());
        let asset = AssetId(asset.id);
        scoped
            .rule_asset_scope(
                asset,
                &ruling.framework,
                ruling.in_scope,
                &ruling.reason,
                &at.principal.name,
                from,
                now,
            )
            .await?;
        let detail = json!({ "asset": ruling.asset, "framework": ruling.framework, "in_scope": ruling.in_scope, "reason": ruling.reason });
        Ok(((), detail))
    };
    at.deed("scope.ruled", ruled).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Rule whether a requirement applies
///
/// Without a ruling, profile and date decide. Needs the permission `scope:write`.
#[utoipa::path(tag = "scope", params(("project" = String, Path, description = "Slug")), request_body = RequirementRuling, responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/scope/requirements")]
pub async fn rule_requirement(
    at: In<WriteScope>,
    ruling: web::Json<RequirementRuling>,
) -> Result<HttpResponse, Problem> {
    if at
        .app
        .catalogue
        .requirement(&ruling.requirement)
        .is_none_or(|(_, row)| !row.is_scored())
    {
        return Err(Problem::invalid("/requirement", "there is no such scored requirement"));
    }
    reason(&ruling.reason)?;
    let now = at.app.clock.now();
    let at = &at;
    let ruled = |app: Context| async move {
        let scoped = app.store.project(at.id());
        let (requirement, reason) = (&ruling.requirement, &ruling.reason);
        scoped
            .rule_requirement_scope(requirement, ruling.applicable, reason, &at.principal.name, now)
            .await?;
        let detail = json!({ "requirement": requirement, "applicable": ruling.applicable, "reason": reason });
        Ok(((), detail))
    };
    at.deed("scope.ruled", ruled).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn reason(text: &str) -> Result<(), Problem> {
    let n = text.trim().chars().count();
    if (3..=2000).contains(&n) && !text.contains('\0') {
        Ok(())
    } else {
        Err(Problem::invalid("/reason", "write 3 to 2000 characters"))
    }
}
