//! By which token or in which session a token or a membership was made: what made it takes it along when it is revoked.

use crate::table::{add, index};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["token", "membership"] {
            let mut by_token = ColumnDef::new("by_token");
            add(manager, table, by_token.uuid().null()).await?;
            let mut by_session = ColumnDef::new("by_session");
            add(manager, table, by_session.text().not_null().default("")).await?;
            index(manager, table, &["by_token"]).await?;
            index(manager, table, &["by_session"]).await?;
        }
        Ok(())
    }
}
