//! Tokens that can do less than their role, and whose they are.

use crate::table::add;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            ColumnDef::new("person_id").uuid().null(),
            ColumnDef::new("scopes").text().not_null().default(""),
            ColumnDef::new("subject").text().not_null().default(""),
        ] {
            add(manager, "token", column).await?;
        }
        Ok(())
    }
}
