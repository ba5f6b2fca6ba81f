//! Rows of a database that is not ours, read page by page behind a cursor, in a transaction that can change nothing.

use crate::StoreError;
use crate::sql::column;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseTransaction, DbBackend, Statement, TransactionTrait, Value,
};
use std::time::Duration;

/// A query over a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct ForeignQuery {
    /// The query, a `SELECT` without `ORDER BY` and `LIMIT`.
    pub query: String,
    /// The column that orders the rows and only grows.
    pub cursor: String,
    /// Its type: `bigint`, `timestamptz` or `text`.
    pub cursor_type: String,
}

/// A row, as a JSON object, with the value of its cursor.
#[derive(Clone, Debug)]
pub struct ForeignRow {
    /// The JSON object.
    pub json: String,
    /// The cursor's value.
    pub cursor: String,
}

/// Reads the rows behind a cursor, at most so many.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or refuses the query.
pub async fn foreign_rows(
    url: &str,
    wanted: &ForeignQuery,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ForeignRow>, StoreError> {
    let mut options = ConnectOptions::new(url.to_owned());
    options
        .max_connections(1)
        .connect_timeout(Duration::from_secs(10))
        .sqlx_logging(false);
    let db = Database::connect(options).await?;
    let tx = db.begin().await?;
    let read = page(&tx, wanted, after, limit).await;
    let _ = tx.rollback().await;
    let _ = db.close().await;
    read
}

async fn page(
    tx: &DatabaseTransaction,
    wanted: &ForeignQuery,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ForeignRow>, StoreError> {
    tx.execute_unprepared("SET TRANSACTION READ ONLY").await?;
    tx.execute_unprepared("SET LOCAL statement_timeout = '60s'").await?;
    let ForeignQuery {
        query,
        cursor,
        cursor_type,
    } = wanted;
    let query = query.trim().trim_end_matches(';');
    let behind = after.map_or_else(String::new, |_| format!("WHERE q.\"{cursor}\" > ($1)::{cursor_type} "));
    let sql = format!(
        "SELECT row_to_json(q)::text AS json, (q.\"{cursor}\")::text AS cursor FROM ({query}) q {behind}ORDER BY q.\"{cursor}\" LIMIT {limit}"
    );
    let values: Vec<Value> = after.map(|after| after.to_owned().into()).into_iter().collect();
    let found = tx
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let read = found.iter().map(|row| {
        Ok(ForeignRow {
            json: column(row, "json")?,
            cursor: column(row, "cursor")?,
        })
    });
    read.collect()
}
