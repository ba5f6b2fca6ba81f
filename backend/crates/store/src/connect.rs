//! Connections. SQLite has one writer and several readers; PostgreSQL one pool.

use affiant_migrations::{Migrator, MigratorTrait};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use std::sync::Arc;
use std::time::Duration;

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) write: DatabaseConnection,
    pub(crate) read: DatabaseConnection,
    pub(crate) log: Option<Arc<dyn crate::Log>>,
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
                        .pragma("cache_size", "-8192")
                        .pragma("temp_store", "MEMORY")
                });
            Database::connect(options)
        };
        Ok(Self {
            write: open(1).await?,
            read: open(4).await?,
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
            write: pool.clone(),
            read: pool,
            log: None,
        })
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        if self.is_postgres() {
            // Several servers may start at once: the first one migrates.
            let lock = self.write.begin().await?;
            lock.execute_unprepared("SELECT pg_advisory_xact_lock(7215190)").await?;
            Migrator::up(&self.write, None).await?;
            lock.commit().await?;
        } else {
            Migrator::up(&self.write, None).await?;
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
        Ok(self.write.begin_with_options(options).await?)
    }
}
