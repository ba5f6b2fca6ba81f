//! The local administrator for emergencies: at most one.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("break_glass")
            .text(&["id", "password"])
            .bytes(&["secret"])
            .big(&["last_step", "failures", "locked_until", "created_at"])
            .primary(&["id"])
            .create(manager)
            .await
    }
}
