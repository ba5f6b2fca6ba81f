//! Indices for what pages, jobs and sign-in look up all day.

use crate::table::index;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Table and columns.
const INDICES: [(&str, &[&str]); 19] = [
    ("audit_event", &["project_id", "action_key", "at"]),
    ("audit_event", &["project_id", "risk", "at"]),
    ("checks", &["tool", "rule"]),
    ("finding", &["project_id", "severity", "id"]),
    ("finding", &["project_id", "asset_id", "severity", "id"]),
    ("finding", &["project_id", "check_id", "severity", "id"]),
    ("import", &["original_id"]),
    ("job", &["kind", "id"]),
    ("membership", &["person_id"]),
    ("membership", &["project_id"]),
    ("membership", &["provider", "member_of"]),
    ("scan", &["import_id"]),
    ("session", &["provider"]),
    ("subject", &["former_lookup"]),
    ("subject", &["restricted_until"]),
    ("token", &["person_id"]),
    ("token", &["project_id"]),
    ("trail_entry", &["action", "idx"]),
    ("trail_entry", &["project_id", "action", "idx"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, columns) in INDICES {
            index(manager, table, columns).await?;
        }
        Ok(())
    }
}
