//! Changes of the schema: killed at any moment they leave a database that opens, and servers that start together do not disturb each other.

use crate::server::{affiant, assert_trail_verifies, binary};
use sea_orm::{ConnectionTrait, Database};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn start_migration(data: &Path, database: Option<&str>) -> Child {
    let mut command = Command::new(binary());
    command.args(["migrate", "--data"]).arg(data);
    if let Some(url) = database {
        command.args(["--database-url", url]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn assert_opens(data: &Path, database: Option<&str>, after: &str) {
    let (code, told) = affiant(data, database, &["migrate"], &[]);
    assert_eq!(code, Some(0), "{after}: {told}");
    assert_trail_verifies(data, database, after);
}

/// A whole migration takes so long on this machine, in milliseconds.
fn duration_of_migration(database: Option<&str>) -> u64 {
    let data = TempDir::new().unwrap();
    let begun = Instant::now();
    assert!(start_migration(data.path(), database).wait().unwrap().success());
    u64::try_from(begun.elapsed().as_millis()).unwrap().max(50)
}

async fn killed_on(database: impl AsyncFn() -> Option<String>) {
    const KILLS: u64 = 16;
    let whole = duration_of_migration(database().await.as_deref());
    for n in 0..KILLS {
        let (data, database) = (TempDir::new().unwrap(), database().await);
        let mut child = start_migration(data.path(), database.as_deref());
        let wait = whole * (n + 1) / (KILLS + 1);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_opens(
            data.path(),
            database.as_deref(),
            &format!("killed after {wait} of {whole} ms"),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_migration_leaves_a_sqlite_database_that_opens() {
    killed_on(async || None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_migration_leaves_a_postgres_database_that_opens() {
    if crate::server::postgres().await.is_some() {
        killed_on(crate::server::postgres).await;
    }
}

async fn together_on(database: Option<String>) {
    let data = TempDir::new().unwrap();
    let mut all: Vec<Child> = (0..4)
        .map(|_| start_migration(data.path(), database.as_deref()))
        .collect();
    for child in &mut all {
        assert!(child.wait().unwrap().success());
    }
    assert_opens(data.path(), database.as_deref(), "four at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_together_wait_for_each_other_on_sqlite() {
    together_on(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_together_wait_for_each_other_on_postgres() {
    if let Some(url) = crate::server::postgres().await {
        together_on(Some(url)).await;
    }
}

async fn newer_on(database: Option<String>) {
    let data = TempDir::new().unwrap();
    assert!(
        start_migration(data.path(), database.as_deref())
            .wait()
            .unwrap()
            .success()
    );
    let sqlite = format!("sqlite://{}", data.path().join("affiant.sqlite").display());
    let db = Database::connect(database.clone().unwrap_or(sqlite)).await.unwrap();
    let step = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)";
    db.execute_unprepared(step).await.unwrap();
    let (code, told) = affiant(data.path(), database.as_deref(), &["migrate"], &[]);
    assert_eq!(code, Some(3), "{told}");
    assert!(
        told.contains("m29990101_000001_later") && told.contains("newer version"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn older_program_on_a_newer_schema_says_what_to_do_on_sqlite() {
    newer_on(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_program_on_a_newer_schema_says_what_to_do_on_postgres() {
    if let Some(url) = crate::server::postgres().await {
        newer_on(Some(url)).await;
    }
}
