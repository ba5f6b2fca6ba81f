//! What should have been recorded: the rhythm of sources and of agents' operations, and the silences in them.

use crate::entity::expected_operation;
use crate::sql::{clean, column, rows};
use crate::{Scoped, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set, Value};
use uuid::Uuid;

/// Events that are looked at together.
#[derive(Clone, Copy, Debug)]
pub enum Stream<'a> {
    /// Those of a source.
    Source(&'a str),
    /// Those of an operation of an agent, wherever they come from.
    Operation {
        /// The agent.
        agent: &'a str,
        /// The operation.
        action: &'a str,
    },
}

impl Scoped<'_> {
    /// The operations that agents are expected to record.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn expected_operations(&self) -> Result<Vec<expected_operation::Model>, StoreError> {
        let query = expected_operation::Entity::find().filter(expected_operation::Column::ProjectId.eq(self.project.0));
        let query = query
            .order_by_asc(expected_operation::Column::Agent)
            .order_by_asc(expected_operation::Column::Action);
        Ok(query.all(&self.store.read).await?)
    }

    /// Expects an operation of an agent within so many seconds, or changes that.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn expect_operation(
        &self,
        (agent, action): (&str, &str),
        within_seconds: i64,
        actor: &str,
        now: Instant,
    ) -> Result<Uuid, StoreError> {
        let id = Uuid::now_v7();
        let row = expected_operation::ActiveModel {
            id: Set(id),
            project_id: Set(self.project.0),
            agent: Set(clean(agent)),
            action: Set(clean(action)),
            actor: Set(clean(actor)),
            within_seconds: Set(within_seconds),
            created_at: Set(micros(now)),
        };
        let tx = self.store.begin().await?;
        let same = sea_orm::sea_query::OnConflict::columns([
            expected_operation::Column::ProjectId,
            expected_operation::Column::Agent,
            expected_operation::Column::Action,
        ])
        .update_columns([
            expected_operation::Column::WithinSeconds,
            expected_operation::Column::Actor,
        ])
        .to_owned();
        expected_operation::Entity::insert(row)
            .on_conflict(same)
            .exec_without_returning(&tx)
            .await?;
        let stored = expected_operation::Entity::find()
            .filter(expected_operation::Column::ProjectId.eq(self.project.0))
            .filter(expected_operation::Column::Agent.eq(clean(agent)))
            .filter(expected_operation::Column::Action.eq(clean(action)))
            .one(&tx)
            .await?;
        tx.commit().await?;
        Ok(stored.map_or(id, |row| row.id))
    }

    /// Expects an operation no longer; false where it was not expected.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn forget_operation(&self, id: Uuid) -> Result<bool, StoreError> {
        let tx = self.store.begin().await?;
        let gone = expected_operation::Entity::delete_many()
            .filter(expected_operation::Column::ProjectId.eq(self.project.0))
            .filter(expected_operation::Column::Id.eq(id))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(gone.rows_affected > 0)
    }

    /// Spans of a period, longer than what is expected, in which a stream gave no event. The span before the first event counts from
    /// the start, and that after the last to the end.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn silences(
        &self,
        stream: Stream<'_>,
        (start, end): (i64, i64),
        expected: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let (within, mut values) = self.within(stream, (start, end));
        let sql = format!(
            "SELECT before, at FROM (SELECT at, lag(at, 1, ?) OVER (ORDER BY at) AS before FROM audit_event {within}) spans \
             WHERE at - before > ? ORDER BY at"
        );
        values.insert(0, start.into());
        values.push(expected.into());
        let mut spans = Vec::new();
        for row in rows(&self.store.read, &sql, values).await? {
            spans.push((column::<i64>(&row, "before")?, column::<i64>(&row, "at")?));
        }
        let last = self.last_event(stream, (start, end)).await?.unwrap_or(start);
        if end - last > expected {
            spans.push((last, end));
        }
        Ok(spans)
    }

    /// When the first event of a stream was.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn first_event(&self, stream: Stream<'_>) -> Result<Option<i64>, StoreError> {
        let (within, values) = self.within(stream, (i64::MIN, i64::MAX));
        let found = rows(
            &self.store.read,
            &format!("SELECT min(at) AS at FROM audit_event {within}"),
            values,
        )
        .await?;
        found.first().map_or(Ok(None), |row| column(row, "at"))
    }

    /// When the last event of a stream in a period was.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn last_event(&self, stream: Stream<'_>, period: (i64, i64)) -> Result<Option<i64>, StoreError> {
        let (within, values) = self.within(stream, period);
        let found = rows(
            &self.store.read,
            &format!("SELECT max(at) AS at FROM audit_event {within}"),
            values,
        )
        .await?;
        found.first().map_or(Ok(None), |row| column(row, "at"))
    }

    /// How many events a stream gave in a period.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn count_events(&self, stream: Stream<'_>, period: (i64, i64)) -> Result<u64, StoreError> {
        let (within, values) = self.within(stream, period);
        let found = rows(
            &self.store.read,
            &format!("SELECT count(*) AS n FROM audit_event {within}"),
            values,
        )
        .await?;
        Ok(found
            .first()
            .map_or(Ok(0), |row| column::<i64>(row, "n"))?
            .unsigned_abs())
    }

    fn within(&self, stream: Stream<'_>, (start, end): (i64, i64)) -> (&'static str, Vec<Value>) {
        let mut values: Vec<Value> = vec![self.project.0.into()];
        let sql = match stream {
            Stream::Source(source) => {
                values.push(source.to_owned().into());
                "WHERE project_id = ? AND source = ? AND at >= ? AND at < ?"
            }
            Stream::Operation { agent, action } => {
                values.extend([agent.to_owned().into(), action.to_owned().into()]);
                "WHERE project_id = ? AND agent = ? AND action = ? AND at >= ? AND at < ?"
            }
        };
        values.extend([start.into(), end.into()]);
        (sql, values)
    }
}
