//! A group is a provider's: the same name at another is another group. Groups that were given roles before belong to no provider, and count for none
//! until an administrator gives them anew.

use crate::table::add;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add(
            manager,
            "membership",
            ColumnDef::new("provider").text().not_null().default(""),
        )
        .await
    }
}
