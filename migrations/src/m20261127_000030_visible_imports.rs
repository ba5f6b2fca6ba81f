//! Imports that are written in many small transactions and become visible by a change of their own row: an import has a state and the
//! instant from which it counts, an asset that only such imports tell of is theirs until one of them is visible, and a project has a clock
//! that never stands still, by which "known at" and "visible from" are told apart.

use crate::table::{add, index, table};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What is there is visible since it was recorded. One import at a time is on its way into a part of an asset.
const STATEMENTS: [&str; 4] = [
    "UPDATE import SET visible_at = recorded_at",
    "UPDATE project SET known_at = coalesce((SELECT max(i.recorded_at) FROM import i WHERE i.project_id = project.id), 0)",
    "CREATE UNIQUE INDEX ix_import_unsettled ON import (asset_id, part) WHERE state <> 0",
    "CREATE INDEX ix_import_project_unsettled ON import (project_id, state) WHERE state <> 0",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new;
        add(
            manager,
            "project",
            column("known_at").big_integer().not_null().default(0),
        )
        .await?;
        add(
            manager,
            "asset",
            column("is_settled").boolean().not_null().default(true),
        )
        .await?;
        add(manager, "import", column("state").small_integer().not_null().default(0)).await?;
        add(
            manager,
            "import",
            column("visible_at").big_integer().not_null().default(0),
        )
        .await?;
        add(
            manager,
            "import",
            column("lease_until").big_integer().not_null().default(0),
        )
        .await?;
        add(manager, "import", column("process").uuid().null()).await?;
        table("asset_import")
            .uuid(&["asset_id", "import_id"])
            .big(&["at"])
            .primary(&["asset_id", "import_id"])
            .reference("asset_id", "asset")
            .index(&["import_id"])
            .create(manager)
            .await?;
        for sql in STATEMENTS {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        index(manager, "import", &["project_id", "visible_at"]).await?;
        index(manager, "transition", &["scan_id", "finding_id"]).await
    }
}
