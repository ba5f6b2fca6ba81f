//! People by issuer and subject, what they are members of, their sessions, and the log of what was done and refused.

use crate::table::{add, index, table};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("person")
            .uuid(&["id"])
            .text(&["issuer", "subject", "name", "email", "member_of"])
            .big(&["created_at", "seen_at"])
            .big_null(&["left_at"])
            .primary(&["id"])
            .unique(&["issuer", "subject"])
            .unique(&["name"])
            .create(manager)
            .await?;
        table("membership")
            .uuid(&["id"])
            .uuid_null(&["project_id", "person_id"])
            .text(&["role", "member_of", "frameworks", "actor"])
            .big(&["created_at"])
            .big_null(&["from_at", "until_at", "ends_at"])
            .primary(&["id"])
            .reference("project_id", "project")
            .reference("person_id", "person")
            .create(manager)
            .await?;
        for column in [
            ColumnDef::new("person_id").uuid().null(),
            ColumnDef::new("provider").text().not_null().default(""),
            ColumnDef::new("sid").text().not_null().default(""),
            ColumnDef::new("browser").text().not_null().default(""),
            ColumnDef::new("refresh").binary().null(),
            ColumnDef::new("seen_at").big_integer().not_null().default(0),
            ColumnDef::new("refreshed_at").big_integer().not_null().default(0),
        ] {
            add(manager, "session", column).await?;
        }
        index(manager, "session", &["person_id"]).await?;
        table("action")
            .uuid(&["id"])
            .uuid_null(&["project_id"])
            .text(&["actor", "kind", "detail"])
            .big(&["at"])
            .primary(&["id"])
            .index(&["at"])
            .create(manager)
            .await
    }
}
