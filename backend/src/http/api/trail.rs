//! The trail: entries, proofs, keys, and the file that verifies by itself.

use super::people::slugs;
use super::{List, limit, uuid};
use crate::app::Context;
use crate::auth::{Allowed, Principal, Reach, ReadTrail};
use crate::flow::trail;
use crate::flow::verify_trail::{KIND, TrailVerdict};
use crate::http::App;
use crate::http::problem::Problem;
use crate::trail::Trail;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_store::{EntryFilter, JobState, StoreError, entity, instant, stored_json};
use affiant_trail::Head;
use affiant_trail::proof::Claim;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// An entry of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrailEntry {
    /// Its place, from 0.
    pub index: u64,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// What was done; `event` for an audit event that was sent in.
    #[schema(example = "membership.given")]
    pub action: String,
    /// `success`, `failure` or `denied`.
    pub outcome: String,
    /// Slug of the project, where it is in one.
    pub project: Option<String>,
    /// The canonical form to which its leaf commits.
    pub leaf: String,
    /// The hash of its leaf, hexadecimal.
    pub hash: String,
    /// The column beside the leaf that was edited: it says something else. Null where all agree.
    pub differs: Option<String>,
    /// Its payload; null where it has none, or nobody can read it any more.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<serde_json::Value>,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Rows on a page, 1 to 500; 50 where it is not given.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u64>,
    /// Before this place: what the page before gave as `next`.
    pub cursor: Option<u64>,
    /// With this action.
    pub action: Option<String>,
}

/// List entries, latest first
///
/// Of the projects whose trail you may read; what belongs to none only where that is all. Needs the permission `trail:read`.
#[utoipa::path(tag = "trail", params(Which), responses((status = 200, body = List<TrailEntry>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/trail/entries")]
pub async fn entries(
    who: Allowed<ReadTrail>,
    app: App,
    which: web::Query<Which>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let most = limit(which.limit)?;
    let rows = page(&app, &who.principal, &which, most).await?;
    let next = (rows.len() as u64 == most).then(|| rows.last().map(|last| last.index.to_string()));
    let list = List {
        items: rows,
        next: next.flatten(),
    };
    Ok(super::listed(request.path(), request.query_string(), &list))
}

/// A page of entries that somebody may read.
pub(crate) async fn page(app: &Context, who: &Principal, which: &Which, most: u64) -> Result<Vec<TrailEntry>, Problem> {
    let reach = who.reach::<ReadTrail>();
    let filter = EntryFilter {
        only: reach.only(),
        before: which.cursor.map(|cursor| i64::try_from(cursor).unwrap_or(i64::MAX)),
        action: which.action.as_deref(),
        ..EntryFilter::default()
    };
    let rows = app.store.trail_entries(&filter, most).await?;
    let contents = app.store.contents(&rows).await?;
    let slugs = slugs(app, who).await?;
    Ok(rows
        .into_iter()
        .map(|row| shown(row, &contents, (&reach, &slugs)))
        .collect())
}

/// An entry as its leaf tells it, and not as what stands beside it does.
fn shown(
    row: entity::trail_entry::Model,
    contents: &HashMap<i64, String>,
    (reach, slugs): (&Reach, &HashMap<Uuid, String>),
) -> TrailEntry {
    let (told, differs) = Trail::told(&row);
    let told = told.unwrap_or_default();
    let project = told.project.as_deref().and_then(|id| id.parse::<Uuid>().ok());
    // It was found by a column that was edited, and is of another project.
    if !reach.is_all() && project.is_none_or(|id| !reach.covers(id)) {
        return TrailEntry {
            index: row.idx.unsigned_abs(),
            at: instant(0),
            action: String::new(),
            outcome: String::new(),
            project: None,
            leaf: String::new(),
            hash: hex::encode(&row.hash),
            differs: Some(differs.unwrap_or("project_id").to_owned()),
            payload: None,
        };
    }
    TrailEntry {
        index: row.idx.unsigned_abs(),
        at: instant(affiant_trail::micros(&told.at).unwrap_or_default()),
        action: told.action,
        outcome: told.outcome,
        project: project.and_then(|id| slugs.get(&id).cloned()),
        hash: hex::encode(&row.hash),
        payload: contents.get(&row.idx).and_then(|text| serde_json::from_str(text).ok()),
        leaf: row.leaf,
        differs: differs.map(str::to_owned),
    }
}

/// What is to be proved.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The entry whose place is to be proved.
    pub index: Option<u64>,
    /// Or the size of an older checkpoint that the trail is to continue.
    pub old: Option<u64>,
    /// The size of the tree; that of the latest checkpoint, where it is not given.
    pub size: Option<u64>,
}

/// A proof: RFC 6962 sections 2.1.1 and 2.1.2.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proof {
    /// Leaves of the tree.
    pub size: u64,
    /// Of an inclusion: the entry.
    pub index: Option<u64>,
    /// Of an inclusion: the hash of its leaf, hexadecimal.
    pub leaf_hash: Option<String>,
    /// Of a consistency: leaves of the older tree.
    pub old: Option<u64>,
    /// The hashes, hexadecimal, in the order of the RFC.
    pub hashes: Vec<String>,
    /// The latest checkpoint; its root is that of the proof where the sizes are the same.
    pub checkpoint: String,
}

/// Prove that an entry is in the trail, or that the trail continues an older one
///
/// An entry of a project whose trail you may read. Needs the permission `trail:read`.
#[utoipa::path(tag = "trail", params(Wanted), responses((status = 200, body = Proof), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/trail/proof")]
pub async fn proof(who: Allowed<ReadTrail>, app: App, wanted: web::Query<Wanted>) -> Result<HttpResponse, Problem> {
    let none = || Problem::not_found("there is no such entry, or the trail is not that long");
    let checkpoint = trail::sign(&app).await?;
    let latest = Head::parse(&checkpoint).map_or(0, |head| head.size);
    let size = wanted.size.unwrap_or(latest);
    let (claim, leaf_hash) = match (wanted.index, wanted.old) {
        (Some(index), None) => {
            let row = app.store.trail_from(index.min(i64::MAX as u64), 1).await?.pop();
            let reach = who.principal.reach::<ReadTrail>();
            let mine = |row: &entity::trail_entry::Model| match row.project_id {
                Some(project) => reach.covers(project),
                None => reach.is_all(),
            };
            let row = row
                .filter(|row| row.idx.unsigned_abs() == index && mine(row))
                .ok_or_else(none)?;
            (Claim::Inclusion { size, index }, Some(hex::encode(row.hash)))
        }
        (None, Some(old)) => (Claim::Consistency { size, old }, None),
        _ => return Err(Problem::invalid("index", "say either index or old")),
    };
    if size > latest {
        return Err(none());
    }
    let hashes = trail::prove(&app, claim).await?;
    Ok(HttpResponse::Ok().json(Proof {
        size,
        index: wanted.index,
        leaf_hash,
        old: wanted.old,
        hashes: hashes.iter().map(|hash| hex::encode(hash.0)).collect(),
        checkpoint,
    }))
}

/// A key that signs checkpoints.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrailKey {
    /// As C2SP `signed-note` writes it: name, id, key.
    pub key: String,
    /// From which size of the tree on it is in force.
    pub from_size: u64,
}

/// List the keys that sign checkpoints
///
/// Needs the permission `trail:read`.
#[utoipa::path(tag = "trail", responses((status = 200, body = [TrailKey]), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/trail/keys")]
pub async fn keys(_who: Allowed<ReadTrail>, app: App) -> Result<HttpResponse, Problem> {
    let keys = trail::keys(&app).await?;
    let key = |(from_size, key): &(u64, affiant_trail::SigningKey)| TrailKey {
        key: key.public().as_str().to_owned(),
        from_size: *from_size,
    };
    Ok(HttpResponse::Ok().json(keys.iter().map(key).collect::<Vec<_>>()))
}

/// Which export.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Slug of the project of which entries are shown; of others only hashes are. All are shown where it is not given.
    pub project: Option<String>,
    /// Whether payloads are opened, as far as anybody can still read them.
    #[serde(default)]
    pub payloads: bool,
}

/// Export the trail as a file that verifies by itself
///
/// JSON Lines, as docs/TRAIL.md describes: `affiant trail verify FILE` checks it without anything else. Needs the permission `trail:read`,
/// for the project or for all.
#[utoipa::path(tag = "trail", params(Export), responses((status = 200, description = "JSON Lines", content_type = "application/x-ndjson"), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/trail/export")]
pub async fn export(who: Allowed<ReadTrail>, app: App, wanted: web::Query<Export>) -> Result<HttpResponse, Problem> {
    let file = spooled(&app, &who.principal, &wanted).await?;
    let detail = serde_json::json!({ "project": wanted.project, "payloads": wanted.payloads }).to_string();
    let of = (who.principal.name.as_str(), "trail.exported", None);
    app.store.record_action(of, &detail, app.clock.now()).await?;
    let stream = tokio_util::io::ReaderStream::with_capacity(tokio::fs::File::from_std(file), 64 << 10);
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header(("Content-Disposition", "attachment; filename=\"trail.jsonl\""))
        .streaming(stream))
}

/// The export as a file without a name.
async fn spooled(app: &Context, who: &Principal, wanted: &Export) -> Result<std::fs::File, Problem> {
    let reach = who.reach::<ReadTrail>();
    let project = match &wanted.project {
        None if reach.is_all() => None,
        None => return Err(Problem::forbidden("trail:read for all projects")),
        Some(slug) => {
            let found = app.store.project_by_slug(&slug.replace('\0', "")).await?;
            let found = found.map(|project| project.id).filter(|id| reach.covers(*id));
            Some(found.ok_or_else(|| Problem::not_found("there is no such project"))?)
        }
    };
    let fault = |error: std::io::Error| Problem::internal(&error.to_string());
    let file = tempfile::tempfile_in(&app.spool).map_err(fault)?;
    let out = std::io::BufWriter::new(file);
    let out = trail::export(app, out, project, wanted.payloads).await?;
    let mut file = out.into_inner().map_err(|error| fault(error.into_error()))?;
    std::io::Seek::rewind(&mut file).map_err(fault)?;
    Ok(file)
}

/// A verification of the trail as it is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verification {
    /// Its id.
    pub id: Uuid,
    /// `queued`, `running`, `done` or `failed`.
    #[schema(example = "done")]
    pub state: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// What came of it, once it is done.
    pub verdict: Option<TrailVerdict>,
}

impl TryFrom<entity::job::Model> for Verification {
    type Error = StoreError;

    fn try_from(row: entity::job::Model) -> Result<Self, StoreError> {
        let is_done = row.state == JobState::Done.as_str();
        let verdict = is_done.then(|| stored_json(("job", row.id, "result"), &row.result));
        Ok(Self {
            id: row.id,
            requested_at: instant(row.created_at),
            state: row.state,
            verdict: verdict.transpose()?,
        })
    }
}

/// Verify the trail as it is stored
///
/// The same as exporting it and running `affiant trail verify`, as a job: one runs at a time, and who asks while it does is given that one.
/// Needs the permission `trail:read` for all projects.
#[utoipa::path(tag = "trail", responses((status = 202, description = "Queued, or running already", body = Verification), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[post("/api/v1/trail/verify")]
pub async fn verify(who: Allowed<ReadTrail>, app: App) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Accepted().json(begin(&app, &who.principal).await?))
}

/// Show a verification of the trail
///
/// Needs the permission `trail:read` for all projects.
#[utoipa::path(tag = "trail", params(("verification" = String, Path, description = "Id")), responses((status = 200, body = Verification), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/trail/verifications/{verification}")]
pub async fn verification(who: Allowed<ReadTrail>, app: App, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    everywhere(&who.principal)?;
    let found = app.store.installation_job(uuid(&path, "verification")?, KIND).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such verification"))?;
    Ok(HttpResponse::Ok().json(Verification::try_from(found)?))
}

/// Begins a verification, unless one is under way.
pub(crate) async fn begin(app: &Context, who: &Principal) -> Result<Verification, Problem> {
    everywhere(who)?;
    let job = app.store.single_job(KIND, app.clock.now()).await?;
    Ok(Verification::try_from(job)?)
}

fn everywhere(who: &Principal) -> Result<(), Problem> {
    if who.reach::<ReadTrail>().is_all() {
        Ok(())
    } else {
        Err(Problem::forbidden("trail:read for all projects"))
    }
}
