//! Entities fit the migrated schema on both databases.

use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;

async fn run(url: String) {
    affiant_store::Store::connect(&url).await.unwrap();
    let db = Database::connect(url.replace("sqlite:", "sqlite://")).await.unwrap();
    for (table, columns) in affiant_store::entity::tables() {
        let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let sql = format!("SELECT {} FROM \"{table}\" WHERE 1 = 0", quoted.join(", "));
        db.execute_unprepared(&sql)
            .await
            .unwrap_or_else(|error| panic!("{table}: {error}"));
    }
}

#[tokio::test]
async fn on_sqlite() {
    let folder = TempDir::new().unwrap();
    run(format!("sqlite:{}", folder.path().join("s.sqlite").display())).await;
}

#[tokio::test]
async fn on_postgres() {
    if let Some(url) = crate::server::postgres().await {
        run(url).await;
    }
}
