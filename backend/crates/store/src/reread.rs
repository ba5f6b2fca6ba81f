//! What re-reading originals needs: which there are, which findings they first brought, and new fingerprints for these.

use crate::sql::{column, row, rows, run};
use crate::{Scoped, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::fingerprint::VERSION;
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// An import whose original is kept.
#[derive(Clone, Debug)]
pub struct KeptImport {
    /// Its id.
    pub id: Uuid,
    /// The original.
    pub original: Uuid,
    /// Its format.
    pub format: String,
}

/// A finding as its import first brought it.
#[derive(Clone, Copy, Debug)]
pub struct Reread {
    /// Its id.
    pub id: Uuid,
    /// Its scope.
    pub scope: i64,
    /// Where its record stands in the original.
    pub place_offset: i64,
    /// Its fingerprint.
    pub fingerprint: u128,
}

/// A finding that takes a new fingerprint.
#[derive(Clone, Copy, Debug)]
pub struct Refingerprint {
    /// The finding.
    pub finding: Uuid,
    /// Its scope.
    pub scope: i64,
    /// The fingerprint that it had.
    pub old: u128,
    /// The one that it takes.
    pub new: u128,
}

impl Scoped<'_> {
    /// The imports whose originals are kept, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn imports_with_originals(&self) -> Result<Vec<KeptImport>, StoreError> {
        let sql = "SELECT id, original_id, format FROM import WHERE project_id = ? AND original_id IS NOT NULL AND state <= 1 \
                   ORDER BY recorded_at, id";
        let found = rows(&self.store.read, sql, vec![self.project.0.into()]).await?;
        let kept = found.iter().map(|row| {
            Ok(KeptImport {
                id: column(row, "id")?,
                original: column(row, "original_id")?,
                format: column(row, "format")?,
            })
        });
        kept.collect()
    }

    /// The findings that an import first brought, in the order in which they were stored.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn findings_of_import(&self, import: Uuid) -> Result<Vec<Reread>, StoreError> {
        let sql = "SELECT id, scope_id, place_offset, fingerprint FROM finding WHERE project_id = ? AND import_id = ? ORDER BY id";
        let found = rows(&self.store.read, sql, vec![self.project.0.into(), import.into()]).await?;
        let findings = found.iter().map(|row| {
            let bytes: Vec<u8> = column(row, "fingerprint")?;
            let bytes = bytes
                .try_into()
                .map_err(|_| StoreError::Damaged("a fingerprint".to_owned()))?;
            Ok(Reread {
                id: column(row, "id")?,
                scope: column(row, "scope_id")?,
                place_offset: column(row, "place_offset")?,
                fingerprint: u128::from_be_bytes(bytes),
            })
        });
        findings.collect()
    }

    /// Every fingerprint that is stored in some scopes.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn fingerprints_of(&self, scopes: &BTreeSet<i64>) -> Result<HashSet<u128>, StoreError> {
        let mut all = HashSet::new();
        for scope in scopes {
            let sql = "SELECT DISTINCT fingerprint FROM finding WHERE project_id = ? AND scope_id = ?";
            for row in rows(&self.store.read, sql, vec![self.project.0.into(), (*scope).into()]).await? {
                let bytes: Vec<u8> = column(&row, "fingerprint")?;
                let bytes = bytes
                    .try_into()
                    .map_err(|_| StoreError::Damaged("a fingerprint".to_owned()))?;
                all.insert(u128::from_be_bytes(bytes));
            }
        }
        Ok(all)
    }

    /// Gives findings their new fingerprints and keeps the old ones as links, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn refingerprint(&self, changes: &[Refingerprint], now: Instant) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let tx = self.store.begin().await?;
        // Out of the way first: one may take the fingerprint that another gives up.
        for (n, change) in (1_i32..).zip(changes) {
            let sql = "UPDATE finding SET occurrence = ? WHERE id = ? AND project_id = ?";
            run(
                &tx,
                sql,
                vec![(-n).into(), change.finding.into(), self.project.0.into()],
            )
            .await?;
        }
        let mut next: HashMap<(i64, u128), i32> = HashMap::new();
        for change in changes {
            let new = change.new.to_be_bytes().to_vec();
            let key = (change.scope, change.new);
            let occurrence = match next.get(&key) {
                Some(taken) => *taken,
                None => {
                    let sql = "SELECT coalesce(max(occurrence), -1) + 1 AS next FROM finding WHERE scope_id = ? AND fingerprint = ? AND occurrence >= 0";
                    let found = row(&tx, sql, vec![change.scope.into(), new.clone().into()]).await?;
                    found.map_or(Ok(0), |found| column::<i32>(&found, "next"))?
                }
            };
            next.insert(key, occurrence + 1);
            let sql = "UPDATE finding SET fingerprint = ?, occurrence = ?, fingerprint_version = ? WHERE id = ?";
            run(
                &tx,
                sql,
                vec![
                    new.clone().into(),
                    occurrence.into(),
                    VERSION.into(),
                    change.finding.into(),
                ],
            )
            .await?;
            let sql = "INSERT INTO fingerprint_link (project_id, finding_id, old, new, old_version, new_version, recorded_at) \
                       VALUES (?, ?, ?, ?, ?, ?, ?)";
            let values = vec![
                self.project.0.into(),
                change.finding.into(),
                change.old.to_be_bytes().to_vec().into(),
                new.into(),
                VERSION.into(),
                VERSION.into(),
                micros(now).into(),
            ];
            run(&tx, sql, values).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
