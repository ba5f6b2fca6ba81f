//! Processors with their contracts, what they are told of requests, and breaches with their clock.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("processor")
            .uuid(&["id"])
            .text(&["name", "services", "country", "webhook_url", "actor"])
            .bytes_null(&["secret"])
            .big(&["contract_at", "review_at", "created_at"])
            .big_null(&["ended_at"])
            .primary(&["id"])
            .create(manager)
            .await?;
        table("processor_notice")
            .uuid(&["id", "request_id", "processor_id"])
            .text(&["state", "answer"])
            .int(&["attempts"])
            .bytes_null(&["body"])
            .big(&["next_at", "created_at"])
            .big_null(&["sent_at", "answered_at"])
            .primary(&["id"])
            .reference("request_id", "privacy_request")
            .reference("processor_id", "processor")
            .unique(&["request_id", "processor_id"])
            .index(&["state", "next_at"])
            .create(manager)
            .await?;
        table("breach")
            .uuid(&["id"])
            .text(&["title", "what_happened", "late_because", "actor"])
            .boolean(&["high_risk"])
            .big(&["affected", "aware_at", "created_at"])
            .big_null(&["authority_told_at", "people_told_at", "closed_at"])
            .primary(&["id"])
            .create(manager)
            .await
    }
}
