//! Rules of retention that were changed, and until when what is personal in an event is kept, where that is shorter than the event.

use crate::table::{add, index, table};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("retention_rule")
            .text(&["id", "tag", "reason", "actor"])
            .big_null(&["at_least", "at_most"])
            .big(&["changed_at"])
            .boolean(&["pending"])
            .primary(&["id"])
            .create(manager)
            .await?;
        let mut until = ColumnDef::new("payload_until");
        add(manager, "audit_event", until.big_integer().null()).await?;
        let mut rule = ColumnDef::new("payload_rule");
        add(manager, "audit_event", rule.text().not_null().default("")).await?;
        index(manager, "audit_event", &["project_id", "payload_until"]).await
    }
}
