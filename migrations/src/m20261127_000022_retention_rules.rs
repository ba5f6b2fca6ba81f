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
        index(manager, "audit_event", &["project_id", "payload_until"]).await?;
        // What is stored has no ceilings yet: the next run gives it its dates before it lets anything go.
        let columns = ["id", "tag", "reason", "actor", "at_least", "changed_at", "pending"].map(Alias::new);
        let reason = "Where no tag says anything: as the rule that asks for least";
        let values = [
            "ret-untagged".into(),
            "".into(),
            reason.into(),
            "migration".into(),
            12_i64.into(),
            0_i64.into(),
            true.into(),
        ];
        let insert = Query::insert()
            .into_table(Alias::new("retention_rule"))
            .columns(columns)
            .values_panic(values)
            .to_owned();
        manager.execute(insert).await
    }
}
