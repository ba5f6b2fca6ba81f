//! The text of findings, to be searched: SQLite by its own full-text index over trigrams, PostgreSQL by trigrams, or by words where the
//! extension cannot be made. It is filled behind each import, which is not held up by it.

use crate::table::{add, index, table};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What is deleted leaves nothing in the index. Whatever letters a search has, their case does not count.
const SQLITE: [&str; 5] = [
    "CREATE VIRTUAL TABLE finding_search USING fts5(body, content='finding_text', content_rowid='n', tokenize='trigram')",
    "INSERT INTO finding_search(finding_search, rank) VALUES('secure-delete', 1)",
    "CREATE TRIGGER finding_text_added AFTER INSERT ON finding_text BEGIN \
     INSERT INTO finding_search(rowid, body) VALUES (new.n, new.body); END",
    "CREATE TRIGGER finding_text_deleted AFTER DELETE ON finding_text BEGIN \
     INSERT INTO finding_search(finding_search, rowid, body) VALUES ('delete', old.n, old.body); END",
    "CREATE TRIGGER finding_text_changed AFTER UPDATE ON finding_text BEGIN \
     INSERT INTO finding_search(finding_search, rowid, body) VALUES ('delete', old.n, old.body); \
     INSERT INTO finding_search(rowid, body) VALUES (new.n, new.body); END",
];

/// The extension is one that an owner of the database may make; where it is not there, words are searched.
const POSTGRES: &str = "DO $$ BEGIN \
    BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm; \
    EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN NULL; END; \
    IF EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm') THEN \
        CREATE INDEX ix_finding_text_body ON finding_text USING gin (body gin_trgm_ops); \
    ELSE \
        CREATE INDEX ix_finding_text_body ON finding_text USING gin (to_tsvector('simple', body)); \
    END IF; END $$";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table("finding_text")
            .serial("n")
            .uuid(&["finding_id", "project_id"])
            .text(&["body"])
            .unique(&["finding_id"])
            .create(manager)
            .await?;
        let connection = manager.get_connection();
        match manager.get_database_backend() {
            DbBackend::Postgres => {
                connection.execute_unprepared(POSTGRES).await?;
            }
            _ => {
                for sql in SQLITE {
                    connection.execute_unprepared(sql).await?;
                }
            }
        }
        let mut searchable = ColumnDef::new("is_searchable");
        add(manager, "import", searchable.boolean().not_null().default(false)).await?;
        index(manager, "import", &["is_searchable", "recorded_at"]).await?;
        index(manager, "finding", &["import_id", "id"]).await
    }
}
