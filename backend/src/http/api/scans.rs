//! Pushing scanners' files, and what came of them.

use super::{List, Paging, jobs::Job, limit, time, uuid};
use crate::auth::{In, PushScans, Read, ReadOriginals};
use crate::flow::FlowError;
use crate::flow::ingest::{ImportResult, JobPayload, Options, Upload, import, keep, screen};
use crate::flow::keyed::Content;
use crate::http::idempotency::{self, Start};
use crate::http::problem::Problem;
use crate::http::upload::{LIMIT, receive};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_store::{Store, StoreError, entity, instant, stored_json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Files larger than this become jobs.
pub(crate) const AT_ONCE: u64 = 128 << 20;

/// How a file is to be taken.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ScanQuery {
    /// What was scanned, `kind:name`.
    #[param(example = "repo:payments")]
    pub asset: String,
    /// `snapshot` (the file is the whole truth for its scope) or `delta` (it only adds).
    pub mode: Option<String>,
    /// Part of the asset: a branch, a service.
    pub part: Option<String>,
    /// Format, where it is not to be recognised by content.
    pub format: Option<String>,
    /// When it was scanned, where the file does not say.
    pub scanned_at: Option<String>,
    /// Only say what would happen.
    pub dry_run: Option<bool>,
    /// Close even most of what is open.
    pub confirm: Option<bool>,
}

impl ScanQuery {
    fn options(self, actor: &str) -> Result<Options, Problem> {
        let clean = |at: &str, text: Option<String>| match text {
            Some(text) if text.contains('\0') => Err(Problem::invalid(at, "it holds a NUL")),
            other => Ok(other.unwrap_or_default()),
        };
        Ok(Options {
            asset: clean("asset", Some(self.asset))?,
            part: clean("part", self.part)?,
            mode: self.mode.unwrap_or_else(|| "snapshot".to_owned()),
            format: self.format,
            scanned_at: self
                .scanned_at
                .as_deref()
                .map(|text| time("scanned_at", text))
                .transpose()?,
            dry_run: self.dry_run.unwrap_or(false),
            confirm: self.confirm.unwrap_or(false),
            actor: actor.to_owned(),
        })
    }
}

/// An import.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// Its id.
    pub id: Uuid,
    /// The asset.
    pub asset: String,
    /// Part of it.
    pub part: String,
    /// `snapshot` or `delta`.
    pub mode: String,
    /// SHA-256 of what came.
    pub digest: String,
    /// Size of what came, bytes.
    pub size: i64,
    /// Who sent it.
    pub actor: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When it was scanned.
    pub scanned_at: DateTime<Utc>,
    /// Whether the original can be downloaded.
    pub original: bool,
    /// What came of it.
    pub result: ImportResult,
}

impl Import {
    /// From its row.
    ///
    /// # Errors
    /// [`StoreError`] where its result cannot be read.
    pub fn new(row: entity::import::Model, asset: String) -> Result<Self, StoreError> {
        Ok(Self {
            result: stored_json(("import", row.id, "result"), &row.result)?,
            id: row.id,
            asset,
            part: row.part,
            mode: row.mode,
            digest: row.digest,
            size: row.size,
            actor: row.actor,
            received_at: instant(row.recorded_at),
            scanned_at: instant(row.completed_at),
            original: row.original_id.is_some(),
        })
    }
}

/// Push a scanner's own file
///
/// Any supported format, recognised by its content, gzip or not. A snapshot closes what it no longer holds within its scope (asset, tool
/// and part). The bytes of the latest import again change no finding and count as a fresh scan. `Prefer: respond-async`, or a file over
/// 128 MiB, answers 202 with a job. Needs the permission `scans:write`.
#[utoipa::path(tag = "scans", params(("project" = String, Path, description = "Slug"), ScanQuery, ("Prefer" = Option<String>, Header, description = "respond-async")), request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The scanner's file"), responses((status = 201, description = "Stored", body = ImportResult), (status = 200, description = "Dry run: what would happen", body = ImportResult), (status = 202, description = "Taken as a job", body = Job), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, description = "A mass close, or a request still at work", body = Problem), (status = 413, body = Problem), (status = 422, description = "The file is refused", body = Problem), (status = 503, body = Problem)))]
#[post("/api/v1/projects/{project}/scans")]
pub async fn push(
    at: In<PushScans>,
    query: web::Query<ScanQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let options = query.into_inner().options(&at.principal.name)?;
    let mut received = receive(&at.app, body, LIMIT).await?;
    let wants_job = request
        .headers()
        .get("prefer")
        .is_some_and(|value| value.to_str().is_ok_and(|v| v.contains("respond-async")));
    let as_job = !options.dry_run && (wants_job || received.upload.size > AT_ONCE);
    let begun = idempotency::begin(&at.app, &at.principal, &request, &received.upload.digest).await?;
    let keyed = match begun {
        Start::Answered(before) => return Ok(before),
        Start::Fresh(keyed) => keyed,
    };
    received.upload.keyed.clone_from(&keyed);
    let work = async {
        if as_job && let Some(job) = queue(&at, &received.upload, &options).await? {
            return Ok((StatusCode::ACCEPTED, Content::json(&job)?));
        }
        let result = import(&at.app, at.id(), &received.upload, &options).await?;
        let status = if result.dry_run {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        Ok((status, Content::json(&result)?))
    };
    idempotency::finish(&at.app, keyed, work).await
}

/// Keeps an upload and makes a job of it; none where it may not be kept, and so cannot wait.
async fn queue(at: &In<PushScans>, upload: &Upload, options: &Options) -> Result<Option<Job>, Problem> {
    let screened = screen(&at.app, upload, options).await?;
    let upload = &screened.upload;
    if !upload.keeps {
        return Ok(None);
    }
    let payload = JobPayload {
        original: keep(&at.app, at.id(), upload).await?,
        digest: upload.digest.clone(),
        size: upload.size,
        gzip: upload.gzip,
        masked: upload.masked,
        options: options.clone(),
    };
    let payload = serde_json::to_string(&payload).map_err(|error| Problem::internal(&error.to_string()))?;
    let (project, now) = (at.id(), at.app.clock.now());
    let add = |store: Store| async move {
        let id = store.project(project).add_job("import", &payload, now).await?;
        let job = Job::queued(id, "import");
        if let Some(keyed) = &upload.keyed {
            let (claim, answer) = keyed.settled(202, &Content::json(&job)?)?;
            store.settle_claim(&claim, &answer).await?;
        }
        Ok::<_, FlowError>(job)
    };
    Ok(Some(at.app.store.together(add).await?))
}

/// List imports, latest first
///
/// Needs the permission `read`.
#[utoipa::path(tag = "scans", params(("project" = String, Path, description = "Slug"), Paging), responses((status = 200, body = List<Import>), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/scans")]
pub async fn list(at: In<Read>, query: web::Query<Paging>) -> Result<HttpResponse, Problem> {
    let rows = at.scoped().imports(limit(query.limit)?).await?;
    let items = rows
        .into_iter()
        .map(|(row, asset)| Import::new(row, asset))
        .collect::<Result<_, _>>()?;
    Ok(HttpResponse::Ok().json(List::<Import> { items, next: None }))
}

/// Download an import's original
///
/// The bytes as they came, but for secrets: stand-ins of the same length are in their place, and a remark of the import says so. Needs the permission `originals:read`.
#[utoipa::path(tag = "scans", params(("project" = String, Path, description = "Slug"), ("import" = String, Path, description = "Id of the import")), responses((status = 200, description = "The file", content_type = "application/octet-stream"), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/scans/{import}/original")]
pub async fn original(at: In<ReadOriginals>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let missing = || Problem::not_found("there is no such original");
    let row = at
        .scoped()
        .import(uuid(&path.1, "import")?)
        .await?
        .ok_or_else(missing)?;
    let head = at
        .scoped()
        .original(row.original_id.ok_or_else(missing)?)
        .await?
        .ok_or_else(missing)?;
    let name = format!(
        "attachment; filename=\"{}-{}{}\"",
        row.format,
        row.id,
        if head.gzip { ".gz" } else { "" }
    );
    let detail = serde_json::json!({ "import": row.id, "sha256": row.digest }).to_string();
    let of = (at.principal.name.as_str(), "original.read", Some(at.project.id));
    at.app.store.record_action(of, &detail, at.app.clock.now()).await?;
    let (app, project) = (at.app.clone(), at.id());
    let pieces = futures::stream::try_unfold((app, head, 0, 0), move |(app, head, n, sent)| async move {
        match app.store.project(project).original_piece(&head, n).await {
            Ok(Some(piece)) => {
                let sent = sent + piece.len() as u64;
                Ok(Some((web::Bytes::from(piece), (app, head, n + 1, sent))))
            }
            Ok(None) if sent == head.size.unsigned_abs() => Ok(None),
            // The answer breaks off: a part of a file must not pass for the whole.
            Ok(None) => {
                let error = affiant_store::damaged(
                    "original",
                    head.id,
                    format_args!("{sent} of {} bytes are there", head.size),
                );
                tracing::error!(%error, "a download breaks off");
                Err(std::io::Error::other(error))
            }
            Err(error) => Err(std::io::Error::other(error)),
        }
    });
    Ok(HttpResponse::Ok()
        .insert_header(("Content-Disposition", name))
        .content_type("application/octet-stream")
        .streaming(Box::pin(pieces)))
}
