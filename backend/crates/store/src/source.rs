//! Audit stores that are pulled: their settings, what of each was read, and the gaps in their record.

use crate::entity::{source, source_gap, source_object};
use crate::event::NewEvent;
use crate::sql::{clean, column, marks, rows, run};
use crate::{Scoped, Store, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A source to set up.
#[derive(Clone, Debug)]
pub struct NewSource {
    /// Its name, which its events bear.
    pub name: String,
    /// Kind of connector.
    pub kind: String,
    /// Settings of the connector, JSON; secrets by reference only.
    pub settings: String,
    /// Format, where it is not to be recognised.
    pub format: String,
    /// What its events are about, where that is not their agent.
    pub asset: String,
    /// Frameworks of events that name none.
    pub tags: Vec<String>,
    /// Seconds between pulls.
    pub every_seconds: i64,
    /// An event is expected within so many seconds; 0 where nothing is expected.
    pub expected_seconds: i64,
    /// Who set it up.
    pub actor: String,
}

/// How far an object was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Key of the object, or the name of a cursor.
    pub key: String,
    /// Its version, or the cursor's value.
    pub version: String,
    /// Events of it that were taken in.
    pub events: u64,
    /// Its size, bytes.
    pub size: u64,
    /// Whether it was read to its end.
    pub complete: bool,
    /// Why it could not be read.
    pub error: String,
}

/// A span without record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The source.
    pub source: String,
    /// From.
    pub from: i64,
    /// Until.
    pub until: i64,
    /// Events that are missing, where that can be told.
    pub missing: u64,
    /// Why it is a gap.
    pub reason: String,
}

impl Store {
    /// The sources that are due, over all projects.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn due_sources(&self, now: Instant) -> Result<Vec<source::Model>, StoreError> {
        Ok(source::Entity::find()
            .filter(source::Column::Enabled.eq(true))
            .filter(source::Column::Kind.ne("push"))
            .filter(source::Column::NextAt.lte(micros(now)))
            .order_by_asc(source::Column::NextAt)
            .all(&self.read)
            .await?)
    }

    /// Takes a due source for this server; false where another was first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn claim_source(&self, due: &source::Model, now: Instant) -> Result<bool, StoreError> {
        let sql = "UPDATE source SET next_at = ?, last_run_at = ? WHERE id = ? AND next_at = ?";
        let next = micros(now) + due.every_seconds.max(1) * 1_000_000;
        let values = vec![next.into(), micros(now).into(), due.id.into(), due.next_at.into()];
        Ok(run(&self.write, sql, values).await?.rows_affected() == 1)
    }
}

impl Scoped<'_> {
    /// The project's sources, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn sources(&self) -> Result<Vec<source::Model>, StoreError> {
        let query = source::Entity::find().filter(source::Column::ProjectId.eq(self.project.0));
        Ok(query.order_by_asc(source::Column::Name).all(&self.store.read).await?)
    }

    /// The source of a name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn source(&self, name: &str) -> Result<Option<source::Model>, StoreError> {
        let query = source::Entity::find().filter(source::Column::ProjectId.eq(self.project.0));
        Ok(query
            .filter(source::Column::Name.eq(name))
            .one(&self.store.read)
            .await?)
    }

    /// Sets a source up; one of that name is replaced and keeps what was read of it, unless its place changed.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn set_source(&self, new: &NewSource, now: Instant) -> Result<Uuid, StoreError> {
        let known = self.source(&new.name).await?;
        let tx = self.store.begin().await?;
        let id = known.as_ref().map_or_else(Uuid::now_v7, |row| row.id);
        if let Some(row) = &known {
            // What could not be read is tried again; in another place or by another format everything is.
            let anew = row.settings != new.settings || row.kind != new.kind || row.format != new.format;
            let mut gone = source_object::Entity::delete_many().filter(source_object::Column::SourceId.eq(id));
            if !anew {
                gone = gone.filter(source_object::Column::Error.ne(""));
            }
            gone.exec(&tx).await?;
            source::Entity::delete_by_id(id).exec(&tx).await?;
        }
        let row = source::ActiveModel {
            id: Set(id),
            project_id: Set(self.project.0),
            name: Set(clean(&new.name)),
            kind: Set(new.kind.clone()),
            settings: Set(clean(&new.settings)),
            format: Set(new.format.clone()),
            asset: Set(clean(&new.asset)),
            tags: Set(serde_json::to_string(&new.tags).unwrap_or_default()),
            actor: Set(clean(&new.actor)),
            last_error: Set(String::new()),
            enabled: Set(true),
            every_seconds: Set(new.every_seconds),
            expected_seconds: Set(new.expected_seconds),
            created_at: Set(known.as_ref().map_or_else(|| micros(now), |row| row.created_at)),
            next_at: Set(micros(now)),
            last_run_at: Set(known.as_ref().and_then(|row| row.last_run_at)),
            last_done_at: Set(known.as_ref().and_then(|row| row.last_done_at)),
        };
        source::Entity::insert(row).exec_without_returning(&tx).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Removes a source. Its events stay.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn remove_source(&self, name: &str) -> Result<bool, StoreError> {
        let Some(row) = self.source(name).await? else {
            return Ok(false);
        };
        let tx = self.store.begin().await?;
        source_object::Entity::delete_many()
            .filter(source_object::Column::SourceId.eq(row.id))
            .exec(&tx)
            .await?;
        source::Entity::delete_by_id(row.id).exec(&tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Which of these ids are events of the project: what was written for exchange comes back under its own id.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn own_events(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, StoreError> {
        let mut own = HashSet::new();
        for chunk in ids.chunks(500) {
            let sql = format!(
                "SELECT id FROM audit_event WHERE project_id = ? AND id IN ({})",
                marks(chunk.len())
            );
            let mut values = vec![self.project.0.into()];
            values.extend(chunk.iter().map(|id| sea_orm::Value::from(*id)));
            for row in rows(&self.store.read, &sql, values).await? {
                own.insert(column(&row, "id")?);
            }
        }
        Ok(own)
    }

    /// Notes how a pull ended.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_pull(&self, id: Uuid, error: &str, now: Instant) -> Result<(), StoreError> {
        let sql = "UPDATE source SET last_error = ?, last_done_at = ? WHERE id = ? AND project_id = ?";
        let values = vec![
            clean(error).into(),
            micros(now).into(),
            id.into(),
            self.project.0.into(),
        ];
        run(&self.store.write, sql, values).await?;
        Ok(())
    }

    /// What of a source was read.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn checkpoints(&self, source: Uuid) -> Result<HashMap<String, Checkpoint>, StoreError> {
        let found = source_object::Entity::find()
            .filter(source_object::Column::SourceId.eq(source))
            .all(&self.store.read)
            .await?;
        let point = |row: source_object::Model| Checkpoint {
            key: row.key,
            version: row.version,
            events: row.events.unsigned_abs(),
            size: row.size.unsigned_abs(),
            complete: row.complete,
            error: row.error,
        };
        Ok(found
            .into_iter()
            .map(point)
            .map(|point| (point.key.clone(), point))
            .collect())
    }

    /// Stores events of a source together with how far it was read and the gaps that showed, all or nothing; gives how many were new.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn store_pulled(
        &self,
        source: &source::Model,
        asset: Option<&AssetKey>,
        events: &[NewEvent],
        (point, gaps): (&Checkpoint, &[Gap]),
        now: Instant,
    ) -> Result<u64, StoreError> {
        let tx = self.store.begin().await?;
        let created = self.write_events(&tx, &source.name, asset, events, now).await?;
        let sql = "INSERT INTO source_object (source_id, key, version, error, events, size, read_at, complete) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
                   ON CONFLICT (source_id, key) DO UPDATE SET version = excluded.version, error = excluded.error, events = excluded.events, \
                   size = excluded.size, read_at = excluded.read_at, complete = excluded.complete";
        let values = vec![
            source.id.into(),
            clean(&point.key).into(),
            clean(&point.version).into(),
            clean(&point.error).into(),
            point.events.cast_signed().into(),
            point.size.cast_signed().into(),
            micros(now).into(),
            point.complete.into(),
        ];
        run(&tx, sql, values).await?;
        self.write_gaps(&tx, gaps, now).await?;
        tx.commit().await?;
        Ok(created.into_iter().filter(|is_new| *is_new).count() as u64)
    }

    async fn write_gaps<C: ConnectionTrait>(&self, db: &C, gaps: &[Gap], now: Instant) -> Result<(), StoreError> {
        for gap in gaps {
            let sql = "INSERT INTO source_gap (project_id, source, reason, from_at, until_at, missing, recorded_at) \
                       VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (project_id, source, from_at, until_at) DO NOTHING";
            let values = vec![
                self.project.0.into(),
                clean(&gap.source).into(),
                gap.reason.clone().into(),
                gap.from.into(),
                gap.until.into(),
                gap.missing.cast_signed().into(),
                micros(now).into(),
            ];
            run(db, sql, values).await?;
        }
        Ok(())
    }

    /// The gaps that were recorded, of a period.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn gaps(&self, start: i64, end: i64) -> Result<Vec<Gap>, StoreError> {
        let found = source_gap::Entity::find()
            .filter(source_gap::Column::ProjectId.eq(self.project.0))
            .filter(source_gap::Column::FromAt.lt(end))
            .filter(source_gap::Column::UntilAt.gt(start))
            .order_by_asc(source_gap::Column::FromAt)
            .all(&self.store.read)
            .await?;
        let gap = |row: source_gap::Model| Gap {
            source: row.source,
            from: row.from_at,
            until: row.until_at,
            missing: row.missing.unsigned_abs(),
            reason: row.reason,
        };
        Ok(found.into_iter().map(gap).collect())
    }
}
