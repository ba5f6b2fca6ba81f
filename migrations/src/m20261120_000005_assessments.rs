//! Assessments, the schedules that make them, reports, and jobs.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("catalogue")
            .text(&["digest"])
            .bytes(&["body"])
            .big(&["recorded_at"])
            .primary(&["digest"])
            .create(manager)
            .await?;
        table("assessment")
            .uuid(&["id", "project_id"])
            .uuid_null(&["schedule_id"])
            .text(&[
                "framework",
                "version",
                "catalogue_digest",
                "evidence_digest",
                "origin",
                "actor",
            ])
            .big(&["as_of", "recorded_at"])
            .big_null(&["slot"])
            .double_null(&["score", "score_raw"])
            .double(&["coverage", "low", "high"])
            .bytes(&["body"])
            .primary(&["id"])
            .reference("project_id", "project")
            .index(&["project_id", "framework", "as_of"])
            .create(manager)
            .await?;
        table("schedule")
            .uuid(&["id", "project_id"])
            .text(&["framework", "cron", "zone"])
            .boolean(&["enabled"])
            .big(&["since_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .unique(&["project_id", "framework"])
            .create(manager)
            .await?;
        table("schedule_fire")
            .uuid(&["schedule_id", "job_id"])
            .big(&["slot", "fired_at"])
            .int(&["missed"])
            .primary(&["schedule_id", "slot"])
            .create(manager)
            .await?;
        table("job")
            .uuid(&["id"])
            .uuid_null(&["project_id"])
            .text(&["kind", "payload", "state", "result"])
            .int(&["attempt"])
            .big(&["created_at", "done", "total", "lease_until"])
            .primary(&["id"])
            .index(&["state", "created_at"])
            .create(manager)
            .await?;
        table("report")
            .uuid(&["id"])
            .uuid_null(&["project_id"])
            .text(&["framework", "digest", "actor"])
            .big(&["start_at", "end_at", "recorded_at"])
            .bytes(&["body"])
            .primary(&["id"])
            .index(&["project_id", "recorded_at"])
            .create(manager)
            .await
    }
}
