//! What the servers know of the clock: the last sign of life that was written, and whether the clock is under suspicion.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("clock")
            .small(&["id"])
            .big(&["heartbeat_at"])
            .text(&["suspicion"])
            .big_null(&["suspected_at"])
            .primary(&["id"])
            .create(manager)
            .await?;
        let mut only = Query::insert();
        only.into_table(Alias::new("clock"))
            .columns(["id", "heartbeat_at", "suspicion"].map(Alias::new))
            .values_panic([1.into(), 0_i64.into(), "".into()]);
        manager.execute(only).await
    }
}
