//! When a project's jobs were served last: projects take turns. And a project's reports in the order in which they are listed.

use crate::table::index;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        index(manager, "job", &["project_id", "lease_until"]).await?;
        index(manager, "report", &["project_id", "id"]).await
    }
}
