//! How an import ends: it is published and settled, or taken away.

use super::assets::settle_assets;
use super::pending::lost;
use super::rows::Ending;
use super::{ABANDONED, LEASE, NEVER, Now, PENDING, PendingImport, ROWS_AT_ONCE, SETTLED, STEP, VISIBLE};
use crate::connection::Transaction;
use crate::idempotency::settle;
use crate::sql::{clean, column, marks, row, rows, run};
use crate::{Scoped, Store, StoreError, instant, micros};
use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use sea_orm::{ConnectionTrait, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// The next instant of a project's clock: the present, or just after the last one that was given out.
async fn tick(db: &impl ConnectionTrait, project: ProjectId, now: Instant) -> Result<Option<Instant>, StoreError> {
    let sql = "UPDATE project SET known_at = CASE WHEN known_at < ? THEN ? ELSE known_at + 1 END WHERE id = ? RETURNING known_at";
    let values = vec![micros(now).into(), micros(now).into(), project.0.into()];
    let ticked = row(db, sql, values).await?;
    ticked.map(|row| Ok(instant(column(&row, "known_at")?))).transpose()
}

impl Scoped<'_> {
    /// An instant for "as it was known at": whatever is visible counts, and what becomes visible later never will. The present, for a
    /// project that is not there.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn known(&self, now: Instant) -> Result<Instant, StoreError> {
        Ok(tick(&self.store.write, self.project, now).await?.unwrap_or(now))
    }
}

impl PendingImport {
    /// Makes the import durable and visible, with its entry in the trail and the answer of its request: all at once, or not at all.
    /// [`Store::settle_import`] comes after it.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails, another took the import for dead, or the request's claim was taken over.
    pub async fn publish(mut self, ending: &Ending<'_>) -> Result<(), StoreError> {
        // Never before it began, where the clock went back meanwhile: what is known later would leave it out.
        let now = (self.now)().max(self.recorded_at);
        let tx = self.store.begin().await?;
        let visible_at = tick(&tx, self.project, now).await?.unwrap_or(now);
        let sql = format!(
            "UPDATE import SET state = {VISIBLE}, visible_at = ?, lease_until = ?, original_id = ?, format_version = ?, result = ?, \
             completed_at = ? WHERE id = ? AND state = {PENDING} RETURNING mode, digest, format, actor"
        );
        let values = vec![
            micros(visible_at).into(),
            micros(now + LEASE).into(),
            ending.original.into(),
            clean(ending.format_version).into(),
            clean(ending.result).into(),
            micros(ending.completed_at).into(),
            self.id.into(),
        ];
        let row = row(&tx, &sql, values).await?.ok_or_else(lost)?;
        for (scope, at) in ending.latest {
            let sql = "UPDATE scan_scope SET latest_at = ?, latest_import_id = ? WHERE id = ?";
            run(&tx, sql, vec![(*at).into(), self.id.into(), (*scope).into()]).await?;
        }
        if let Some((claim, answer)) = &ending.answer {
            settle(&tx, claim, answer).await?;
        }
        let text = |name: &str| column::<String>(&row, name);
        let detail = serde_json::json!({ "import": self.id, "mode": text("mode")?, "part": self.part });
        let actor = text("actor")?;
        let of = (actor.as_str(), "scan.imported", Some(self.project.0));
        let mut draft = crate::people::action(of, &detail.to_string(), now);
        draft.refs = vec![
            ("import", self.id.to_string()),
            ("sha256", text("digest")?),
            ("format", text("format")?),
        ];
        self.store.append(&tx, &[draft]).await?;
        self.is_over = true;
        Ok(tx.commit().await?)
    }

    /// Takes away what was written.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then it is taken away when its lease is over.
    pub async fn abandon(mut self) -> Result<(), StoreError> {
        self.is_over = true;
        self.store.sweep_import(self.id, &self.now).await
    }
}

impl Drop for PendingImport {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Who waited for it is gone, or its work failed.
        let (store, id, now) = (self.store.clone(), self.id, self.now.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = store.sweep_import(id, &now).await {
                    tracing::warn!(%error, import = %id, "an import that failed is taken away when its lease is over");
                }
            });
        }
    }
}

/// Whether a transaction may go on with an import: its row is in a state, and stays so to the end of the transaction.
async fn hold(tx: &Transaction, import: Uuid, state: i16, now: &Now) -> Result<bool, StoreError> {
    let sql = "UPDATE import SET lease_until = ? WHERE id = ? AND state = ?";
    let values = vec![micros(now() + LEASE).into(), import.into(), state.into()];
    Ok(run(tx, sql, values).await?.rows_affected() == 1)
}

impl Store {
    /// Copies what a visible import changed into the findings and assets, in short transactions. It may be done again.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then it is gone on with later.
    pub async fn settle_import(&self, import: Uuid, now: &Now) -> Result<(), StoreError> {
        let store = self.patient();
        let scans = rows(
            &store.read,
            "SELECT id FROM scan WHERE import_id = ?",
            vec![import.into()],
        )
        .await?;
        for scan in &scans {
            let scan: Uuid = column(scan, "id")?;
            let mut after = (Uuid::nil(), 0);
            while let Some(last) = store.settle_changes(import, scan, after, now).await? {
                after = last;
            }
        }
        while store.settle_some_assets(import, now).await? {}
        let sql = format!("UPDATE import SET state = {SETTLED} WHERE id = ? AND state = {VISIBLE}");
        run(&store.write, &sql, vec![import.into()]).await?;
        Ok(())
    }

    /// Settles the next changes of a scan, in order of findings; gives the last of them, none where all are.
    async fn settle_changes(
        &self,
        import: Uuid,
        scan: Uuid,
        (finding, id): (Uuid, i64),
        now: &Now,
    ) -> Result<Option<(Uuid, i64)>, StoreError> {
        let sql = "SELECT id, finding_id, at, state, severity FROM transition WHERE scan_id = ? AND (finding_id, id) > (?, ?) \
                   ORDER BY finding_id, id LIMIT 2000";
        let changes = rows(&self.read, sql, vec![scan.into(), finding.into(), id.into()]).await?;
        let Some(last) = changes.last() else { return Ok(None) };
        let last = (column(last, "finding_id")?, column(last, "id")?);
        let mut chunks = changes.chunks(ROWS_AT_ONCE);
        while chunks.len() > 0 {
            let tx = self.begin().await?;
            // Another may have settled it, and the next import changed the same findings.
            if !hold(&tx, import, VISIBLE, now).await? {
                return Ok(None);
            }
            let began = std::time::Instant::now();
            while began.elapsed() < STEP
                && let Some(chunk) = chunks.next()
            {
                let mut alike: HashMap<(i16, i16, i64), Vec<Value>> = HashMap::new();
                for change in chunk {
                    let key = (
                        column(change, "state")?,
                        column(change, "severity")?,
                        column(change, "at")?,
                    );
                    let finding: Uuid = column(change, "finding_id")?;
                    alike.entry(key).or_default().push(finding.into());
                }
                for ((state, severity, at), ids) in alike {
                    let update = format!(
                        "UPDATE finding SET state = ?, severity = ?, changed_at = ? WHERE id IN ({})",
                        marks(ids.len())
                    );
                    let mut values: Vec<Value> = vec![state.into(), severity.into(), at.into()];
                    values.extend(ids);
                    run(&tx, &update, values).await?;
                }
            }
            tx.commit().await?;
        }
        Ok(Some(last))
    }

    /// Lets assets be everybody's that a visible import tells of; whether there were any left.
    async fn settle_some_assets(&self, import: Uuid, now: &Now) -> Result<bool, StoreError> {
        let sql = "SELECT ai.asset_id AS id, ai.at AS at, i.visible_at AS visible_at FROM asset_import ai \
                   JOIN import i ON i.id = ai.import_id WHERE ai.import_id = ? ORDER BY ai.asset_id LIMIT ?";
        let limit = i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX);
        let found = rows(&self.read, sql, vec![import.into(), limit.into()]).await?;
        if found.is_empty() {
            return Ok(false);
        }
        let mut alike: HashMap<(i64, i64), Vec<Uuid>> = HashMap::new();
        for row in &found {
            let key = (column(row, "at")?, column(row, "visible_at")?);
            alike.entry(key).or_default().push(column(row, "id")?);
        }
        let tx = self.begin().await?;
        if !hold(&tx, import, VISIBLE, now).await? {
            return Ok(false);
        }
        for ((at, visible_at), ids) in alike {
            settle_assets(&tx, &ids, instant(at), instant(visible_at)).await?;
            forget_assets(&tx, import, &ids).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Takes away an import that never became visible, in short transactions. It may be done again.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then it is gone on with later.
    pub async fn sweep_import(&self, import: Uuid, now: &Now) -> Result<(), StoreError> {
        let store = self.patient();
        let sql = format!(
            "UPDATE import SET state = {ABANDONED}, visible_at = {NEVER}, lease_until = ? WHERE id = ? AND state IN ({PENDING}, {ABANDONED}) \
             RETURNING asset_id, part"
        );
        let values = vec![micros(now() + LEASE).into(), import.into()];
        let Some(claimed) = row(&store.write, &sql, values).await? else {
            return Ok(());
        };
        let (asset, part): (Uuid, String) = (column(&claimed, "asset_id")?, column(&claimed, "part")?);
        for (table, key) in [
            ("transition", "scan_id"),
            ("result", "scan_id"),
            ("finding", "import_id"),
            ("scan", "import_id"),
        ] {
            let of = match key {
                "scan_id" => "scan_id IN (SELECT id FROM scan WHERE import_id = ?)",
                _ => "import_id = ?",
            };
            let sql =
                format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {of} LIMIT {ROWS_AT_ONCE})");
            while store.sweep_some(import, &sql, now).await? {}
        }
        while store.sweep_some_assets(import, asset, now).await? {}
        let tx = store.begin().await?;
        let sql = "DELETE FROM scan_scope WHERE asset_id = ? AND part = ? AND latest_import_id IS NULL \
                   AND NOT EXISTS (SELECT 1 FROM scan WHERE scope_id = scan_scope.id)";
        run(&tx, sql, vec![asset.into(), part.into()]).await?;
        let sql = format!("DELETE FROM import WHERE id = ? AND state = {ABANDONED}");
        run(&tx, &sql, vec![import.into()]).await?;
        forget_assets(&tx, import, &[asset]).await?;
        drop_orphans(&tx, &[asset]).await?;
        Ok(tx.commit().await?)
    }

    /// Deletes rows for [`STEP`]; whether there are more.
    async fn sweep_some(&self, import: Uuid, sql: &str, now: &Now) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        if !hold(&tx, import, ABANDONED, now).await? {
            return Ok(false);
        }
        let began = std::time::Instant::now();
        let mut is_more = true;
        while is_more && began.elapsed() < STEP {
            is_more = run(&tx, sql, vec![import.into()]).await?.rows_affected() > 0;
        }
        tx.commit().await?;
        Ok(is_more)
    }

    /// Takes away assets that nothing else tells of, but for the one that was scanned, which the import's row still names.
    async fn sweep_some_assets(&self, import: Uuid, scanned: Uuid, now: &Now) -> Result<bool, StoreError> {
        let sql =
            format!("SELECT asset_id FROM asset_import WHERE import_id = ? AND asset_id <> ? LIMIT {ROWS_AT_ONCE}");
        let found = rows(&self.read, &sql, vec![import.into(), scanned.into()]).await?;
        if found.is_empty() {
            return Ok(false);
        }
        let ids = found.iter().map(|row| column(row, "asset_id"));
        let ids: Vec<Uuid> = ids.collect::<Result<_, _>>()?;
        let tx = self.begin().await?;
        if !hold(&tx, import, ABANDONED, now).await? {
            return Ok(false);
        }
        forget_assets(&tx, import, &ids).await?;
        drop_orphans(&tx, &ids).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Forgets that an import told of assets.
async fn forget_assets(tx: &Transaction, import: Uuid, ids: &[Uuid]) -> Result<(), StoreError> {
    let sql = format!(
        "DELETE FROM asset_import WHERE import_id = ? AND asset_id IN ({})",
        marks(ids.len())
    );
    let mut values: Vec<Value> = vec![import.into()];
    values.extend(ids.iter().map(|id| Value::from(*id)));
    run(tx, &sql, values).await?;
    Ok(())
}

/// Takes away assets that nobody could see and no import tells of.
async fn drop_orphans(tx: &Transaction, ids: &[Uuid]) -> Result<(), StoreError> {
    let sql = format!(
        "DELETE FROM asset WHERE is_settled = ? AND NOT EXISTS (SELECT 1 FROM asset_import ai WHERE ai.asset_id = asset.id) \
         AND NOT EXISTS (SELECT 1 FROM import i WHERE i.asset_id = asset.id) AND id IN ({})",
        marks(ids.len())
    );
    let mut values: Vec<Value> = vec![false.into()];
    values.extend(ids.iter().map(|id| Value::from(*id)));
    run(tx, &sql, values).await?;
    Ok(())
}
