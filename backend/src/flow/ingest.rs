//! Imports a scanner's file: parsing runs beside storing, all in one transaction.

use super::{FlowError, invalid};
use crate::app::Context;
use affiant_domain::asset::AssetKey;
use affiant_domain::id::ProjectId;
use affiant_domain::matching::{Matcher, Mode, State, Stored, Verdict, is_mass_close};
use affiant_domain::observation::{Check, Observation, Outcome, Place, RunInfo, tool_name};
use affiant_domain::{Instant, Severity, audit::AuditEvent, fingerprint::Fingerprint};
use affiant_ingest::{FileSource, Format, Kind, Limits, ReadError, Rejection, Sink, Stop};
use affiant_store::{Change, ImportTx, NewFinding, NewImport, NewResult, NewScan, StoreError, StoredFinding, micros};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use utoipa::ToSchema;
use uuid::Uuid;

/// Records handed over at once.
const BATCH: usize = 1000;
/// Batches that may wait.
const WAITING: usize = 4;
/// Rejected records that a result shows.
const SHOWN: usize = 20;
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
    /// How far the reading is, where somebody asks.
    pub progress: Arc<Progress>,
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

/// A record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rejected {
    /// Where.
    pub at: String,
    /// Why.
    pub why: String,
}

/// A record on its way from the reader to the store.
struct Row {
    check: Arc<Check>,
    resource: Option<AssetKey>,
    outcome: Outcome,
    severity: Severity,
    title: String,
    message: String,
    location: String,
    line: u32,
    fingerprint: Fingerprint,
    place: Place,
}

enum Item {
    Format(&'static Format),
    Version(String),
    Run(RunInfo),
    Listed(Arc<Check>),
    Row(Box<Row>),
    Passed(u64),
    Rejected(Rejection),
    Remark(String),
}

/// Collects batches on the reader's thread.
struct Channel {
    sender: tokio::sync::mpsc::Sender<Vec<Item>>,
    batch: Vec<Item>,
}

impl Channel {
    fn put(&mut self, item: Item) -> Result<(), Stop> {
        self.batch.push(item);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.sender.blocking_send(batch).map_err(|_| Stop)
    }
}

impl Sink for Channel {
    fn recognised(&mut self, format: &'static Format) {
        let _ = self.put(Item::Format(format));
    }
    fn version(&mut self, version: &str) {
        let _ = self.put(Item::Version(version.chars().take(60).collect()));
    }
    fn run(&mut self, run: &RunInfo) {
        let _ = self.put(Item::Run(run.clone()));
    }
    fn listed(&mut self, check: &Arc<Check>) {
        let _ = self.put(Item::Listed(check.clone()));
    }
    fn observation(&mut self, o: Observation<'_>) -> Result<(), Stop> {
        let row = Row {
            resource: o.resource.map(|r| AssetKey::resource(&r.kind, &r.name)),
            check: o.check,
            outcome: o.outcome,
            severity: o.severity,
            title: o.title.into_owned(),
            message: o.message.into_owned(),
            location: o.location.into_owned(),
            line: o.line,
            fingerprint: o.fingerprint,
            place: o.place,
        };
        self.put(Item::Row(Box::new(row)))
    }
    fn passed(&mut self, count: u64) {
        let _ = self.put(Item::Passed(count));
    }
    fn event(&mut self, _event: AuditEvent, _place: Place) -> Result<(), Stop> {
        Err(Stop)
    }
    fn reject(&mut self, rejection: Rejection) -> Result<(), Stop> {
        self.put(Item::Rejected(rejection))
    }
    fn remark(&mut self, remark: String) {
        let _ = self.put(Item::Remark(remark));
    }
}

/// Reads a file on a thread of its own.
fn start_reader(
    path: PathBuf,
    format: Option<String>,
    limits: Limits,
) -> (
    tokio::sync::mpsc::Receiver<Vec<Item>>,
    tokio::task::JoinHandle<Result<(), ReadError>>,
) {
    let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
    let handle = tokio::task::spawn_blocking(move || {
        let mut channel = Channel {
            sender,
            batch: Vec::with_capacity(BATCH),
        };
        affiant_ingest::read(&FileSource(path), format.as_deref(), &limits, &mut channel)?;
        channel.flush().map_err(ReadError::from)
    });
    (receiver, handle)
}

/// One tool's part of an import.
struct ToolState {
    scope: i64,
    scan: Uuid,
    info: RunInfo,
    at: i64,
    historic: bool,
    gone_at: Option<i64>,
    stored: Vec<StoredFinding>,
    matcher: Matcher,
    listed: BTreeSet<i64>,
    has_list: bool,
    results: BTreeMap<(Uuid, i64, i16), i32>,
    open_before: u64,
}

struct Importer<'a> {
    progress: Arc<Progress>,
    tx: ImportTx,
    options: &'a Options,
    now: Instant,
    id: Uuid,
    asset: Uuid,
    tools: BTreeMap<String, ToolState>,
    checks: HashMap<Arc<Check>, i64>,
    assets: HashMap<AssetKey, Uuid>,
    findings: Vec<NewFinding>,
    changes: Vec<Change>,
    result: ImportResult,
    secrets: bool,
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
    import_kept(app, project, upload, options, None).await
}

/// Imports a file whose original is kept already.
///
/// # Errors
/// [`FlowError`]; then nothing was stored, and the original is thrown away.
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
        None if options.dry_run => None,
        None => Some(keep(app, project, upload).await?),
    };
    let outcome = run(app, project, upload, options, (&asset, mode, format), original).await;
    let used = matches!(&outcome, Ok((_, true)));
    if let Some(id) = original.filter(|_| !used) {
        app.store.drop_original(id).await?;
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

async fn recognise(app: &Context, upload: &Upload, options: &Options) -> Result<&'static Format, FlowError> {
    let (path, wanted, limits) = (upload.path.clone(), options.format.clone(), app.limits);
    let found =
        tokio::task::spawn_blocking(move || affiant_ingest::recognise(&FileSource(path), wanted.as_deref(), &limits))
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
    use tokio::io::AsyncReadExt;
    let failed = |error| FlowError::Io(upload.path.display().to_string(), error);
    let mut file = tokio::fs::File::open(&upload.path).await.map_err(failed)?;
    let mut writer = app.store.keep_original(project, upload.gzip).await?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).await.map_err(failed)?;
        if n == 0 {
            break;
        }
        writer.push(&buffer[..n]).await?;
    }
    Ok(writer.finish(&upload.digest, app.clock.now()).await?)
}

/// The import itself; also whether it names the original.
async fn run(
    app: &Context,
    project: ProjectId,
    upload: &Upload,
    options: &Options,
    (key, mode, format): (&AssetKey, Mode, &'static Format),
    original: Option<Uuid>,
) -> Result<(ImportResult, bool), FlowError> {
    let now = app.clock.now();
    let tx = app.store.begin_import(project).await?;
    let at = options.scanned_at.unwrap_or(now).min(now);
    let assets = tx.assets(&[(key.clone(), true)], at, now).await?;
    let asset = assets.get(key.as_str()).copied().ok_or(FlowError::Worker)?;
    if let Some((import, text)) = tx
        .same_as_latest(asset, &options.part, (mode.as_str(), format.name), &upload.digest)
        .await?
    {
        let result = repeat(tx, options, upload, (import, &text, asset, format), now).await?;
        return Ok((result, false));
    }
    let mut importer = Importer {
        progress: upload.progress.clone(),
        tx,
        options,
        now,
        id: Uuid::now_v7(),
        asset,
        tools: BTreeMap::new(),
        checks: HashMap::new(),
        assets: HashMap::new(),
        findings: Vec::new(),
        changes: Vec::new(),
        result: ImportResult {
            dry_run: options.dry_run,
            ..ImportResult::default()
        },
        secrets: false,
    };
    let (mut receiver, reader) = start_reader(upload.path.clone(), Some(format.name.to_owned()), app.limits);
    while let Some(batch) = receiver.recv().await {
        importer.take(batch).await?;
    }
    reader.await.map_err(|_| FlowError::Worker)??;
    importer.finish(mode, upload, original).await
}

/// The bytes of the latest import again: the scans count afresh, nothing else changes.
async fn repeat(
    tx: ImportTx,
    options: &Options,
    upload: &Upload,
    (import, text, asset, format): (Uuid, &str, Uuid, &'static Format),
    now: Instant,
) -> Result<ImportResult, FlowError> {
    let before: ImportResult = serde_json::from_str(text).map_err(|e| StoreError::Damaged(e.to_string()))?;
    // A file that says when it was made is no fresher for being sent again.
    let at = before.file_time.or(options.scanned_at).unwrap_or(now).min(now);
    let seen = before.created + before.seen_again + before.reopened;
    let id = Uuid::now_v7();
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
        tx.rollback().await?;
        return Ok(result);
    }
    let new = NewImport {
        id,
        asset,
        original: None,
        part: &options.part,
        mode: &options.mode,
        format: format.name,
        format_version: &result.format_version,
        digest: &upload.digest,
        size: upload.size.cast_signed(),
        actor: &options.actor,
        result: &serde_json::to_string(&result).unwrap_or_default(),
        completed_at: at,
    };
    tx.insert_import(&new, now).await?;
    tx.repeat_scans(import, id, at, now).await?;
    tx.commit().await?;
    Ok(result)
}

impl Importer<'_> {
    async fn take(&mut self, batch: Vec<Item>) -> Result<(), FlowError> {
        self.intern(&batch).await?;
        for item in batch {
            match item {
                Item::Format(format) => format.name.clone_into(&mut self.result.format),
                Item::Version(version) => {
                    if self.result.format_version.is_empty() {
                        self.result.format_version = version;
                    }
                }
                Item::Run(info) => self.run(info).await?,
                Item::Listed(check) => {
                    let id = self.checks.get(&check).copied().unwrap_or_default();
                    let state = self.tool(&check.tool).await?;
                    state.listed.insert(id);
                    state.has_list = true;
                }
                Item::Row(row) => self.row(*row).await?,
                Item::Passed(count) => self.result.passed += count,
                Item::Rejected(rejection) => {
                    self.result.rejected += 1;
                    if self.result.rejections.len() < SHOWN {
                        self.result.rejections.push(Rejected {
                            at: rejection.at,
                            why: rejection.why,
                        });
                    }
                }
                Item::Remark(remark) => self.result.remarks.push(remark),
            }
        }
        self.write().await
    }

    /// Gives every check and resource of a batch its id, in few statements.
    async fn intern(&mut self, batch: &[Item]) -> Result<(), FlowError> {
        let mut checks: Vec<Arc<Check>> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut resources: BTreeSet<AssetKey> = BTreeSet::new();
        for item in batch {
            let check = match item {
                Item::Listed(check) => check,
                Item::Row(row) => {
                    if let Some(key) = row.resource.as_ref().filter(|key| !self.assets.contains_key(*key)) {
                        resources.insert(key.clone());
                    }
                    &row.check
                }
                _ => continue,
            };
            if !self.checks.contains_key(check) && seen.insert(check.clone()) {
                checks.push(check.clone());
            }
        }
        if !checks.is_empty() {
            let wanted: Vec<&Check> = checks.iter().map(AsRef::as_ref).collect();
            let ids = self.tx.checks(&wanted).await?;
            self.secrets |= checks.iter().any(|check| check.category == "secret");
            self.checks.extend(checks.into_iter().zip(ids));
        }
        if !resources.is_empty() {
            let keys: Vec<(AssetKey, bool)> = resources.into_iter().map(|key| (key, false)).collect();
            let at = self.options.scanned_at.unwrap_or(self.now).min(self.now);
            let found = self.tx.assets(&keys, at, self.now).await?;
            for (key, _) in keys {
                if let Some(id) = found.get(&key.as_str().replace('\0', "\u{fffd}")) {
                    self.assets.insert(key, *id);
                }
            }
        }
        Ok(())
    }

    async fn run(&mut self, info: RunInfo) -> Result<(), FlowError> {
        let tool = info.tool.clone();
        if !self.tools.contains_key(&tool) {
            return self.begin(info).await;
        }
        if let Some(state) = self.tools.get_mut(&tool) {
            state.info.scanned_at = state.info.scanned_at.max(info.scanned_at);
            if state.info.tool_version.is_empty() {
                state.info.tool_version = info.tool_version;
            }
        }
        Ok(())
    }

    async fn tool(&mut self, tool: &str) -> Result<&mut ToolState, FlowError> {
        if !self.tools.contains_key(tool) {
            self.begin(RunInfo {
                tool: tool.to_owned(),
                ..RunInfo::default()
            })
            .await?;
        }
        self.tools.get_mut(tool).ok_or(FlowError::Worker)
    }

    /// The first word of a tool: its scope is locked and what is stored in it is loaded.
    async fn begin(&mut self, info: RunInfo) -> Result<(), FlowError> {
        let tool = if info.tool.is_empty() {
            tool_name("")
        } else {
            info.tool.clone()
        };
        let scope = self.tx.scope(self.asset, &tool, &self.options.part).await?;
        if let Some(future) = info.scanned_at.filter(|at| *at > self.now) {
            self.result.remarks.push(format!(
                "{tool}: the file's time {future} lies in the future; the time of receipt is taken"
            ));
        }
        self.result.file_time = self.result.file_time.max(info.scanned_at);
        let at = micros(
            info.scanned_at
                .or(self.options.scanned_at)
                .unwrap_or(self.now)
                .min(self.now),
        );
        let historic = scope.latest_at.is_some_and(|latest| at < latest);
        let gone_at = if historic {
            self.tx.next_scan(scope.id, at).await?
        } else {
            None
        };
        if historic {
            self.result.remarks.push(format!(
                "{tool}: the file is older than the latest scan of its scope; it closes and reopens nothing"
            ));
        }
        let stored = self.tx.stored(scope.id).await?;
        let known = stored.iter().enumerate().map(|(n, f)| {
            (
                Fingerprint(f.fingerprint),
                Stored::new(u32::try_from(n).unwrap_or(u32::MAX), f.state, f.severity),
            )
        });
        let matcher = Matcher::new(known, historic);
        let open_before = stored.iter().filter(|f| f.state == State::Open).count() as u64;
        let state = ToolState {
            scope: scope.id,
            scan: Uuid::now_v7(),
            info,
            at,
            historic,
            gone_at,
            matcher,
            open_before,
            stored,
            listed: BTreeSet::new(),
            has_list: false,
            results: BTreeMap::new(),
        };
        self.result.tools.push(tool.clone());
        self.tools.insert(tool, state);
        Ok(())
    }

    async fn row(&mut self, row: Row) -> Result<(), FlowError> {
        self.result.read += 1;
        self.progress.bytes.store(row.place.offset, Ordering::Relaxed);
        self.progress.records.store(self.result.read, Ordering::Relaxed);
        let asset = row
            .resource
            .as_ref()
            .and_then(|key| self.assets.get(key).copied())
            .unwrap_or(self.asset);
        let check = self.checks.get(&row.check).copied().unwrap_or_default();
        let of_resource = row.resource.is_some();
        let tool = row.check.tool.clone();
        let state = self.tool(&tool).await?;
        state.listed.insert(check);
        let code = match &row.outcome {
            Outcome::Pass => Some(0),
            Outcome::Open if of_resource => Some(1),
            Outcome::Error => Some(2),
            Outcome::NotApplicable => Some(3),
            _ => None,
        };
        if let Some(code) = code {
            *state.results.entry((asset, check, code)).or_default() += 1;
        }
        match &row.outcome {
            Outcome::Pass => self.result.passed += 1,
            Outcome::Open => self.failure(row, &tool, asset, check, State::Open),
            Outcome::Suppressed(_) => {
                self.result.suppressed += 1;
                self.failure(row, &tool, asset, check, State::Suppressed);
            }
            Outcome::Gone | Outcome::NotApplicable | Outcome::Error => self.result.undecided += 1,
        }
        Ok(())
    }

    fn failure(&mut self, row: Row, tool: &str, asset: Uuid, check: i64, wanted: State) {
        let Some(state) = self.tools.get_mut(tool) else {
            return;
        };
        match state.matcher.observe(row.fingerprint, wanted, row.severity) {
            Verdict::SeenAgain(_) => self.result.seen_again += 1,
            Verdict::Change(key, to) => {
                let Some(stored) = state.stored.get(key as usize) else {
                    return;
                };
                if to == State::Open && stored.state == State::Closed {
                    self.result.reopened += 1;
                } else {
                    self.result.seen_again += 1;
                }
                self.changes.push(Change {
                    finding: stored.id,
                    scan: state.scan,
                    at: state.at,
                    state: to,
                    severity: row.severity,
                });
            }
            Verdict::Create(occurrence) => {
                self.result.created += 1;
                let id = Uuid::now_v7();
                if let Some(gone) = state.gone_at.filter(|_| state.historic && wanted == State::Open) {
                    self.changes.push(Change {
                        finding: id,
                        scan: state.scan,
                        at: gone,
                        state: State::Closed,
                        severity: row.severity,
                    });
                }
                self.findings.push(NewFinding {
                    id,
                    asset,
                    scope: state.scope,
                    check,
                    fingerprint: row.fingerprint.0,
                    occurrence,
                    state: wanted,
                    severity: row.severity,
                    opened_at: state.at,
                    title: row.title,
                    message: row.message,
                    location: row.location,
                    line: row.line,
                    suppression: match row.outcome {
                        Outcome::Suppressed(reason) => reason,
                        _ => String::new(),
                    },
                    place: row.place,
                });
            }
        }
    }

    async fn write(&mut self) -> Result<(), FlowError> {
        self.tx.insert_findings(self.id, &self.findings, self.now).await?;
        self.findings.clear();
        self.tx.change_findings(&self.changes, self.now).await?;
        self.changes.clear();
        Ok(())
    }

    async fn finish(
        mut self,
        mode: Mode,
        upload: &Upload,
        original: Option<Uuid>,
    ) -> Result<(ImportResult, bool), FlowError> {
        let (mut closing, mut open) = (0, 0);
        for state in self.tools.values() {
            open += state.open_before;
            for key in state.matcher.absent(mode) {
                let Some(stored) = state.stored.get(key as usize) else {
                    continue;
                };
                closing += u64::from(stored.state == State::Open);
                self.changes.push(Change {
                    finding: stored.id,
                    scan: state.scan,
                    at: state.at,
                    state: State::Closed,
                    severity: stored.severity,
                });
            }
        }
        self.result.closed = closing;
        if is_mass_close(closing, open) && !self.options.confirm && !self.options.dry_run {
            self.tx.rollback().await?;
            return Err(FlowError::MassClose { closing, open });
        }
        let at = self
            .tools
            .values()
            .map(|state| state.at)
            .max()
            .unwrap_or_else(|| micros(self.now));
        self.result.scanned_at = Some(affiant_store::instant(at));
        if self.options.dry_run {
            self.tx.rollback().await?;
            return Ok((self.result, false));
        }
        self.result.import = Some(self.id);
        self.write().await?;
        let keeps = original.filter(|_| !(self.secrets && self.result.format == "sarif"));
        if original.is_some() && keeps.is_none() {
            self.result
                .remarks
                .push("the original is not kept: it may show the secrets that were found".to_owned());
        }
        self.store_import(upload, keeps, at).await?;
        for (tool, state) in std::mem::take(&mut self.tools) {
            self.store_scan(&tool, state).await?;
        }
        self.tx.commit().await?;
        Ok((self.result, keeps.is_some()))
    }

    async fn store_import(&self, upload: &Upload, original: Option<Uuid>, at: i64) -> Result<(), FlowError> {
        let new = NewImport {
            id: self.id,
            asset: self.asset,
            original,
            part: &self.options.part,
            mode: &self.options.mode,
            format: &self.result.format,
            format_version: &self.result.format_version,
            digest: &upload.digest,
            size: upload.size.cast_signed(),
            actor: &self.options.actor,
            result: &serde_json::to_string(&self.result).unwrap_or_default(),
            completed_at: affiant_store::instant(at),
        };
        Ok(self.tx.insert_import(&new, self.now).await?)
    }

    async fn store_scan(&self, tool: &str, state: ToolState) -> Result<(), FlowError> {
        let mut checks: Vec<i64> = state.listed.into_iter().collect();
        if !state.has_list {
            checks.insert(0, PROFILE);
        }
        let scan = NewScan {
            id: state.scan,
            import: self.id,
            scope: state.scope,
            asset: self.asset,
            tool: tool.to_owned(),
            tool_version: state.info.tool_version,
            checks,
            completed_at: state.at,
            latest: !state.historic,
        };
        self.tx.insert_scan(&scan, self.now).await?;
        let results: Vec<NewResult> = state
            .results
            .into_iter()
            .map(|((asset, check, outcome), count)| NewResult {
                scan: state.scan,
                asset,
                check,
                outcome,
                count,
                observed_at: state.at,
            })
            .collect();
        Ok(self.tx.insert_results(&results, self.now).await?)
    }
}
