//! Audit stores that are pulled: how each is reached, what of it was read, and where its record has gaps. Events get the date until which
//! they are kept.

use crate::table::{add, index, table};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add(
            manager,
            "audit_event",
            ColumnDef::new("keep_until").big_integer().not_null().default(0),
        )
        .await?;
        add(
            manager,
            "audit_event",
            ColumnDef::new("keep_rule").text().not_null().default(""),
        )
        .await?;
        index(manager, "audit_event", &["project_id", "source", "at"]).await?;
        table("source")
            .uuid(&["id", "project_id"])
            .text(&[
                "name",
                "kind",
                "settings",
                "format",
                "asset",
                "tags",
                "actor",
                "last_error",
            ])
            .boolean(&["enabled"])
            .big(&["every_seconds", "expected_seconds", "created_at", "next_at"])
            .big_null(&["last_run_at", "last_done_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .unique(&["project_id", "name"])
            .create(manager)
            .await?;
        table("source_object")
            .uuid(&["source_id"])
            .text(&["key", "version", "error"])
            .big(&["events", "size", "read_at"])
            .boolean(&["complete"])
            .primary(&["source_id", "key"])
            .create(manager)
            .await?;
        table("source_gap")
            .serial("id")
            .uuid(&["project_id"])
            .text(&["source", "reason"])
            .big(&["from_at", "until_at", "missing", "recorded_at"])
            .unique(&["project_id", "source", "from_at", "until_at"])
            .create(manager)
            .await
    }
}
