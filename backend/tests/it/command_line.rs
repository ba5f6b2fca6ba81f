//! The command line as its users meet it: answers and exit codes.

use crate::server::{binary, sarif};
use std::process::{Command, Output};
use tempfile::TempDir;

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .arg("--data")
        .arg(folder.path().join("data"))
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn formats_check_tells_and_stores_nothing() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("s.sarif"),
        sarif("semgrep", &[("sql", "one"), ("xss", "two")]),
    )
    .unwrap();
    let output = run(&folder, &["formats", "check", "s.sarif", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            told["format"].as_str(),
            told["findings"].as_u64(),
            told["open"].as_u64()
        ),
        (Some("sarif"), Some(2), Some(2))
    );
    assert_eq!(
        (told["severity"]["high"].as_u64(), told["severity"]["medium"].as_u64()),
        (Some(1), Some(1))
    );
    assert!(told["error"].is_null() && told["rejected"].as_array().unwrap().is_empty());
    std::fs::write(folder.path().join("bad"), "{\"runs\": [").unwrap();
    let output = run(&folder, &["formats", "check", "bad", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["error"].as_str().unwrap().contains("line"));
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_file_becomes_a_score_without_a_server() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("s.sarif"), sarif("semgrep", &[("sql", "one")])).unwrap();
    let output = run(
        &folder,
        &["ingest", "s.sarif", "--project", "payments", "--asset", "repo:payments"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = run(&folder, &["assess", "payments", "--framework", "pci-dss"]);
    assert!(
        output.status.success() && text(&output).contains("coverage"),
        "{}",
        text(&output)
    );
    let output = run(
        &folder,
        &[
            "report",
            "pci-dss",
            "2026-01",
            "--project",
            "payments",
            "--format",
            "csv",
            "--out",
            "r.csv",
        ],
    );
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        std::fs::read_to_string(folder.path().join("r.csv"))
            .unwrap()
            .contains("pci-8.6.2")
    );
    let output = run(&folder, &["assess", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_refused_file_keeps_no_other_out() {
    let folder = TempDir::new().unwrap();
    for (name, rule) in [("a.sarif", "sql"), ("c.sarif", "xss")] {
        std::fs::write(folder.path().join(name), sarif("semgrep", &[(rule, "one")])).unwrap();
    }
    std::fs::write(folder.path().join("bad"), "{\"runs\": [").unwrap();
    let to = ["--project", "payments", "--asset", "repo:payments", "--mode", "delta"];
    let output = run(&folder, &[&["ingest", "a.sarif", "bad", "c.sarif"][..], &to].concat());
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output);
    assert!(
        told.contains("a.sarif: sarif") && told.contains("c.sarif: sarif") && told.contains("affiant: bad: "),
        "{told}"
    );
}

#[test]
fn several_snapshots_of_one_asset_close_nothing_of_each_other() {
    let folder = TempDir::new().unwrap();
    for (name, rule) in [("a.sarif", "sql"), ("b.sarif", "xss")] {
        std::fs::write(folder.path().join(name), sarif("semgrep", &[(rule, "one")])).unwrap();
    }
    let to = ["--project", "payments", "--asset", "repo:payments"];
    let output = run(&folder, &[&["ingest", "a.sarif", "b.sarif"][..], &to].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("--part") && text(&output).contains("Nothing was sent"),
        "{}",
        text(&output)
    );
    assert!(!folder.path().join("data").exists());
}

#[test]
fn what_is_stored_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for _ in 0..2 {
        assert_eq!(run(&folder, &["migrate"]).status.code(), Some(0));
        assert_eq!((mode(&data), mode(&data.join("affiant.sqlite"))), (0o700, 0o600));
        // As an older version, or somebody who copied it, left them.
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(data.join("affiant.sqlite"), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
}

#[test]
fn a_terminal_is_sent_no_commands() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("odd.json"), "{\"\\u001b[2J\\u009b31m\": 1}").unwrap();
    for arguments in [
        &["formats", "check", "odd.json"][..],
        &["ingest", "odd.json", "--project", "p\u{1b}[2J"][..],
    ] {
        let output = run(&folder, arguments);
        let told = text(&output);
        let control = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!told.contains(control), "{told:?}");
    }
}

#[test]
fn completions_survive_a_reader_that_has_gone_away() {
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(binary())
        .args(["completions", "bash"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!text(&output).contains("panicked"), "{}", text(&output));
}

#[test]
fn a_dry_run_stores_no_audit_events() {
    let folder = TempDir::new().unwrap();
    let event = r#"{"timestamp": "2026-01-01T00:00:00Z", "agent_id": "bot", "action": "export", "outcome": "success"}"#;
    std::fs::write(folder.path().join("log.jsonl"), event).unwrap();
    let send = ["ingest", "log.jsonl", "--project", "payments"];
    let output = run(&folder, &[&send[..], &["--dry-run"]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let output = run(&folder, &send);
    assert!(text(&output).contains("1 events, 1 new"), "{}", text(&output));
}

#[test]
fn a_malformed_evidence_file_is_refused_with_its_path() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("e.json"),
        r#"{"schema": "affiant.evidence/1", "as_of": "2026-01-01T00:00:00Z", "project": "p", "extra": 1}"#,
    )
    .unwrap();
    let output = run(&folder, &["score", "e.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("extra"), "{}", text(&output));
}

/// Rows of all tables that a second run could add to.
async fn rows(folder: &TempDir) -> i64 {
    use sea_orm::{ConnectionTrait, Database};
    let path = folder.path().join("data/affiant.sqlite");
    let db = Database::connect(format!("sqlite://{}", path.display())).await.unwrap();
    let mut total = 0;
    for (table, _) in affiant_store::entity::tables() {
        let sql = format!("SELECT count(*) AS n FROM \"{table}\"");
        let statement = sea_orm::Statement::from_string(db.get_database_backend(), sql);
        let row = db.query_one_raw(statement).await.unwrap().unwrap();
        total += row.try_get::<i64>("", "n").unwrap();
    }
    total
}

#[tokio::test]
async fn the_demonstration_is_made_once() {
    let folder = TempDir::new().unwrap();
    let first = run(&folder, &["demo", "--no-serve"]);
    assert!(first.status.success(), "{}", text(&first));
    let before = rows(&folder).await;
    assert!(before > 2000, "{before}");
    let again = run(&folder, &["demo", "--no-serve"]);
    assert!(
        again.status.success() && text(&again).contains("already"),
        "{}",
        text(&again)
    );
    assert_eq!(rows(&folder).await, before);
    let output = run(&folder, &["assess", "payments", "--json"]);
    let scores: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(scores.as_array().unwrap().len(), 5);
    assert!(
        scores
            .as_array()
            .unwrap()
            .iter()
            .all(|s| s["compliance_score"].as_f64().is_some_and(|v| v > 0.3 && v < 1.0))
    );
}

#[test]
fn what_does_not_exist_is_answered_with_what_does() {
    let folder = TempDir::new().unwrap();
    for (arguments, word) in [
        (vec!["frameworks", "show", "iso"], "pci-dss"),
        (vec!["formats", "check", "x", "--format", "nope"], "sarif"),
        (vec!["report", "sox", "2026", "--format", "docx"], "pdf"),
    ] {
        let output = run(&folder, &arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(word), "{}", text(&output));
    }
    let output = run(&folder, &["frameworks", "check"]);
    assert!(
        output.status.success() && text(&output).contains("277 scored"),
        "{}",
        text(&output)
    );
}
