//! Audit events. What names a person stands in a table of its own.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("audit_event")
            .uuid(&["id", "project_id"])
            .uuid_null(&["asset_id"])
            .text(&[
                "source",
                "event_key",
                "agent",
                "action",
                "action_key",
                "resource",
                "outcome",
                "risk",
                "reasons",
            ])
            .text(&["tags", "categories", "payloads", "detail"])
            .boolean(&["is_processing"])
            .big(&["at", "recorded_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .unique(&["project_id", "source", "event_key"])
            .index(&["project_id", "at"])
            .create(manager)
            .await?;
        table("audit_event_person")
            .uuid(&["event_id"])
            .text(&["user_name", "source_ip"])
            .primary(&["event_id"])
            .create(manager)
            .await
    }
}
