//! Consent by purpose, and the record of processing activities.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("consent")
            .uuid(&["id", "subject_id"])
            .text(&["purpose", "actor"])
            .bytes_null(&["proof"])
            .big(&["given_at"])
            .big_null(&["withdrawn_at"])
            .primary(&["id"])
            .reference("subject_id", "subject")
            .index(&["subject_id"])
            .create(manager)
            .await?;
        table("processing_activity")
            .uuid(&["id"])
            .text(&[
                "name",
                "purpose",
                "basis",
                "subjects",
                "categories",
                "recipients",
                "transfers",
                "retention",
                "measures",
                "actor",
            ])
            .big(&["created_at"])
            .big_null(&["ended_at"])
            .primary(&["id"])
            .create(manager)
            .await
    }
}
