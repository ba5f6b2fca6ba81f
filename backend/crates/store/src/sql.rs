//! Raw statements that run on both databases: `?` becomes `$1`, `$2`, … for PostgreSQL.

use crate::StoreError;
use sea_orm::{ConnectionTrait, DbBackend, ExecResult, QueryResult, Statement, TryGetable, Value};

/// A statement with its values.
pub(crate) fn statement(backend: DbBackend, sql: &str, values: Vec<Value>) -> Statement {
    let sql = if backend == DbBackend::Postgres {
        numbered(sql)
    } else {
        sql.to_owned()
    };
    Statement::from_sql_and_values(backend, sql, values)
}

fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 32);
    let mut n = 0;
    for c in sql.chars() {
        if c == '?' {
            n += 1;
            out.push('$');
            out.push_str(&n.to_string());
        } else {
            out.push(c);
        }
    }
    out
}

/// Runs a statement.
pub(crate) async fn run(db: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Result<ExecResult, StoreError> {
    Ok(db
        .execute_raw(statement(db.get_database_backend(), sql, values))
        .await?)
}

/// All rows of a query.
pub(crate) async fn rows(
    db: &impl ConnectionTrait,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    Ok(db
        .query_all_raw(statement(db.get_database_backend(), sql, values))
        .await?)
}

/// The first row of a query.
pub(crate) async fn row(
    db: &impl ConnectionTrait,
    sql: &str,
    values: Vec<Value>,
) -> Result<Option<QueryResult>, StoreError> {
    Ok(db
        .query_one_raw(statement(db.get_database_backend(), sql, values))
        .await?)
}

/// A column by name.
pub(crate) fn column<T: TryGetable>(row: &QueryResult, name: &str) -> Result<T, StoreError> {
    Ok(row.try_get("", name)?)
}

/// `(?, ?, …), (?, ?, …), …`.
pub(crate) fn tuples(columns: usize, rows: usize) -> String {
    let one = format!("({})", vec!["?"; columns].join(", "));
    vec![one; rows].join(", ")
}

/// `?, ?, …`.
pub(crate) fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Text without NUL, which PostgreSQL cannot hold.
pub(crate) fn clean(text: &str) -> String {
    cleaned(text.to_owned())
}

/// The same, of a text that is given away.
pub(crate) fn cleaned(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}
