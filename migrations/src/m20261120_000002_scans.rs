//! Imports, the scans in them, and the originals.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("checks")
            .serial("id")
            .text(&["digest", "tool", "rule", "body"])
            .unique(&["digest"])
            .create(manager)
            .await?;
        table("checklist")
            .text(&["digest", "body"])
            .primary(&["digest"])
            .create(manager)
            .await?;
        table("original")
            .uuid(&["id", "project_id"])
            .text(&["digest"])
            .boolean(&["gzip"])
            .big(&["size", "created_at"])
            .primary(&["id"])
            .create(manager)
            .await?;
        table("original_chunk")
            .uuid(&["original_id"])
            .int(&["n"])
            .big(&["start"])
            .bytes(&["body"])
            .primary(&["original_id", "n"])
            .create(manager)
            .await?;
        table("import")
            .uuid(&["id", "project_id", "asset_id"])
            .uuid_null(&["original_id"])
            .text(&["part", "mode", "format", "format_version", "digest", "actor", "result"])
            .big(&["size", "completed_at", "recorded_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .reference("asset_id", "asset")
            .index(&["project_id", "recorded_at"])
            .index(&["asset_id", "part", "recorded_at"])
            .create(manager)
            .await?;
        table("scan_scope")
            .serial("id")
            .uuid(&["project_id", "asset_id"])
            .uuid_null(&["latest_import_id"])
            .text(&["tool", "part"])
            .big_null(&["latest_at"])
            .reference("asset_id", "asset")
            .unique(&["asset_id", "tool", "part"])
            .index(&["project_id"])
            .create(manager)
            .await?;
        table("scan")
            .uuid(&["id", "import_id", "project_id", "asset_id"])
            .big(&["scope_id", "completed_at", "recorded_at"])
            .text(&["tool", "tool_version", "checklist"])
            .primary(&["id"])
            .reference("import_id", "import")
            .index(&["project_id", "asset_id", "tool", "checklist", "completed_at"])
            .index(&["scope_id", "completed_at"])
            .create(manager)
            .await?;
        table("result")
            .serial("id")
            .uuid(&["project_id", "scan_id", "asset_id"])
            .big(&["check_id", "observed_at", "recorded_at"])
            .small(&["outcome"])
            .int(&["count"])
            .index(&["project_id", "asset_id", "check_id", "outcome", "observed_at"])
            .index(&["scan_id"])
            .create(manager)
            .await
    }
}
