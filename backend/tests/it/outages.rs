//! A database that goes silent, away or read-only, and replicas that sleep: writing goes on within seconds, and nobody waits for ever.

use crate::server::Server;
use sea_orm::{ConnectionTrait, Database};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A way to the database that can go silent: what went through it stays open and says nothing more.
struct Proxy {
    url: String,
    silent: watch::Sender<u64>,
    refuses: Arc<std::sync::atomic::AtomicBool>,
}

impl Proxy {
    async fn before(database: &str) -> Self {
        let (head, rest) = database.split_once('@').unwrap();
        let (to, name) = rest.split_once('/').unwrap();
        let to = to.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{head}@{}/{name}", listener.local_addr().unwrap());
        let (silent, _) = watch::channel(0);
        let refuses = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (told, refused) = (silent.clone(), refuses.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if refused.load(Ordering::Relaxed) {
                    continue;
                }
                let (to, told) = (to.clone(), told.subscribe());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(&to).await {
                        carry(client, server, told).await;
                    }
                });
            }
        });
        Self { url, silent, refuses }
    }

    /// Lets every connection that is open die without a word.
    fn go_silent(&self) {
        self.silent.send_modify(|n| *n += 1);
    }
}

/// Carries bytes both ways until it is told to be silent; then it holds both ends and does nothing.
async fn carry(mut client: TcpStream, mut server: TcpStream, mut silent: watch::Receiver<u64>) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = silent.changed() => std::future::pending().await,
    }
}

async fn push(server: &Server, n: u64) -> u16 {
    let event = json!({"timestamp": "2026-11-20T09:30:00Z", "agent_id": "bot", "action": "read", "resource": "r", "event_id": format!("e{n}")});
    let answer = server
        .send("POST", "/api/v1/projects/payments/audit-events", Some(event))
        .await;
    let status = answer.status().as_u16();
    if status == 503 {
        assert!(answer.headers().contains_key("retry-after"));
    }
    status
}

/// Pushes until one is acknowledged; gives how long that took.
async fn recovery(server: &Server, n: &AtomicU64) -> Duration {
    let begun = Instant::now();
    loop {
        let status = push(server, n.fetch_add(1, Ordering::Relaxed)).await;
        if status == 201 {
            return begun.elapsed();
        }
        assert_eq!(status, 503);
        assert!(begun.elapsed() < Duration::from_secs(30), "no recovery");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_die_silently_are_replaced() {
    let Some(database) = crate::server::postgres().await else {
        return;
    };
    let proxy = Proxy::before(&database).await;
    let server = Server::start(Some(proxy.url.clone())).await;
    let n = AtomicU64::new(0);
    for _ in 0..3 {
        // In use: eight clients push while it happens.
        let clients = (0..8).map(|_| async {
            for _ in 0..30 {
                let status = push(&server, n.fetch_add(1, Ordering::Relaxed)).await;
                assert!(matches!(status, 201 | 503), "{status}");
            }
        });
        let dying = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            proxy.go_silent();
            recovery(&server, &n).await
        };
        let (took, _) = tokio::join!(dying, futures::future::join_all(clients));
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_that_is_away_is_told_within_two_seconds() {
    let Some(database) = crate::server::postgres().await else {
        return;
    };
    let proxy = Proxy::before(&database).await;
    let server = Server::start(Some(proxy.url.clone())).await;
    proxy.refuses.store(true, Ordering::Relaxed);
    proxy.go_silent();
    let begun = Instant::now();
    let ready = reqwest::get(server.at("/readyz")).await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    proxy.refuses.store(false, Ordering::Relaxed);
    let took = recovery(&server, &AtomicU64::new(0)).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_database_refuses_writes_and_serves_reads() {
    let Some(database) = crate::server::postgres().await else {
        return;
    };
    let server = Server::start(Some(database.clone())).await;
    assert_eq!(push(&server, 1).await, 201);
    let name = database.rsplit('/').next().unwrap();
    let db = Database::connect(database.as_str()).await.unwrap();
    let set = |to: &str| format!("ALTER DATABASE {name} SET default_transaction_read_only = {to}");
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    );
    db.execute_unprepared(&set("on")).await.unwrap();
    db.execute_unprepared(&end).await.unwrap();
    let refused = loop {
        let answer = server
            .send("POST", "/api/v1/projects", Some(json!({"slug": "p2", "name": "P2"})))
            .await;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 503, "{text}");
        if text.contains("read-only") {
            break text;
        }
    };
    assert!(refused.contains("urn:affiant:problem:unavailable"), "{refused}");
    assert_eq!(server.get("/api/v1/projects").await.as_array().unwrap().len(), 1);
    let ready = reqwest::get(server.at("/readyz")).await.unwrap();
    assert_eq!(ready.status(), 503);
    db.execute_unprepared(&format!("BEGIN READ WRITE; {}; COMMIT", set("off")))
        .await
        .unwrap();
    db.execute_unprepared(&end).await.unwrap();
    let took = recovery(&server, &AtomicU64::new(10)).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A failover or a change of credentials looks like this for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn database_that_refuses_access_is_an_outage() {
    let Some(database) = crate::server::postgres().await else {
        return;
    };
    let server = Server::start(Some(database.clone())).await;
    let (base, name) = database.rsplit_once('/').unwrap();
    let admin = Database::connect(format!("{base}/postgres")).await.unwrap();
    let allow = |allowed: bool| format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {allowed}");
    admin.execute_unprepared(&allow(false)).await.unwrap();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    admin.execute_unprepared(&end).await.unwrap();
    for path in ["/readyz", "/api/v1/projects"] {
        for _ in 0..3 {
            let answer = server.send("GET", path, None).await;
            assert_eq!(answer.status(), 503, "{path}");
            assert!(answer.headers().contains_key("retry-after"));
        }
    }
    admin.execute_unprepared(&allow(true)).await.unwrap();
    let took = recovery(&server, &AtomicU64::new(0)).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A replica that sleeps while it holds the head of the trail keeps the others waiting for two seconds at most.
#[tokio::test(flavor = "multi_thread")]
async fn replica_that_sleeps_holds_nobody_up() {
    let Some(database) = crate::server::postgres().await else {
        return;
    };
    let first = Server::start(Some(database.clone())).await;
    let second = first.replica();
    let n = Arc::new(AtomicU64::new(0));
    let mut longest = Duration::ZERO;
    for _ in 0..6 {
        let busy = (0..8).map(|_| async {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(400) {
                let event = push(&first, n.fetch_add(1, Ordering::Relaxed));
                let _ = tokio::time::timeout(Duration::from_millis(500), event).await;
            }
        });
        let sleeping = async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            first.signal("STOP");
            let took = recovery(&second, &n).await;
            first.signal("CONT");
            took
        };
        let (took, _) = tokio::join!(sleeping, futures::future::join_all(busy));
        longest = longest.max(took);
    }
    assert!(longest < Duration::from_secs(4), "{longest:?}");
}
