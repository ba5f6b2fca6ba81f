//! The local administrator for emergencies: a hash, a sealed secret, and what keeps guessing slow.

use crate::entity::break_glass;
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// There is one.
const ID: &str = "local";

impl Store {
    /// The administrator for emergencies, where there is one.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn break_glass(&self) -> Result<Option<break_glass::Model>, StoreError> {
        Ok(break_glass::Entity::find_by_id(ID).one(&self.write).await?)
    }

    /// Sets the administrator for emergencies up; one that was there is replaced.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn set_break_glass(&self, password: &str, secret: Vec<u8>, now: Instant) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        break_glass::Entity::delete_by_id(ID).exec(&tx).await?;
        let row = break_glass::ActiveModel {
            id: Set(ID.to_owned()),
            password: Set(password.to_owned()),
            secret: Set(secret),
            last_step: Set(0),
            failures: Set(0),
            locked_until: Set(0),
            created_at: Set(micros(now)),
        };
        break_glass::Entity::insert(row).exec_without_returning(&tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes it; false where there was none.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn remove_break_glass(&self) -> Result<bool, StoreError> {
        Ok(break_glass::Entity::delete_by_id(ID)
            .exec(&self.write)
            .await?
            .rows_affected
            > 0)
    }

    /// Counts an attempt before it is looked at, so that many at once are not more; none where it is locked.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn try_break_glass(
        &self,
        most: i64,
        locked_for: i64,
        now: Instant,
    ) -> Result<Option<break_glass::Model>, StoreError> {
        let now = micros(now);
        // A lock that is over leaves as many attempts again.
        break_glass::Entity::update_many()
            .col_expr(break_glass::Column::Failures, Expr::value(0_i64))
            .col_expr(break_glass::Column::LockedUntil, Expr::value(0_i64))
            .filter(break_glass::Column::LockedUntil.gt(0))
            .filter(break_glass::Column::LockedUntil.lte(now))
            .exec(&self.write)
            .await?;
        let counted = break_glass::Entity::update_many()
            .col_expr(
                break_glass::Column::Failures,
                Expr::col(break_glass::Column::Failures).add(1),
            )
            .filter(break_glass::Column::Failures.lt(most))
            .exec(&self.write)
            .await?;
        if counted.rows_affected == 0 {
            break_glass::Entity::update_many()
                .col_expr(break_glass::Column::LockedUntil, Expr::value(now + locked_for))
                .filter(break_glass::Column::LockedUntil.eq(0))
                .exec(&self.write)
                .await?;
            return Ok(None);
        }
        self.break_glass().await
    }

    /// Uses a code up; false where it, or a later one, was used before.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn use_code(&self, step: i64) -> Result<bool, StoreError> {
        let used = break_glass::Entity::update_many()
            .col_expr(break_glass::Column::LastStep, Expr::value(step))
            .col_expr(break_glass::Column::Failures, Expr::value(0_i64))
            .filter(break_glass::Column::LastStep.lt(step))
            .exec(&self.write)
            .await?;
        Ok(used.rows_affected == 1)
    }
}
