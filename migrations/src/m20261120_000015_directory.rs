//! What a directory tells by SCIM: people with their standing, and groups. And who looks after a waiver now.

use crate::table::{add, index, table};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["external_id", "user_name", "standing", "profile"] {
            let mut column = ColumnDef::new(Alias::new(column));
            add(manager, "person", column.text().not_null().default("")).await?;
        }
        index(manager, "person", &["issuer", "external_id"]).await?;
        table("directory_group")
            .uuid(&["id"])
            .text(&["issuer", "external_id", "name"])
            .big(&["created_at", "changed_at"])
            .primary(&["id"])
            .unique(&["issuer", "name"])
            .create(manager)
            .await?;
        table("directory_member")
            .uuid(&["group_id", "person_id"])
            .primary(&["group_id", "person_id"])
            .reference("group_id", "directory_group")
            .reference("person_id", "person")
            .index(&["person_id"])
            .create(manager)
            .await?;
        // Of one directory, one identity is one person.
        let once = "CREATE UNIQUE INDEX ix_person_told ON person (issuer, external_id) WHERE standing <> '' AND external_id <> ''";
        manager.get_connection().execute_unprepared(once).await?;
        let mut owner = ColumnDef::new("owner");
        add(manager, "waiver", owner.text().not_null().default("")).await?;
        let own = "UPDATE waiver SET owner = requested_by";
        manager.get_connection().execute_unprepared(own).await.map(|_| ())
    }
}
