//! Processors, what they are told, and breaches.

use crate::entity::{breach, processor, processor_notice};
use crate::sql::{column, rows, run};
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

/// Something that a processor is to be told now.
#[derive(Clone, Debug)]
pub struct DueNotice {
    /// Its id.
    pub id: Uuid,
    /// The request that it is about.
    pub request: Uuid,
    /// What is told, sealed.
    pub body: Vec<u8>,
    /// How often it was tried.
    pub attempts: i32,
    /// Who is told.
    pub processor: Uuid,
    /// Where.
    pub url: String,
    /// What signs it, sealed.
    pub secret: Vec<u8>,
}

impl Store {
    /// Processors, those whose contract ended among them, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn processors(&self) -> Result<Vec<processor::Model>, StoreError> {
        let query = processor::Entity::find().order_by_asc(processor::Column::Name);
        Ok(query.order_by_asc(processor::Column::Id).all(&self.read).await?)
    }

    /// Writes a processor; one of the same name that holds ends with it.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn set_processor(&self, row: processor::Model) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        processor::Entity::update_many()
            .col_expr(processor::Column::EndedAt, Expr::value(row.created_at))
            .filter(processor::Column::Name.eq(row.name.as_str()))
            .filter(processor::Column::EndedAt.is_null())
            .exec(&tx)
            .await?;
        processor::Entity::insert(row.into_active_model())
            .exec_without_returning(&tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Ends a processor; false where it is not there or ended before.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_processor(&self, id: Uuid, now: Instant) -> Result<bool, StoreError> {
        let done = processor::Entity::update_many()
            .col_expr(processor::Column::EndedAt, Expr::value(micros(now)))
            .filter(processor::Column::Id.eq(id))
            .filter(processor::Column::EndedAt.is_null())
            .exec(&self.write)
            .await?;
        // It is told nothing more by machine.
        let sql =
            "UPDATE processor_notice SET state = 'by_hand', body = NULL WHERE processor_id = ? AND state = 'waiting'";
        run(&self.write, sql, vec![id.into()]).await?;
        Ok(done.rows_affected == 1)
    }

    /// Writes down that a processor is to be told of a request; once for each of both.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn add_notice(&self, row: processor_notice::Model) -> Result<(), StoreError> {
        let once = [
            processor_notice::Column::RequestId,
            processor_notice::Column::ProcessorId,
        ];
        processor_notice::Entity::insert(row.into_active_model())
            .on_conflict(OnConflict::columns(once).do_nothing().to_owned())
            .exec_without_returning(&self.write)
            .await?;
        Ok(())
    }

    /// What processors were told of a request, and what they answered.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn notices(&self, request: Uuid) -> Result<Vec<(processor_notice::Model, String)>, StoreError> {
        let query = processor_notice::Entity::find().filter(processor_notice::Column::RequestId.eq(request));
        let found = query.order_by_asc(processor_notice::Column::Id).all(&self.read).await?;
        let known = self.processors().await?;
        let name = |id: Uuid| {
            known
                .iter()
                .find(|row| row.id == id)
                .map_or(String::new(), |row| row.name.clone())
        };
        Ok(found
            .into_iter()
            .map(|row| (row.clone(), name(row.processor_id)))
            .collect())
    }

    /// Takes something that is to be told now, for as long as `again` says; nobody else takes it until then.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn take_notice(&self, now: Instant, again: Instant) -> Result<Option<DueNotice>, StoreError> {
        let sql = "SELECT n.id AS id, n.request_id AS request, n.body AS body, n.attempts AS attempts, n.next_at AS next_at, \
                   p.id AS processor, p.webhook_url AS url, p.secret AS secret \
                   FROM processor_notice n JOIN processor p ON p.id = n.processor_id \
                   WHERE n.state = 'waiting' AND n.next_at <= ? AND n.body IS NOT NULL AND p.secret IS NOT NULL \
                   ORDER BY n.next_at LIMIT 20";
        for row in rows(&self.read, sql, vec![micros(now).into()]).await? {
            let (id, next_at): (Uuid, i64) = (column(&row, "id")?, column(&row, "next_at")?);
            let claim = "UPDATE processor_notice SET next_at = ? WHERE id = ? AND next_at = ? AND state = 'waiting'";
            let values = vec![micros(again).into(), id.into(), next_at.into()];
            if run(&self.write, claim, values).await?.rows_affected() == 1 {
                return Ok(Some(DueNotice {
                    id,
                    request: column(&row, "request")?,
                    body: column(&row, "body")?,
                    attempts: column(&row, "attempts")?,
                    processor: column(&row, "processor")?,
                    url: column(&row, "url")?,
                    secret: column(&row, "secret")?,
                }));
            }
        }
        Ok(None)
    }

    /// A notice.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn notice(&self, id: Uuid) -> Result<Option<processor_notice::Model>, StoreError> {
        Ok(processor_notice::Entity::find_by_id(id).one(&self.read).await?)
    }

    /// Keeps what became of a notice, where it is still in this state and was tried so often; false where it is not. What was told is kept
    /// only as long as it is still to be told.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn change_notice(
        &self,
        (state, attempts): (&str, i32),
        row: processor_notice::Model,
    ) -> Result<bool, StoreError> {
        let mut row = row;
        if row.state != "waiting" {
            row.body = None;
        }
        let id = row.id;
        let done = processor_notice::Entity::update_many()
            .set(row.into_active_model().reset_all())
            .filter(processor_notice::Column::Id.eq(id))
            .filter(processor_notice::Column::State.eq(state))
            .filter(processor_notice::Column::Attempts.eq(attempts))
            .exec(&self.write)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Breaches, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn breaches(&self) -> Result<Vec<breach::Model>, StoreError> {
        let query = breach::Entity::find().order_by_desc(breach::Column::Id);
        Ok(query.limit(1000).all(&self.read).await?)
    }

    /// A breach.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn breach(&self, id: Uuid) -> Result<Option<breach::Model>, StoreError> {
        Ok(breach::Entity::find_by_id(id).one(&self.read).await?)
    }

    /// Writes a breach that is new.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn add_breach(&self, row: breach::Model) -> Result<(), StoreError> {
        breach::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.write)
            .await?;
        Ok(())
    }

    /// Keeps what became of a breach; false where somebody else brought it further meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn change_breach(&self, was: &breach::Model, row: breach::Model) -> Result<bool, StoreError> {
        let mut update = breach::Entity::update_many()
            .set(row.into_active_model().reset_all())
            .filter(breach::Column::Id.eq(was.id));
        for (column, value) in [
            (breach::Column::AuthorityToldAt, was.authority_told_at),
            (breach::Column::PeopleToldAt, was.people_told_at),
            (breach::Column::ClosedAt, was.closed_at),
        ] {
            update = update.filter(value.map_or_else(|| column.is_null(), |value| column.eq(value)));
        }
        Ok(update.exec(&self.write).await?.rows_affected == 1)
    }
}
