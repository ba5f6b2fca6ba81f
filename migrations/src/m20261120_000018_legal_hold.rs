//! Legal holds: what is under one is neither purged nor erased.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("legal_hold")
            .uuid(&["id", "project_id"])
            .uuid_null(&["subject_id"])
            .text(&["reason", "actor"])
            .big(&["created_at"])
            .big_null(&["from_at", "until_at", "released_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .index(&["project_id"])
            .create(manager)
            .await?;
        crate::table::index(manager, "audit_event", &["project_id", "keep_until"]).await
    }
}
