//! Requests of data subjects, and when what is restricted goes.

use crate::table::{add, table};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("privacy_request")
            .uuid(&["id"])
            .uuid_null(&["subject_id"])
            .text(&[
                "kind",
                "state",
                "handlers",
                "approver",
                "proof",
                "reason",
                "ground",
                "plan",
                "done",
                "outcome",
                "certificate",
            ])
            .bytes_null(&["identifier"])
            .big(&["received_at", "created_at", "paused"])
            .big_null(&["extended_at", "closed_at"])
            .primary(&["id"])
            .index(&["state"])
            .create(manager)
            .await?;
        let mut former = ColumnDef::new("former_lookup");
        add(manager, "subject", former.text().null()).await?;
        let mut restricted = ColumnDef::new("restricted_until");
        add(manager, "subject", restricted.big_integer().null()).await
    }
}
