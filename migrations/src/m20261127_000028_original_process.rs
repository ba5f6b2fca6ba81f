//! Which process keeps an original: one that no import names, and whose process ended, was left behind.

use crate::table::add;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut process = ColumnDef::new("process");
        add(manager, "original", process.uuid().null()).await
    }
}
