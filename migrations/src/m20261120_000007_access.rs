//! Who may do what: links, sessions, tokens; and answers kept for retries.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("sign_in_link")
            .text(&["hash", "name", "role"])
            .big(&["expires_at"])
            .big_null(&["used_at"])
            .primary(&["hash"])
            .create(manager)
            .await?;
        table("session")
            .text(&["hash", "name", "role", "csrf"])
            .big(&["created_at", "expires_at"])
            .primary(&["hash"])
            .create(manager)
            .await?;
        table("token")
            .uuid(&["id"])
            .uuid_null(&["project_id"])
            .text(&["name", "prefix", "hash", "role", "actor"])
            .big(&["created_at", "expires_at"])
            .big_null(&["last_used_at", "revoked_at"])
            .primary(&["id"])
            .unique(&["hash"])
            .create(manager)
            .await?;
        table("idempotency")
            .text(&["owner", "key", "request", "content_type"])
            .int(&["status"])
            .bytes(&["body"])
            .big(&["created_at"])
            .primary(&["owner", "key"])
            .create(manager)
            .await
    }
}
