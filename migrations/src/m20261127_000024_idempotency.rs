//! Answers kept for retries: a claim has a lease, and the answer is sealed. Answers of before are dropped with their table: they stood
//! there in clear, tokens among them.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let former = Table::drop().table(Alias::new("idempotency")).to_owned();
        manager.drop_table(former).await?;
        table("idempotency")
            .text(&["id", "request"])
            .big(&["attempt", "lease_until", "expires_at"])
            .int(&["status"])
            .boolean(&["is_personal"])
            .bytes_null(&["answer"])
            .primary(&["id"])
            .index(&["expires_at"])
            .create(manager)
            .await
    }
}
