//! What columns hold as text or code, read back. What cannot be read is an error that names table, row and column: an empty value in its
//! place would mean something.

use crate::StoreError;
use affiant_domain::Severity;
use affiant_domain::matching::State;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// A row whose column cannot be read.
pub fn damaged(table: &str, id: impl Display, what: impl Display) -> StoreError {
    StoreError::Damaged(format!("{table} {id}: {what}"))
}

/// A column that holds JSON.
///
/// # Errors
/// [`StoreError::Damaged`] names table, row and column.
pub fn stored_json<T: DeserializeOwned>(
    (table, id, column): (&str, impl Display, &str),
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(table, id, format_args!("{column} cannot be read: {error}")))
}

/// The state that a code of a finding or transition means.
///
/// # Errors
/// [`StoreError::Damaged`] names the row.
pub fn stored_state(id: impl Display, code: i16) -> Result<State, StoreError> {
    match code {
        0 => Ok(State::Open),
        1 => Ok(State::Closed),
        2 => Ok(State::Suppressed),
        other => Err(damaged("finding", id, format_args!("unknown state {other}"))),
    }
}

/// The severity that a rank of a finding or transition means.
///
/// # Errors
/// [`StoreError::Damaged`] names the row.
pub fn stored_severity(id: impl Display, rank: i16) -> Result<Severity, StoreError> {
    Severity::from_rank(rank).ok_or_else(|| damaged("finding", id, format_args!("unknown severity {rank}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_table_row_and_column() {
        let read: Result<Vec<String>, _> = stored_json(("membership", 7, "frameworks"), "[\"sox\"");
        let told = read.unwrap_err().to_string();
        assert!(told.contains("membership 7: frameworks"), "{told}");
        assert!(stored_state("f1", 3).unwrap_err().to_string().contains("finding f1"));
        assert!(stored_severity("f1", 6).is_err() && stored_severity("f1", -1).is_err());
    }
}
