//! What is known of a finding beside its rule: the package, the score, the mask and keyed hash of a secret, and the group of findings by
//! which several tools tell one issue. Fingerprints that an older reader gave stay linked to their findings.

use crate::table::{add, index, table};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add(
            manager,
            "finding",
            ColumnDef::new("package").text().not_null().default(""),
        )
        .await?;
        add(
            manager,
            "finding",
            ColumnDef::new("secret").text().not_null().default(""),
        )
        .await?;
        add(manager, "finding", ColumnDef::new("cvss").double().null()).await?;
        add(manager, "finding", ColumnDef::new("group_key").blob().null()).await?;
        index(manager, "finding", &["project_id", "group_key"]).await?;
        table("fingerprint_link")
            .serial("id")
            .uuid(&["project_id", "finding_id"])
            .bytes(&["old", "new"])
            .small(&["old_version", "new_version"])
            .big(&["recorded_at"])
            .index(&["finding_id"])
            .create(manager)
            .await
    }
}
