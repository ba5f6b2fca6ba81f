//! Daily work: which slot of each job was begun last, and whether it ended, so that each is done once over all servers and none is missed.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("daily_run")
            .text(&["job"])
            .big(&["slot", "attempt", "lease_until"])
            .big_null(&["finished_at"])
            .primary(&["job"])
            .create(manager)
            .await
    }
}
