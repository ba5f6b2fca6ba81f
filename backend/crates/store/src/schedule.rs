//! Schedules, and the slots that were fired: each once, over any number of servers.

use crate::entity::{job, schedule, schedule_fire};
use crate::{Scoped, Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

/// A slot that is to be fired.
#[derive(Clone, Copy, Debug)]
pub struct DueSlot {
    /// The schedule.
    pub schedule: Uuid,
    /// The slot, microseconds.
    pub slot: i64,
    /// How many earlier slots it stands for.
    pub missed: u32,
}

impl Store {
    /// Every schedule that is on, with its last slot that is not of the future: a clock that was ahead may have fired one.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn schedules_on(&self, now: Instant) -> Result<Vec<(schedule::Model, Option<i64>)>, StoreError> {
        let all = schedule::Entity::find()
            .filter(schedule::Column::Enabled.eq(true))
            .all(&self.read)
            .await?;
        let mut out = Vec::with_capacity(all.len());
        for row in all {
            let last = last_slot(self, row.id, now).await?;
            out.push((row, last));
        }
        Ok(out)
    }

    /// Fires a slot: in one transaction it is marked and its job is made. False where another server was first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn fire(&self, due: DueSlot, project: Uuid, payload: &str, now: Instant) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let job_id = Uuid::now_v7();
        let row = schedule_fire::ActiveModel {
            schedule_id: Set(due.schedule),
            slot: Set(due.slot),
            job_id: Set(job_id),
            fired_at: Set(micros(now)),
            missed: Set(i32::try_from(due.missed).unwrap_or(i32::MAX)),
        };
        let once = OnConflict::columns([schedule_fire::Column::ScheduleId, schedule_fire::Column::Slot])
            .do_nothing()
            .to_owned();
        let won = schedule_fire::Entity::insert(row)
            .on_conflict(once)
            .exec_without_returning(&tx)
            .await?;
        if won == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        let row = crate::job::fresh(job_id, Some(project), "assess", payload, now);
        job::Entity::insert(row).exec_without_returning(&tx).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn last_slot(store: &Store, id: Uuid, now: Instant) -> Result<Option<i64>, StoreError> {
    Ok(schedule_fire::Entity::find()
        .filter(schedule_fire::Column::ScheduleId.eq(id))
        .filter(schedule_fire::Column::Slot.lte(micros(now)))
        .order_by_desc(schedule_fire::Column::Slot)
        .limit(1)
        .one(&store.read)
        .await?
        .map(|fire| fire.slot))
}

impl Scoped<'_> {
    /// The project's schedules, by framework.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn schedules(&self) -> Result<Vec<schedule::Model>, StoreError> {
        let query = schedule::Entity::find().filter(schedule::Column::ProjectId.eq(self.project.0));
        Ok(query
            .order_by_asc(schedule::Column::Framework)
            .all(&self.store.read)
            .await?)
    }

    /// Sets the schedule of a framework.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn set_schedule(
        &self,
        framework: &str,
        cron: &str,
        zone: &str,
        enabled: bool,
        now: Instant,
    ) -> Result<(), StoreError> {
        let row = schedule::ActiveModel {
            id: Set(Uuid::now_v7()),
            project_id: Set(self.project.0),
            framework: Set(framework.to_owned()),
            cron: Set(cron.to_owned()),
            zone: Set(zone.to_owned()),
            enabled: Set(enabled),
            since_at: Set(micros(now)),
        };
        let update = OnConflict::columns([schedule::Column::ProjectId, schedule::Column::Framework])
            .update_columns([
                schedule::Column::Cron,
                schedule::Column::Zone,
                schedule::Column::Enabled,
                schedule::Column::SinceAt,
            ])
            .to_owned();
        schedule::Entity::insert(row)
            .on_conflict(update)
            .exec_without_returning(&self.store.write)
            .await?;
        Ok(())
    }

    /// The slots that a schedule fired, latest first, with their jobs.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn fires(
        &self,
        schedule: Uuid,
        limit: u64,
    ) -> Result<Vec<(schedule_fire::Model, Option<job::Model>)>, StoreError> {
        let fires = schedule_fire::Entity::find()
            .filter(schedule_fire::Column::ScheduleId.eq(schedule))
            .order_by_desc(schedule_fire::Column::Slot)
            .limit(limit)
            .all(&self.store.read)
            .await?;
        let mut out = Vec::with_capacity(fires.len());
        for fire in fires {
            let job = job::Entity::find_by_id(fire.job_id)
                .filter(job::Column::ProjectId.eq(self.project.0))
                .one(&self.store.read)
                .await?;
            out.push((fire, job));
        }
        Ok(out)
    }
}
