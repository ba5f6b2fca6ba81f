//! An import on its way: the lock on its part of its asset, and what it reads of its scopes.

use super::rows::{NewImport, NewResult, ScopeRow, StoredFinding};
use super::{ABANDONED, LEASE, NEVER, PENDING, RENEWAL, ROWS_AT_ONCE, SETTLED, STEP, VISIBLE, intern_assets};
use crate::connection::Transaction;
use crate::sql::{clean, column, marks, row, rows, run, tuples};
use crate::stored::{damaged, stored_severity, stored_state};
use crate::{Outage, Store, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::id::ProjectId;
use affiant_domain::observation::Check;
use affiant_domain::sha256_hex;
use sea_orm::{ConnectionTrait, DbBackend, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// The present time, whenever it is asked for.
pub type Now = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Stored findings that are read at once.
const PAGE: i64 = 5000;

/// An import that has begun and is not visible. What is dropped without [`PendingImport::publish`] is taken away.
pub struct PendingImport {
    pub(super) store: Store,
    pub(super) project: ProjectId,
    /// Its id.
    pub id: Uuid,
    /// The asset that was scanned.
    pub asset: Uuid,
    pub(super) part: String,
    /// When it began; what it writes was recorded then.
    pub recorded_at: Instant,
    pub(super) now: Now,
    renewed: Mutex<std::time::Instant>,
    /// Whether it was published or taken away.
    pub(super) is_over: bool,
}

/// Whether an import could begin.
pub enum Begun {
    /// It has.
    Pending(Box<PendingImport>),
    /// Another is on its way into the same part of the asset.
    Busy,
}

impl Store {
    /// Begins an import, unless another is on its way into the same part of the asset. One that is dead is brought to its end first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn begin_import(
        &self,
        project: ProjectId,
        new: &NewImport<'_>,
        process: Uuid,
        now: Now,
    ) -> Result<Begun, StoreError> {
        let store = self.patient();
        loop {
            let (id, at) = (Uuid::now_v7(), now());
            let tx = store.begin().await?;
            let first_seen_at = new.scanned_at.unwrap_or(at).min(at);
            let keys = [(new.asset.clone(), true)];
            let assets = intern_assets(&tx, project, &keys, Some(id), first_seen_at, at).await?;
            let missing = || StoreError::Damaged(format!("asset {} was not stored", new.asset));
            let asset = *assets.get(&clean(new.asset.as_str())).ok_or_else(missing)?;
            let sql = "INSERT INTO import (id, project_id, asset_id, part, mode, format, format_version, digest, actor, result, size, \
                       completed_at, recorded_at, state, visible_at, lease_until, process) \
                       VALUES (?, ?, ?, ?, ?, ?, '', ?, ?, '{}', ?, ?, ?, ?, ?, ?, ?) \
                       ON CONFLICT (asset_id, part) WHERE state <> 0 DO NOTHING";
            let values = vec![
                id.into(),
                project.0.into(),
                asset.into(),
                clean(new.part).into(),
                new.mode.to_owned().into(),
                new.format.to_owned().into(),
                new.digest.to_owned().into(),
                clean(new.actor).into(),
                new.size.into(),
                micros(first_seen_at).into(),
                micros(at).into(),
                PENDING.into(),
                NEVER.into(),
                micros(at + LEASE).into(),
                process.into(),
            ];
            if run(&tx, sql, values).await?.rows_affected() == 1 {
                tx.commit().await?;
                return Ok(Begun::Pending(Box::new(PendingImport {
                    store,
                    project,
                    id,
                    asset,
                    part: new.part.to_owned(),
                    recorded_at: at,
                    now,
                    renewed: Mutex::new(std::time::Instant::now()),
                    is_over: false,
                })));
            }
            tx.rollback().await?;
            if !store.end_dead(asset, new.part, &now).await? {
                return Ok(Begun::Busy);
            }
        }
    }

    /// Brings the import to its end that was on its way into a part of an asset, if it is dead; whether the way is free.
    async fn end_dead(&self, asset: Uuid, part: &str, now: &Now) -> Result<bool, StoreError> {
        let sql = "SELECT id, state, lease_until FROM import WHERE asset_id = ? AND part = ? AND state <> 0";
        let Some(other) = row(&self.write, sql, vec![asset.into(), clean(part).into()]).await? else {
            return Ok(true);
        };
        if column::<i64>(&other, "lease_until")? >= micros(now()) {
            return Ok(false);
        }
        self.end_import(column(&other, "id")?, column(&other, "state")?, now)
            .await?;
        Ok(true)
    }

    /// Brings imports to their end that are not at work any more: those of processes that ended, and those whose lease is over. Gives how
    /// many there were.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_imports(&self, ended: &[Uuid], now: Now) -> Result<usize, StoreError> {
        let store = self.patient();
        // There are as many as imports are under way.
        let sql = format!("SELECT id, state, lease_until, process FROM import WHERE state <> {SETTLED} LIMIT 1000");
        let found = rows(&store.read, &sql, Vec::new()).await?;
        let at = micros(now());
        let mut dead = Vec::new();
        for import in &found {
            let process: Option<Uuid> = column(import, "process")?;
            if column::<i64>(import, "lease_until")? < at || process.is_some_and(|process| ended.contains(&process)) {
                dead.push((column(import, "id")?, column(import, "state")?));
            }
        }
        for (id, state) in &dead {
            store.end_import(*id, *state, &now).await?;
        }
        Ok(dead.len())
    }

    async fn end_import(&self, id: Uuid, state: i16, now: &Now) -> Result<(), StoreError> {
        match state {
            VISIBLE => self.settle_import(id, now).await,
            PENDING | ABANDONED => self.sweep_import(id, now).await,
            other => Err(damaged("import", id, format_args!("unknown state {other}"))),
        }
    }
}

impl PendingImport {
    /// Begins a transaction of it. What another took for dead writes nothing any more.
    pub(super) async fn step(&self) -> Result<Transaction, StoreError> {
        let tx = self.store.begin().await?;
        if tx.get_database_backend() == DbBackend::Postgres {
            // The log is written in order, so that the commit that publishes makes this durable, too.
            tx.execute_unprepared("SET LOCAL synchronous_commit = off").await?;
        }
        let mut renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = if renewed.elapsed() < RENEWAL {
            let hold = match tx.get_database_backend() {
                DbBackend::Postgres => " FOR SHARE",
                _ => "",
            };
            let sql = format!("SELECT state FROM import WHERE id = ? AND state = {PENDING}{hold}");
            row(&tx, &sql, vec![self.id.into()]).await?.is_some()
        } else {
            renewed = std::time::Instant::now();
            let sql = format!("UPDATE import SET lease_until = ? WHERE id = ? AND state = {PENDING}");
            let values = vec![micros((self.now)() + LEASE).into(), self.id.into()];
            run(&tx, &sql, values).await?.rows_affected() == 1
        };
        if !is_ours {
            return Err(lost());
        }
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(tx)
    }

    /// Tells others that it is still at work, where it has not written for a while.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails or another took it for dead.
    pub async fn renew(&self) -> Result<(), StoreError> {
        Ok(self.step().await?.commit().await?)
    }

    /// Writes rows by statements of `at_once`, in transactions of [`STEP`].
    pub(super) async fn write_all<T, F>(
        &self,
        items: Vec<T>,
        at_once: usize,
        mut statement: F,
    ) -> Result<(), StoreError>
    where
        T: Send,
        F: FnMut(Vec<T>) -> (String, Vec<Value>) + Send,
    {
        let mut items = items.into_iter();
        while items.len() > 0 {
            let tx = self.step().await?;
            let began = std::time::Instant::now();
            while items.len() > 0 && began.elapsed() < STEP {
                let (sql, values) = statement(items.by_ref().take(at_once).collect());
                run(&tx, &sql, values).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Finds or makes assets; gives their ids by key.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn assets(&self, keys: &[(AssetKey, bool)], at: Instant) -> Result<HashMap<String, Uuid>, StoreError> {
        let mut found = HashMap::new();
        for keys in keys.chunks(ROWS_AT_ONCE) {
            let tx = self.step().await?;
            found.extend(intern_assets(&tx, self.project, keys, Some(self.id), at, self.recorded_at).await?);
            tx.commit().await?;
        }
        Ok(found)
    }

    /// Finds or makes checks; gives their ids in the order asked.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn checks(&self, checks: &[&Check]) -> Result<Vec<i64>, StoreError> {
        let body = |check: &&Check| clean(&serde_json::to_string(check).unwrap_or_default());
        let mut ids = Vec::with_capacity(checks.len());
        for checks in checks.chunks(ROWS_AT_ONCE) {
            let bodies: Vec<String> = checks.iter().map(body).collect();
            let digests: Vec<String> = bodies.iter().map(|body| sha256_hex(body.as_bytes())).collect();
            let mut values: Vec<Value> = Vec::with_capacity(checks.len() * 4);
            for ((check, body), digest) in checks.iter().zip(bodies).zip(&digests) {
                values.extend([
                    digest.clone().into(),
                    clean(&check.tool).into(),
                    clean(&check.rule).into(),
                    body.into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO checks (digest, tool, rule, body) VALUES {} ON CONFLICT (digest) DO NOTHING",
                tuples(4, checks.len())
            );
            let tx = self.step().await?;
            run(&tx, &insert, values).await?;
            let select = format!(
                "SELECT id, digest FROM checks WHERE digest IN ({})",
                marks(digests.len())
            );
            let mut known: HashMap<String, i64> = HashMap::new();
            for row in rows(
                &tx,
                &select,
                digests.iter().map(|digest| digest.clone().into()).collect(),
            )
            .await?
            {
                known.insert(column(&row, "digest")?, column(&row, "id")?);
            }
            tx.commit().await?;
            for digest in &digests {
                let missing = || StoreError::Damaged(format!("check {digest} was not stored"));
                ids.push(known.get(digest).copied().ok_or_else(missing)?);
            }
        }
        Ok(ids)
    }

    /// Finds or makes a scope.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn scope(&self, tool: &str) -> Result<ScopeRow, StoreError> {
        let sql = "INSERT INTO scan_scope (project_id, asset_id, tool, part) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (asset_id, tool, part) DO UPDATE SET part = excluded.part \
                   RETURNING id, latest_at, latest_import_id";
        let values = vec![
            self.project.0.into(),
            self.asset.into(),
            tool.to_owned().into(),
            self.part.clone().into(),
        ];
        let tx = self.step().await?;
        let row = row(&tx, sql, values)
            .await?
            .ok_or_else(|| StoreError::Damaged("no scope came back".to_owned()))?;
        tx.commit().await?;
        Ok(ScopeRow {
            id: column(&row, "id")?,
            latest_at: column(&row, "latest_at")?,
            latest_import: column(&row, "latest_import_id")?,
        })
    }

    /// The next findings of a scope, in order of fingerprint and occurrence, after one; none where there are no more.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn stored(&self, scope: i64, after: Option<&StoredFinding>) -> Result<Vec<StoredFinding>, StoreError> {
        let sql = "SELECT id, fingerprint, occurrence, state, severity FROM finding \
                   WHERE scope_id = ? AND (fingerprint, occurrence) > (?, ?) ORDER BY fingerprint, occurrence LIMIT ?";
        let after = after.map(|last| (last.fingerprint.to_be_bytes().to_vec(), last.occurrence));
        let (fingerprint, occurrence) = after.unwrap_or((Vec::new(), i32::MIN));
        let values = vec![scope.into(), fingerprint.into(), occurrence.into(), PAGE.into()];
        let found = rows(&self.store.read, sql, values).await?;
        let stored = found.iter().map(|row| {
            let bytes: Vec<u8> = column(row, "fingerprint")?;
            let id: Uuid = column(row, "id")?;
            let bytes: [u8; 16] = bytes
                .try_into()
                .map_err(|_| damaged("finding", id, "fingerprint has not 16 bytes"))?;
            Ok(StoredFinding {
                id,
                fingerprint: u128::from_be_bytes(bytes),
                occurrence: column(row, "occurrence")?,
                state: stored_state(id, column(row, "state")?)?,
                severity: stored_severity(id, column(row, "severity")?)?,
            })
        });
        stored.collect()
    }

    /// Time of the first scan of a scope after an instant.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn next_scan(&self, scope: i64, after: i64) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT min(completed_at) AS next FROM scan WHERE scope_id = ? AND completed_at > ?";
        let row = row(&self.store.read, sql, vec![scope.into(), after.into()]).await?;
        row.map_or(Ok(None), |row| column(&row, "next"))
    }

    /// The latest import of the part with this digest, mode and format, if it is still the latest of every scope that it wrote: its id and
    /// result.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn same_as_latest(&self, new: &NewImport<'_>) -> Result<Option<(Uuid, String)>, StoreError> {
        let sql = "SELECT id, result FROM import WHERE asset_id = ? AND part = ? AND mode = ? AND format = ? AND digest = ? \
                   AND state = 0 ORDER BY recorded_at DESC, id DESC LIMIT 1";
        let values = vec![
            self.asset.into(),
            self.part.clone().into(),
            new.mode.to_owned().into(),
            new.format.to_owned().into(),
            new.digest.to_owned().into(),
        ];
        let Some(found) = row(&self.store.read, sql, values).await? else {
            return Ok(None);
        };
        let id: Uuid = column(&found, "id")?;
        let sql = "SELECT count(*) AS n, count(CASE WHEN s.latest_import_id = c.import_id THEN 1 END) AS latest \
                   FROM scan c JOIN scan_scope s ON s.id = c.scope_id WHERE c.import_id = ?";
        let Some(counts) = row(&self.store.read, sql, vec![id.into()]).await? else {
            return Ok(None);
        };
        let (n, latest): (i64, i64) = (column(&counts, "n")?, column(&counts, "latest")?);
        if n > 0 && n == latest {
            Ok(Some((id, column(&found, "result")?)))
        } else {
            Ok(None)
        }
    }

    /// Repeats the scans and results of an import at a later time; gives the scopes whose latest scans they are.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn repeat_scans(&self, from: Uuid, at: Instant) -> Result<Vec<(i64, i64)>, StoreError> {
        let sql = "SELECT id, scope_id, tool, tool_version, checklist FROM scan WHERE import_id = ?";
        let mut latest = Vec::new();
        for old in rows(&self.store.read, sql, vec![from.into()]).await? {
            let (id, scope): (Uuid, i64) = (Uuid::now_v7(), column(&old, "scope_id")?);
            let tx = self.step().await?;
            self.insert_scan(&tx, id, scope, &column::<String>(&old, "tool")?, micros(at))
                .await?;
            let sql = "UPDATE scan SET tool_version = ?, checklist = ? WHERE id = ?";
            let (version, list): (String, String) = (column(&old, "tool_version")?, column(&old, "checklist")?);
            run(&tx, sql, vec![version.into(), list.into(), id.into()]).await?;
            tx.commit().await?;
            let sql = "SELECT asset_id, check_id, outcome, count FROM result WHERE scan_id = ?";
            let mut results = Vec::new();
            for row in rows(&self.store.read, sql, vec![column::<Uuid>(&old, "id")?.into()]).await? {
                results.push(NewResult {
                    scan: id,
                    asset: column(&row, "asset_id")?,
                    check: column(&row, "check_id")?,
                    outcome: column(&row, "outcome")?,
                    count: column(&row, "count")?,
                    observed_at: micros(at),
                });
            }
            self.insert_results(results).await?;
            latest.push((scope, micros(at)));
        }
        Ok(latest)
    }
}

/// Another took it for dead, as after a server slept: nothing of it is there, and it may be sent again.
pub(super) fn lost() -> StoreError {
    let what = "the import was silent for longer than its lease, and was taken away";
    StoreError::unavailable(Outage::Busy, what)
}
