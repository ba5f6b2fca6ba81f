//! Connections. SQLite has one writer and several readers; PostgreSQL one pool.

use crate::connection::{Connections, Pool, Transaction};
use crate::outage::Outage;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions, Connection, Database, Error, Executor};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxPostgresConnector,
    SqlxSqliteConnector, Statement,
};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a statement may take that somebody waits for.
const DEADLINE: Duration = Duration::from_secs(6);
/// How long a statement of background work may take: aggregates over a whole project, imports, purges.
const PATIENT_DEADLINE: Duration = Duration::from_mins(10);
/// How long a transaction may idle on PostgreSQL: a server that sleeps inside one holds locks, the trail's head among them.
const IDLE: Duration = Duration::from_secs(2);
/// The same for background work, which reads a file between its statements; while it holds the trail's head, [`IDLE`] is its bound too.
const PATIENT_IDLE: Duration = Duration::from_secs(60);
/// How long a connection that rested may take to show that it still lives.
const PROBE: Duration = Duration::from_millis(500);
/// Rest after which a connection is asked for a sign of life before it is used.
const REST: Duration = Duration::from_secs(1);

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) write: Conn,
    pub(crate) read: Conn,
    /// Connections for background work, with a longer deadline.
    slow: (Pool, Pool),
    pub(crate) log: Option<Arc<dyn crate::Log>>,
}

/// Where statements go: a pool, or a transaction that is open.
#[derive(Clone, Debug)]
pub(crate) enum Conn {
    Pool(Pool),
    Within(Arc<Transaction>),
}

#[async_trait::async_trait]
impl ConnectionTrait for Conn {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Pool(pool) => pool.get_database_backend(),
            Self::Within(tx) => tx.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Pool(pool) => pool.execute_raw(statement).await,
            Self::Within(tx) => tx.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Pool(pool) => pool.execute_unprepared(sql).await,
            Self::Within(tx) => tx.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Pool(pool) => pool.query_one_raw(statement).await,
            Self::Within(tx) => tx.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Pool(pool) => pool.query_all_raw(statement).await,
            Self::Within(tx) => tx.query_all_raw(statement).await,
        }
    }
}

/// Why the store did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not serve at the moment.
    #[error("{}: {error}", outage.detail())]
    Unavailable {
        /// Why.
        outage: Outage,
        /// What the database or its driver said.
        error: DbErr,
    },
    /// A fault of the database or of a query.
    #[error("the database failed: {0}")]
    Database(DbErr),
    /// Something that must come once is there already.
    #[error("{0}")]
    Conflict(String),
    /// A request's claim of its idempotency key ran out, and another request has taken it over.
    #[error("the claim of an idempotency key was taken over")]
    ClaimLost,
    /// The schema has a step that this program does not know.
    #[error(
        "the database was used by a newer version of Affiant (its schema has the step {0}): install that version or a later one, \
         or restore a backup that was made before the upgrade"
    )]
    NewerSchema(String),
    /// What is stored cannot be read.
    #[error("what is stored is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// An outage that no statement told of.
    #[must_use]
    pub fn unavailable(outage: Outage, what: &str) -> Self {
        Self::Unavailable {
            outage,
            error: DbErr::Custom(what.to_owned()),
        }
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match Outage::of(&error) {
            Some(outage) => Self::Unavailable { outage, error },
            None => Self::Database(error),
        }
    }
}

impl Store {
    /// Connects and brings the schema up to date. `url` is `sqlite:PATH` or `postgres://…`.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or migrated.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let store = if url.starts_with("sqlite:") {
            Self::sqlite(url)?
        } else {
            Self::postgres(url)?
        };
        store.migrate().await?;
        Ok(store)
    }

    /// With a trail to write to.
    #[must_use]
    pub fn with_log(mut self, log: Arc<dyn crate::Log>) -> Self {
        self.log = Some(log);
        self
    }

    fn sqlite(url: &str) -> Result<Self, StoreError> {
        let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
        let options = SqliteConnectOptions::from_str(&format!("sqlite://{path}?mode=rwc"))
            .map_err(unreadable)?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            // Rows that wait for who reads them: with fewer, the two threads spend their time waking each other.
            .row_buffer_size(500)
            // What is deleted or overwritten is not to be found in free pages.
            .pragma("secure_delete", "ON")
            .pragma("cache_size", "-8192")
            // An import's transactions change pages all over the indices: written back less often, most are written back once for several.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        if !path.contains(":memory:") {
            keep_private(&options.get_filename().display().to_string());
        }
        let open = |connections: u32, wait: u64| {
            let pool = SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(wait))
                .idle_timeout(Duration::from_hours(1))
                .connect_lazy_with(options.clone());
            Connections::Sqlite(pool)
        };
        // One writer: what others wait for, a deadline would only make them ask again.
        let (write, read) = (open(1, 30), open(4, 10));
        let pool = |connections: &Connections, deadline| Pool {
            connections: connections.clone(),
            deadline,
            may_idle: false,
            turn: None,
        };
        let patient = Pool {
            turn: Some(Arc::new(Semaphore::new(1))),
            ..pool(&write, PATIENT_DEADLINE)
        };
        Ok(Self {
            write: Conn::Pool(pool(&write, PATIENT_DEADLINE)),
            read: Conn::Pool(pool(&read, DEADLINE)),
            slow: (patient, pool(&read, PATIENT_DEADLINE)),
            log: None,
        })
    }

    fn postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(unreadable)?;
        let options = options.disable_statement_logging();
        let quick = postgres_pool(&options, 16, DEADLINE, IDLE);
        let slow = postgres_pool(&options, 4, PATIENT_DEADLINE, PATIENT_IDLE);
        Ok(Self {
            write: Conn::Pool(quick.clone()),
            read: Conn::Pool(quick),
            slow: (slow.clone(), slow),
            log: None,
        })
    }

    /// The same database for background work: its statements may take minutes, and it has connections of its own on PostgreSQL. Within a
    /// transaction it stays the transaction.
    #[must_use]
    pub fn patient(&self) -> Self {
        let Conn::Pool(_) = &self.write else {
            return self.clone();
        };
        Self {
            write: Conn::Pool(self.slow.0.clone()),
            read: Conn::Pool(self.slow.1.clone()),
            ..self.clone()
        }
    }

    /// The same database over connections that nobody had before. Those of PostgreSQL live and die with the thread that opened them, so
    /// what is done after a server's threads are gone needs its own.
    #[must_use]
    pub fn afresh(&self) -> Self {
        let mut store = self.clone();
        if let Conn::Pool(Pool {
            connections: Connections::Postgres(pool),
            ..
        }) = &self.write
        {
            let new = pool
                .options()
                .clone()
                .connect_lazy_with((*pool.connect_options()).clone());
            let pool = Conn::Pool(Pool {
                connections: Connections::Postgres(new),
                deadline: DEADLINE,
                may_idle: false,
                turn: None,
            });
            store.write = pool.clone();
            store.read = pool;
        }
        store
    }

    /// The connections of the pool that writes, for what the driver or the schema's steps do by themselves.
    pub(crate) fn connections(&self) -> Result<&Connections, StoreError> {
        match &self.write {
            Conn::Pool(pool) => Ok(&pool.connections),
            Conn::Within(_) => Err(StoreError::Damaged("not within a transaction".to_owned())),
        }
    }

    /// Over a connection of its own, for which nothing is bounded: a step may rewrite a large table, and servers wait for each other.
    async fn migrate(&self) -> Result<(), StoreError> {
        let connection: DatabaseConnection = match self.connections()? {
            Connections::Postgres(pool) => {
                let unbounded = [
                    "statement_timeout",
                    "lock_timeout",
                    "idle_in_transaction_session_timeout",
                ];
                let options = (*pool.connect_options()).clone();
                let options = options.options(unbounded.map(|setting| (setting, "0")));
                SqlxPostgresConnector::from_sqlx_postgres_pool(one_connection().connect_lazy_with(options))
            }
            Connections::Sqlite(pool) => {
                let options = (*pool.connect_options()).clone().busy_timeout(PATIENT_DEADLINE);
                SqlxSqliteConnector::from_sqlx_sqlite_pool(one_connection().connect_lazy_with(options))
            }
        };
        let migrated = crate::migrate::migrate(&connection).await;
        connection.close().await?;
        migrated
    }

    /// Whether the database is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.write.get_database_backend() == DbBackend::Postgres
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// [`StoreError`] where there is none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Writes SQLite's log back into the database and empties it, where it has grown: under load there is always somebody who reads, and what is
    /// read keeps the log from being used anew. Writers wait for it, shortly.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn write_log_back(&self) -> Result<(), StoreError> {
        /// Bytes from which on the log is emptied, and from which on that may take longer.
        const GROWN: u64 = 64 << 20;
        const HUGE: u64 = 512 << 20;
        let Connections::Sqlite(pool) = self.connections()? else {
            return Ok(());
        };
        let options = (*pool.connect_options()).clone();
        let mut log = options.get_filename().to_path_buf().into_os_string();
        log.push("-wal");
        let size = std::fs::metadata(&log).map_or(0, |file| file.len());
        if size < GROWN {
            return Ok(());
        }
        let wait = Duration::from_millis(if size < HUGE { 100 } else { 1000 });
        let failed = |error| StoreError::from(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
        let mut connection = options.busy_timeout(wait).connect().await.map_err(failed)?;
        // Most of it beside the writers, the rest before them. Where readers are in the way, the next try may find none.
        for step in ["PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            connection.execute(step).await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)
    }

    /// Lets the database gather what its planner goes by, where that has changed much.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn optimize(&self) -> Result<(), StoreError> {
        // Bounded samples of tables that changed: https://www.sqlite.org/pragma.html#pragma_optimize
        let sql = if self.is_postgres() {
            "ANALYZE"
        } else {
            "PRAGMA optimize = 0x10002"
        };
        self.write.execute_unprepared(sql).await?;
        Ok(())
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match &self.write {
            Conn::Pool(pool) => pool.begin().await?,
            Conn::Within(tx) => tx.begin().await?,
        })
    }

    /// The store as one state of the database: what is read through it does not change, until it is dropped. Within a transaction it stays
    /// the transaction.
    pub(crate) async fn snapshot(&self) -> Result<Self, StoreError> {
        let Conn::Pool(pool) = &self.read else {
            return Ok(self.clone());
        };
        let tx = Arc::new(pool.begin_to_read().await?);
        Ok(Self {
            read: Conn::Within(tx),
            ..self.clone()
        })
    }

    /// Does several things as one: all of it is there when it comes back, or nothing is. What is given to the closure writes and reads
    /// within the transaction, and nothing else may be asked of the store meanwhile.
    ///
    /// # Errors
    /// Those of the closure, and [`StoreError`] where the database fails.
    pub async fn together<T, E, F, Fut>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        let open = self.open().await?;
        let done = work(open.store()).await?;
        open.commit().await?;
        Ok(done)
    }

    /// Opens a transaction by hand: what is done through its store is undone where it is dropped without a commit.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn open(&self) -> Result<OpenTransaction, StoreError> {
        let tx = Arc::new(self.begin().await?);
        let within = Self {
            write: Conn::Within(tx.clone()),
            read: Conn::Within(tx.clone()),
            ..self.clone()
        };
        Ok(OpenTransaction { within, tx })
    }
}

/// A transaction that is open.
#[derive(Debug)]
pub struct OpenTransaction {
    within: Store,
    tx: Arc<Transaction>,
}

impl OpenTransaction {
    /// The store within the transaction.
    #[must_use]
    pub fn store(&self) -> Store {
        self.within.clone()
    }

    /// Makes its changes durable, or part of the transaction around it.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails, or somebody still holds the store within the transaction.
    pub async fn commit(self) -> Result<(), StoreError> {
        drop(self.within);
        let tx = Arc::try_unwrap(self.tx);
        let tx = tx.map_err(|_| StoreError::Damaged("a transaction is still in use".to_owned()))?;
        Ok(tx.commit().await?)
    }
}

/// A pool whose connections are asked for a sign of life after they rested, and whose server ends what takes too long.
fn postgres_pool(options: &PgConnectOptions, connections: u32, deadline: Duration, idle: Duration) -> Pool {
    let milliseconds = |time: Duration| time.as_millis().to_string();
    let options = options.clone().options([
        ("statement_timeout", milliseconds(deadline)),
        ("lock_timeout", milliseconds(deadline.min(DEADLINE))),
        ("idle_in_transaction_session_timeout", milliseconds(idle)),
        // Where the client's host is gone without a word, its locks go too.
        ("tcp_keepalives_idle", "5".to_owned()),
        ("tcp_keepalives_interval", "2".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(2))
        .test_before_acquire(false)
        .before_acquire(|connection, rested| {
            Box::pin(async move {
                if rested.idle_for < REST {
                    return Ok(true);
                }
                let answer = tokio::time::timeout(PROBE, connection.ping()).await;
                answer.unwrap_or_else(|_| Err(Error::Io(std::io::ErrorKind::TimedOut.into())))?;
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    Pool {
        connections: Connections::Postgres(pool),
        deadline,
        may_idle: idle > IDLE,
        turn: None,
    }
}

/// Lets nobody but its owner read a database: its file and what stands beside it, before anything is written. Where that cannot be, opening it
/// says why.
fn keep_private(path: &str) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut options = std::fs::OpenOptions::new();
    let _ = options.create(true).append(true).mode(0o600).open(path);
    for beside in ["", "-wal", "-shm"] {
        let _ = std::fs::set_permissions(format!("{path}{beside}"), std::fs::Permissions::from_mode(0o600));
    }
}

fn one_connection<DB: Database>() -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(10))
}

fn unreadable(error: Error) -> StoreError {
    StoreError::Database(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}
