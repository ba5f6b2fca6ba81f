//! Brings the schema up to date: all of its steps, or none, one server at a time.

use crate::StoreError;
use affiant_migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};

/// The table that the steps are noted in.
pub(crate) const STEPS: &str = "seaql_migrations";
/// The lock that a server holds on PostgreSQL while it changes the schema.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7215190)";

/// Applies the steps that are missing. `database` has one connection, without deadlines.
///
/// A server that is killed leaves the schema as it was: SQLite and PostgreSQL both undo changes of the schema with their transaction.
pub(crate) async fn migrate(database: &DatabaseConnection) -> Result<(), StoreError> {
    // Most starts find nothing to do, and need not wait for whoever writes.
    if missing_steps(database).await? == 0 {
        return Ok(());
    }
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = database.begin_with_options(options).await?;
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared(LOCK).await?;
    }
    apply(tx).await
}

async fn apply(tx: DatabaseTransaction) -> Result<(), StoreError> {
    // Another server may have been first.
    if missing_steps(&tx).await? > 0 {
        Migrator::up(&tx, None).await?;
    }
    Ok(tx.commit().await?)
}

/// How many steps the schema lacks.
async fn missing_steps(database: &impl ConnectionTrait) -> Result<usize, StoreError> {
    let applied = applied_steps(database).await?;
    let steps = Migrator::migrations();
    let is_known = |name: &String| steps.iter().any(|step| step.name() == name);
    if let Some(newer) = applied.iter().find(|name| !is_known(name)) {
        return Err(StoreError::NewerSchema(newer.clone()));
    }
    Ok(steps.len() - applied.len())
}

async fn applied_steps(database: &impl ConnectionTrait) -> Result<Vec<String>, StoreError> {
    let backend = database.get_database_backend();
    let exists = match backend {
        DbBackend::Postgres => format!("SELECT 1 AS one WHERE to_regclass('{STEPS}') IS NOT NULL"),
        _ => format!("SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = '{STEPS}'"),
    };
    let exists = database.query_one_raw(Statement::from_string(backend, exists)).await?;
    if exists.is_none() {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT version FROM {STEPS}");
    let found = database.query_all_raw(Statement::from_string(backend, sql)).await?;
    found.iter().map(|row| Ok(row.try_get("", "version")?)).collect()
}
