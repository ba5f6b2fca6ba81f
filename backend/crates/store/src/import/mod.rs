//! The transaction of an import: what it reads of its scopes, and what it writes in bulk.
//!
//! Rows go in by statements of many tuples, which both databases take; nothing is seen by others before
//! [`ImportTx::commit`].

mod read;
mod rows;
mod write;

pub use rows::{Change, NewFinding, NewImport, NewResult, NewScan, ScopeRow, StoredFinding};

use crate::connection::Transaction;
use crate::idempotency::{Answer, Claim, settle};
use crate::sql::{clean, column, marks, row, rows, run, tuples};
use crate::stored::{damaged, stored_severity, stored_state};
use crate::{Draft, Store, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::id::ProjectId;
use affiant_domain::observation::Check;
use affiant_domain::{matching::State, sha256_hex};
use sea_orm::Value;
use std::collections::HashMap;
use std::sync::PoisonError;
use uuid::Uuid;

/// Rows of other tables written by one statement.
const ROWS_AT_ONCE: usize = 200;

/// A transaction that imports.
pub struct ImportTx {
    tx: Transaction,
    store: Store,
    project: ProjectId,
    /// What is to be told in the trail.
    told: std::sync::Mutex<Vec<Draft>>,
}

const fn state_code(state: State) -> i16 {
    match state {
        State::Open => 0,
        State::Closed => 1,
        State::Suppressed => 2,
    }
}

/// Finds or makes assets; gives their ids by key.
pub(crate) async fn intern_assets(
    tx: &Transaction,
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
    tx: &Transaction,
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
            tx: self.patient().begin().await?,
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
            let id: Uuid = column(&row, "id")?;
            let bytes: [u8; 16] = bytes
                .try_into()
                .map_err(|_| damaged("finding", id, "fingerprint has not 16 bytes"))?;
            stored.push(StoredFinding {
                id,
                fingerprint: u128::from_be_bytes(bytes),
                state: stored_state(id, column(&row, "state")?)?,
                severity: stored_severity(id, column(&row, "severity")?)?,
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

    /// Stores the answer of the request that imports with what it imports.
    ///
    /// # Errors
    /// [`StoreError::ClaimLost`] where another request has taken the claim over: then the import must not be committed.
    pub async fn settle(&self, claim: &Claim, answer: &Answer) -> Result<(), StoreError> {
        settle(&self.tx, claim, answer).await
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
