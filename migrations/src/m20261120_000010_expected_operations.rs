//! The register of operations that agents are expected to record.

use crate::table::{index, table};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("expected_operation")
            .uuid(&["id", "project_id"])
            .text(&["agent", "action", "actor"])
            .big(&["within_seconds", "created_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .unique(&["project_id", "agent", "action"])
            .create(manager)
            .await?;
        index(manager, "audit_event", &["project_id", "agent", "action", "at"]).await
    }
}
