//! Servers that are killed under load: what was acknowledged is there, a retry doubles nothing, and no key stays in use.

use crate::server::{Server, assert_trail_verifies, sarif};
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Clients that write at once.
const CLIENTS: usize = 8;
/// How long a retry may find its key in use after a restart.
const STUCK: Duration = Duration::from_secs(25);

/// Rounds; `AFFIANT_CRASH_ROUNDS` asks for more.
fn rounds() -> usize {
    let asked = std::env::var("AFFIANT_CRASH_ROUNDS").ok();
    asked.and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

/// A write with its own idempotency key.
#[derive(Clone, Debug)]
struct Write {
    id: String,
    kind: usize,
}

impl Write {
    fn new(round: usize, client: usize, n: usize) -> Self {
        Self {
            id: format!("w{round}-{client}-{n}"),
            kind: (client + n) % 3,
        }
    }

    fn request(&self) -> (String, String) {
        let id = &self.id;
        match self.kind {
            0 => (
                "/api/v1/projects".to_owned(),
                json!({"slug": id, "name": id}).to_string(),
            ),
            1 => {
                // Without an identity of its own, so that only the key keeps it from being doubled.
                let event =
                    json!({"timestamp": "2026-11-20T09:30:00Z", "agent_id": "bot", "action": "read", "resource": id});
                ("/api/v1/projects/payments/audit-events".to_owned(), event.to_string())
            }
            _ => {
                let file = sarif("semgrep", &[("sql", id), ("xss", id)]);
                (format!("/api/v1/projects/payments/scans?asset=repo:{id}"), file)
            }
        }
    }

    /// The status; none where no answer came.
    async fn send(&self, client: &Client, url: &str, token: &str) -> Option<u16> {
        let (path, body) = self.request();
        let request = client
            .post(format!("{url}{path}"))
            .bearer_auth(token)
            .header("idempotency-key", &self.id)
            .header("content-type", "application/json")
            .timeout(Duration::from_secs(20))
            .body(body);
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        answer.bytes().await.ok()?;
        Some(status)
    }
}

/// Writes until told to stop; gives what was acknowledged and what is in doubt.
async fn write_until(
    stop: Arc<AtomicBool>,
    (url, token): (String, String),
    round: usize,
    client: usize,
) -> (Vec<Write>, Vec<Write>) {
    let (mut acknowledged, mut doubtful) = (Vec::new(), Vec::new());
    let http = Client::new();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let write = Write::new(round, client, n);
        match write.send(&http, &url, &token).await {
            Some(201) => acknowledged.push(write),
            Some(503) | None => doubtful.push(write),
            Some(other) => panic!("{write:?}: {other}"),
        }
    }
    (acknowledged, doubtful)
}

/// Sends what is in doubt again, with its key, until it is acknowledged.
async fn settle(server: &Server, doubtful: Vec<Write>) -> Vec<Write> {
    let http = Client::new();
    let begun = Instant::now();
    for write in &doubtful {
        loop {
            match write.send(&http, &server.url, &server.token).await {
                Some(201) => break,
                Some(409 | 503) if begun.elapsed() < STUCK => tokio::time::sleep(Duration::from_millis(200)).await,
                other => panic!("{write:?} after {:?}: {other:?}", begun.elapsed()),
            }
        }
    }
    doubtful
}

async fn all_pages(server: &Server, path: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{path}limit=500{cursor}")).await;
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// How often each write is there.
async fn stored(server: &Server) -> HashMap<String, usize> {
    let mut found: HashMap<String, usize> = HashMap::new();
    let mut count = |id: &Value| *found.entry(id.as_str().unwrap().to_owned()).or_default() += 1;
    for project in server.get("/api/v1/projects").await.as_array().unwrap() {
        count(&project["slug"]);
    }
    for event in all_pages(server, "/api/v1/projects/payments/audit-events?").await {
        count(&event["resource"]);
    }
    for finding in all_pages(server, "/api/v1/projects/payments/findings?").await {
        if finding["rule"] == "sql" {
            count(&json!(finding["asset"].as_str().unwrap().trim_start_matches("repo:")));
        }
    }
    found
}

async fn crash(database: Option<String>) {
    let mut server = Server::start(database).await;
    let mut all: Vec<Write> = Vec::new();
    for round in 0..rounds() {
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let to = (server.url.clone(), server.token.clone());
                tokio::spawn(write_until(stop.clone(), to, round, client))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300 + (round as u64 * 377) % 1700)).await;
        server.signal("KILL");
        stop.store(true, Ordering::Relaxed);
        let mut doubtful = Vec::new();
        for client in clients {
            let (acknowledged, in_doubt) = client.await.unwrap();
            all.extend(acknowledged);
            doubtful.extend(in_doubt);
        }
        server = server.kill_and_go_on();
        all.extend(settle(&server, doubtful).await);
    }
    let found = stored(&server).await;
    let times = |write: &Write| found.get(&write.id).copied().unwrap_or(0);
    let lost: Vec<&Write> = all.iter().filter(|write| times(write) == 0).collect();
    let doubled: Vec<&Write> = all.iter().filter(|write| times(write) > 1).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), all.len());
    assert!(
        doubled.is_empty(),
        "{} of {} doubled: {doubled:?}",
        doubled.len(),
        all.len()
    );
    assert!(all.len() > rounds() * CLIENTS, "only {} writes", all.len());
    assert_trail_verifies(server.data.path(), server.database.as_deref(), "crashes");
    eprintln!(
        "{} rounds, {} writes: none lost, none doubled, no key stuck",
        rounds(),
        all.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_servers_lose_and_double_nothing_on_sqlite() {
    crash(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_servers_lose_and_double_nothing_on_postgres() {
    if let Some(url) = crate::server::postgres().await {
        crash(Some(url)).await;
    }
}
