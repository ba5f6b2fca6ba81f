//! Daily work: each slot of a job is claimed once over all servers, and one that was not ended is claimed again.

use crate::sql::{column, row, run};
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use chrono::Duration;

impl Store {
    /// Claims the slot of a job until `now` and `lease` later; gives the number of the attempt. None where another server has claimed it, or
    /// it was ended before.
    ///
    /// A job that was never seen begins with its next slot. A slot other than the one that was claimed last is free, be it earlier: a clock that was ahead may have claimed one of the future.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn claim_daily(
        &self,
        job: &str,
        slot: Instant,
        (now, lease): (Instant, Duration),
    ) -> Result<Option<i64>, StoreError> {
        let first = "INSERT INTO daily_run (job, slot, attempt, lease_until, finished_at) VALUES (?, ?, 0, 0, ?) \
                     ON CONFLICT (job) DO NOTHING";
        run(
            &self.write,
            first,
            vec![job.into(), micros(slot).into(), micros(now).into()],
        )
        .await?;
        let sql = "UPDATE daily_run SET slot = ?, attempt = attempt + 1, lease_until = ?, finished_at = NULL \
                   WHERE job = ? AND (slot <> ? OR (finished_at IS NULL AND lease_until < ?)) RETURNING attempt";
        let values = vec![
            micros(slot).into(),
            micros(now + lease).into(),
            job.into(),
            micros(slot).into(),
            micros(now).into(),
        ];
        let claimed = row(&self.write, sql, values).await?;
        claimed.map(|claimed| column(&claimed, "attempt")).transpose()
    }

    /// Prolongs the claim of a job.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn renew_daily(&self, job: &str, attempt: i64, until: Instant) -> Result<(), StoreError> {
        let sql = "UPDATE daily_run SET lease_until = ? WHERE job = ? AND attempt = ?";
        run(&self.write, sql, vec![micros(until).into(), job.into(), attempt.into()]).await?;
        Ok(())
    }

    /// Notes that a job did its work of the day.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_daily(&self, job: &str, attempt: i64, now: Instant) -> Result<(), StoreError> {
        let sql = "UPDATE daily_run SET finished_at = ? WHERE job = ? AND attempt = ?";
        run(&self.write, sql, vec![micros(now).into(), job.into(), attempt.into()]).await?;
        Ok(())
    }
}
