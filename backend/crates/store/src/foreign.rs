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

/// Where a page begins.
#[derive(Clone, Copy, Debug)]
pub enum Behind<'c> {
    /// At the first row.
    Nothing,
    /// Behind a row.
    Row(&'c str),
    /// A little before a row: numbers and times are given before they are seen by others.
    ALittleBefore(&'c str),
}

/// Reads the rows behind a cursor, at most so many.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or refuses the query.
pub async fn foreign_rows(
    url: &str,
    wanted: &ForeignQuery,
    after: Behind<'_>,
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
    after: Behind<'_>,
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
    let back = match cursor_type.as_str() {
        "bigint" => " - 1000",
        "timestamptz" => " - interval '5 minutes'",
        _ => "",
    };
    let (behind, values): (String, Vec<Value>) = match after {
        Behind::Nothing => (String::new(), Vec::new()),
        Behind::Row(at) => (
            format!("AND q.\"{cursor}\" > ($1)::{cursor_type} "),
            vec![at.to_owned().into()],
        ),
        Behind::ALittleBefore(at) => (
            format!("AND q.\"{cursor}\" > ($1)::{cursor_type}{back} "),
            vec![at.to_owned().into()],
        ),
    };
    // By itself first: a query whose brackets, quotes or comments are open would take what stands around it, the cursor and the limit, away.
    let alone = Statement::from_string(DbBackend::Postgres, format!("EXPLAIN (FORMAT TEXT) {query}"));
    tx.query_all_raw(alone).await?;
    let sql = format!(
        "SELECT row_to_json(q)::text AS json, (q.\"{cursor}\")::text AS cursor FROM (\n{query}\n) q WHERE q.\"{cursor}\" IS NOT NULL \
         {behind}ORDER BY q.\"{cursor}\" LIMIT {}",
        u64::from(limit) + 1
    );
    let found = tx
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let read = found.iter().map(|row| {
        Ok(ForeignRow {
            json: column(row, "json")?,
            cursor: column(row, "cursor")?,
        })
    });
    whole(read.collect::<Result<_, StoreError>>()?, limit)
}

/// A page without the rows that share the cursor of the one behind it: they come with that one. Rows that all share one have no place to go on.
fn whole(mut rows: Vec<ForeignRow>, limit: u32) -> Result<Vec<ForeignRow>, StoreError> {
    if rows.len() <= limit as usize {
        return Ok(rows);
    }
    let Some(next) = rows.pop() else { return Ok(rows) };
    rows.retain(|row| row.cursor != next.cursor);
    if rows.is_empty() {
        let what = format!(
            "more than {limit} rows share the cursor {}: name a column that tells them apart",
            next.cursor
        );
        return Err(StoreError::Damaged(what));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_between_two_cursors() {
        let rows = |cursors: &[&str]| -> Vec<ForeignRow> {
            let row = |cursor: &&str| ForeignRow {
                json: String::new(),
                cursor: (*cursor).to_owned(),
            };
            cursors.iter().map(row).collect()
        };
        let kept = |cursors: &[&str]| whole(rows(cursors), 3).map(|rows| rows.len()).ok();
        assert_eq!(kept(&["1", "2", "3"]), Some(3));
        assert_eq!(kept(&["1", "2", "3", "4"]), Some(3));
        assert_eq!(kept(&["1", "2", "2", "2"]), Some(1));
        assert_eq!(kept(&["2", "2", "2", "2"]), None);
    }
}
