//! Clocks that leap: nothing is deleted early, no job stops, and the suspicion is told. The clock is moved by libfaketime, which leaves the
//! monotonic clock alone.

use crate::server::{Server, binary, on_both};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A clock that the server goes by, and that this test moves.
struct MovedClock {
    folder: TempDir,
}

impl MovedClock {
    fn new() -> Self {
        let clock = Self {
            folder: TempDir::new().unwrap(),
        };
        clock.set("+0");
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Moves the clock: `+365d`, `-10m`, `+0`.
    fn set(&self, by: &str) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, format!("{by}\n")).unwrap();
        std::fs::rename(next, self.file()).unwrap();
    }

    fn command(&self) -> Command {
        let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .map(|arch| format!("/usr/lib/{arch}/faketime/libfaketimeMT.so.1"))
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("install faketime");
        let mut command = Command::new(binary());
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        command
    }

    /// The server again, under this clock.
    fn over(&self, mut server: Server) -> Server {
        assert!(server.stop().success());
        let data = std::mem::replace(&mut server.data, TempDir::new().unwrap());
        Server::by(self.command(), data, server.database.clone(), &server.token)
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "after a minute: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn suspicion(server: &Server) -> String {
    let clock = server.get("/api/v1/clock").await;
    clock["suspicion"].as_str().unwrap().to_owned()
}

async fn events(server: &Server) -> usize {
    let list = server.get("/api/v1/projects/payments/audit-events?limit=500").await;
    list["items"].as_array().unwrap().len()
}

on_both! {
    async fn a_clock_that_leaps_a_year_deletes_nothing(server: Server) {
        let batch: Vec<Value> = (0..18).map(|n| json!({
            "timestamp": affiant::clock::system_time().to_rfc3339(), "agent_id": "bot", "action": "read", "resource": format!("r{n}"), "event_id": format!("e{n}"),
        })).collect();
        server.post("/api/v1/projects/payments/audit-events", json!(batch)).await;
        let clock = MovedClock::new();
        let server = clock.over(server);
        assert_eq!(suspicion(&server).await, "");

        clock.set("+3650d");
        if server.database.is_none() {
            until("the leap is told", async || !suspicion(&server).await.is_empty()).await;
        }
        let run = server.post("/api/v1/projects/payments/retention/runs", json!({})).await;
        assert_eq!((&run["due"], &run["purged"]), (&json!(0), &json!(0)), "time goes on as before: {run}");
        clock.set("+0");
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(events(&server).await, 18);

        // A server that starts under a clock ten years ahead goes by it, and waits.
        clock.set("+3650d");
        let server = server.kill_and_go_on_by(clock.command());
        let (code, told) = server.affiant_by(clock.command(), &["retention"]);
        let (due, wanted) = if server.database.is_some() { ("0 of 18", Some(0)) } else { ("18 of 18", Some(1)) };
        assert_eq!(code, wanted, "{told}");
        assert!(told.contains(due) && told.contains("0 purged"), "{told}");
        // What confirms that it is much at once does not confirm the clock.
        let (_, told) = server.affiant_by(clock.command(), &["retention", "--confirm"]);
        assert!(told.contains("0 purged"), "{told}");
        let (code, told) = server.affiant_by(clock.command(), &["clock"]);
        assert_eq!(code, Some(1), "{told}");
        clock.set("+0");
        let server = server.kill_and_go_on();
        assert_eq!(events(&server).await, 18);

        // It is in the trail and on the page, and waits for a person.
        let told = server.get("/api/v1/trail/entries?action=clock.suspected").await;
        assert!(!told["items"].as_array().unwrap().is_empty());
        let page = server.send("GET", "/p/payments", None).await.text().await.unwrap();
        assert!(page.contains("The clock is not trusted."));
        server.post("/api/v1/clock/confirmation", json!({})).await;
        assert_eq!(suspicion(&server).await, "");
        assert_eq!(server.send("POST", "/api/v1/clock/confirmation", Some(json!({}))).await.status(), 409);
    }

    async fn a_clock_that_was_ahead_and_comes_back_stops_no_job(server: Server) {
        let clock = MovedClock::new();
        let server = clock.over(server);
        clock.set("+365d");
        tokio::time::sleep(Duration::from_secs(6)).await;
        clock.set("+0");
        tokio::time::sleep(Duration::from_secs(2)).await;
        // A job that waits is done, though the scheduler believed that its next tick was a year away.
        let path = server.at("/api/v1/projects/payments/scans?asset=repo:shop");
        let file = crate::server::sarif("semgrep", &[("sql", "a")]);
        let request = reqwest::Client::new().post(path).bearer_auth(&server.token).header("prefer", "respond-async").body(file);
        let job: Value = request.send().await.unwrap().json().await.unwrap();
        let id = job["id"].as_str().unwrap().to_owned();
        until("the job is done", async || {
            server.get(&format!("/api/v1/projects/payments/jobs/{id}")).await["state"] == "done"
        }).await;
    }
}

async fn late_start(database: Option<String>) {
    let clock = MovedClock::new();
    let mut server = Server::start(database).await;
    assert!(server.stop().success());
    clock.set("+40d");
    let data = std::mem::replace(&mut server.data, TempDir::new().unwrap());
    let server = Server::by(clock.command(), data, server.database.clone(), &server.token);
    let why = suspicion(&server).await;
    let wanted = if server.database.is_some() {
        "40 days from the database's clock"
    } else {
        "40 days ahead of the newest entry"
    };
    assert!(why.contains(wanted), "{why}");
    // It outlives a restart, and is not forgotten because the newest entry is of today.
    clock.set("+0");
    let server = server.kill_and_go_on();
    assert!(!suspicion(&server).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn start_far_from_the_trail_is_told_on_sqlite() {
    late_start(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_far_from_the_database_is_told_on_postgres() {
    if let Some(url) = crate::server::postgres().await {
        late_start(Some(url)).await;
    }
}

/// Two replicas whose clocks are apart fire each slot once, go by the database's time, and take over a dead one's job within its lease.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_ten_minutes_apart_go_by_the_database() {
    let Some(url) = crate::server::postgres().await else {
        return;
    };
    let first = Server::start(Some(url.clone())).await;
    // The daily work of two days before was the last that was done.
    use sea_orm::{ConnectionTrait, DbBackend, Statement};
    let db = sea_orm::Database::connect(url.as_str()).await.unwrap();
    let jobs = [
        "register_evidence",
        "enforce_retention",
        "end_restrictions",
        "expire_backups",
        "sweep",
        "optimize",
        "reconcile",
    ];
    for job in jobs {
        let sql = format!(
            "INSERT INTO daily_run (job, slot, attempt, lease_until, finished_at) VALUES ('{job}', 1, 0, 0, 1) \
             ON CONFLICT (job) DO UPDATE SET slot = 1, attempt = 0, finished_at = 1"
        );
        db.execute_unprepared(&sql).await.unwrap();
    }
    let behind = MovedClock::new();
    behind.set("-10m");
    let data = TempDir::new().unwrap();
    let key = "installation.key";
    std::fs::copy(first.data.path().join(key), data.path().join(key)).unwrap();
    let second = Server::by(behind.command(), data, Some(url), &first.token);
    assert!(
        suspicion(&second)
            .await
            .contains("-10 minutes from the database's clock")
    );
    let now = |clock: Value| chrono::DateTime::parse_from_rfc3339(clock["now"].as_str().unwrap()).unwrap();
    let apart = now(second.get("/api/v1/clock").await) - now(first.get("/api/v1/clock").await);
    assert!(apart.abs() < chrono::Duration::seconds(5), "{apart}");
    // A schedule that is due each minute is fired once a minute by the two together, in whole seconds.
    let every = json!({"cron": "* * * * *", "zone": "UTC", "enabled": true});
    assert!(
        first
            .send("PUT", "/api/v1/projects/payments/schedules/sox", Some(every))
            .await
            .status()
            .is_success()
    );
    tokio::time::sleep(Duration::from_secs(100)).await;
    // The work of the day that was missed is caught up with, once by the two together.
    let sql = "SELECT count(*) AS n, max(attempt) AS most FROM daily_run WHERE finished_at > 1";
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            row.try_get::<i64>("", "n").unwrap(),
            row.try_get::<i64>("", "most").unwrap()
        ),
        (7, 1)
    );
    let made = first.get("/api/v1/projects/payments/assessments?framework=sox").await;
    let scheduled: Vec<&str> = made["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["origin"] == "schedule")
        .map(|one| one["as_of"].as_str().unwrap())
        .collect();
    assert!((1..=2).contains(&scheduled.len()), "{scheduled:?}");
    assert!(scheduled.iter().all(|at| at.ends_with(":00Z")), "{scheduled:?}");
}
