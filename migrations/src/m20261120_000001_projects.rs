//! Projects, their assets, and what is in scope since when.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("project")
            .uuid(&["id"])
            .text(&["slug", "name", "profiles"])
            .big(&["created_at"])
            .primary(&["id"])
            .unique(&["slug"])
            .create(manager)
            .await?;
        table("asset")
            .uuid(&["id", "project_id"])
            .text(&["key", "kind"])
            .boolean(&["named"])
            .big(&["first_seen_at", "recorded_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .unique(&["project_id", "key"])
            .create(manager)
            .await?;
        table("asset_scope")
            .serial("id")
            .uuid(&["project_id", "asset_id"])
            .text(&["framework", "reason", "actor"])
            .boolean(&["in_scope"])
            .big(&["at", "recorded_at"])
            .reference("asset_id", "asset")
            .index(&["project_id", "framework"])
            .create(manager)
            .await?;
        table("requirement_scope")
            .serial("id")
            .uuid(&["project_id"])
            .text(&["requirement", "reason", "actor"])
            .boolean(&["applicable"])
            .big(&["at", "recorded_at"])
            .reference("project_id", "project")
            .index(&["project_id", "requirement"])
            .create(manager)
            .await
    }
}
