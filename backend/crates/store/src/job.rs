//! Background work, as rows: claimed with a lease, so that a server that dies leaves its work to another.

use crate::entity::job;
use crate::sql::{column, row, run};
use crate::{Scoped, Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waiting.
    Queued,
    /// Being worked on.
    Running,
    /// Done.
    Done,
    /// Given up.
    Failed,
}

impl JobState {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// How often a job is tried before it is given up.
pub const ATTEMPTS: i32 = 3;
/// How long a claim holds without a sign of life, microseconds.
const LEASE: i64 = 60_000_000;

pub(crate) fn fresh(id: Uuid, project: Option<Uuid>, kind: &str, payload: &str, now: Instant) -> job::ActiveModel {
    job::ActiveModel {
        id: Set(id),
        project_id: Set(project),
        kind: Set(kind.to_owned()),
        payload: Set(payload.to_owned()),
        state: Set(JobState::Queued.as_str().to_owned()),
        result: Set(String::new()),
        attempt: Set(0),
        created_at: Set(micros(now)),
        done: Set(0),
        total: Set(0),
        lease_until: Set(0),
    }
}

impl Store {
    /// Takes a job that waits or whose worker has died, of projects or of the installation: neither waits for the other. Of projects it is the
    /// turn of the one that was served longest ago, and of its jobs of the oldest.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn claim_job(&self, of_projects: bool, now: Instant) -> Result<Option<job::Model>, StoreError> {
        self.set_aside_jobs(now).await?;
        let skip = if self.is_postgres() {
            " FOR UPDATE SKIP LOCKED"
        } else {
            ""
        };
        let not = if of_projects { "NOT " } else { "" };
        let sql = format!(
            "UPDATE job SET state = 'running', attempt = attempt + 1, lease_until = ? WHERE id IN \
             (SELECT id FROM job WHERE (state = 'queued' OR (state = 'running' AND lease_until < ?)) \
             AND project_id IS {not}NULL ORDER BY coalesce((SELECT max(served.lease_until) FROM job served \
             WHERE served.project_id = job.project_id), 0), created_at LIMIT 1{skip}) RETURNING id"
        );
        let at = micros(now);
        let Some(found) = row(&self.write, &sql, vec![(at + LEASE).into(), at.into()]).await? else {
            return Ok(None);
        };
        Ok(job::Entity::find_by_id(column::<Uuid>(&found, "id")?)
            .one(&self.write)
            .await?)
    }

    /// Sets aside the jobs whose worker has died as often as a job is tried: they may be what it died of.
    async fn set_aside_jobs(&self, now: Instant) -> Result<(), StoreError> {
        let sql =
            "UPDATE job SET state = 'failed', result = ? WHERE state = 'running' AND lease_until < ? AND attempt >= ?";
        let why = format!(
            "The job was set aside: its server ended {ATTEMPTS} times while it was at work. The server's log may say why. \
             Send a smaller file, or give the server more memory."
        );
        let result = serde_json::json!({ "error": why }).to_string();
        run(
            &self.write,
            sql,
            vec![result.into(), micros(now).into(), ATTEMPTS.into()],
        )
        .await?;
        Ok(())
    }

    /// Lets go of the jobs that are being worked on: on SQLite no other server can be at work when one starts.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn release_jobs(&self) -> Result<(), StoreError> {
        run(
            &self.write,
            "UPDATE job SET lease_until = 0 WHERE state = 'running'",
            Vec::new(),
        )
        .await?;
        Ok(())
    }

    /// A sign of life with progress. False where another worker has taken the job over.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn renew_job(&self, job: &job::Model, done: i64, total: i64, now: Instant) -> Result<bool, StoreError> {
        let changed = job::Entity::update_many()
            .col_expr(job::Column::Done, Expr::value(done))
            .col_expr(job::Column::Total, Expr::value(total))
            .col_expr(job::Column::LeaseUntil, Expr::value(micros(now) + LEASE))
            .filter(job::Column::Id.eq(job.id))
            .filter(job::Column::Attempt.eq(job.attempt))
            .exec(&self.write)
            .await?;
        Ok(changed.rows_affected == 1)
    }

    /// Ends a job, unless another worker has taken it over.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_job(&self, job: &job::Model, state: JobState, result: &str) -> Result<(), StoreError> {
        job::Entity::update_many()
            .col_expr(job::Column::State, Expr::value(state.as_str()))
            .col_expr(job::Column::Result, Expr::value(result))
            .filter(job::Column::Id.eq(job.id))
            .filter(job::Column::Attempt.eq(job.attempt))
            .exec(&self.write)
            .await?;
        Ok(())
    }
}

impl Store {
    /// The job of a kind that is under way, of which there is one at a time; made where there is none.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn single_job(&self, kind: &str, now: Instant) -> Result<job::Model, StoreError> {
        let tx = self.begin().await?;
        // Two who ask at once: the second one waits, and finds the first one's.
        self.lock_head(&tx).await?;
        let active = [JobState::Queued, JobState::Running].map(JobState::as_str);
        let found = job::Entity::find()
            .filter(job::Column::State.is_in(active))
            .filter(job::Column::Kind.eq(kind))
            .one(&tx)
            .await?;
        let job = match found {
            Some(found) => found,
            None => fresh(Uuid::now_v7(), None, kind, "{}", now).insert(&tx).await?,
        };
        tx.commit().await?;
        Ok(job)
    }

    /// A job of a kind that belongs to no project.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn installation_job(&self, id: Uuid, kind: &str) -> Result<Option<job::Model>, StoreError> {
        let found = job::Entity::find_by_id(id).filter(job::Column::Kind.eq(kind));
        Ok(found.filter(job::Column::ProjectId.is_null()).one(&self.read).await?)
    }

    /// The latest job of a kind that belongs to no project.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn latest_job(&self, kind: &str) -> Result<Option<job::Model>, StoreError> {
        let found = job::Entity::find().filter(job::Column::Kind.eq(kind));
        let latest = found.order_by_desc(job::Column::Id).limit(1);
        Ok(latest.one(&self.read).await?)
    }
}

impl Scoped<'_> {
    /// Adds a job.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn add_job(&self, kind: &str, payload: &str, now: Instant) -> Result<Uuid, StoreError> {
        let id = Uuid::now_v7();
        fresh(id, Some(self.project.0), kind, payload, now)
            .insert(&self.store.write)
            .await?;
        Ok(id)
    }

    /// One job.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn job(&self, id: Uuid) -> Result<Option<job::Model>, StoreError> {
        Ok(job::Entity::find_by_id(id)
            .filter(job::Column::ProjectId.eq(self.project.0))
            .one(&self.store.read)
            .await?)
    }
}
