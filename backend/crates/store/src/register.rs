//! Registers that the GDPR asks for: consent by purpose (Art. 7), and processing activities (Art. 30). History is kept: nothing is changed
//! in place, things end.

use crate::entity::{consent, processing_activity};
use crate::sql::{column, row};
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use uuid::Uuid;

impl Store {
    /// The token of a person, by name; made where they were never seen.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn subject_named(&self, name: &str, now: Instant) -> Result<Option<Uuid>, StoreError> {
        let tx = self.begin().await?;
        let found = self.subject_of(&tx, name, now).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// What a person consented to, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn consents(&self, subject: Uuid) -> Result<Vec<consent::Model>, StoreError> {
        let query = consent::Entity::find().filter(consent::Column::SubjectId.eq(subject));
        Ok(query.order_by_desc(consent::Column::Id).all(&self.read).await?)
    }

    /// Writes that a person consents.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn consent(&self, row: consent::Model) -> Result<(), StoreError> {
        consent::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.write)
            .await?;
        Ok(())
    }

    /// Writes that a person no longer consents; false where they did not.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn withdraw_consent(&self, subject: Uuid, purpose: &str, now: Instant) -> Result<bool, StoreError> {
        let done = consent::Entity::update_many()
            .col_expr(consent::Column::WithdrawnAt, Expr::value(micros(now)))
            .filter(consent::Column::SubjectId.eq(subject))
            .filter(consent::Column::Purpose.eq(purpose))
            .filter(consent::Column::WithdrawnAt.is_null())
            .exec(&self.write)
            .await?;
        Ok(done.rows_affected > 0)
    }

    /// How many consents of people who are known hold, and how many of them have no proof.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn consents_in_force(&self) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*) AS n, count(*) - count(c.proof) AS unproved FROM consent c JOIN subject s ON s.id = c.subject_id \
                   WHERE c.withdrawn_at IS NULL AND s.erased_at IS NULL";
        let Some(found) = row(&self.read, sql, Vec::new()).await? else {
            return Ok((0, 0));
        };
        let count = |name: &str| column::<i64>(&found, name).map(i64::unsigned_abs);
        Ok((count("n")?, count("unproved")?))
    }

    /// Processing activities, those that ended among them, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn activities(&self) -> Result<Vec<processing_activity::Model>, StoreError> {
        Ok(processing_activity::Entity::find()
            .order_by_asc(processing_activity::Column::Name)
            .order_by_asc(processing_activity::Column::Id)
            .all(&self.read)
            .await?)
    }

    /// Writes a processing activity; one of the same name that holds ends with it.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn set_activity(&self, row: processing_activity::Model) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        processing_activity::Entity::update_many()
            .col_expr(processing_activity::Column::EndedAt, Expr::value(row.created_at))
            .filter(processing_activity::Column::Name.eq(row.name.as_str()))
            .filter(processing_activity::Column::EndedAt.is_null())
            .exec(&tx)
            .await?;
        processing_activity::Entity::insert(row.into_active_model())
            .exec_without_returning(&tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Ends a processing activity; false where it is not there or ended before.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_activity(&self, id: Uuid, now: Instant) -> Result<bool, StoreError> {
        let done = processing_activity::Entity::update_many()
            .col_expr(processing_activity::Column::EndedAt, Expr::value(micros(now)))
            .filter(processing_activity::Column::Id.eq(id))
            .filter(processing_activity::Column::EndedAt.is_null())
            .exec(&self.write)
            .await?;
        Ok(done.rows_affected == 1)
    }
}
