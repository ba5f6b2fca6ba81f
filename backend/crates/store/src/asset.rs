//! Assets and rulings on scope.

use crate::entity::{asset, asset_scope, requirement_scope};
use crate::import::IS_VISIBLE;
use crate::sql::{column, rows};
use crate::{Scoped, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::id::AssetId;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Set};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A stored asset.
pub type AssetRow = asset::Model;

impl Scoped<'_> {
    /// The project's assets that people named, by key.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn named_assets(&self) -> Result<Vec<AssetRow>, StoreError> {
        Ok(self
            .visible_assets()
            .filter(asset::Column::Named.eq(true))
            .order_by_asc(asset::Column::Key)
            .all(&self.store.read)
            .await?)
    }

    /// The assets that had been seen at an instant, as it was known then.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn assets_known(&self, at: Instant, known: Instant) -> Result<HashMap<Uuid, AssetRow>, StoreError> {
        // Those of imports that are not settled first: one that is settled meanwhile is found by the second query.
        let sql = "SELECT ai.asset_id AS id, min(ai.at) AS at FROM asset_import ai JOIN import i ON i.id = ai.import_id \
                   WHERE i.project_id = ? AND i.visible_at <= ? GROUP BY ai.asset_id";
        let values = vec![self.project.0.into(), micros(known).into()];
        let mut told: HashSet<Uuid> = HashSet::new();
        for row in rows(&self.store.read, sql, values).await? {
            if column::<i64>(&row, "at")? <= micros(at) {
                told.insert(column::<Uuid>(&row, "id")?);
            }
        }
        let found = asset::Entity::find()
            .filter(asset::Column::ProjectId.eq(self.project.0))
            .all(&self.store.read)
            .await?;
        let was_seen = |asset: &AssetRow| {
            let is_settled =
                asset.is_settled && asset.recorded_at <= micros(known) && asset.first_seen_at <= micros(at);
            is_settled || told.contains(&asset.id)
        };
        Ok(found
            .into_iter()
            .filter(was_seen)
            .map(|asset| (asset.id, asset))
            .collect())
    }

    fn visible_assets(&self) -> Select<asset::Entity> {
        asset::Entity::find()
            .filter(asset::Column::ProjectId.eq(self.project.0))
            .filter(Expr::cust(IS_VISIBLE))
    }

    /// One page of assets, by key, after a key.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn assets_after(&self, after: &str, limit: u64) -> Result<Vec<AssetRow>, StoreError> {
        Ok(self
            .visible_assets()
            .filter(asset::Column::Key.gt(after))
            .order_by_asc(asset::Column::Key)
            .limit(limit)
            .all(&self.store.read)
            .await?)
    }

    /// The asset of this key.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn asset(&self, key: &str) -> Result<Option<AssetRow>, StoreError> {
        Ok(self
            .visible_assets()
            .filter(asset::Column::Key.eq(key))
            .one(&self.store.read)
            .await?)
    }

    /// Registers an asset that people name; one that is there is left as it is.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn register_asset(&self, key: &AssetKey, at: Instant, now: Instant) -> Result<AssetRow, StoreError> {
        let tx = self.store.begin().await?;
        let assets = crate::import::intern_assets(&tx, self.project, &[(key.clone(), true)], None, at, now).await?;
        tx.commit().await?;
        let id = assets.get(key.as_str()).copied().unwrap_or_default();
        asset::Entity::find_by_id(id)
            .one(&self.store.write)
            .await?
            .ok_or_else(|| StoreError::Damaged(format!("asset {key} is gone")))
    }

    /// Rules whether an asset is in scope of a framework, from an instant on.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    #[allow(clippy::too_many_arguments, reason = "the fields of one ruling")]
    pub async fn rule_asset_scope(
        &self,
        asset: AssetId,
        framework: &str,
        in_scope: bool,
        reason: &str,
        actor: &str,
        at: Instant,
        now: Instant,
    ) -> Result<(), StoreError> {
        let row = asset_scope::ActiveModel {
            project_id: Set(self.project.0),
            asset_id: Set(asset.0),
            framework: Set(framework.to_owned()),
            in_scope: Set(in_scope),
            reason: Set(reason.to_owned()),
            actor: Set(actor.to_owned()),
            at: Set(micros(at)),
            recorded_at: Set(micros(now)),
            ..Default::default()
        };
        row.insert(&self.store.write).await?;
        Ok(())
    }

    /// Rulings on assets that hold at an instant as it was known then, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn asset_scopes(
        &self,
        framework: &str,
        at: Instant,
        known: Instant,
    ) -> Result<Vec<asset_scope::Model>, StoreError> {
        Ok(asset_scope::Entity::find()
            .filter(asset_scope::Column::ProjectId.eq(self.project.0))
            .filter(asset_scope::Column::Framework.eq(framework))
            .filter(asset_scope::Column::At.lte(micros(at)))
            .filter(asset_scope::Column::RecordedAt.lte(micros(known)))
            .order_by_asc(asset_scope::Column::At)
            .order_by_asc(asset_scope::Column::Id)
            .all(&self.store.read)
            .await?)
    }

    /// Rules whether a requirement applies, from an instant on.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn rule_requirement_scope(
        &self,
        requirement: &str,
        applicable: bool,
        reason: &str,
        actor: &str,
        now: Instant,
    ) -> Result<(), StoreError> {
        let row = requirement_scope::ActiveModel {
            project_id: Set(self.project.0),
            requirement: Set(requirement.to_owned()),
            applicable: Set(applicable),
            reason: Set(reason.to_owned()),
            actor: Set(actor.to_owned()),
            at: Set(micros(now)),
            recorded_at: Set(micros(now)),
            ..Default::default()
        };
        row.insert(&self.store.write).await?;
        Ok(())
    }

    /// Rulings on requirements that hold at an instant as it was known then, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn requirement_scopes(
        &self,
        at: Instant,
        known: Instant,
    ) -> Result<Vec<requirement_scope::Model>, StoreError> {
        Ok(requirement_scope::Entity::find()
            .filter(requirement_scope::Column::ProjectId.eq(self.project.0))
            .filter(requirement_scope::Column::At.lte(micros(at)))
            .filter(requirement_scope::Column::RecordedAt.lte(micros(known)))
            .order_by_asc(requirement_scope::Column::At)
            .order_by_asc(requirement_scope::Column::Id)
            .all(&self.store.read)
            .await?)
    }
}
