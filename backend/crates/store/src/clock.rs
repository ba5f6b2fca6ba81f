//! The database's own clock, signs of life that are written, and what is known of a clock that cannot be trusted.

use crate::entity::clock;
use crate::sql::{column, row, run};
use crate::{Store, StoreError, damaged, instant, micros};
use affiant_domain::Instant;
use sea_orm::EntityTrait;

impl Store {
    /// The time of the database's server; none on SQLite, which has no clock of its own.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn database_time(&self) -> Result<Option<Instant>, StoreError> {
        if !self.is_postgres() {
            return Ok(None);
        }
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now";
        let found = row(&self.read, sql, Vec::new()).await?;
        found.map(|found| Ok(instant(column(&found, "now")?))).transpose()
    }

    /// Writes a sign of life, as every other write does: where this fails, writing fails.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn write_heartbeat(&self, now: Instant) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let sql = "UPDATE clock SET heartbeat_at = ? WHERE id = 1";
        run(&tx, sql, vec![micros(now).into()]).await?;
        Ok(tx.commit().await?)
    }

    /// Why the clock cannot be trusted, and since when; none where it can.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn clock_suspicion(&self) -> Result<Option<(String, Instant)>, StoreError> {
        let known = clock::Entity::find_by_id(1_i16).one(&self.read).await?;
        let known = known.ok_or_else(|| StoreError::Damaged("clock 1: the row is missing".to_owned()))?;
        match known.suspected_at {
            None if !known.suspicion.is_empty() => Err(damaged("clock", 1, "a suspicion without its time")),
            at => Ok(at.map(|at| (known.suspicion, instant(at)))),
        }
    }

    /// Puts the clock under suspicion. An earlier suspicion gives way: what waits, waits anew.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn suspect_clock(&self, why: &str, now: Instant) -> Result<(), StoreError> {
        let sql = "UPDATE clock SET suspicion = ?, suspected_at = ? WHERE id = 1";
        run(&self.write, sql, vec![why.into(), micros(now).into()]).await?;
        Ok(())
    }

    /// Ends a suspicion, unless it gave way to another one meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn trust_clock(&self, suspected_at: Instant) -> Result<bool, StoreError> {
        let sql = "UPDATE clock SET suspicion = '', suspected_at = NULL WHERE id = 1 AND suspected_at = ?";
        let done = run(&self.write, sql, vec![micros(suspected_at).into()]).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Time of the newest entry in the trail.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn newest_entry_at(&self) -> Result<Option<Instant>, StoreError> {
        let sql = "SELECT at FROM trail_entry ORDER BY idx DESC LIMIT 1";
        let found = row(&self.read, sql, Vec::new()).await?;
        found.map(|found| Ok(instant(column(&found, "at")?))).transpose()
    }
}
