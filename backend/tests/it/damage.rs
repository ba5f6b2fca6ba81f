//! What is stored and cannot be read is an error: never an empty value, which would mean "all", the shortest retention, or no finding.

use crate::server::{Server, on_both, sarif};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};

async fn database(server: &Server) -> DatabaseConnection {
    let sqlite = format!("sqlite://{}", server.data.path().join("affiant.sqlite").display());
    Database::connect(server.database.clone().unwrap_or(sqlite))
        .await
        .unwrap()
}

const EVENTS: &str = "/api/v1/projects/payments/audit-events";
const FINDINGS: &str = "/api/v1/projects/payments/findings";
const ASSESSMENTS: &str = "/api/v1/projects/payments/assessments";
const RETENTION: &str = "/api/v1/projects/payments/retention/runs";

/// Damages a row, asks, mends the row, and asks again.
async fn refused(
    server: &Server,
    db: &DatabaseConnection,
    (damage, mend): (&str, &str),
    asked: &[(&str, &str, Option<Value>)],
) {
    db.execute_unprepared(damage).await.unwrap();
    for (method, path, body) in asked {
        let answer = server.send(method, path, body.clone()).await;
        let status = answer.status().as_u16();
        assert_eq!(
            status,
            500,
            "{damage}: {method} {path}: {}",
            answer.text().await.unwrap()
        );
    }
    db.execute_unprepared(mend).await.unwrap();
    for (method, path, body) in asked {
        let answer = server.send(method, path, body.clone()).await;
        assert!(
            answer.status().is_success(),
            "{mend}: {method} {path}: {}",
            answer.text().await.unwrap()
        );
    }
}

on_both! {
    async fn unknown_words_are_not_shown(server: Server) {
        let file = sarif("semgrep", &[("sql", "a"), ("xss", "b")]);
        assert_eq!(server.push("asset=repo:shop", file).await.0, 201);
        server.post(EVENTS, json!({"timestamp": "2026-11-20T09:30:00Z", "agent_id": "bot", "action": "read", "event_id": "e1"})).await;
        let finding = server.get(FINDINGS).await["items"][0]["id"].clone();
        server.post("/api/v1/projects/payments/waivers", json!({"finding": finding, "reason": "known", "kind": "accepted_risk", "until": "2027-06-01"})).await;
        server.post("/api/v1/projects/payments/attestations", json!({"control": "GOV-01", "outcome": "effective", "statement": "reviewed", "until": "2027-06-01"})).await;
        let db = database(&server).await;
        let assess = ("POST", ASSESSMENTS, Some(json!({"frameworks": ["pci-dss"]})));
        for (table, column, word, list) in [
            ("waiver", "state", "requested", "/api/v1/projects/payments/waivers"),
            ("attestation", "outcome", "effective", "/api/v1/projects/payments/attestations"),
        ] {
            let (damage, mend) = (format!("UPDATE {table} SET {column} = 'some'"), format!("UPDATE {table} SET {column} = '{word}'"));
            refused(&server, &db, (&damage, &mend), &[("GET", list, None), assess.clone()]).await;
        }
        refused(&server, &db, ("UPDATE audit_event SET risk = 'low'", "UPDATE audit_event SET risk = 'LOW'"), &[("GET", EVENTS, None)]).await;
    }

    async fn damage_is_in_no_list_that_asks_for_something_else(server: Server) {
        let file = sarif("semgrep", &[("sql", "a"), ("xss", "b")]);
        assert_eq!(server.push("asset=repo:shop", file).await.0, 201);
        let db = database(&server).await;
        let lists = [
            ("GET", "/api/v1/projects/payments/findings?state=open", None),
            ("GET", "/api/v1/projects/payments/findings?severity=critical", None),
        ];
        refused(&server, &db, ("UPDATE finding SET state = 99", "UPDATE finding SET state = 0"), &lists).await;
        let severity = ("UPDATE finding SET severity = -1", "UPDATE finding SET severity = first_severity");
        refused(&server, &db, severity, &lists).await;
        refused(&server, &db, ("UPDATE import SET state = 9", "UPDATE import SET state = 0"), &lists).await;
    }

    async fn what_deletes_stops_at_dates_that_cannot_be(server: Server) {
        let event = json!({"timestamp": "2026-11-20T09:30:00Z", "agent_id": "bot", "action": "read", "event_id": "e1"});
        server.post(EVENTS, event.clone()).await;
        let db = database(&server).await;
        let run = [("POST", RETENTION, Some(json!({"dry_run": true})))];
        let hold = json!({"reason": "a case"});
        assert!(server.send("POST", "/api/v1/projects/payments/holds", Some(hold)).await.status().is_success());
        refused(&server, &db, ("UPDATE legal_hold SET released_at = 0", "UPDATE legal_hold SET released_at = NULL"), &run).await;
        // A rule without a period, or of another tag, lets nothing go, and nothing in under a shorter one.
        let no = if server.database.is_some() { "false" } else { "0" };
        let rule = format!("INSERT INTO retention_rule (id, tag, reason, actor, at_least, at_most, changed_at, pending) \
            VALUES ('ret-untagged', '', 'other', 'jane', 12, NULL, 0, {no}) ON CONFLICT (id) DO NOTHING");
        db.execute_unprepared(&rule).await.unwrap();
        let push = [("POST", EVENTS, Some(event.clone()))];
        refused(&server, &db, ("UPDATE retention_rule SET at_least = NULL, at_most = NULL", "UPDATE retention_rule SET at_least = 12"), &push).await;
        refused(&server, &db, ("UPDATE retention_rule SET tag = 'NOPE'", "UPDATE retention_rule SET tag = ''"), &push).await;
        refused(&server, &db, ("UPDATE clock SET suspicion = 'the clock leapt'", "UPDATE clock SET suspicion = ''"), &[("GET", "/api/v1/clock", None)]).await;
    }

    async fn a_download_that_lacks_a_piece_breaks_off(server: Server) {
        let file = sarif("semgrep", &[("sql", "a"), ("xss", "b")]);
        let (_, imported) = server.push("asset=repo:shop", file.clone()).await;
        let path = format!("/api/v1/projects/payments/scans/{}/original", imported["import"].as_str().unwrap());
        let whole = server.send("GET", &path, None).await.bytes().await.unwrap();
        assert_eq!(whole, file.as_bytes());
        database(&server).await.execute_unprepared("DELETE FROM original_chunk").await.unwrap();
        let request = reqwest::Client::new().get(server.at(&path)).bearer_auth(&server.token);
        // It breaks off before the head of the answer or after it.
        let broken = match request.send().await {
            Ok(answer) => answer.bytes().await.is_err(),
            Err(_) => true,
        };
        assert!(broken);
    }

    async fn damaged_findings_are_not_left_out(server: Server) {
        let file = sarif("semgrep", &[("sql", "a"), ("xss", "b")]);
        assert_eq!(server.push("asset=repo:shop", file).await.0, 201);
        let db = database(&server).await;
        let assess = ("POST", ASSESSMENTS, Some(json!({"frameworks": ["pci-dss"]})));
        let list = ("GET", FINDINGS, None);
        let both = [assess.clone(), list];
        let state = ("UPDATE finding SET state = 9, first_state = 9", "UPDATE finding SET state = 0, first_state = 0");
        refused(&server, &db, state, &both).await;
        let severity = ("UPDATE finding SET severity = 77, first_severity = 77", "UPDATE finding SET severity = 1, first_severity = 1");
        refused(&server, &db, severity, &both).await;
        let check = ("UPDATE finding SET check_id = check_id + 1000", "UPDATE finding SET check_id = check_id - 1000");
        refused(&server, &db, check, &both).await;
        let list = ("UPDATE checklist SET digest = 'gone' || digest", "UPDATE checklist SET digest = substr(digest, 5)");
        refused(&server, &db, list, std::slice::from_ref(&assess)).await;
        let body = ("UPDATE checks SET body = '{' || body", "UPDATE checks SET body = substr(body, 2)");
        refused(&server, &db, body, &both).await;
    }

    async fn damaged_events_and_rules_delete_nothing(server: Server) {
        let event = |id: &str| json!({"timestamp": "2026-11-20T09:30:00Z", "user_id": "jane", "action": "read", "event_id": id, "compliance_tags": ["SOX"]});
        server.post(EVENTS, event("e1")).await;
        let db = database(&server).await;
        let tags = ("UPDATE audit_event SET tags = '{' || tags", "UPDATE audit_event SET tags = substr(tags, 2)");
        refused(&server, &db, tags, &[("GET", EVENTS, None)]).await;

        // An erasure is not planned over records whose duty cannot be read.
        let request = server.post("/api/v1/privacy/requests", json!({"right": "erasure", "identifier": "jane"})).await;
        let steps = format!("/api/v1/privacy/requests/{}/steps", request["id"].as_str().unwrap());
        server.post(&steps, json!({"step": "verify_identity", "text": "passport seen"})).await;
        let plan = json!({"step": "plan"});
        db.execute_unprepared(tags.0).await.unwrap();
        assert_eq!(server.send("POST", &steps, Some(plan.clone())).await.status(), 500);
        db.execute_unprepared(tags.1).await.unwrap();
        let planned = server.post(&steps, plan).await;
        assert_eq!(planned["plan"][0]["verdict"], "restricted", "{planned}");

        // Who handled a request may not approve it, and where that cannot be read nobody may.
        let handlers = ("UPDATE privacy_request SET handlers = '{'", "UPDATE privacy_request SET handlers = '[\"token:test\"]'");
        db.execute_unprepared(handlers.0).await.unwrap();
        assert_eq!(server.send("POST", &steps, Some(json!({"step": "approve"}))).await.status(), 500);
        db.execute_unprepared(handlers.1).await.unwrap();
        assert_eq!(server.send("POST", &steps, Some(json!({"step": "approve"}))).await.status(), 403);

        // A rule that cannot be read lets nothing go, and nothing in under a shorter one.
        let rule = "INSERT INTO retention_rule (id, tag, reason, actor, at_least, at_most, changed_at, pending) VALUES ('ret-sox-issuer', 'SOX', 'longer', 'jane', -1, NULL, 0, ";
        let no = if server.database.is_some() { "false" } else { "0" };
        let damage = format!("{rule}{no})");
        refused(&server, &db, (&damage, "DELETE FROM retention_rule WHERE id = 'ret-sox-issuer'"), &[
            ("POST", EVENTS, Some(event("e2"))),
        ]).await;
        db.execute_unprepared("UPDATE retention_rule SET at_least = -1").await.unwrap();
        db.execute_unprepared(&format!("UPDATE retention_rule SET pending = {}", if server.database.is_some() { "true" } else { "1" })).await.unwrap();
        assert_eq!(server.send("POST", RETENTION, Some(json!({}))).await.status(), 500);
    }
}

/// SQLite takes a text where a number belongs, and compares it as greater than every number.
#[tokio::test(flavor = "multi_thread")]
async fn times_and_holds_that_cannot_be_read_are_heeded() {
    let server = Server::start(None).await;
    let file = sarif("semgrep", &[("sql", "a"), ("xss", "b")]);
    assert_eq!(server.push("asset=repo:shop", file).await.0, 201);
    let event = json!({"timestamp": "2026-11-20T09:30:00Z", "user_id": "jane", "action": "read", "event_id": "e1"});
    server.post(EVENTS, event).await;
    let hold = json!({"reason": "a lawsuit about invoices"});
    server.post("/api/v1/projects/payments/holds", hold).await;
    let db = database(&server).await;
    let assess = [("POST", ASSESSMENTS, Some(json!({"frameworks": ["pci-dss"]})))];
    for (table, column) in [
        ("finding", "opened_at"),
        ("finding", "recorded_at"),
        ("scan", "completed_at"),
    ] {
        let damage = format!("UPDATE {table} SET {column} = 'x' || {column}");
        let mend = format!("UPDATE {table} SET {column} = CAST(substr({column}, 2) AS integer)");
        refused(&server, &db, (&damage, &mend), &assess).await;
    }
    let retention = [("POST", RETENTION, Some(json!({"dry_run": true})))];
    for (damage, mend) in [
        ("released_at = 'x'", "released_at = NULL"),
        ("from_at = 'x'", "from_at = NULL"),
        ("subject_id = x'01'", "subject_id = NULL"),
    ] {
        let set = |what: &str| format!("UPDATE legal_hold SET {what}");
        refused(&server, &db, (&set(damage), &set(mend)), &retention).await;
    }
}
