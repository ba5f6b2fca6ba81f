//! What columns hold as text or code, read back. What cannot be read is an error that names table, row and column: an empty value in its
//! place would mean something.

use crate::sql::{column, row};
use crate::{Scoped, Store, StoreError};
use affiant_domain::Severity;
use affiant_domain::matching::State;
use sea_orm::Value;
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

/// The words of columns that hold one of several.
pub(crate) const WAIVER_STATES: [&str; 4] = ["requested", "approved", "refused", "revoked"];
pub(crate) const ATTESTED: [&str; 3] = ["effective", "partially_effective", "ineffective"];
pub(crate) const RISKS: [&str; 4] = ["LOW", "MEDIUM", "HIGH", "CRITICAL"];

/// Whether a column holds one of the words that it may.
///
/// # Errors
/// [`StoreError::Damaged`] names table, row and column.
pub(crate) fn stored_word(
    (table, id, column): (&str, impl Display, &str),
    word: &str,
    known: &[&str],
) -> Result<(), StoreError> {
    if known.contains(&word) {
        return Ok(());
    }
    Err(damaged(
        table,
        id,
        format_args!("{column} holds the unknown word \"{word}\""),
    ))
}

/// Whether a column holds one of its words in every row of a project: a row with another would be passed over.
///
/// # Errors
/// [`StoreError::Damaged`] names table, row and column.
pub(crate) async fn words_in(
    scoped: Scoped<'_>,
    (table, name): (&str, &str),
    known: &[&str],
) -> Result<(), StoreError> {
    let marks = crate::sql::marks(known.len());
    let sql =
        format!("SELECT id, {name} AS word FROM {table} WHERE project_id = ? AND {name} NOT IN ({marks}) LIMIT 1");
    let mut values: Vec<Value> = vec![scoped.project.0.into()];
    values.extend(known.iter().map(|word| Value::from(*word)));
    match row(&scoped.store.read, &sql, values).await? {
        Some(found) => {
            let (id, word): (uuid::Uuid, String) = (column(&found, "id")?, column(&found, "word")?);
            stored_word((table, id, name), &word, known)
        }
        None => Ok(()),
    }
}

/// Columns that must hold numbers, by table: those that decide which period a row belongs to, who may see it and when it is deleted.
const NUMBERS: [(&str, &[&str]); 12] = [
    ("finding", &["opened_at", "recorded_at"]),
    ("transition", &["at", "recorded_at"]),
    ("scan", &["completed_at", "recorded_at"]),
    ("result", &["observed_at", "recorded_at"]),
    ("import", &["recorded_at", "state", "visible_at"]),
    ("asset", &["first_seen_at", "recorded_at", "is_settled"]),
    ("asset_scope", &["at", "recorded_at", "in_scope"]),
    ("requirement_scope", &["at", "recorded_at", "applicable"]),
    ("attestation", &["from_at", "until_at", "recorded_at", "revoked_at"]),
    ("waiver", &["from_at", "until_at", "decided_at", "revoked_at"]),
    ("audit_event", &["at", "recorded_at", "keep_until", "payload_until"]),
    ("legal_hold", &["created_at", "from_at", "until_at", "released_at"]),
];

/// Whether the columns of [`NUMBERS`] hold numbers in every row of these tables, or nothing where they may; of one project where one is
/// given. SQLite takes any value in any column, and compares a text as greater than every number: a row with one would be passed over. Each
/// table has an index over the rows that are wrong, so that this reads none that is right. PostgreSQL has types.
///
/// # Errors
/// [`StoreError::Damaged`] names table, row and column.
pub(crate) async fn numbers_in(
    store: &Store,
    project: Option<affiant_domain::id::ProjectId>,
    tables: &[&str],
) -> Result<(), StoreError> {
    if store.is_postgres() {
        return Ok(());
    }
    for (table, columns) in NUMBERS.iter().filter(|(table, _)| tables.contains(table)) {
        let wrong = columns
            .iter()
            .map(|name| format!("typeof({name}) NOT IN ('integer', 'null')"));
        let names = columns
            .iter()
            .map(|name| format!("WHEN typeof({name}) NOT IN ('integer', 'null') THEN '{name}'"));
        let sql = format!(
            "SELECT CASE typeof(id) WHEN 'blob' THEN hex(id) ELSE CAST(id AS text) END AS id, CASE {} END AS name \
             FROM {table} INDEXED BY ix_{table}_no_number WHERE ({}){} LIMIT 1",
            names.collect::<Vec<_>>().join(" "),
            wrong.collect::<Vec<_>>().join(" OR "),
            if project.is_some() { " AND project_id = ?" } else { "" }
        );
        let values = project.map(|project| project.0.into()).into_iter().collect();
        if let Some(found) = row(&store.read, &sql, values).await? {
            let (id, name): (String, String) = (column(&found, "id")?, column(&found, "name")?);
            let id = uuid::Uuid::try_parse(&id).map_or(id, |id| id.to_string());
            return Err(damaged(table, id, format_args!("{name} holds no number")));
        }
    }
    Ok(())
}

/// Whether every legal hold can be read and leads to its project and person: one that cannot would hold nothing.
///
/// # Errors
/// [`StoreError::Damaged`] where one cannot.
pub(crate) async fn holds_are_whole(store: &Store) -> Result<(), StoreError> {
    numbers_in(store, None, &["legal_hold"]).await?;
    // One that ends before it begins, or was released before it was made, would hold nothing.
    let sql = "SELECT id FROM legal_hold WHERE released_at < created_at OR until_at < from_at LIMIT 1";
    if let Some(found) = row(&store.read, sql, Vec::new()).await? {
        return Err(damaged(
            "legal_hold",
            column::<uuid::Uuid>(&found, "id")?,
            "it ends before it begins",
        ));
    }
    let sql = "SELECT 1 AS one FROM legal_hold h WHERE NOT EXISTS (SELECT 1 FROM project p WHERE p.id = h.project_id) \
               OR (h.subject_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM subject s WHERE s.id = h.subject_id)) LIMIT 1";
    match row(&store.read, sql, Vec::new()).await? {
        Some(_) => Err(damaged("legal_hold", "(some row)", "its project or subject is missing")),
        None => Ok(()),
    }
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
