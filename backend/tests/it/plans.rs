//! Plans of queries: what pages and the API ask of large tables is found by an index, on both databases. The statements are those that the
//! server really sends, taken from its log.

use crate::server::{Server, sarif};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Tables that grow with use; a plan may not read one from end to end.
const LARGE: [&str; 22] = [
    "asset",
    "assessment",
    "audit_event",
    "finding",
    "fingerprint_link",
    "idempotency",
    "import",
    "job",
    "membership",
    "original",
    "original_chunk",
    "result",
    "scan",
    "scan_scope",
    "schedule_fire",
    "session",
    "source_gap",
    "source_object",
    "subject",
    "token",
    "trail_entry",
    "transition",
];

/// Tables of which a list shows every row.
const SHOWN_WHOLE: [&str; 2] = ["membership", "token"];

/// Pages and answers that people and programs ask for all day.
const ASKED: [&str; 31] = [
    "/",
    "/p/payments",
    "/p/payments/findings",
    "/p/payments/findings?severity=high",
    "/p/payments/findings?q=unsanitised",
    "/p/payments/findings?tool=semgrep&state=open",
    "/p/payments/findings?asset=repo:shop",
    "/p/payments/frameworks/pci-dss",
    "/p/payments/imports",
    "/p/payments/assessments",
    "/p/payments/sources",
    "/p/payments/reports",
    "/people",
    "/privacy",
    "/trail",
    "/api/v1/projects",
    "/api/v1/projects/payments/findings",
    "/api/v1/projects/payments/findings?state=open&severity=critical",
    "/api/v1/projects/payments/findings?tool=semgrep&rule=sql",
    "/api/v1/projects/payments/findings?asset=repo:shop",
    "/api/v1/projects/payments/audit-events",
    "/api/v1/projects/payments/audit-events?risk=HIGH",
    "/api/v1/projects/payments/audit-events?from=2026-11-01T00:00:00Z&until=2026-12-01T00:00:00Z",
    "/api/v1/projects/payments/scans",
    "/api/v1/projects/payments/assessments",
    "/api/v1/projects/payments/assets",
    "/api/v1/projects/payments/waivers",
    "/api/v1/reports",
    "/api/v1/tokens",
    "/api/v1/trail/entries",
    "/api/v1/trail/entries?action=project.made",
];

/// Runs a server whose log holds its statements while `ASKED` is asked; gives those that read large tables.
async fn statements(database: Option<String>) -> (Server, BTreeSet<String>) {
    let mut first = Server::start(database).await;
    let file = sarif("semgrep", &[("sql", "a"), ("xss", "b")]);
    assert_eq!(first.push("asset=repo:shop", file).await.0, 201);
    let event = json!({"timestamp": "2026-11-20T09:30:00Z", "agent_id": "bot", "user_id": "jane", "action": "read", "resource": "r"});
    first
        .post("/api/v1/projects/payments/audit-events", json!([event]))
        .await;
    first.post("/api/v1/projects/payments/assessments", json!({})).await;
    let finding = first.get("/api/v1/projects/payments/findings").await;
    let id = finding["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(first.stop().success());

    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let data = std::mem::replace(&mut first.data, TempDir::new().unwrap());
    let mut command = Command::new("sh");
    let run = "exec \"$0\" \"$@\" 2>\"$LOG\"";
    command.args(["-c", run, crate::server::binary()]);
    command
        .env("LOG", &log)
        .env("AFFIANT_LOG", "affiant_store::statements=trace")
        .env("AFFIANT_LOG_FORMAT", "json");
    let server = Server::by(command, data, first.database.clone(), &first.token);
    let asked = Arc::new(Mutex::new(Vec::new()));
    for path in ASKED {
        let answer = server.send("GET", path, None).await;
        asked.lock().unwrap().push((path, answer.status().as_u16()));
    }
    server.get(&format!("/api/v1/projects/payments/findings/{id}")).await;
    server.send("GET", &format!("/p/payments/findings/{id}"), None).await;
    server.post("/api/v1/projects/payments/assessments", json!({})).await;
    // Jobs look every few seconds.
    tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    let refused: Vec<_> = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, status)| *status != 200)
        .cloned()
        .collect();
    assert!(refused.is_empty(), "{refused:?}");

    let text = std::fs::read_to_string(&log).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let all = lines.filter_map(|line| line["fields"]["sql"].as_str().map(str::to_owned));
    let reads = all.filter(|sql| sql.trim_start().starts_with("SELECT") || sql.trim_start().starts_with("UPDATE job"));
    (server, reads.collect())
}

async fn sqlite_plan(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let explain = Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = db
        .query_all_raw(explain)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect()
}

/// A generic plan, in which a scan is only chosen where there is no other way.
async fn postgres_plan(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    for setting in [
        "plan_cache_mode = force_generic_plan",
        "enable_seqscan = off",
        "enable_sort = off",
    ] {
        db.execute_unprepared(&format!("SET {setting}")).await.unwrap();
    }
    let highest = (1..=200).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0);
    db.execute_unprepared(&format!("PREPARE asked AS {sql}"))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let values = vec!["NULL"; highest].join(", ");
    let values = if highest == 0 {
        String::new()
    } else {
        format!("({values})")
    };
    let explain = Statement::from_string(DbBackend::Postgres, format!("EXPLAIN EXECUTE asked{values}"));
    let rows = db
        .query_all_raw(explain)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    db.execute_unprepared("DEALLOCATE asked").await.unwrap();
    rows.iter().map(|row| row.try_get("", "QUERY PLAN").unwrap()).collect()
}

/// Indices over few rows, which may be read from end to end: imports that are under way, and rows that are damaged.
const FEW: [&str; 2] = ["ix_import_project_unsettled", "_no_number"];

/// What is sorted though it is cut: the waivers of one finding, and the jobs that wait.
const SORTED: [&str; 2] = ["\"waiver\".\"finding_id\" = ", "UPDATE job SET state = 'running'"];

/// The large table that a step of a plan reads from end to end.
fn scanned(step: &str) -> Option<&'static str> {
    if FEW.iter().any(|few| step.contains(few)) {
        return None;
    }
    let words: Vec<&str> = step.split_whitespace().collect();
    let after = |word: &str| {
        words
            .iter()
            .position(|other| *other == word)
            .and_then(|at| words.get(at + 1))
            .copied()
    };
    let table = if step.contains("Seq Scan on ") {
        after("on")
    } else {
        after("SCAN")
    };
    let table = table?.trim_matches('"');
    LARGE.into_iter().find(|large| *large == table)
}

/// Whether a step of a plan sorts rows.
fn sorts(step: &str) -> bool {
    step.contains("USE TEMP B-TREE")
        || step.trim_start_matches([' ', '-', '>']).starts_with("Sort ")
        || step.contains("Incremental Sort")
}

async fn run(database: Option<String>) {
    let (server, all) = statements(database).await;
    assert!(all.len() > 60, "only {} statements", all.len());
    let db = server.connection().await;
    let mut bad = Vec::new();
    for sql in &all {
        let plan = match server.database {
            Some(_) => postgres_plan(&db, sql).await,
            None => sqlite_plan(&db, sql).await,
        };
        // The first rows of a table in the order of its key are no scan.
        let is_bounded = sql.contains(" LIMIT ") && !sql.contains(" WHERE ");
        let read = plan.iter().find_map(|step| scanned(step));
        // A page comes out of an index in its order: sorted, it would cost as much as all that it is cut from.
        let is_page = sql.contains(" ORDER BY ") && sql.contains(" LIMIT ") && !sql.contains(" GROUP BY ");
        let is_page = is_page && !SORTED.iter().any(|sorted| sql.contains(sorted));
        if let Some(step) = plan.iter().find(|step| is_page && sorts(step)) {
            bad.push(format!("{step}: {sql}\n    {}", plan.join("\n    ")));
        }
        if let Some(table) = read.filter(|table| !is_bounded && !SHOWN_WHOLE.contains(table)) {
            bad.push(format!("{table}: {sql}\n    {}", plan.join("\n    ")));
        }
    }
    assert!(
        bad.is_empty(),
        "{} of {} statements read a large table from end to end:\n{}",
        bad.len(),
        all.len(),
        bad.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_queries_use_indices_on_sqlite() {
    run(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_queries_use_indices_on_postgres() {
    if let Some(url) = crate::server::postgres().await {
        run(Some(url)).await;
    }
}
