//! Connections. SQLite has one writer and several readers; PostgreSQL one pool.

use affiant_migrations::{Migrator, MigratorTrait};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, SqliteTransactionMode, SqlxPostgresConnector, Statement, TransactionOptions, TransactionTrait,
};
use std::sync::Arc;
use std::time::Duration;

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) write: Conn,
    pub(crate) read: Conn,
    pub(crate) log: Option<Arc<dyn crate::Log>>,
}

/// Where statements go: a pool, or a transaction that is open.
#[derive(Clone, Debug)]
pub(crate) enum Conn {
    Pool(DatabaseConnection),
    Within(Arc<DatabaseTransaction>),
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
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or is full.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A fault of the database or of a query.
    #[error("the database failed: {0}")]
    Database(DbErr),
    /// Something that must come once is there already.
    #[error("{0}")]
    Conflict(String),
    /// What is stored cannot be read.
    #[error("what is stored is damaged: {0}")]
    Damaged(String),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        let text = error.to_string();
        let lower = text.to_lowercase();
        const AWAY: [&str; 8] = [
            "connection refused",
            "timed out",
            "timeout",
            "pool",
            "broken pipe",
            "database or disk is full",
            "terminating connection",
            "starting up",
        ];
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable(text),
            _ if AWAY.iter().any(|word| lower.contains(word)) => Self::Unavailable(text),
            _ => Self::Database(error),
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
            Self::sqlite(url).await?
        } else {
            Self::postgres(url).await?
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

    async fn sqlite(url: &str) -> Result<Self, StoreError> {
        let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
        let open = |connections: u32| {
            let mut options = ConnectOptions::new(format!("sqlite://{path}?mode=rwc"));
            options
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(30))
                .idle_timeout(Duration::from_secs(3600))
                .sqlx_logging(false)
                .map_sqlx_sqlite_opts(|sqlite| {
                    sqlite
                        .journal_mode(SqliteJournalMode::Wal)
                        .synchronous(SqliteSynchronous::Full)
                        .foreign_keys(true)
                        .busy_timeout(Duration::from_secs(10))
                        // What is deleted or overwritten is not to be found in free pages.
                        .pragma("secure_delete", "ON")
                        .pragma("cache_size", "-8192")
                        .pragma("temp_store", "MEMORY")
                });
            Database::connect(options)
        };
        Ok(Self {
            write: Conn::Pool(open(1).await?),
            read: Conn::Pool(open(4).await?),
            log: None,
        })
    }

    async fn postgres(url: &str) -> Result<Self, StoreError> {
        let mut options = ConnectOptions::new(url.to_owned());
        options
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(2))
            .sqlx_logging(false)
            .map_sqlx_postgres_opts(|postgres| {
                // A server that sleeps inside a transaction holds the trail's head: it is fenced off, and nothing of it is kept.
                postgres.options([("idle_in_transaction_session_timeout", "30000")])
            });
        let pool = Database::connect(options).await?;
        Ok(Self {
            write: Conn::Pool(pool.clone()),
            read: Conn::Pool(pool),
            log: None,
        })
    }

    /// The same database over connections that nobody had before. Those of PostgreSQL live and die with the thread that opened them, so
    /// what is done after a server's threads are gone needs its own.
    #[must_use]
    pub fn afresh(&self) -> Self {
        let mut store = self.clone();
        if let (true, Conn::Pool(pool)) = (self.is_postgres(), &self.write) {
            let old = pool.get_postgres_connection_pool();
            let new = old
                .options()
                .clone()
                .connect_lazy_with((*old.connect_options()).clone());
            let pool = Conn::Pool(SqlxPostgresConnector::from_sqlx_postgres_pool(new));
            store.write = pool.clone();
            store.read = pool;
        }
        store
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let Conn::Pool(pool) = &self.write else {
            return Err(StoreError::Damaged(
                "a schema is not changed within a transaction".to_owned(),
            ));
        };
        if self.is_postgres() {
            // Several servers may start at once: the first one migrates.
            let lock = pool.begin().await?;
            lock.execute_unprepared("SELECT pg_advisory_xact_lock(7215190)").await?;
            Migrator::up(pool, None).await?;
            lock.commit().await?;
        } else {
            Migrator::up(pool, None).await?;
        }
        Ok(())
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

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(match &self.write {
            Conn::Pool(pool) => pool.begin_with_options(options).await?,
            Conn::Within(tx) => tx.begin().await?,
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
        let tx = Arc::new(self.begin().await?);
        let within = Self {
            write: Conn::Within(tx.clone()),
            read: Conn::Within(tx.clone()),
            log: self.log.clone(),
        };
        let done = work(within).await?;
        let tx = Arc::try_unwrap(tx).map_err(|_| StoreError::Damaged("a transaction is still in use".to_owned()))?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(done)
    }
}
