//! Assets that imports and events tell of. One that only imports on their way tell of is theirs, row by row in `asset_import`, until one of
//! them is visible.

use super::{ROWS_AT_ONCE, VISIBLE};
use crate::connection::Transaction;
use crate::sql::{clean, column, marks, rows, run, tuples};
use crate::{Outage, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::id::ProjectId;
use sea_orm::{ConnectionTrait, DbBackend, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// What restricts a query of assets to those that can be seen.
pub(crate) const IS_VISIBLE: &str = "(is_settled <> FALSE OR EXISTS (SELECT 1 FROM asset_import ai JOIN import i ON i.id = ai.import_id \
                                     WHERE ai.asset_id = asset.id AND i.state <= 1))";
const _: () = assert!(VISIBLE == 1);

/// Finds or makes assets; gives their ids by key. They can be seen from now on, or, where an import is named, with that import.
pub(crate) async fn intern_assets(
    tx: &Transaction,
    project: ProjectId,
    keys: &[(AssetKey, bool)],
    import: Option<Uuid>,
    at: Instant,
    now: Instant,
) -> Result<HashMap<String, Uuid>, StoreError> {
    let mut found = HashMap::with_capacity(keys.len());
    for chunk in keys.chunks(ROWS_AT_ONCE) {
        let mut unsettled = Vec::new();
        known_assets(tx, project, chunk, &mut found, &mut unsettled).await?;
        // Most are known.
        let is_new = |(key, _): &&(AssetKey, bool)| !found.contains_key(&clean(key.as_str()));
        let new: Vec<&(AssetKey, bool)> = chunk.iter().filter(is_new).collect();
        if !new.is_empty() {
            let mut values: Vec<Value> = Vec::with_capacity(new.len() * 8);
            for (key, named) in &new {
                values.extend([
                    Uuid::now_v7().into(),
                    project.0.into(),
                    clean(key.as_str()).into(),
                    key.kind().to_owned().into(),
                    (*named).into(),
                    micros(at).into(),
                    micros(now).into(),
                    import.is_none().into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO asset (id, project_id, key, kind, named, first_seen_at, recorded_at, is_settled) VALUES {} \
                 ON CONFLICT (project_id, key) DO NOTHING",
                tuples(8, new.len())
            );
            run(tx, &insert, values).await?;
            unsettled.clear();
            known_assets(tx, project, chunk, &mut found, &mut unsettled).await?;
        }
        match import {
            _ if unsettled.is_empty() => {}
            None => settle_assets(tx, &unsettled, at, now).await?,
            Some(import) => share_assets(tx, &unsettled, import, at).await?,
        }
    }
    Ok(found)
}

async fn known_assets(
    tx: &Transaction,
    project: ProjectId,
    keys: &[(AssetKey, bool)],
    found: &mut HashMap<String, Uuid>,
    unsettled: &mut Vec<Uuid>,
) -> Result<(), StoreError> {
    let mut values: Vec<Value> = vec![project.0.into()];
    values.extend(keys.iter().map(|(key, _)| Value::from(clean(key.as_str()))));
    let select = format!(
        "SELECT id, key, is_settled FROM asset WHERE project_id = ? AND key IN ({})",
        marks(keys.len())
    );
    for row in rows(tx, &select, values).await? {
        let id: Uuid = column(&row, "id")?;
        if !column::<bool>(&row, "is_settled")? {
            unsettled.push(id);
        }
        found.insert(column::<String>(&row, "key")?, id);
    }
    Ok(())
}

/// Lets everybody see assets from an instant on.
pub(super) async fn settle_assets(tx: &Transaction, ids: &[Uuid], at: Instant, now: Instant) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE asset SET is_settled = ?, first_seen_at = ?, recorded_at = ? WHERE is_settled = ? AND id IN ({})",
        marks(ids.len())
    );
    let mut values: Vec<Value> = vec![true.into(), micros(at).into(), micros(now).into(), false.into()];
    values.extend(ids.iter().map(|id| Value::from(*id)));
    run(tx, &sql, values).await?;
    Ok(())
}

/// Notes that an import tells of assets, too, so that they stay where another that made them is taken away.
async fn share_assets(tx: &Transaction, ids: &[Uuid], import: Uuid, at: Instant) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let sql = format!("SELECT id FROM asset WHERE id IN ({}) FOR KEY SHARE", marks(ids.len()));
        let held = rows(tx, &sql, ids.iter().map(|id| Value::from(*id)).collect()).await?;
        if held.len() != ids.len() {
            let what = "an asset was taken away with the import that made it";
            return Err(StoreError::unavailable(Outage::Busy, what));
        }
    }
    let mut values: Vec<Value> = Vec::with_capacity(ids.len() * 3);
    for id in ids {
        values.extend([(*id).into(), import.into(), micros(at).into()]);
    }
    let insert = format!(
        "INSERT INTO asset_import (asset_id, import_id, at) VALUES {} ON CONFLICT (asset_id, import_id) DO NOTHING",
        tuples(3, ids.len())
    );
    run(tx, &insert, values).await?;
    Ok(())
}
