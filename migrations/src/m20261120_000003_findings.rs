//! Findings and what became of them. A row keeps how it began; every later change is a transition, and nothing is overwritten but the
//! present state, which could be told from the transitions.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("finding")
            .uuid(&["id", "project_id", "asset_id", "import_id"])
            .big(&["scope_id", "check_id", "opened_at", "recorded_at", "changed_at"])
            .bytes(&["fingerprint"])
            .int(&["occurrence", "line", "place_length"])
            .big(&["place_offset", "place_line"])
            .small(&[
                "fingerprint_version",
                "first_state",
                "first_severity",
                "state",
                "severity",
            ])
            .text(&["title", "message", "location", "suppression"])
            .primary(&["id"])
            .unique(&["scope_id", "fingerprint", "occurrence"])
            .index(&["project_id", "state", "severity", "id"])
            // Assessments count findings from this index alone.
            .index(&[
                "project_id",
                "asset_id",
                "check_id",
                "first_severity",
                "first_state",
                "opened_at",
                "recorded_at",
            ])
            .create(manager)
            .await?;
        table("transition")
            .serial("id")
            .uuid(&["project_id", "finding_id", "scan_id"])
            .big(&["at", "recorded_at"])
            .small(&["state", "severity"])
            .index(&["finding_id"])
            .index(&["project_id", "at"])
            .create(manager)
            .await
    }
}
