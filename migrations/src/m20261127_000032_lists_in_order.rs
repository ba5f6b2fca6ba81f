//! Lists come out of an index in their whole order, also where thousands of events bear one instant; present states are counted in an index
//! alone; and what SQLite stored as a number and is none stands in an index of its own, so that it is looked for before each reading.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What is replaced, and by what.
const INDICES: [(&str, &str); 7] = [
    (
        "ix_assessment_project_id_framework_as_of",
        "ix_assessment_framework_latest ON assessment (project_id, framework, as_of, id)",
    ),
    (
        "ix_finding_project_id_group_key",
        "ix_finding_group ON finding (project_id, group_key, state, id)",
    ),
    (
        "ix_import_project_id_recorded_at",
        "ix_import_latest ON import (project_id, recorded_at, id)",
    ),
    (
        "ix_audit_event_project_id_at",
        "ix_audit_event_latest ON audit_event (project_id, at, id)",
    ),
    (
        "ix_audit_event_project_id_risk_at",
        "ix_audit_event_risk_latest ON audit_event (project_id, risk, at, id)",
    ),
    (
        "ix_transition_project_id_at",
        "ix_transition_changed ON transition (project_id, at, state)",
    ),
    (
        "ix_finding_project_id_asset_id_check_id_first_severity_first",
        "ix_finding_present ON finding (project_id, asset_id, check_id, severity, state, first_state, opened_at, recorded_at)",
    ),
];

/// What is new.
const NEW: [&str; 3] = [
    "ix_audit_event_processing ON audit_event (project_id, at) WHERE is_processing",
    "ix_assessment_latest ON assessment (project_id, as_of, id)",
    "ix_waiver_latest ON waiver (project_id, id)",
];

/// Columns that hold numbers, by table.
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

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for (old, new) in INDICES {
            connection.execute_unprepared(&format!("CREATE INDEX {new}")).await?;
            connection.execute_unprepared(&format!("DROP INDEX {old}")).await?;
        }
        for new in NEW {
            connection.execute_unprepared(&format!("CREATE INDEX {new}")).await?;
        }
        if manager.get_database_backend() == DbBackend::Sqlite {
            for (table, columns) in NUMBERS {
                let wrong = columns
                    .iter()
                    .map(|name| format!("typeof({name}) NOT IN ('integer', 'null')"));
                let wrong = wrong.collect::<Vec<_>>().join(" OR ");
                let sql = format!("CREATE INDEX ix_{table}_no_number ON {table} (id) WHERE {wrong}");
                connection.execute_unprepared(&sql).await?;
            }
        }
        Ok(())
    }
}
