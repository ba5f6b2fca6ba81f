//! Imports a scanner's file: parsing runs beside storing. Nobody sees it before it is all there.

mod importer;
mod mask;
mod reader;
mod reread;

use super::keyed::{Content, Keyed};
use super::{FlowError, budget, invalid, sweep};
use crate::app::Context;
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::id::ProjectId;
use affiant_domain::matching::Mode;
use affiant_ingest::{FileSource, Format, Kind};
use affiant_store::{Answer, Begun, Claim, Ending, NewImport, Now, OriginalWriter, PendingImport, StoreError};
use importer::Importer;
use mask::Masked;
use reader::start_reader;
pub use reread::{Reread, reread};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// Imports at once.
pub const IMPORTS: usize = 4;
/// How often an import says that it is still at work while it waits for the file's reader.
const RENEWAL: Duration = Duration::from_secs(5);

/// Stands in a list of checks for the tool's profile.
pub const PROFILE: i64 = 0;

/// A file on disk, received whole.
#[derive(Debug)]
pub struct Upload {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of it.
    pub digest: String,
    /// Its size, bytes.
    pub size: u64,
    /// Whether it is a gzip stream.
    pub gzip: bool,
    /// Whether stand-ins are in the place of its secrets.
    pub masked: bool,
    /// Whether it may be kept.
    pub keeps: bool,
    /// How far the reading is, where somebody asks.
    pub progress: Arc<Progress>,
    /// The idempotency key that it came with.
    pub keyed: Option<Arc<Keyed>>,
}

impl Upload {
    /// The answer of the request that brought it, to be stored with what is imported.
    fn answer(&self, result: &ImportResult) -> Result<Option<(Claim, Answer)>, FlowError> {
        let Some(keyed) = &self.keyed else { return Ok(None) };
        keyed.settled(201, &Content::json(result)?).map(Some)
    }

    /// A file on disk, with its digest.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let (mut size, mut gzip) = (0, false);
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            if size == 0 {
                gzip = buffer.starts_with(&[0x1f, 0x8b]);
            }
            hash.update(&buffer[..n]);
            size += n as u64;
        }
        Ok(Self {
            path: path.to_owned(),
            digest: hex::encode(hash.finalize()),
            size,
            gzip,
            masked: false,
            keeps: true,
            progress: Arc::default(),
            keyed: None,
        })
    }
}

/// How far an import is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of the (inflated) file that were read.
    pub bytes: AtomicU64,
    /// Records that were read.
    pub records: AtomicU64,
}

/// What is to be done with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// What was scanned, `kind:name`.
    pub asset: String,
    /// Part of it: a branch, a service.
    pub part: String,
    /// `snapshot` or `delta`.
    pub mode: String,
    /// Format, where it is not to be recognised.
    pub format: Option<String>,
    /// When it was scanned, where the file does not say.
    pub scanned_at: Option<Instant>,
    /// Only say what would happen.
    pub dry_run: bool,
    /// A mass close is meant.
    pub confirm: bool,
    /// Who sent it.
    pub actor: String,
}

/// What an import that waits as a job carries.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobPayload {
    /// The original, kept.
    pub original: Uuid,
    /// SHA-256 of it.
    pub digest: String,
    /// Its size, bytes.
    pub size: u64,
    /// Whether it is a gzip stream.
    pub gzip: bool,
    /// Whether stand-ins are in the place of its secrets.
    #[serde(default)]
    pub masked: bool,
    /// What is to be done with it.
    pub options: Options,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportResult {
    /// The import, where it was stored.
    pub import: Option<Uuid>,
    /// Format that was recognised.
    #[schema(example = "sarif")]
    pub format: String,
    /// Its version, by the file.
    pub format_version: String,
    /// Tools whose runs the file holds.
    pub tools: Vec<String>,
    /// Records read.
    pub read: u64,
    /// New findings.
    pub created: u64,
    /// Findings seen again.
    pub seen_again: u64,
    /// Findings opened again.
    pub reopened: u64,
    /// Findings closed.
    pub closed: u64,
    /// Findings that the scanner itself set aside.
    pub suppressed: u64,
    /// Passed checks.
    pub passed: u64,
    /// Records that could not be read.
    pub rejected: u64,
    /// The first of them.
    #[schema(value_type = Vec<Object>)]
    pub rejections: Vec<Rejected>,
    /// The bytes of the latest import again: no finding changed, and it counts as a fresh scan.
    pub unchanged: bool,
    /// Nothing was stored.
    pub dry_run: bool,
    /// What a person should know of how the file was read.
    pub remarks: Vec<String>,
    /// The file does not tell the whole of its scope, so it closes nothing.
    #[serde(default)]
    pub partial: bool,
    /// The time of the scan, where the file itself says it.
    #[serde(default)]
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub file_time: Option<Instant>,
    /// Results that are neither pass nor failure: checks that could not be run, that a person must look at, that do not apply.
    #[serde(default)]
    pub undecided: u64,
    /// The time that opening and closing took.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub scanned_at: Option<Instant>,
}

impl ImportResult {
    /// Whether findings that the file does not hold may be there all the same.
    #[must_use]
    pub const fn is_unsure(&self) -> bool {
        self.rejected > 0 || self.partial
    }
}

/// A record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rejected {
    /// Where.
    pub at: String,
    /// Why.
    pub why: String,
}

/// Imports a file into a project.
///
/// # Errors
/// [`FlowError`]; then nothing was stored.
pub async fn import(
    app: &Context,
    project: ProjectId,
    upload: &Upload,
    options: &Options,
) -> Result<ImportResult, FlowError> {
    let screened = screen(app, upload, options).await?;
    import_kept(app, project, &screened.upload, options, None).await
}

/// An upload without its secrets.
pub struct Screened {
    /// What is left: the upload itself, or a file with stand-ins.
    pub upload: Upload,
    _file: Option<tempfile::NamedTempFile>,
}

/// Takes the secrets out of an upload, before anything of it is kept.
///
/// # Errors
/// [`FlowError`] where the file is refused or the disk fails.
#[tracing::instrument(name = "mask secrets", skip_all, fields(bytes = upload.size))]
pub async fn screen(app: &Context, upload: &Upload, options: &Options) -> Result<Screened, FlowError> {
    let format = recognise(app, upload, options).await?;
    let (path, app) = (upload.path.clone(), app.clone());
    let masked = tokio::task::spawn_blocking(move || mask::mask(&path, &format, &app.limits, &app.key, &app.spool))
        .await
        .map_err(|_| FlowError::Worker)??;
    let with = |path: PathBuf, gzip, masked, keeps| Upload {
        path,
        digest: upload.digest.clone(),
        size: upload.size,
        gzip,
        masked,
        keeps,
        progress: upload.progress.clone(),
        keyed: upload.keyed.clone(),
    };
    Ok(match masked {
        Masked::Clean => Screened {
            upload: with(upload.path.clone(), upload.gzip, false, upload.keeps),
            _file: None,
        },
        Masked::Impossible => Screened {
            upload: with(upload.path.clone(), upload.gzip, false, false),
            _file: None,
        },
        Masked::File(file) => Screened {
            upload: with(file.path().to_owned(), false, true, upload.keeps),
            _file: Some(file),
        },
    })
}

/// Imports a file whose original is kept already.
///
/// # Errors
/// [`FlowError`]; then nothing was stored, and the original is thrown away.
#[tracing::instrument(name = "import", skip_all, fields(bytes = upload.size))]
pub async fn import_kept(
    app: &Context,
    project: ProjectId,
    upload: &Upload,
    options: &Options,
    kept: Option<Uuid>,
) -> Result<ImportResult, FlowError> {
    let (asset, mode) = check_options(options, app.clock.now())?;
    let format = recognise(app, upload, options).await?;
    let original = match kept {
        Some(id) => Some(id),
        None if options.dry_run || !upload.keeps => None,
        None => Some(keep(app, project, upload).await?),
    };
    let outcome = run(app, project, upload, options, (&asset, mode, format), original).await;
    let used = matches!(&outcome, Ok((_, true)));
    if let Some(id) = original.filter(|_| !used) {
        sweep::discard(app, id).await;
    }
    outcome.map(|(result, _)| result)
}

fn check_options(options: &Options, now: Instant) -> Result<(AssetKey, Mode), FlowError> {
    if options
        .scanned_at
        .is_some_and(|at| at > now + chrono::Duration::minutes(5))
    {
        return Err(invalid("scanned_at", "a scan lies in the past, not in the future"));
    }
    let asset = AssetKey::parse(&options.asset).map_err(|error| invalid("asset", error.to_string()))?;
    let mode = options.mode.parse().map_err(|error: String| invalid("mode", error))?;
    if options.part.len() > 200 || options.part.chars().any(char::is_control) {
        return Err(invalid(
            "part",
            "a part has at most 200 characters and no control characters",
        ));
    }
    Ok((asset, mode))
}

async fn recognise(app: &Context, upload: &Upload, options: &Options) -> Result<Arc<Format>, FlowError> {
    let (path, wanted, limits, formats) = (
        upload.path.clone(),
        options.format.clone(),
        app.limits,
        app.formats.clone(),
    );
    let found = tokio::task::spawn_blocking(move || formats.recognise(&FileSource(path), wanted.as_deref(), &limits))
        .await
        .map_err(|_| FlowError::Worker)??;
    if found.kind == Kind::Events {
        return Err(invalid(
            "format",
            format!("{} holds audit events; send it to audit-events", found.title),
        ));
    }
    let nothing = options.format.is_none() && upload.size < 64 && is_nothing(&upload.path);
    if nothing {
        return Err(invalid(
            "format",
            "the file holds nothing and could be of any tool; say whose with format=",
        ));
    }
    Ok(found)
}

fn is_nothing(path: &std::path::Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| matches!(bytes.trim_ascii(), b"null" | b"[]"))
}

/// Keeps the original, compressed.
///
/// # Errors
/// [`FlowError`] where disk or database fail.
pub async fn keep(app: &Context, project: ProjectId, upload: &Upload) -> Result<Uuid, FlowError> {
    let mut writer = app
        .store
        .keep_original(project, app.spool.process(), upload.gzip, app.clock.now())
        .await?;
    let id = writer.id;
    let kept = match copy(upload, &mut writer).await {
        Ok(()) => writer.finish(&upload.digest).await.map_err(FlowError::from),
        Err(error) => Err(error),
    };
    if kept.is_err() {
        sweep::discard(app, id).await;
    }
    kept
}

async fn copy(upload: &Upload, writer: &mut OriginalWriter) -> Result<(), FlowError> {
    use tokio::io::AsyncReadExt;
    let failed = |error| FlowError::Io(upload.path.display().to_string(), error);
    let mut file = tokio::fs::File::open(&upload.path).await.map_err(failed)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).await.map_err(failed)?;
        if n == 0 {
            return Ok(());
        }
        writer.push(&buffer[..n]).await?;
    }
}

/// A kept original as a file; none where it is not there.
///
/// # Errors
/// [`FlowError`] where disk or database fail.
pub async fn fetch(
    app: &Context,
    project: ProjectId,
    original: Uuid,
) -> Result<Option<tempfile::NamedTempFile>, FlowError> {
    use tokio::io::AsyncWriteExt;
    let scoped = app.store.project(project);
    let Some(head) = scoped.original(original).await? else {
        return Ok(None);
    };
    let failed = |error| FlowError::Io(app.spool.display().to_string(), error);
    let file = tempfile::NamedTempFile::new_in(&app.spool).map_err(failed)?;
    let mut out = tokio::fs::File::create(file.path()).await.map_err(failed)?;
    let (mut n, mut size) = (0, 0);
    while let Some(piece) = scoped.original_piece(&head, n).await? {
        out.write_all(&piece).await.map_err(failed)?;
        size += piece.len() as u64;
        n += 1;
    }
    // A part of it would be read as the whole, and close what it does not hold.
    if size != head.size.unsigned_abs() {
        let what = format!("{size} of {} bytes are there", head.size);
        return Err(affiant_store::damaged("original", original, what).into());
    }
    out.flush().await.map_err(failed)?;
    Ok(Some(file))
}

/// How long an import waits for another that is on its way into the same part of its asset, beyond the turns that imports take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The import itself; also whether it names the original.
async fn run(
    app: &Context,
    project: ProjectId,
    upload: &Upload,
    options: &Options,
    (key, mode, format): (&AssetKey, Mode, Arc<Format>),
    original: Option<Uuid>,
) -> Result<(ImportResult, bool), FlowError> {
    let _turn = budget::enter_within(&app.imports, PATIENCE).await?;
    let new = NewImport {
        asset: key,
        scanned_at: options.scanned_at,
        part: &options.part,
        mode: mode.as_str(),
        format: &format.name,
        digest: &upload.digest,
        size: upload.size.cast_signed(),
        actor: &options.actor,
    };
    let pending = begin(app, project, &new).await?;
    if let Some((import, text)) = pending.same_as_latest(&new).await? {
        // Sent again to be confirmed, it is to close what it did not close before.
        let before: ImportResult = serde_json::from_str(&text).map_err(|e| StoreError::Damaged(e.to_string()))?;
        if !(options.confirm && before.is_unsure()) {
            let result = repeat(app, pending, options, upload, (import, before)).await?;
            return Ok((result, false));
        }
    }
    read_in(app, pending, upload, options, (mode, format), original).await
}

/// Whether this server imports something.
#[must_use]
pub fn is_at_work(app: &Context) -> bool {
    app.imports.available_permits() < IMPORTS
}

/// Begins an import when it is its turn.
async fn begin(app: &Context, project: ProjectId, new: &NewImport<'_>) -> Result<PendingImport, FlowError> {
    let waits_since = std::time::Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        let begun = app
            .store
            .begin_import(project, new, app.spool.process(), now_of(app))
            .await?;
        match begun {
            Begun::Pending(pending) => return Ok(*pending),
            Begun::Busy if waits_since.elapsed() > PATIENCE => return Err(FlowError::Busy),
            Begun::Busy => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

/// What an import asks for the time.
#[must_use]
pub fn now_of(app: &Context) -> Now {
    let clock = app.clock.clone();
    Arc::new(move || clock.now())
}

/// Reads a file into its scopes.
async fn read_in(
    app: &Context,
    pending: PendingImport,
    upload: &Upload,
    options: &Options,
    (mode, format): (Mode, Arc<Format>),
    original: Option<Uuid>,
) -> Result<(ImportResult, bool), FlowError> {
    let mut importer = Importer::new(pending, options, upload.progress.clone());
    let (mut receiver, reader) = start_reader(upload, format, app);
    let read = async {
        loop {
            match tokio::time::timeout(RENEWAL, receiver.recv()).await {
                Ok(Some(batch)) => importer.take(batch).await?,
                Ok(None) => break,
                Err(_) => importer.renew().await?,
            }
        }
        reader.await.map_err(|_| FlowError::Worker)??;
        Ok(())
    };
    if let Err(error) = read.await {
        importer.abandon().await;
        return Err(error);
    }
    let done = importer.finish(mode, upload, original).await?;
    if let Some(import) = done.0.import {
        settle(app, import).await;
    }
    Ok(done)
}

/// What an import changed is there; that it is copied into the findings may wait.
async fn settle(app: &Context, import: Uuid) {
    if let Err(error) = app.store.settle_import(import, &now_of(app)).await {
        tracing::warn!(%error, %import, "an import is settled later");
    }
}

/// The bytes of the latest import again: the scans count afresh, nothing else changes.
async fn repeat(
    app: &Context,
    pending: PendingImport,
    options: &Options,
    upload: &Upload,
    (import, before): (Uuid, ImportResult),
) -> Result<ImportResult, FlowError> {
    // A file that says when it was made is no fresher for being sent again.
    let now = pending.recorded_at;
    let at = before.file_time.or(options.scanned_at).unwrap_or(now).min(now);
    let seen = before.created + before.seen_again + before.reopened;
    let id = pending.id;
    let result = ImportResult {
        import: (!options.dry_run).then_some(id),
        created: 0,
        seen_again: seen,
        reopened: 0,
        closed: 0,
        unchanged: true,
        dry_run: options.dry_run,
        scanned_at: Some(at),
        ..before
    };
    if options.dry_run {
        pending.abandon().await?;
        return Ok(result);
    }
    let latest = pending.repeat_scans(import, at).await?;
    let ending = Ending {
        original: None,
        format_version: &result.format_version,
        result: &serde_json::to_string(&result).unwrap_or_default(),
        completed_at: at,
        latest: &latest,
        answer: upload.answer(&result)?,
    };
    pending.publish(&ending).await?;
    settle(app, id).await;
    Ok(result)
}
