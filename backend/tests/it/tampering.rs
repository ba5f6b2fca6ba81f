//! Edits a copy of the database as somebody would who has it: each edit of the trail, and of what it vouches for, is named.

use crate::server::{Server, affiant, on_both, sarif};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};

/// Everything that the trail vouches for, by a person, a token and a server.
async fn fill(server: &Server) {
    server
        .push("asset=repo:a", sarif("semgrep", &[("sql", "one"), ("xss", "two")]))
        .await;
    let event = |n: u32| json!({"timestamp": "2026-11-20T09:30:00Z", "event_id": n.to_string(), "user_id": format!("user{}@corp.example", n % 3), "agent_id": "bot", "action": "read", "resource": "r"});
    let events: Vec<Value> = (0..40).map(event).collect();
    server
        .post("/api/v1/projects/payments/audit-events", json!(events))
        .await;
    let list = server.get("/api/v1/projects/payments/findings").await;
    let ask = json!({"finding": list["items"][0]["id"], "kind": "accepted_risk", "reason": "planned for spring", "until": "2027-06-01"});
    let waiver = server.post("/api/v1/projects/payments/waivers", ask).await;
    let decision = format!(
        "/api/v1/projects/payments/waivers/{}/decision",
        waiver["id"].as_str().unwrap()
    );
    let otto = server.person_token("Otto", "compliance", None).await;
    assert_eq!(
        server
            .send_as(&otto, "POST", &decision, Some(json!({"approve": true})))
            .await
            .status(),
        204
    );
    let stated = json!({"control": "GOV-01", "outcome": "effective", "statement": "reviewed by the board", "until": "2027-06-01"});
    server.post("/api/v1/projects/payments/attestations", stated).await;
    server
        .post(
            "/api/v1/projects/payments/assessments",
            json!({"frameworks": ["sox", "pci-dss"]}),
        )
        .await;
    server
        .post(
            "/api/v1/projects/payments/reports",
            json!({"framework": "sox", "period": "2026-Q4"}),
        )
        .await;
}

/// What the command says of the stored trail.
fn verify(server: &Server) -> (Option<i32>, String) {
    affiant(
        server.data.path(),
        server.database.as_deref(),
        &["trail", "verify"],
        &[],
    )
}

async fn sql(db: &DatabaseConnection, text: &str) -> u64 {
    let statement = Statement::from_string(db.get_database_backend(), text);
    let done = db
        .execute_raw(statement)
        .await
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    done.rows_affected()
}

/// Edits of rows: what is done, how it is undone by a copy of the table, and what must be said of it.
fn edits(backend: DbBackend) -> Vec<(&'static str, String, &'static str)> {
    let blob = |hexadecimal: &str| match backend {
        DbBackend::Postgres => format!("'\\x{hexadecimal}'"),
        _ => format!("x'{hexadecimal}'"),
    };
    let id = |hexadecimal: &str| match backend {
        DbBackend::Postgres => format!("'{hexadecimal}'::uuid"),
        _ => format!("x'{hexadecimal}'"),
    };
    let stranger = id("0192f0000000700080000000000000aa");
    let mut all = Vec::new();
    for at in [
        "(SELECT min(idx) FROM trail_entry)",
        "20",
        "(SELECT max(idx) - 3 FROM trail_entry)",
    ] {
        let mut edit = |set: String, wanted: &'static str| {
            all.push((
                "trail_entry",
                format!("UPDATE trail_entry SET {set} WHERE idx = {at}"),
                wanted,
            ));
        };
        edit("at = at + 1".to_owned(), "the column at says something else");
        edit("action = 'edited'".to_owned(), "the column action says something else");
        edit(
            "outcome = 'denied'".to_owned(),
            "the column outcome says something else",
        );
        edit(
            format!("project_id = {stranger}"),
            "the column project_id says something else",
        );
        edit(
            format!("record_id = {stranger}"),
            "the column record_id says something else",
        );
        edit(
            format!("subject_id = {stranger}"),
            "the column subject_id says something else",
        );
        edit("state = 7".to_owned(), "the column state says something else");
        edit(format!("hash = {}", blob(&"00".repeat(32))), "was edited");
        edit("leaf = replace(leaf, '\"v\":1', '\"v\":2')".to_owned(), "was edited");
        all.push((
            "trail_entry",
            format!("DELETE FROM trail_entry WHERE idx = {at}"),
            "removed",
        ));
    }
    let event = "(SELECT min(idx) FROM trail_entry WHERE action = 'event')";
    for (table, sql, wanted) in [
        ("trail_entry", format!("UPDATE trail_entry SET state = 2, sealed = NULL WHERE idx = {event}"), "no entry tells of that"),
        ("trail_entry", format!("UPDATE trail_entry SET state = 3, sealed = NULL WHERE idx = {event}"), "no entry tells of that"),
        ("trail_entry", format!("UPDATE trail_entry SET sealed = NULL WHERE idx = {event}"), "the column state says something else"),
        ("trail_entry", format!("UPDATE trail_entry SET sealed = {} WHERE idx = {event}", blob("00")), "payload"),
        ("subject", "UPDATE subject SET wrapped = NULL".to_owned(), "payload"),
        (
            "trail_entry",
            format!("INSERT INTO trail_entry (idx, at, action, outcome, leaf, hash, state) VALUES (1000000, 0, 'x', 'success', '{{}}', {}, 0)", blob("00")),
            "planted at place 1000000",
        ),
        (
            "trail_subject",
            "INSERT INTO trail_subject (subject_id, idx) SELECT max(id), 1 FROM (SELECT id FROM subject ORDER BY id DESC LIMIT 1) s".replace("max(id)", "id"),
            "the column trail_subject says something else",
        ),
        ("trail_head", format!("UPDATE trail_head SET frontier = {}", blob(&format!("0000000000000001{}", "11".repeat(32)))), ""),
        ("assessment", "UPDATE assessment SET score = 1".to_owned(), "assessment"),
        ("assessment", "UPDATE assessment SET coverage = coverage + 0.25".to_owned(), "was altered"),
        ("assessment", "UPDATE assessment SET as_of = as_of - 1".to_owned(), "was altered"),
        ("assessment", format!("UPDATE assessment SET body = {}", blob("00")), "was altered"),
        ("assessment", "DELETE FROM assessment".to_owned(), "was removed"),
        ("report", format!("UPDATE report SET body = {}", blob("00")), "was altered"),
        ("report", "UPDATE report SET digest = 'x'".to_owned(), "was altered"),
        ("report", "UPDATE report SET end_at = end_at + 1".to_owned(), "was altered"),
        ("report", "DELETE FROM report".to_owned(), "was removed"),
        ("waiver", "UPDATE waiver SET until_at = until_at + 86400000000".to_owned(), "was altered"),
        ("waiver", "UPDATE waiver SET state = 'requested'".to_owned(), "was altered"),
        ("waiver", "UPDATE waiver SET decided_by = 'Ann'".to_owned(), "was altered"),
        ("waiver", "UPDATE waiver SET reason = 'another'".to_owned(), "was altered"),
        ("waiver", format!("UPDATE waiver SET id = {stranger}"), "was planted"),
        ("attestation", "UPDATE attestation SET outcome = 'ineffective'".to_owned(), "was altered"),
        ("attestation", "UPDATE attestation SET until_at = until_at + 1".to_owned(), "was altered"),
        ("attestation", "DELETE FROM attestation".to_owned(), "was removed"),
        ("audit_event", "UPDATE audit_event SET at = at + 1".to_owned(), "was altered"),
        ("audit_event", "UPDATE audit_event SET action_key = 'write'".to_owned(), "was altered"),
        ("audit_event", "UPDATE audit_event SET risk = 'HIGH'".to_owned(), "was altered"),
        ("audit_event", "UPDATE audit_event SET agent = 'other'".to_owned(), "was altered"),
        ("audit_event", "UPDATE audit_event SET outcome = 'denied'".to_owned(), "was altered"),
    ] {
        all.push((table, sql, wanted));
    }
    all
}

on_both! {
    async fn every_edit_of_what_is_stored_is_named(server: Server) {
        fill(&server).await;
        let mut server = server;
        assert!(server.stop().success());
        let (code, told) = verify(&server);
        assert_eq!(code, Some(0), "{told}");
        let (url, backend) = match &server.database {
            Some(url) => (url.clone(), DbBackend::Postgres),
            None => (format!("sqlite://{}", server.data.path().join("affiant.sqlite").display()), DbBackend::Sqlite),
        };
        let db = Database::connect({
            let mut options = sea_orm::ConnectOptions::new(url);
            options.max_connections(1);
            options
        }).await.unwrap();
        sql(&db, match backend {
            DbBackend::Postgres => "SET session_replication_role = replica",
            _ => "PRAGMA foreign_keys = OFF",
        }).await;
        // In CI, every third of them; all in the long run.
        let all = edits(backend);
        let step = if std::env::var_os("AFFIANT_TEST_LONG").is_some() || backend == DbBackend::Sqlite { 1 } else { 3 };
        let mut unseen = Vec::new();
        for (table, edit, wanted) in all.into_iter().step_by(step) {
            // What an unsigned verdict of an earlier edit appended stays: only the table that is edited is put back.
            sql(&db, &format!("CREATE TABLE kept_aside AS SELECT * FROM {table}")).await;
            assert!(sql(&db, &edit).await > 0, "{edit}");
            let (code, told) = verify(&server);
            if code != Some(1) || !told.contains(wanted) {
                unseen.push(format!("{edit}: {code:?} {told}"));
            }
            put_back(&db, table).await;
            sql(&db, "DROP TABLE kept_aside").await;
            let (code, told) = verify(&server);
            assert_eq!(code, Some(0), "after {edit}: {told}");
        }
        assert!(unseen.is_empty(), "{} edits were not named:\n{}", unseen.len(), unseen.join("\n"));
    }
}

/// Puts a table back as it was, but for entries that were appended since.
async fn put_back(db: &DatabaseConnection, table: &str) {
    match table {
        "trail_entry" => {
            sql(db, "DELETE FROM trail_entry WHERE idx = 1000000").await;
            sql(db, "DELETE FROM trail_entry WHERE idx IN (SELECT idx FROM kept_aside)").await;
        }
        other => {
            sql(db, &format!("DELETE FROM {other}")).await;
        }
    }
    sql(db, &format!("INSERT INTO {table} SELECT * FROM kept_aside")).await;
}
