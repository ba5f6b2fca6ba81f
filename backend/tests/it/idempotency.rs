//! Idempotency keys: the same key and request give the same answer, a request that died leaves a key that can be taken over, and what shows
//! a secret is sealed.

use crate::server::{Server, on_both, sarif};
use reqwest::{Client, Method};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};

struct Answered {
    status: u16,
    retry_after: Option<String>,
    etag: Option<String>,
    body: Vec<u8>,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn post(server: &Server, path: &str, key: &str, body: impl Into<Vec<u8>>, kind: &str) -> Answered {
    let request = Client::new()
        .request(Method::POST, server.at(path))
        .bearer_auth(&server.token)
        .header("idempotency-key", key)
        .header("content-type", kind)
        .body(body.into());
    let answer = request.send().await.unwrap();
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    Answered {
        status: answer.status().as_u16(),
        retry_after: header("retry-after"),
        etag: header("etag"),
        body: answer.bytes().await.unwrap().to_vec(),
    }
}

async fn post_json(server: &Server, path: &str, key: &str, body: &Value) -> Answered {
    post(server, path, key, body.to_string(), "application/json").await
}

async fn database(server: &Server) -> DatabaseConnection {
    let sqlite = format!("sqlite://{}", server.data.path().join("affiant.sqlite").display());
    Database::connect(server.database.clone().unwrap_or(sqlite))
        .await
        .unwrap()
}

on_both! {
    async fn a_retry_gets_the_first_answer(server: Server) {
        let new = json!({"slug": "billing", "name": "Billing"});
        let first = post_json(&server, "/api/v1/projects", "create-billing", &new).await;
        let again = post_json(&server, "/api/v1/projects", "create-billing", &new).await;
        assert_eq!((first.status, again.status), (201, 201));
        assert_eq!(first.body, again.body);
        assert!(first.etag.is_some() && first.etag == again.etag);

        let other = json!({"slug": "other", "name": "Other"});
        let reused = post_json(&server, "/api/v1/projects", "create-billing", &other).await;
        assert_eq!(reused.status, 422, "{}", reused.json());
        assert_eq!(reused.json()["type"], "urn:affiant:problem:key-reused");

        // What was refused may be sent again, mended.
        let refused = json!({"slug": "NOT A SLUG", "name": "x"});
        assert_eq!(post_json(&server, "/api/v1/projects", "mended", &refused).await.status, 400);
        assert_eq!(post_json(&server, "/api/v1/projects", "mended", &other).await.status, 201);

        // What takes its time is stored once, too.
        let assessed = "/api/v1/projects/payments/assessments";
        let one = post_json(&server, assessed, "assess", &json!({"frameworks": ["sox"]})).await;
        let two = post_json(&server, assessed, "assess", &json!({"frameworks": ["sox"]})).await;
        assert_eq!((one.status, two.status), (201, 201), "{}", String::from_utf8_lossy(&one.body));
        assert_eq!(one.body, two.body);
        let wanted = json!({"framework": "sox", "period": "2026-Q4"});
        let one = post_json(&server, "/api/v1/projects/payments/reports", "report", &wanted).await;
        let two = post_json(&server, "/api/v1/projects/payments/reports", "report", &wanted).await;
        assert_eq!((one.status, two.status), (201, 201), "{}", String::from_utf8_lossy(&one.body));
        assert_eq!(one.body, two.body);
        let reports = server.get("/api/v1/reports").await;
        assert_eq!(reports["items"].as_array().unwrap().len(), 1);

        // Events and scans say the second time what they said the first.
        let event = json!({"timestamp": "2026-11-20T09:30:00Z", "agent_id": "bot", "action": "read", "event_id": "e1"});
        let one = post_json(&server, "/api/v1/projects/payments/audit-events", "event", &event).await;
        let two = post_json(&server, "/api/v1/projects/payments/audit-events", "event", &event).await;
        assert_eq!((one.json()["created"].clone(), two.json()["created"].clone()), (json!(1), json!(1)));
        let file = sarif("semgrep", &[("sql", "a"), ("xss", "b")]);
        let scans = "/api/v1/projects/payments/scans?asset=repo:shop";
        let one = post(&server, scans, "scan", file.clone(), "application/json").await;
        let two = post(&server, scans, "scan", file, "application/json").await;
        assert_eq!((one.status, two.status), (201, 201));
        assert_eq!(one.body, two.body);
        let imports = server.get("/api/v1/projects/payments/scans").await;
        assert_eq!(imports["items"].as_array().unwrap().len(), 1);
    }

    async fn a_request_that_died_leaves_a_key_that_can_be_taken_over(server: Server) {
        let new = json!({"slug": "billing", "name": "Billing"});
        assert_eq!(post_json(&server, "/api/v1/projects", "key", &new).await.status, 201);
        let db = database(&server).await;
        // As a server leaves it that died before its work: claimed, leased, without an answer.
        let lease = affiant::clock::system_time().timestamp_micros() + 60_000_000;
        let died = format!("UPDATE idempotency SET status = 0, answer = NULL, lease_until = {lease}");
        db.execute_unprepared(&died).await.unwrap();
        db.execute_unprepared("UPDATE project SET slug = 'gone' WHERE slug = 'billing'").await.unwrap();

        let early = post_json(&server, "/api/v1/projects", "key", &new).await;
        assert_eq!(early.status, 409);
        assert!(early.retry_after.is_some());

        db.execute_unprepared("UPDATE idempotency SET lease_until = 1").await.unwrap();
        let late = post_json(&server, "/api/v1/projects", "key", &new).await;
        assert_eq!(late.status, 201, "{}", late.json());
        assert_eq!(post_json(&server, "/api/v1/projects", "key", &new).await.body, late.body);
    }

    async fn an_answer_that_shows_a_secret_is_sealed_and_short_lived(server: Server) {
        let wanted = json!({"name": "pipeline", "role": "ingest", "project": "payments"});
        let made = post_json(&server, "/api/v1/tokens", "token", &wanted).await;
        assert_eq!(made.status, 201, "{}", made.json());
        let secret = made.json()["token"].as_str().unwrap().to_owned();
        let again = post_json(&server, "/api/v1/tokens", "token", &wanted).await;
        assert_eq!(again.json()["token"], json!(secret));

        use sea_orm::{DbBackend, Statement};
        let db = database(&server).await;
        let backend = if server.database.is_some() { DbBackend::Postgres } else { DbBackend::Sqlite };
        let sql = "SELECT answer, expires_at FROM idempotency";
        let row = db.query_one_raw(Statement::from_string(backend, sql)).await.unwrap().unwrap();
        let answer: Vec<u8> = row.try_get("", "answer").unwrap();
        assert!(!answer.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
        let left: i64 = row.try_get::<i64>("", "expires_at").unwrap() - affiant::clock::system_time().timestamp_micros();
        assert!((1..=600_000_000).contains(&left), "{left}");
    }

    async fn two_requests_with_one_key_at_once_are_carried_out_once(server: Server) {
        let tries: Vec<_> = (0..8).map(|_| async {
            let new = json!({"slug": "billing", "name": "Billing"});
            loop {
                let answered = post_json(&server, "/api/v1/projects", "key", &new).await;
                if answered.status != 409 || answered.retry_after.is_none() {
                    return answered;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }).collect();
        let all = futures::future::join_all(tries).await;
        assert!(all.iter().all(|one| one.status == 201 && one.body == all[0].body));
    }
}

/// Every POST says that it takes a key, but for the exchange of a workload's token, which nobody known sends.
#[tokio::test]
async fn every_post_takes_a_key() {
    let api: Value = serde_json::from_str(&affiant::http::api::description()).unwrap();
    for (path, item) in api["paths"].as_object().unwrap() {
        let Some(operation) = item.get("post") else { continue };
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let takes = parameters
            .iter()
            .any(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(takes, path != "/api/v1/token-exchange", "{path}");
    }
}
