//! Connections in use. Every statement, commit and return to the pool has a deadline, and a connection that failed to end its transaction
//! or that did not answer is closed: it never goes back to the pool, where its state would be the next user's.
//!
//! Transactions are begun and ended by statements of our own rather than by the driver's: the driver counts how deep a transaction is, and
//! its count stays wrong where SQLite ended the transaction by itself, so that later commits release a savepoint and store nothing.

use crate::outage::{Outage, may_end_transaction};
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{AssertSqlSafe, Error, Executor, PgPool, Postgres, Sqlite, SqlitePool};
use sea_orm::{ConnAcquireErr, ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_query_sqlx::SqlxValues;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// How long a connection may take to roll back, and to answer before it goes back to its pool.
const RETURN: Duration = Duration::from_secs(2);

/// Connections to one database, with the time that each statement may take.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) connections: Connections,
    pub(crate) deadline: Duration,
    /// Whether its transactions may idle for longer than one that holds the trail's head may.
    pub(crate) may_idle: bool,
    /// The turn that each of its transactions waits for first: where all writers share one connection, one of those that write much stands in
    /// line for it at a time, and whoever writes little waits for one of them at most.
    pub(crate) turn: Option<Arc<Semaphore>>,
}

/// How long a transaction waits for its turn.
const TURN: Duration = Duration::from_secs(60);

/// The driver's pool.
#[derive(Clone, Debug)]
pub(crate) enum Connections {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    async fn acquire(&self) -> Result<Session, DbErr> {
        let link = match &self.connections {
            Connections::Sqlite(pool) => pool.acquire().await.map(Link::Sqlite),
            Connections::Postgres(pool) => pool.acquire().await.map(Link::Postgres),
        };
        let link = link.map_err(|error| match error {
            Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            other => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(other))),
        })?;
        Ok(Session {
            link: Some(link),
            deadline: self.deadline,
            in_transaction: false,
            savepoints: 0,
        })
    }

    const fn backend(&self) -> DbBackend {
        match self.connections {
            Connections::Sqlite(_) => DbBackend::Sqlite,
            Connections::Postgres(_) => DbBackend::Postgres,
        }
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Transaction, DbErr> {
        // SQLite: a transaction that reads first and writes later fails where another wrote in between.
        self.begin_by(match self.backend() {
            DbBackend::Sqlite => "BEGIN IMMEDIATE",
            _ => "BEGIN",
        })
        .await
    }

    /// Begins a transaction whose statements all read one state of the database.
    pub(crate) async fn begin_to_read(&self) -> Result<Transaction, DbErr> {
        self.begin_by(match self.backend() {
            DbBackend::Sqlite => "BEGIN DEFERRED",
            _ => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        })
        .await
    }

    async fn begin_by(&self, begin: &str) -> Result<Transaction, DbErr> {
        let late = || DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        let turn = match &self.turn {
            None => None,
            Some(turn) => {
                let waited = timeout(TURN, turn.clone().acquire_owned()).await;
                Some(waited.ok().and_then(Result::ok).ok_or_else(late)?)
            }
        };
        let mut session = self.acquire().await?;
        session.in_transaction = true;
        if let Err(error) = session.run_text(begin).await {
            session.discard();
            return Err(error);
        }
        Ok(Transaction {
            shared: Arc::new(Shared {
                session: Mutex::new(session),
                abandoned: AtomicU32::new(0),
                backend: self.backend(),
                may_idle: self.may_idle,
                _turn: turn,
            }),
            savepoint: 0,
            ended: false,
        })
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.acquire().await?.execute(&statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.acquire().await?.run_text(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.acquire().await?.first(&statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.acquire().await?.all(&statement).await
    }
}

/// The driver's connection.
enum Link {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Link {
    /// Closes the connection without waiting for it, and frees its place in the pool.
    fn close(self) {
        match self {
            Self::Sqlite(connection) => drop(connection.detach()),
            Self::Postgres(connection) => drop(connection.detach()),
        }
    }

    async fn run_text(&mut self, sql: &str) -> Result<ExecResult, Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => connection.execute(sql).await.map(Into::into),
            Self::Postgres(connection) => connection.execute(sql).await.map(Into::into),
        }
    }

    async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, Error> {
        match self {
            Self::Sqlite(connection) => query(statement).execute(&mut **connection).await.map(Into::into),
            Self::Postgres(connection) => query(statement).execute(&mut **connection).await.map(Into::into),
        }
    }

    async fn first(&mut self, statement: &Statement) -> Result<Option<QueryResult>, Error> {
        match self {
            Self::Sqlite(connection) => {
                // To its end: a statement that writes and returns a row commits when it is through, and where it is left after its first
                // row, a commit that fails is told to nobody.
                let rows = query(statement).fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().next().map(Into::into))
            }
            Self::Postgres(connection) => {
                let row = query(statement).fetch_optional(&mut **connection).await?;
                Ok(row.map(Into::into))
            }
        }
    }

    async fn all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, Error> {
        match self {
            Self::Sqlite(connection) => {
                let rows = query(statement).fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Into::into).collect())
            }
            Self::Postgres(connection) => {
                let rows = query(statement).fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Into::into).collect())
            }
        }
    }

    /// Goes back to the pool if it answers in time; else it is closed.
    async fn release(mut self) {
        // The driver asks for an answer without a deadline. Dropping the future closes the connection and frees its place.
        let _ = match &mut self {
            Self::Sqlite(connection) => timeout(RETURN, connection.return_to_pool()).await,
            Self::Postgres(connection) => timeout(RETURN, connection.return_to_pool()).await,
        };
    }

    async fn roll_back(mut self) {
        match timeout(RETURN, self.run_text("ROLLBACK")).await {
            Ok(Ok(_)) => self.release().await,
            _ => self.close(),
        }
    }
}

/// How long a statement may take before the log tells of it.
const SLOW: Duration = Duration::from_secs(1);

/// Tells of a statement that took long, without its values.
fn note_slow(sql: &str, begun: Instant) {
    let took = begun.elapsed();
    if took > SLOW {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let sql: String = sql.chars().take(2000).collect();
        tracing::warn!(ms, sql, "a statement took long");
    }
}

/// Statements, without their values, for whoever looks for slow ones: `AFFIANT_LOG=affiant_store::statements=trace`.
fn note(sql: &str) {
    tracing::trace!(target: "affiant_store::statements", sql);
}

fn query<DB>(statement: &Statement) -> sea_orm::sqlx::query::Query<'_, DB, SqlxValues>
where
    DB: sea_orm::sqlx::Database,
    SqlxValues: sea_orm::sqlx::IntoArguments<DB>,
{
    note(&statement.sql);
    let values = statement.values.clone();
    let values = values.unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sea_orm::sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

/// A connection that is in use.
struct Session {
    /// None once it was closed.
    link: Option<Link>,
    deadline: Duration,
    in_transaction: bool,
    /// Savepoints that were made so far in this transaction.
    savepoints: u32,
}

impl Session {
    fn link(&mut self) -> Result<&mut Link, DbErr> {
        self.link
            .as_mut()
            .ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }

    /// Closes the connection where it did not answer in time or its stream is broken.
    fn settle<T>(
        &mut self,
        outcome: Result<Result<T, Error>, Elapsed>,
        kind: fn(RuntimeErr) -> DbErr,
    ) -> Result<T, DbErr> {
        let outcome = outcome.unwrap_or_else(|_| Err(Error::Io(std::io::ErrorKind::TimedOut.into())));
        outcome.map_err(|error| {
            let is_sqlite = matches!(self.link, Some(Link::Sqlite(_)));
            let is_outside = is_sqlite && self.in_transaction && may_end_transaction(&error);
            if is_outside || Outage::of_driver(&error) == Some(Outage::Unreachable) {
                self.discard();
            }
            kind(RuntimeErr::SqlxError(Arc::new(error)))
        })
    }

    async fn run_text(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let deadline = self.deadline;
        let begun = Instant::now();
        let outcome = timeout(deadline, self.link()?.run_text(sql)).await;
        note_slow(sql, begun);
        self.settle(outcome, DbErr::Exec)
    }

    async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, DbErr> {
        let deadline = self.deadline;
        let begun = Instant::now();
        let outcome = timeout(deadline, self.link()?.execute(statement)).await;
        note_slow(&statement.sql, begun);
        self.settle(outcome, DbErr::Exec)
    }

    async fn first(&mut self, statement: &Statement) -> Result<Option<QueryResult>, DbErr> {
        let deadline = self.deadline;
        let begun = Instant::now();
        let outcome = timeout(deadline, self.link()?.first(statement)).await;
        note_slow(&statement.sql, begun);
        self.settle(outcome, DbErr::Query)
    }

    async fn all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, DbErr> {
        let deadline = self.deadline;
        let begun = Instant::now();
        let outcome = timeout(deadline, self.link()?.all(statement)).await;
        note_slow(&statement.sql, begun);
        self.settle(outcome, DbErr::Query)
    }

    /// Ends the transaction. Where that fails, nobody knows what the connection is in, and it is closed.
    async fn end(&mut self, sql: &str) -> Result<(), DbErr> {
        let ended = self.run_text(sql).await;
        self.in_transaction = false;
        if ended.is_err() {
            self.discard();
        }
        ended.map(|_| ())
    }

    fn discard(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.in_transaction => drop(runtime.spawn(link.roll_back())),
            Ok(runtime) => drop(runtime.spawn(link.release())),
            Err(_) => link.close(),
        }
    }
}

/// What a transaction and those nested in it share.
struct Shared {
    session: Mutex<Session>,
    /// The outermost savepoint whose transaction was dropped without an end; 0 where there is none.
    abandoned: AtomicU32,
    backend: DbBackend,
    may_idle: bool,
    /// Given back when the transaction is over.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Shared {
    /// The connection, after what was dropped without an end is undone.
    async fn session(&self) -> Result<tokio::sync::MutexGuard<'_, Session>, DbErr> {
        let mut session = self.session.lock().await;
        match self.abandoned.swap(0, Ordering::AcqRel) {
            0 => {}
            savepoint => {
                let undo = format!("ROLLBACK TO SAVEPOINT s{savepoint}");
                if let Err(error) = session.run_text(&undo).await {
                    session.discard();
                    return Err(error);
                }
            }
        }
        Ok(session)
    }
}

/// A transaction. One that is dropped without a commit is rolled back.
pub(crate) struct Transaction {
    shared: Arc<Shared>,
    /// The savepoint that it began with; 0 where it is not nested.
    savepoint: u32,
    ended: bool,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transaction({})", self.savepoint)
    }
}

impl Transaction {
    /// Begins a transaction within this one.
    pub(crate) async fn begin(&self) -> Result<Self, DbErr> {
        let mut session = self.shared.session().await?;
        session.savepoints += 1;
        let savepoint = session.savepoints;
        session.run_text(&format!("SAVEPOINT s{savepoint}")).await?;
        Ok(Self {
            shared: self.shared.clone(),
            savepoint,
            ended: false,
        })
    }

    /// Lets the database end the transaction where it idles for 2 s from here on: it is about to hold what all others wait for.
    pub(crate) async fn bound_idle(&self) -> Result<(), DbErr> {
        if self.shared.may_idle {
            self.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 2000")
                .await?;
        }
        Ok(())
    }

    /// Makes its changes durable, or part of the transaction around it. After an error of a transaction that is not nested, nobody knows
    /// whether they are.
    pub(crate) async fn commit(mut self) -> Result<(), DbErr> {
        let mut session = self.shared.session().await?;
        self.ended = true;
        match self.savepoint {
            0 => session.end("COMMIT").await,
            savepoint => session
                .run_text(&format!("RELEASE SAVEPOINT s{savepoint}"))
                .await
                .map(|_| ()),
        }
    }

    /// Undoes its changes.
    pub(crate) async fn rollback(mut self) -> Result<(), DbErr> {
        let mut session = self.shared.session().await?;
        self.ended = true;
        match self.savepoint {
            0 => session.end("ROLLBACK").await,
            savepoint => session
                .run_text(&format!("ROLLBACK TO SAVEPOINT s{savepoint}"))
                .await
                .map(|_| ()),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.savepoint > 0 && !self.ended {
            let outermost = |other: u32| {
                Some(if other == 0 {
                    self.savepoint
                } else {
                    other.min(self.savepoint)
                })
            };
            let _ = self
                .shared
                .abandoned
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, outermost);
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.shared.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.shared.session().await?.execute(&statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.shared.session().await?.run_text(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.shared.session().await?.first(&statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.shared.session().await?.all(&statement).await
    }
}
