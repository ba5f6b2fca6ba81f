//! The imports of a project, to be shown.

use super::VISIBLE;
use crate::entity::{asset, import};
use crate::{Scoped, StoreError};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;
use uuid::Uuid;

impl Scoped<'_> {
    /// The imports of a project, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn imports(&self, limit: u64) -> Result<Vec<(import::Model, String)>, StoreError> {
        let found = import::Entity::find()
            .filter(import::Column::ProjectId.eq(self.project.0))
            .filter(import::Column::State.lte(VISIBLE))
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
    pub async fn import(&self, id: Uuid) -> Result<Option<import::Model>, StoreError> {
        Ok(import::Entity::find_by_id(id)
            .filter(import::Column::ProjectId.eq(self.project.0))
            .filter(import::Column::State.lte(VISIBLE))
            .one(&self.store.read)
            .await?)
    }
}
