//! The store's side of an import: batches become findings, changes and scans.

use super::reader::{Item, Row};
use super::{ImportResult, Options, PROFILE, Progress, Rejected, Upload};
use crate::flow::FlowError;
use affiant_domain::asset::AssetKey;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::matching::{Matcher, Mode, State, Stored, Verdict, is_mass_close};
use affiant_domain::observation::{Check, Outcome, RunInfo, tool_name};
use affiant_domain::{Instant, Severity};
use affiant_store::{Change, Ending, NewFinding, NewResult, NewScan, PendingImport, StoreError, micros};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// Rejected records that a result shows.
const SHOWN: usize = 20;

/// A stored finding of a scope, as short as it can be: there may be a million.
struct Known {
    id: Uuid,
    state: State,
    severity: Severity,
}

/// One tool's part of an import.
struct ToolState {
    scope: i64,
    scan: Uuid,
    info: RunInfo,
    at: i64,
    historic: bool,
    gone_at: Option<i64>,
    stored: Vec<Known>,
    matcher: Matcher,
    listed: BTreeSet<i64>,
    has_list: bool,
    results: BTreeMap<(Uuid, i64, i16), i32>,
    open_before: u64,
}

/// An import under way: what was read, and what is yet to be written.
pub(super) struct Importer<'a> {
    progress: Arc<Progress>,
    pending: PendingImport,
    options: &'a Options,
    now: Instant,
    tools: BTreeMap<String, ToolState>,
    checks: HashMap<Arc<Check>, i64>,
    assets: HashMap<AssetKey, Uuid>,
    findings: Vec<NewFinding>,
    changes: Vec<Change>,
    result: ImportResult,
}

impl<'a> Importer<'a> {
    pub(super) fn new(pending: PendingImport, options: &'a Options, progress: Arc<Progress>) -> Self {
        Self {
            progress,
            now: pending.recorded_at,
            pending,
            options,
            tools: BTreeMap::new(),
            checks: HashMap::new(),
            assets: HashMap::new(),
            findings: Vec::new(),
            changes: Vec::new(),
            result: ImportResult {
                dry_run: options.dry_run,
                ..ImportResult::default()
            },
        }
    }

    /// Takes in a batch and writes what came of it.
    pub(super) async fn take(&mut self, batch: Vec<Item>) -> Result<(), FlowError> {
        self.intern(&batch).await?;
        for item in batch {
            match item {
                Item::Format(name) => self.result.format = name,
                Item::Version(version) => {
                    if self.result.format_version.is_empty() {
                        self.result.format_version = version;
                    }
                }
                Item::Run(info) => self.run(info).await?,
                Item::Listed(check) => {
                    let id = self.id_of(&check)?;
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
                Item::Partial(why) => {
                    self.result.partial = true;
                    self.result.remarks.push(why);
                }
            }
        }
        self.write().await
    }

    /// Says that it is still at work.
    pub(super) async fn renew(&self) -> Result<(), FlowError> {
        Ok(self.pending.renew().await?)
    }

    /// Takes away what was written.
    pub(super) async fn abandon(self) {
        let id = self.pending.id;
        if let Err(error) = self.pending.abandon().await {
            tracing::warn!(%error, import = %id, "an import that failed is taken away when its lease is over");
        }
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
            let ids = self.pending.checks(&wanted).await?;
            self.checks.extend(checks.into_iter().zip(ids));
        }
        if !resources.is_empty() {
            let keys: Vec<(AssetKey, bool)> = resources.iter().map(|key| (key.clone(), false)).collect();
            let at = self.options.scanned_at.unwrap_or(self.now).min(self.now);
            let found = self.pending.assets(&keys, at).await?;
            for key in resources {
                if let Some(id) = found.get(&key.as_str().replace('\0', "\u{fffd}")) {
                    self.assets.insert(key, *id);
                }
            }
        }
        Ok(())
    }

    /// The id that [`Self::intern`] gave a check.
    fn id_of(&self, check: &Arc<Check>) -> Result<i64, FlowError> {
        let missing = || StoreError::Damaged(format!("check {} of {} has no id", check.rule, check.tool));
        Ok(self.checks.get(check).copied().ok_or_else(missing)?)
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
        let scope = self.pending.scope(&tool).await?;
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
            self.pending.next_scan(scope.id, at).await?
        } else {
            None
        };
        if historic {
            self.result.remarks.push(format!(
                "{tool}: the file is older than the latest scan of its scope; it closes and reopens nothing"
            ));
        }
        let (mut known, mut stored) = (Vec::new(), Vec::new());
        let mut page = self.pending.stored(scope.id, None).await?;
        while let Some(last) = page.last().copied() {
            for finding in page {
                let key = u32::try_from(stored.len()).unwrap_or(u32::MAX);
                let as_stored = Stored::new(key, finding.state, finding.severity);
                known.push((Fingerprint(finding.fingerprint), as_stored));
                stored.push(Known {
                    id: finding.id,
                    state: finding.state,
                    severity: finding.severity,
                });
            }
            page = self.pending.stored(scope.id, Some(&last)).await?;
        }
        let matcher = Matcher::new(known, historic);
        let open_before = stored.iter().filter(|f| f.state == State::Open).count() as u64;
        let scan = Uuid::now_v7();
        self.pending.begin_scan(scan, scope.id, &tool, at).await?;
        let state = ToolState {
            scope: scope.id,
            scan,
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
            .unwrap_or(self.pending.asset);
        let check = self.id_of(&row.check)?;
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
                    package: row.package,
                    cvss: row.cvss,
                    group: row.group.map(|group| group.0),
                    secret: row.secret,
                });
            }
        }
    }

    async fn write(&mut self) -> Result<(), FlowError> {
        let (findings, changes) = (std::mem::take(&mut self.findings), std::mem::take(&mut self.changes));
        if !self.options.dry_run {
            self.pending.insert_findings(findings).await?;
            self.pending.change_findings(changes).await?;
        }
        Ok(())
    }

    /// Closes what is absent, completes the scans, and publishes; also whether the original is named. Where nothing is to be seen of it, it
    /// is taken away.
    pub(super) async fn finish(
        mut self,
        mode: Mode,
        upload: &Upload,
        original: Option<Uuid>,
    ) -> Result<(ImportResult, bool), FlowError> {
        let (mut closing, mut open, mut withheld) = (0, 0, 0);
        // What could not be read may be the very finding that is missing.
        let unsure = self.result.is_unsure() && !self.options.confirm;
        for state in self.tools.values() {
            open += state.open_before;
            for key in state.matcher.absent(mode) {
                if unsure {
                    withheld += 1;
                    continue;
                }
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
        if withheld > 0 {
            let why = match self.result.rejected {
                0 => "The file tells only a part".to_owned(),
                rejected => format!("{rejected} records could not be read"),
            };
            self.result.remarks.push(format!(
                "{why}, so {withheld} findings that the file does not hold stay open; confirm=true closes them"
            ));
        }
        if is_mass_close(closing, open) && !self.options.confirm && !self.options.dry_run {
            self.abandon().await;
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
            let result = std::mem::take(&mut self.result);
            self.abandon().await;
            return Ok((result, false));
        }
        self.result.import = Some(self.pending.id);
        self.write().await?;
        if !upload.keeps {
            self.result
                .remarks
                .push("the original is not kept: its secrets could not be masked for certain".to_owned());
        }
        if upload.masked {
            self.result.remarks.push(
                "the original is kept with a stand-in of the same length in the place of each secret; the digest is that of the file as it came"
                    .to_owned(),
            );
        }
        let mut latest = Vec::new();
        for state in std::mem::take(&mut self.tools).into_values() {
            if !state.historic {
                latest.push((state.scope, state.at));
            }
            self.store_scan(state).await?;
        }
        let ending = Ending {
            original,
            format_version: &self.result.format_version,
            result: &serde_json::to_string(&self.result).unwrap_or_default(),
            completed_at: affiant_store::instant(at),
            latest: &latest,
            answer: upload.answer(&self.result)?,
        };
        self.pending.publish(&ending).await?;
        Ok((self.result, original.is_some()))
    }

    async fn store_scan(&self, state: ToolState) -> Result<(), FlowError> {
        let mut checks: Vec<i64> = state.listed.into_iter().collect();
        if !state.has_list {
            checks.insert(0, PROFILE);
        }
        let scan = NewScan {
            id: state.scan,
            tool_version: state.info.tool_version,
            checks,
        };
        self.pending.complete_scan(&scan).await?;
        let results = state
            .results
            .into_iter()
            .map(|((asset, check, outcome), count)| NewResult {
                scan: state.scan,
                asset,
                check,
                outcome,
                count,
                observed_at: state.at,
            });
        Ok(self.pending.insert_results(results.collect()).await?)
    }
}
