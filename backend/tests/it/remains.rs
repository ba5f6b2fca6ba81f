//! What a killed server leaves behind is swept or finished by the next one, and a certificate claims no more than was done.

use crate::server::{Server, on_both, sarif};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

async fn database(server: &Server) -> DatabaseConnection {
    let sqlite = format!("sqlite://{}", server.data.path().join("affiant.sqlite").display());
    Database::connect(server.database.clone().unwrap_or(sqlite))
        .await
        .unwrap()
}

async fn count(db: &DatabaseConnection, server: &Server, table: &str) -> i64 {
    let backend = if server.database.is_some() {
        DbBackend::Postgres
    } else {
        DbBackend::Sqlite
    };
    let sql = format!("SELECT count(*) AS n FROM {table}");
    let row = db
        .query_one_raw(Statement::from_string(backend, sql))
        .await
        .unwrap()
        .unwrap();
    row.try_get("", "n").unwrap()
}

/// Bytes of files below a folder.
fn bytes(folder: &Path) -> u64 {
    let mut all = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        all += if path.is_dir() {
            bytes(&path)
        } else {
            entry.metadata().unwrap().len()
        };
    }
    all
}

on_both! {
    async fn uploads_of_a_killed_server_are_removed(server: Server) {
        let host = server.url.trim_start_matches("http://").to_owned();
        let mut upload = tokio::net::TcpStream::connect(&host).await.unwrap();
        let head = format!(
            "POST /api/v1/projects/payments/scans?asset=repo:shop HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Length: 9000000\r\n\r\n",
            server.token
        );
        upload.write_all(head.as_bytes()).await.unwrap();
        upload.write_all(&vec![b' '; 3 << 20]).await.unwrap();
        let spool = server.data.path().join("spool");
        let begun = Instant::now();
        while bytes(&spool) < 1 << 20 {
            assert!(begun.elapsed() < Duration::from_secs(10), "nothing was spooled");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let server = server.kill_and_go_on();
        assert_eq!(bytes(&server.data.path().join("spool")), 0);
    }

    async fn originals_whose_import_never_ended_are_removed(server: Server) {
        let file = sarif("semgrep", &[("sql", "a")]);
        assert_eq!(server.push("asset=repo:shop", file).await.0, 201);
        let db = database(&server).await;
        assert_eq!(count(&db, &server, "original").await, 1);
        // As a server leaves it that was killed between the original and its import.
        db.execute_unprepared("UPDATE import SET original_id = NULL").await.unwrap();
        let server = server.kill_and_go_on();
        let db = database(&server).await;
        assert_eq!(count(&db, &server, "original").await, 0);
        assert_eq!(count(&db, &server, "original_chunk").await, 0);
    }

    async fn a_job_that_ends_its_server_three_times_is_set_aside(server: Server) {
        let db = database(&server).await;
        let project = "(SELECT id FROM project)";
        let id = "018f0000-0000-7000-8000-000000000001";
        let stored = if server.database.is_some() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) };
        let job = format!(
            "INSERT INTO job (id, project_id, kind, payload, state, result, attempt, created_at, done, total, lease_until) \
             VALUES ({stored}, {project}, 'import', '{{}}', 'running', '', 3, 1, 0, 0, 1)"
        );
        db.execute_unprepared(&job).await.unwrap();
        let begun = Instant::now();
        loop {
            let job = server.get(&format!("/api/v1/projects/payments/jobs/{id}")).await;
            if job["state"] == "failed" {
                assert!(job.to_string().contains("set aside"), "{job}");
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{job}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // The next one is done.
        let path = server.at("/api/v1/projects/payments/scans?asset=repo:shop");
        let file = sarif("semgrep", &[("sql", "a")]);
        let request = reqwest::Client::new().post(path).bearer_auth(&server.token).header("prefer", "respond-async").body(file);
        let queued: Value = request.send().await.unwrap().json().await.unwrap();
        let next = format!("/api/v1/projects/payments/jobs/{}", queued["id"].as_str().unwrap());
        while server.get(&next).await["state"] != "done" {
            assert!(begun.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn a_fulfilment_that_was_cut_off_is_carried_on(server: Server) {
        let event = json!({"timestamp": "2026-11-20T09:30:00Z", "user_id": "jane@corp.example", "action": "read", "event_id": "e1"});
        server.post("/api/v1/projects/payments/audit-events", event).await;
        let id = approved(&server, "jane@corp.example").await;
        let db = database(&server).await;
        db.execute_unprepared("UPDATE privacy_request SET outcome = 'under_way'").await.unwrap();
        let server = server.kill_and_go_on();
        let begun = Instant::now();
        loop {
            let request = server.get(&format!("/api/v1/privacy/requests/{id}")).await;
            if request["state"] == "fulfilled" {
                assert_eq!(request["outcome"], "erased", "{request}");
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{request}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn certificates_name_what_an_erasure_leaves(server: Server) {
        let jane = "jane@corp.example";
        let event = json!({"timestamp": "2026-11-20T09:30:00Z", "user_id": jane, "action": "read", "resource": "mailbox of Jane@Corp.example", "event_id": "e1"});
        server.post("/api/v1/projects/payments/audit-events", event).await;
        let file = sarif("semgrep", &[("sql", "token of jane@corp.example in clear"), ("xss", "nobody")]);
        assert_eq!(server.push("asset=repo:shop", file).await.0, 201);
        let finding = server.get("/api/v1/projects/payments/findings").await;
        let finding = finding["items"][0]["id"].clone();
        let waiver = json!({"finding": finding, "reason": "jane@corp.example knows of it", "kind": "accepted_risk", "until": "2027-01-01"});
        let asked = server.send("POST", "/api/v1/projects/payments/waivers", Some(waiver)).await;
        assert!(asked.status().is_success(), "{}", asked.text().await.unwrap());

        let id = approved(&server, jane).await;
        let planned = server.get(&format!("/api/v1/privacy/requests/{id}")).await;
        let done = server.post(&format!("/api/v1/privacy/requests/{id}/steps"), json!({"step": "fulfil"})).await;
        assert_eq!(done["outcome"], "partly_erased", "{done}");
        for (classes, whose) in [(&planned["plan"], "plan"), (&done["done"], "certificate")] {
            let count = |records: &str| classes.as_array().unwrap().iter()
                .find(|class| class["records"] == records && class["verdict"] == "kept").map_or(0, |class| class["count"].as_u64().unwrap());
            assert_eq!(count("findings that name them"), 1, "{whose}: {classes}");
            assert_eq!(count("originals of imports that name them"), 1, "{whose}: {classes}");
            assert_eq!(count("waivers that name them"), 1, "{whose}: {classes}");
            assert_eq!(count("audit events that name them in clear"), 1, "{whose}: {classes}");
        }
        let certificate = done["certificate"].as_str().unwrap();
        assert!(certificate.contains("outcome partly_erased") && certificate.contains("kept 1 findings that name them"), "{certificate}");
    }
}

on_both! {
    async fn mentions_are_found_in_any_spelling(server: Server) {
        let breach = |title: &str| json!({"title": title, "what_happened": "a laptop was lost"});
        for title in ["M\u{dc}LLER6c@example.org lost a key", "seen at /people/url8%40example.org", "CORP\\jdoe3 and o\"brien4"] {
            let made = server.send("POST", "/api/v1/privacy/breaches", Some(breach(title))).await;
            assert!(made.status().is_success(), "{}", made.text().await.unwrap());
        }
        for (name, count) in [("m\u{fc}ller6c@example.org", 1), ("m\u{f6}ller6c@example.org", 0), ("url8@example.org", 1), ("corp\\jdoe3", 1), ("o\"brien4", 1)] {
            let id = planned(&server, name).await;
            let plan = server.get(&format!("/api/v1/privacy/requests/{id}")).await;
            let found = plan["plan"].as_array().unwrap().iter().find(|class| class["records"] == "breaches that name them");
            assert_eq!(found.map_or(0, |class| class["count"].as_u64().unwrap()), count, "{name}: {plan}");
        }
    }

    async fn a_retry_does_not_name_who_was_erased(server: Server) {
        let asked = async |server: &Server| {
            let body = json!({"right": "erasure", "identifier": "jane@corp.example"});
            let request = reqwest::Client::new().post(server.at("/api/v1/privacy/requests")).bearer_auth(&server.token);
            let answer = request.header("idempotency-key", "ask").json(&body).send().await.unwrap();
            answer.json::<Value>().await.unwrap()
        };
        let event = json!({"timestamp": "2026-11-20T09:30:00Z", "user_id": "jane@corp.example", "action": "read", "event_id": "e1"});
        server.post("/api/v1/projects/payments/audit-events", event).await;
        let first = asked(&server).await;
        assert_eq!(asked(&server).await, first);
        let id = approved(&server, "jane@corp.example").await;
        assert_eq!(first["id"], id.as_str());
        let done = server.post(&format!("/api/v1/privacy/requests/{id}/steps"), json!({"step": "fulfil"})).await;
        assert_eq!(done["outcome"], "erased", "{done}");
        let db = database(&server).await;
        assert_eq!(count(&db, &server, "idempotency WHERE is_personal AND answer IS NOT NULL").await, 0);
        let again = asked(&server).await;
        assert_eq!(again["status"], 409, "nothing is asked for a second time: {again}");
    }
}

/// An erasure that was asked for, planned and approved by two people.
async fn planned(server: &Server, identifier: &str) -> String {
    let request = server
        .post(
            "/api/v1/privacy/requests",
            json!({"right": "erasure", "identifier": identifier}),
        )
        .await;
    let id = request["id"].as_str().unwrap().to_owned();
    let steps = format!("/api/v1/privacy/requests/{id}/steps");
    server
        .post(&steps, json!({"step": "verify_identity", "text": "passport seen"}))
        .await;
    server.post(&steps, json!({"step": "plan"})).await;
    id
}

async fn approved(server: &Server, identifier: &str) -> String {
    let id = planned(server, identifier).await;
    let steps = format!("/api/v1/privacy/requests/{id}/steps");
    let other = server.person_token(&format!("Otto {id}"), "admin", None).await;
    let answer = server
        .send_as(&other, "POST", &steps, Some(json!({"step": "approve"})))
        .await;
    let status = answer.status();
    assert!(status.is_success(), "{}", answer.text().await.unwrap());
    id
}
