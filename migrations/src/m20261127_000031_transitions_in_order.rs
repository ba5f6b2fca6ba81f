//! The changes of a project's findings in the order in which they are read for a score: finding by finding, so that none of them is held.

use crate::table::index;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        index(manager, "transition", &["project_id", "finding_id", "at"]).await?;
        let connection = manager.get_connection();
        connection
            .execute_unprepared("DROP INDEX ix_transition_finding_id")
            .await?;
        Ok(())
    }
}
