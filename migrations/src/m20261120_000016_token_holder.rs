//! The client certificate to which a token is bound.

use crate::table::add;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut holder = ColumnDef::new("holder");
        add(manager, "token", holder.text().not_null().default("")).await
    }
}
