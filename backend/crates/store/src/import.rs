//! The transaction of an import: what it reads of its scopes, and what it writes in bulk.
//!
//! Rows go in by statements of many tuples, which both databases take; nothing is seen by others before
//! [`ImportTx::commit`].

use crate::sql::{clean, column, marks, row, rows, run, tuples};
use crate::{Draft, Scoped, Store, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::id::ProjectId;
use affiant_domain::observation::{Check, Place};
use affiant_domain::{Severity, matching::State, sha256_hex};
use sea_orm::{DatabaseTransaction, Value};
use std::collections::HashMap;
use std::sync::PoisonError;
use uuid::Uuid;

/// Findings written by one statement.
const FINDINGS_AT_ONCE: usize = 100;
/// Rows of other tables written by one statement.
const ROWS_AT_ONCE: usize = 200;

/// A transaction that imports.
pub struct ImportTx {
    tx: DatabaseTransaction,
    store: Store,
    project: ProjectId,
    /// What is to be told in the trail.
    told: std::sync::Mutex<Vec<Draft>>,
}

/// A scope: an asset, a tool and a part of it, locked until the end of the transaction.
#[derive(Clone, Debug)]
pub struct ScopeRow {
    /// Its id.
    pub id: i64,
    /// Time of its latest scan.
    pub latest_at: Option<i64>,
    /// The import of that scan.
    pub latest_import: Option<Uuid>,
}

/// A stored finding of a scope.
#[derive(Clone, Copy, Debug)]
pub struct StoredFinding {
    /// Its id.
    pub id: Uuid,
    /// Identity within the scope.
    pub fingerprint: u128,
    /// Its present state.
    pub state: State,
    /// Its present severity.
    pub severity: Severity,
}

/// A finding to write.
#[derive(Debug)]
pub struct NewFinding {
    /// Its id.
    pub id: Uuid,
    /// The asset.
    pub asset: Uuid,
    /// The scope.
    pub scope: i64,
    /// The check.
    pub check: i64,
    /// Identity within the scope.
    pub fingerprint: u128,
    /// Which of several equal ones.
    pub occurrence: u32,
    /// How it begins.
    pub state: State,
    /// How bad it is.
    pub severity: Severity,
    /// When it opened.
    pub opened_at: i64,
    /// One line for people.
    pub title: String,
    /// What the tool says.
    pub message: String,
    /// File, package or object.
    pub location: String,
    /// Line in that file.
    pub line: u32,
    /// Why the scanner set it aside.
    pub suppression: String,
    /// Where it stands in the original.
    pub place: Place,
    /// Name of the package.
    pub package: String,
    /// CVSS base score.
    pub cvss: Option<f64>,
    /// The issue that it tells, as other tools may.
    pub group: Option<u128>,
    /// What is kept of a secret.
    pub secret: String,
}

/// A change of a stored finding.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The finding.
    pub finding: Uuid,
    /// The scan that shows it.
    pub scan: Uuid,
    /// When.
    pub at: i64,
    /// State from then on.
    pub state: State,
    /// Severity from then on.
    pub severity: Severity,
}

/// An outcome of a check to write, counted.
#[derive(Clone, Copy, Debug)]
pub struct NewResult {
    /// The scan.
    pub scan: Uuid,
    /// The asset.
    pub asset: Uuid,
    /// The check.
    pub check: i64,
    /// 0 pass, 1 fail, 2 error, 3 not applicable.
    pub outcome: i16,
    /// How often.
    pub count: i32,
    /// When.
    pub observed_at: i64,
}

/// A scan to write.
#[derive(Debug)]
pub struct NewScan {
    /// Its id.
    pub id: Uuid,
    /// The import.
    pub import: Uuid,
    /// The scope.
    pub scope: i64,
    /// The asset.
    pub asset: Uuid,
    /// The tool.
    pub tool: String,
    /// Its version.
    pub tool_version: String,
    /// Ids of the checks that ran.
    pub checks: Vec<i64>,
    /// When the run ended.
    pub completed_at: i64,
    /// Whether it becomes the latest of its scope.
    pub latest: bool,
}

/// An import to write.
#[derive(Debug)]
pub struct NewImport<'a> {
    /// Its id.
    pub id: Uuid,
    /// The asset.
    pub asset: Uuid,
    /// The original, where it is kept.
    pub original: Option<Uuid>,
    /// Part of the asset.
    pub part: &'a str,
    /// Snapshot or delta.
    pub mode: &'a str,
    /// Format.
    pub format: &'a str,
    /// Its version.
    pub format_version: &'a str,
    /// SHA-256 of what came.
    pub digest: &'a str,
    /// Size of what came.
    pub size: i64,
    /// Who sent it.
    pub actor: &'a str,
    /// What came of it, JSON.
    pub result: &'a str,
    /// When the run ended.
    pub completed_at: Instant,
}

const fn state_code(state: State) -> i16 {
    match state {
        State::Open => 0,
        State::Closed => 1,
        State::Suppressed => 2,
    }
}

pub(crate) const fn state_of(code: i16) -> State {
    match code {
        0 => State::Open,
        1 => State::Closed,
        _ => State::Suppressed,
    }
}

/// Finds or makes assets; gives their ids by key.
pub(crate) async fn intern_assets(
    tx: &DatabaseTransaction,
    project: ProjectId,
    keys: &[(AssetKey, bool)],
    at: Instant,
    now: Instant,
) -> Result<HashMap<String, Uuid>, StoreError> {
    let mut found = HashMap::new();
    for chunk in keys.chunks(ROWS_AT_ONCE) {
        known_assets(tx, project, chunk, &mut found).await?;
        // Most are known.
        let new: Vec<&(AssetKey, bool)> = chunk
            .iter()
            .filter(|(key, _)| !found.contains_key(&clean(key.as_str())))
            .collect();
        if new.is_empty() {
            continue;
        }
        let mut values: Vec<Value> = Vec::with_capacity(new.len() * 7);
        for (key, named) in &new {
            values.extend([
                Uuid::now_v7().into(),
                project.0.into(),
                clean(key.as_str()).into(),
                key.kind().to_owned().into(),
                (*named).into(),
                micros(at).into(),
                micros(now).into(),
            ]);
        }
        let insert = format!(
            "INSERT INTO asset (id, project_id, key, kind, named, first_seen_at, recorded_at) VALUES {} \
             ON CONFLICT (project_id, key) DO NOTHING",
            tuples(7, new.len())
        );
        run(tx, &insert, values).await?;
        known_assets(tx, project, chunk, &mut found).await?;
    }
    Ok(found)
}

async fn known_assets(
    tx: &DatabaseTransaction,
    project: ProjectId,
    keys: &[(AssetKey, bool)],
    found: &mut HashMap<String, Uuid>,
) -> Result<(), StoreError> {
    let mut values: Vec<Value> = vec![project.0.into()];
    values.extend(keys.iter().map(|(key, _)| Value::from(clean(key.as_str()))));
    let select = format!(
        "SELECT id, key FROM asset WHERE project_id = ? AND key IN ({})",
        marks(keys.len())
    );
    for row in rows(tx, &select, values).await? {
        found.insert(column::<String>(&row, "key")?, column::<Uuid>(&row, "id")?);
    }
    Ok(())
}

impl Store {
    /// Begins an import into a project.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn begin_import(&self, project: ProjectId) -> Result<ImportTx, StoreError> {
        Ok(ImportTx {
            tx: self.begin().await?,
            store: self.clone(),
            project,
            told: std::sync::Mutex::default(),
        })
    }
}

impl ImportTx {
    /// Finds or makes assets; gives their ids by key.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn assets(
        &self,
        keys: &[(AssetKey, bool)],
        at: Instant,
        now: Instant,
    ) -> Result<HashMap<String, Uuid>, StoreError> {
        intern_assets(&self.tx, self.project, keys, at, now).await
    }

    /// Finds or makes checks; gives their ids in the order asked.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn checks(&self, checks: &[&Check]) -> Result<Vec<i64>, StoreError> {
        let bodies: Vec<String> = checks
            .iter()
            .map(|check| clean(&serde_json::to_string(check).unwrap_or_default()))
            .collect();
        let digests: Vec<String> = bodies.iter().map(|body| sha256_hex(body.as_bytes())).collect();
        let mut known = HashMap::new();
        for start in (0..checks.len()).step_by(ROWS_AT_ONCE) {
            let range = start..(start + ROWS_AT_ONCE).min(checks.len());
            let mut values: Vec<Value> = Vec::new();
            for at in range.clone() {
                values.extend([
                    digests[at].clone().into(),
                    clean(&checks[at].tool).into(),
                    clean(&checks[at].rule).into(),
                    bodies[at].clone().into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO checks (digest, tool, rule, body) VALUES {} ON CONFLICT (digest) DO NOTHING",
                tuples(4, range.len())
            );
            run(&self.tx, &insert, values).await?;
            let select = format!("SELECT id, digest FROM checks WHERE digest IN ({})", marks(range.len()));
            for row in rows(
                &self.tx,
                &select,
                digests[range].iter().map(|d| d.clone().into()).collect(),
            )
            .await?
            {
                known.insert(column::<String>(&row, "digest")?, column::<i64>(&row, "id")?);
            }
        }
        let missing = |digest: &String| StoreError::Damaged(format!("check {digest} was not stored"));
        digests
            .iter()
            .map(|digest| known.get(digest).copied().ok_or_else(|| missing(digest)))
            .collect()
    }

    /// Finds or makes a scope and locks it.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn scope(&self, asset: Uuid, tool: &str, part: &str) -> Result<ScopeRow, StoreError> {
        let sql = "INSERT INTO scan_scope (project_id, asset_id, tool, part) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (asset_id, tool, part) DO UPDATE SET part = excluded.part \
                   RETURNING id, latest_at, latest_import_id";
        let values = vec![
            self.project.0.into(),
            asset.into(),
            tool.to_owned().into(),
            part.to_owned().into(),
        ];
        let row = row(&self.tx, sql, values)
            .await?
            .ok_or_else(|| StoreError::Damaged("no scope came back".to_owned()))?;
        Ok(ScopeRow {
            id: column(&row, "id")?,
            latest_at: column(&row, "latest_at")?,
            latest_import: column(&row, "latest_import_id")?,
        })
    }

    /// The findings of a scope, in order of fingerprint and occurrence.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn stored(&self, scope: i64) -> Result<Vec<StoredFinding>, StoreError> {
        let sql =
            "SELECT id, fingerprint, state, severity FROM finding WHERE scope_id = ? ORDER BY fingerprint, occurrence";
        let found = rows(&self.tx, sql, vec![scope.into()]).await?;
        let mut stored = Vec::with_capacity(found.len());
        for row in found {
            let bytes: Vec<u8> = column(&row, "fingerprint")?;
            let bytes: [u8; 16] = bytes
                .try_into()
                .map_err(|_| StoreError::Damaged("a fingerprint".to_owned()))?;
            stored.push(StoredFinding {
                id: column(&row, "id")?,
                fingerprint: u128::from_be_bytes(bytes),
                state: state_of(column(&row, "state")?),
                severity: Severity::from_rank(column(&row, "severity")?),
            });
        }
        Ok(stored)
    }

    /// Time of the first scan of a scope after an instant.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn next_scan(&self, scope: i64, after: i64) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT min(completed_at) AS next FROM scan WHERE scope_id = ? AND completed_at > ?";
        let row = row(&self.tx, sql, vec![scope.into(), after.into()]).await?;
        row.map_or(Ok(None), |row| column(&row, "next"))
    }

    /// Writes new findings.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_findings(&self, import: Uuid, findings: &[NewFinding], now: Instant) -> Result<(), StoreError> {
        const COLUMNS: usize = 28;
        let head = "INSERT INTO finding (id, project_id, asset_id, import_id, scope_id, check_id, opened_at, recorded_at, changed_at, \
                    fingerprint, occurrence, line, place_length, place_offset, place_line, fingerprint_version, first_state, \
                    first_severity, state, severity, title, message, location, suppression, package, secret, cvss, group_key) VALUES ";
        let full = format!("{head}{}", tuples(COLUMNS, FINDINGS_AT_ONCE));
        for chunk in findings.chunks(FINDINGS_AT_ONCE) {
            let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * COLUMNS);
            for finding in chunk {
                let (state, severity) = (state_code(finding.state), finding.severity.rank());
                values.extend([
                    finding.id.into(),
                    self.project.0.into(),
                    finding.asset.into(),
                    import.into(),
                    finding.scope.into(),
                    finding.check.into(),
                    finding.opened_at.into(),
                    micros(now).into(),
                    finding.opened_at.into(),
                    finding.fingerprint.to_be_bytes().to_vec().into(),
                    number(finding.occurrence).into(),
                    number(finding.line).into(),
                    number(finding.place.length).into(),
                    finding.place.offset.cast_signed().into(),
                    finding.place.line.cast_signed().into(),
                    affiant_domain::fingerprint::VERSION.into(),
                    state.into(),
                    severity.into(),
                    state.into(),
                    severity.into(),
                    clean(&finding.title).into(),
                    clean(&finding.message).into(),
                    clean(&finding.location).into(),
                    clean(&finding.suppression).into(),
                    clean(&finding.package).into(),
                    clean(&finding.secret).into(),
                    finding.cvss.into(),
                    finding.group.map(|group| group.to_be_bytes().to_vec()).into(),
                ]);
            }
            if chunk.len() == FINDINGS_AT_ONCE {
                run(&self.tx, &full, values).await?;
            } else {
                run(&self.tx, &format!("{head}{}", tuples(COLUMNS, chunk.len())), values).await?;
            }
        }
        Ok(())
    }

    /// Records changes of stored findings.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn change_findings(&self, changes: &[Change], now: Instant) -> Result<(), StoreError> {
        for chunk in changes.chunks(ROWS_AT_ONCE) {
            let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * 7);
            for change in chunk {
                values.extend([
                    self.project.0.into(),
                    change.finding.into(),
                    change.scan.into(),
                    change.at.into(),
                    micros(now).into(),
                    state_code(change.state).into(),
                    change.severity.rank().into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO transition (project_id, finding_id, scan_id, at, recorded_at, state, severity) VALUES {}",
                tuples(7, chunk.len())
            );
            run(&self.tx, &insert, values).await?;
            let mut groups: HashMap<(i16, i16, i64), Vec<Value>> = HashMap::new();
            for change in chunk {
                let key = (state_code(change.state), change.severity.rank(), change.at);
                groups.entry(key).or_default().push(change.finding.into());
            }
            for ((state, severity, at), ids) in groups {
                let update = format!(
                    "UPDATE finding SET state = ?, severity = ?, changed_at = ? WHERE id IN ({})",
                    marks(ids.len())
                );
                let mut values: Vec<Value> = vec![state.into(), severity.into(), at.into()];
                values.extend(ids);
                run(&self.tx, &update, values).await?;
            }
        }
        Ok(())
    }

    /// Writes the outcomes of checks.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_results(&self, results: &[NewResult], now: Instant) -> Result<(), StoreError> {
        for chunk in results.chunks(ROWS_AT_ONCE) {
            let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * 8);
            for result in chunk {
                values.extend([
                    self.project.0.into(),
                    result.scan.into(),
                    result.asset.into(),
                    result.check.into(),
                    result.observed_at.into(),
                    micros(now).into(),
                    result.outcome.into(),
                    result.count.into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO result (project_id, scan_id, asset_id, check_id, observed_at, recorded_at, outcome, count) VALUES {}",
                tuples(8, chunk.len())
            );
            run(&self.tx, &insert, values).await?;
        }
        Ok(())
    }

    /// Writes an import.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_import(&self, import: &NewImport<'_>, now: Instant) -> Result<(), StoreError> {
        let sql = "INSERT INTO import (id, project_id, asset_id, original_id, part, mode, format, format_version, digest, actor, result, \
                   size, completed_at, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = vec![
            import.id.into(),
            self.project.0.into(),
            import.asset.into(),
            import.original.into(),
            clean(import.part).into(),
            import.mode.to_owned().into(),
            import.format.to_owned().into(),
            clean(import.format_version).into(),
            import.digest.to_owned().into(),
            clean(import.actor).into(),
            clean(import.result).into(),
            import.size.into(),
            micros(import.completed_at).into(),
            micros(now).into(),
        ];
        run(&self.tx, sql, values).await?;
        let detail = serde_json::json!({ "import": import.id, "mode": import.mode, "part": import.part });
        let of = (import.actor, "scan.imported", Some(self.project.0));
        let mut draft = crate::people::action(of, &detail.to_string(), now);
        draft.refs = vec![
            ("import", import.id.to_string()),
            ("sha256", import.digest.to_owned()),
            ("format", import.format.to_owned()),
        ];
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(draft);
        Ok(())
    }

    /// Writes a scan, with the list of its checks.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_scan(&self, scan: &NewScan, now: Instant) -> Result<(), StoreError> {
        let body = serde_json::to_string(&scan.checks).unwrap_or_default();
        let digest = sha256_hex(body.as_bytes());
        let list = "INSERT INTO checklist (digest, body) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING";
        run(&self.tx, list, vec![digest.clone().into(), body.into()]).await?;
        let sql = "INSERT INTO scan (id, import_id, project_id, asset_id, scope_id, completed_at, recorded_at, tool, tool_version, checklist) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = vec![
            scan.id.into(),
            scan.import.into(),
            self.project.0.into(),
            scan.asset.into(),
            scan.scope.into(),
            scan.completed_at.into(),
            micros(now).into(),
            clean(&scan.tool).into(),
            clean(&scan.tool_version).into(),
            digest.into(),
        ];
        run(&self.tx, sql, values).await?;
        if scan.latest {
            let sql = "UPDATE scan_scope SET latest_at = ?, latest_import_id = ? WHERE id = ?";
            run(
                &self.tx,
                sql,
                vec![scan.completed_at.into(), scan.import.into(), scan.scope.into()],
            )
            .await?;
        }
        Ok(())
    }

    /// The latest import of an asset and part, if it is still the latest of every scope that it wrote and came with this digest and
    /// mode: its id and result.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn same_as_latest(
        &self,
        asset: Uuid,
        part: &str,
        (mode, format): (&str, &str),
        digest: &str,
    ) -> Result<Option<(Uuid, String)>, StoreError> {
        let sql = "SELECT id, result FROM import WHERE asset_id = ? AND part = ? AND mode = ? AND format = ? AND digest = ? \
                   ORDER BY recorded_at DESC, id DESC LIMIT 1";
        let values = vec![
            asset.into(),
            part.to_owned().into(),
            mode.to_owned().into(),
            format.to_owned().into(),
            digest.to_owned().into(),
        ];
        let Some(found) = row(&self.tx, sql, values).await? else {
            return Ok(None);
        };
        let id: Uuid = column(&found, "id")?;
        let sql = "SELECT count(*) AS n, count(CASE WHEN s.latest_import_id = c.import_id THEN 1 END) AS latest \
                   FROM scan c JOIN scan_scope s ON s.id = c.scope_id WHERE c.import_id = ?";
        let Some(counts) = row(&self.tx, sql, vec![id.into()]).await? else {
            return Ok(None);
        };
        let (n, latest): (i64, i64) = (column(&counts, "n")?, column(&counts, "latest")?);
        if n > 0 && n == latest {
            Ok(Some((id, column(&found, "result")?)))
        } else {
            Ok(None)
        }
    }

    /// Repeats the scans and results of an import at a later time, under a new import.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn repeat_scans(&self, from: Uuid, to: Uuid, at: Instant, now: Instant) -> Result<(), StoreError> {
        let scans = rows(
            &self.tx,
            "SELECT id, asset_id, scope_id, tool, tool_version, checklist FROM scan WHERE import_id = ?",
            vec![from.into()],
        )
        .await?;
        for old in scans {
            let (old_id, id): (Uuid, Uuid) = (column(&old, "id")?, Uuid::now_v7());
            let scope: i64 = column(&old, "scope_id")?;
            let sql = "INSERT INTO scan (id, import_id, project_id, asset_id, scope_id, completed_at, recorded_at, tool, tool_version, checklist) \
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let values = vec![
                id.into(),
                to.into(),
                self.project.0.into(),
                column::<Uuid>(&old, "asset_id")?.into(),
                scope.into(),
                micros(at).into(),
                micros(now).into(),
                column::<String>(&old, "tool")?.into(),
                column::<String>(&old, "tool_version")?.into(),
                column::<String>(&old, "checklist")?.into(),
            ];
            run(&self.tx, sql, values).await?;
            let copy = "INSERT INTO result (project_id, scan_id, asset_id, check_id, observed_at, recorded_at, outcome, count) \
                        SELECT project_id, ?, asset_id, check_id, ?, ?, outcome, count FROM result WHERE scan_id = ?";
            run(
                &self.tx,
                copy,
                vec![id.into(), micros(at).into(), micros(now).into(), old_id.into()],
            )
            .await?;
            let latest = "UPDATE scan_scope SET latest_at = ?, latest_import_id = ? WHERE id = ?";
            run(&self.tx, latest, vec![micros(at).into(), to.into(), scope.into()]).await?;
        }
        Ok(())
    }

    /// Makes everything durable and visible.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then nothing was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        self.store.append(&self.tx, &told).await?;
        self.tx.commit().await?;
        Ok(())
    }

    /// Throws everything away.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then nothing was written either.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.tx.rollback().await?;
        Ok(())
    }
}

fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl Scoped<'_> {
    /// The imports of a project, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn imports(&self, limit: u64) -> Result<Vec<(crate::entity::import::Model, String)>, StoreError> {
        use crate::entity::{asset, import};
        use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
        let found = import::Entity::find()
            .filter(import::Column::ProjectId.eq(self.project.0))
            .order_by_desc(import::Column::RecordedAt)
            .order_by_desc(import::Column::Id)
            .limit(limit)
            .all(&self.store.read)
            .await?;
        let ids: Vec<Uuid> = found.iter().map(|i| i.asset_id).collect();
        let assets = asset::Entity::find()
            .filter(asset::Column::Id.is_in(ids))
            .all(&self.store.read)
            .await?;
        let key: HashMap<Uuid, String> = assets.into_iter().map(|a| (a.id, a.key)).collect();
        Ok(found
            .into_iter()
            .map(|i| {
                let k = key.get(&i.asset_id).cloned().unwrap_or_default();
                (i, k)
            })
            .collect())
    }

    /// One import.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn import(&self, id: Uuid) -> Result<Option<crate::entity::import::Model>, StoreError> {
        use crate::entity::import;
        use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
        Ok(import::Entity::find_by_id(id)
            .filter(import::Column::ProjectId.eq(self.project.0))
            .one(&self.store.read)
            .await?)
    }
}
