//! What is sealed under the installation's key, row by row, so that it can be sealed anew.

use crate::sql::{column, rows, run};
use crate::{Store, StoreError};
use sea_orm::{QueryResult, Value};
use uuid::Uuid;

/// A column that holds sealed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// Data keys of people.
    Subject,
    /// Keys that sign the trail.
    TrailKey,
    /// Whose requests are.
    Request,
    /// Proofs of consent.
    Consent,
    /// The emergency administrator's authenticator.
    BreakGlass,
    /// Refresh tokens of sessions.
    Session,
    /// Secrets that sign what processors are told.
    Processor,
    /// What processors are still to be told.
    Notice,
    /// Answers kept for retries.
    Answer,
}

/// What tells rows apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedId {
    /// An id.
    Uuid(Uuid),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Sealed {
    /// Every such column.
    pub const ALL: [Self; 9] = [
        Self::Subject,
        Self::TrailKey,
        Self::Request,
        Self::Consent,
        Self::BreakGlass,
        Self::Session,
        Self::Processor,
        Self::Notice,
        Self::Answer,
    ];

    /// Table, key and column.
    const fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Subject => ("subject", "id", "wrapped"),
            Self::TrailKey => ("trail_key", "from_size", "sealed"),
            Self::Request => ("privacy_request", "id", "identifier"),
            Self::Consent => ("consent", "id", "proof"),
            Self::BreakGlass => ("break_glass", "id", "secret"),
            Self::Session => ("session", "hash", "refresh"),
            Self::Processor => ("processor", "id", "secret"),
            Self::Notice => ("processor_notice", "id", "body"),
            Self::Answer => ("idempotency", "id", "answer"),
        }
    }

    fn id(self, row: &QueryResult) -> Result<SealedId, StoreError> {
        Ok(match self {
            Self::Subject | Self::Request | Self::Consent | Self::Processor | Self::Notice => {
                SealedId::Uuid(column(row, "id")?)
            }
            Self::TrailKey => SealedId::Number(column(row, "id")?),
            Self::BreakGlass | Self::Session | Self::Answer => SealedId::Text(column(row, "id")?),
        })
    }
}

impl From<SealedId> for Value {
    fn from(id: SealedId) -> Self {
        match id {
            SealedId::Uuid(id) => id.into(),
            SealedId::Number(id) => id.into(),
            SealedId::Text(id) => id.into(),
        }
    }
}

impl Store {
    /// Rows with sealed bytes, behind the one that is named.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn sealed(
        &self,
        kind: Sealed,
        after: Option<SealedId>,
        limit: u64,
    ) -> Result<Vec<(SealedId, Vec<u8>)>, StoreError> {
        let (table, key, sealed) = kind.place();
        let behind = after.as_ref().map_or_else(String::new, |_| format!("AND {key} > ?"));
        let sql = format!(
            "SELECT {key} AS id, {sealed} AS sealed FROM {table} WHERE {sealed} IS NOT NULL {behind} ORDER BY {key} LIMIT {limit}"
        );
        let found = rows(&self.read, &sql, after.into_iter().map(Value::from).collect()).await?;
        found
            .iter()
            .map(|row| Ok((kind.id(row)?, column(row, "sealed")?)))
            .collect()
    }

    /// Puts bytes that were sealed anew in the place of those that were; false where they were changed or taken away meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn reseal(&self, kind: Sealed, id: SealedId, was: Vec<u8>, now: Vec<u8>) -> Result<bool, StoreError> {
        let (table, key, sealed) = kind.place();
        let sql = format!("UPDATE {table} SET {sealed} = ? WHERE {key} = ? AND {sealed} = ?");
        let done = run(&self.write, &sql, vec![now.into(), id.into(), was.into()]).await?;
        Ok(done.rows_affected() == 1)
    }
}
