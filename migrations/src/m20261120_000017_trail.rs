//! The trail: its entries with what is sealed beside them, the tree over them, checkpoints and keys; and the people whom they concern.

use crate::table::table;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("trail_head")
            .small(&["id"])
            .bytes(&["frontier"])
            .primary(&["id"])
            .create(manager)
            .await?;
        table("trail_entry")
            .big(&["idx", "at"])
            .uuid_null(&["project_id", "record_id", "subject_id"])
            .text(&["action", "outcome", "leaf"])
            .bytes(&["hash"])
            .bytes_null(&["sealed"])
            .small(&["state"])
            .primary(&["idx"])
            .index(&["record_id"])
            .index(&["project_id", "idx"])
            .index(&["subject_id"])
            .create(manager)
            .await?;
        table("trail_node")
            .small(&["level"])
            .big(&["idx"])
            .bytes(&["hash"])
            .primary(&["level", "idx"])
            .create(manager)
            .await?;
        table("trail_checkpoint")
            .big(&["size", "at"])
            .text(&["note"])
            .primary(&["size", "at"])
            .create(manager)
            .await?;
        table("trail_key")
            .big(&["from_size", "created_at"])
            .text(&["public"])
            .bytes(&["sealed"])
            .primary(&["from_size"])
            .create(manager)
            .await?;
        table("subject")
            .uuid(&["id"])
            .text_null(&["lookup"])
            .bytes_null(&["wrapped"])
            .big(&["created_at"])
            .big_null(&["erased_at"])
            .primary(&["id"])
            .unique(&["lookup"])
            .create(manager)
            .await?;
        // What stood there in clear stands sealed in the trail from here on.
        for gone in ["audit_event_person", "action"] {
            manager
                .drop_table(Table::drop().table(Alias::new(gone)).to_owned())
                .await?;
        }
        // A tree without leaves.
        let mut first = Query::insert();
        first
            .into_table(Alias::new("trail_head"))
            .columns([Alias::new("id"), Alias::new("frontier")])
            .values_panic([1.into(), vec![0_u8; 8].into()]);
        manager.execute(first).await
    }
}
