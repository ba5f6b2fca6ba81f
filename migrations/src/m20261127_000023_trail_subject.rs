//! People whom an entry of the trail concerns beside who acted: only their tokens, by which requests find them.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("trail_subject")
            .uuid(&["subject_id"])
            .big(&["idx"])
            .primary(&["subject_id", "idx"])
            .reference("subject_id", "subject")
            .index(&["idx"])
            .create(manager)
            .await
    }
}
