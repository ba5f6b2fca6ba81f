//! The whole database as a stream, and back. A SQLite database is its file, compacted; a PostgreSQL database is its tables in the binary form
//! of `COPY`, as they were at one instant.

use crate::connection::Connections;
use crate::migrate::STEPS;
use crate::sql::{column, rows};
use crate::{Store, StoreError};
use futures::TryStreamExt;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{AssertSqlSafe, Connection, Row};
use sea_orm::{ConnectionTrait, DbErr};
use std::io::{Read, Write};
use std::path::Path;

/// Bytes of one frame at most.
const FRAME: u32 = 64 << 20;

/// Why a backup was not made or brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It does not fit.
    #[error("{0}")]
    Unfit(String),
}

impl From<sea_orm::sqlx::Error> for BackupError {
    fn from(error: sea_orm::sqlx::Error) -> Self {
        Self::Store(DbErr::Custom(error.to_string()).into())
    }
}

impl From<DbErr> for BackupError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// The name of the last step of the schema that was applied.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn schema(&self) -> Result<String, StoreError> {
        let sql = format!("SELECT version FROM {STEPS} ORDER BY version DESC LIMIT 1");
        let found = rows(&self.read, &sql, Vec::new()).await?;
        found
            .first()
            .map_or_else(|| Ok(String::new()), |row| column(row, "version"))
    }

    /// Whether nothing was ever recorded here.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn is_new(&self) -> Result<bool, StoreError> {
        for table in ["project", "trail_entry", "person"] {
            if !rows(&self.read, &format!("SELECT 1 AS one FROM {table} LIMIT 1"), Vec::new())
                .await?
                .is_empty()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a copy of a SQLite database, as it is at this instant and without free pages, to a file that is not there yet.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.display().to_string().replace('\'', "''");
        self.read.execute_unprepared(&format!("VACUUM INTO '{path}'")).await?;
        Ok(())
    }

    /// Writes all tables of a PostgreSQL database, as they are at one instant.
    ///
    /// # Errors
    /// [`BackupError`] where the database or the writer fails.
    pub async fn dump(&self, out: &mut (dyn Write + Send)) -> Result<(), BackupError> {
        let mut connection = self.apart().await?;
        let mut tx = connection
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        for (table, columns) in tables(&mut tx).await? {
            frame(out, b'T', format!("{table} ({columns})").as_bytes())?;
            let sql = format!("COPY {table} ({columns}) TO STDOUT (FORMAT binary)");
            let mut bytes = tx.copy_out_raw(&sql).await?;
            while let Some(chunk) = bytes.try_next().await? {
                frame(out, b'D', &chunk)?;
            }
            frame(out, b'E', b"")?;
        }
        tx.rollback().await?;
        Ok(())
    }

    /// Reads all tables into a PostgreSQL database in which nothing was recorded yet: all of them, or none.
    ///
    /// # Errors
    /// [`BackupError`] where the database or the reader fails, or the tables do not fit.
    pub async fn bring_back(&self, from: &mut (dyn Read + Send)) -> Result<(), BackupError> {
        let mut connection = self.apart().await?;
        let mut tx = connection.begin().await?;
        let known = tables(&mut tx).await?;
        let names: Vec<&str> = known.iter().map(|(table, _)| table.as_str()).collect();
        // What a server writes when it starts.
        let empty = format!("TRUNCATE {}", names.join(", "));
        sea_orm::sqlx::raw_sql(AssertSqlSafe(empty)).execute(&mut *tx).await?;
        while let Some((kind, bytes)) = unframe(from)? {
            let head = String::from_utf8_lossy(&bytes).into_owned();
            let fits = known
                .iter()
                .any(|(table, columns)| head == format!("{table} ({columns})"));
            if kind != b'T' || !fits {
                let what =
                    "the backup's tables are not those of this version: restore it with the version that made it";
                return Err(BackupError::Unfit(what.to_owned()));
            }
            let mut copy = tx
                .copy_in_raw(&format!("COPY {head} FROM STDIN (FORMAT binary)"))
                .await?;
            loop {
                match unframe(from)? {
                    Some((b'D', bytes)) => {
                        copy.send(bytes).await?;
                    }
                    Some((b'E', _)) => break,
                    _ => return Err(BackupError::Unfit("the backup is cut".to_owned())),
                }
            }
            copy.finish().await?;
        }
        for table in names {
            advance(&mut tx, table).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// A connection of its own.
    async fn apart(&self) -> Result<PgConnection, BackupError> {
        let Connections::Postgres(pool) = self.patient().connections()?.clone() else {
            return Err(BackupError::Unfit("the database is not PostgreSQL".to_owned()));
        };
        // It idles while its client writes.
        let options = (*pool.connect_options()).clone();
        let options = options.options([("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")]);
        Ok(PgConnection::connect_with(&options).await?)
    }
}

/// The tables with their columns, those that others refer to first.
async fn tables(tx: &mut PgConnection) -> Result<Vec<(String, String)>, BackupError> {
    let all = sea_orm::sqlx::query(
        "SELECT t.table_name::text AS name, string_agg(quote_ident(c.column_name), ', ' ORDER BY c.ordinal_position) AS columns \
         FROM information_schema.tables t JOIN information_schema.columns c USING (table_schema, table_name) \
         WHERE t.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND t.table_name <> $1 GROUP BY 1 ORDER BY 1",
    )
    // It comes with the schema and not with a backup.
    .bind(STEPS)
    .fetch_all(&mut *tx)
    .await?;
    let references = sea_orm::sqlx::query(
        "SELECT DISTINCT a.relname::text AS of, b.relname::text AS needs FROM pg_constraint k \
         JOIN pg_class a ON a.oid = k.conrelid JOIN pg_class b ON b.oid = k.confrelid \
         WHERE k.contype = 'f' AND a.oid <> b.oid AND k.connamespace = current_schema()::regnamespace",
    )
    .fetch_all(&mut *tx)
    .await?;
    let references: Vec<(String, String)> = references.iter().map(|row| (row.get("of"), row.get("needs"))).collect();
    let mut waiting: Vec<(String, String)> = all.iter().map(|row| (row.get("name"), row.get("columns"))).collect();
    let mut sorted: Vec<(String, String)> = Vec::new();
    while !waiting.is_empty() {
        let ready = |(name, _): &(String, String)| {
            let mut needed = references.iter().filter(|(of, _)| of == name);
            needed.all(|(_, needs)| sorted.iter().any(|(done, _)| done == needs))
        };
        let Some(at) = waiting.iter().position(ready) else {
            return Err(BackupError::Unfit("tables refer to each other in a circle".to_owned()));
        };
        let next = waiting.remove(at);
        sorted.push(next);
    }
    Ok(sorted
        .into_iter()
        .map(|(name, columns)| (format!("\"{name}\""), columns))
        .collect())
}

/// Numbers that the database gives go on behind those that came.
async fn advance(tx: &mut PgConnection, table: &str) -> Result<(), BackupError> {
    let name = table.trim_matches('"');
    let serial = "SELECT column_name::text AS name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 \
                  AND (is_identity = 'YES' OR column_default LIKE 'nextval(%')";
    for row in sea_orm::sqlx::query(serial).bind(name).fetch_all(&mut *tx).await? {
        let column: String = row.get("name");
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), greatest((SELECT coalesce(max(\"{column}\"), 0) FROM {table}), 1))"
        );
        sea_orm::sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await?;
    }
    Ok(())
}

fn frame(out: &mut (dyn Write + Send), kind: u8, bytes: &[u8]) -> std::io::Result<()> {
    for part in bytes.chunks(FRAME as usize).chain(bytes.is_empty().then_some(bytes)) {
        out.write_all(&[kind])?;
        out.write_all(&u32::try_from(part.len()).unwrap_or(FRAME).to_be_bytes())?;
        out.write_all(part)?;
    }
    Ok(())
}

fn unframe(from: &mut (dyn Read + Send)) -> std::io::Result<Option<(u8, Vec<u8>)>> {
    let mut kind = [0];
    if from.read(&mut kind)? == 0 {
        return Ok(None);
    }
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length).min(FRAME);
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(Some((kind[0], bytes)))
}
