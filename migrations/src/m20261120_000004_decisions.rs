//! What people decide: waivers and attestations.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("waiver")
            .uuid(&["id", "project_id", "finding_id"])
            .text(&["kind", "reason", "requested_by", "state"])
            .text_null(&["decided_by", "revoked_by"])
            .big(&["from_at", "until_at", "requested_at"])
            .big_null(&["decided_at", "revoked_at"])
            .primary(&["id"])
            .reference("finding_id", "finding")
            .index(&["project_id", "state"])
            .index(&["finding_id"])
            .create(manager)
            .await?;
        table("attestation")
            .uuid(&["id", "project_id"])
            .text(&["control", "outcome", "statement", "evidence", "actor"])
            .big(&["from_at", "until_at", "recorded_at"])
            .big_null(&["revoked_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .index(&["project_id", "control"])
            .create(manager)
            .await
    }
}
