//! Imports are written in many transactions and seen all at once: beside other readers and writers, after a kill, and when they are refused.

use crate::server::{Server, on_both, sarif};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Findings of a file that are looked at, beside so many others.
const WATCHED: usize = 200;
const OTHERS: usize = 12_000;

/// A file whose findings have names that no other file has. What is looked at comes first.
fn file(name: &str) -> String {
    let texts: Vec<String> = (0..WATCHED + OTHERS).map(|n| format!("{name}{n}")).collect();
    let rule = |n| if n < WATCHED { "sql" } else { "xss" };
    let findings: Vec<(&str, &str)> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| (rule(n), text.as_str()))
        .collect();
    sarif("semgrep", &findings)
}

/// The first letters of the open findings that are looked at, and how many there are.
async fn seen(server: &Server) -> (BTreeSet<char>, usize) {
    let path = "/api/v1/projects/payments/findings?state=open&severity=high&limit=500";
    let list = server.get(path).await;
    let items = list["items"].as_array().unwrap_or_else(|| panic!("{list}"));
    let first = |item: &Value| item["message"].as_str().unwrap().chars().next().unwrap();
    (items.iter().map(first).collect(), items.len())
}

async fn page_of(server: &Server, path: &str) -> String {
    let request = reqwest::Client::new()
        .get(server.at(path))
        .header("cookie", server.cookies());
    let page = request
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
        .text()
        .await
        .unwrap();
    // Without what protects its forms.
    page.lines().filter(|line| !line.contains("csrf")).collect()
}

async fn database(server: &Server) -> DatabaseConnection {
    let sqlite = format!("sqlite://{}", server.data.path().join("affiant.sqlite").display());
    Database::connect(server.database.clone().unwrap_or(sqlite))
        .await
        .unwrap()
}

async fn number(server: &Server, sql: &str) -> i64 {
    let db = database(server).await;
    let backend = if server.database.is_some() {
        DbBackend::Postgres
    } else {
        DbBackend::Sqlite
    };
    let row = db
        .query_one_raw(Statement::from_string(backend, format!("SELECT ({sql}) AS n")))
        .await
        .unwrap()
        .unwrap();
    let n: i64 = row.try_get("", "n").unwrap();
    db.close().await.unwrap();
    n
}

/// Waits until a query gives a number.
async fn becomes(server: &Server, sql: &str, wanted: i64) {
    let begun = Instant::now();
    loop {
        let n = number(server, sql).await;
        if n == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "{sql}: {n}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a query gives more than a number.
async fn becomes_more(server: &Server, sql: &str, than: i64) {
    let begun = Instant::now();
    while number(server, sql).await <= than {
        assert!(begun.elapsed() < Duration::from_secs(20), "{sql}");
    }
}

/// What an import writes.
const WRITTEN: &str = "(SELECT count(*) FROM finding) + (SELECT count(*) FROM transition) + (SELECT count(*) FROM result) \
                       + (SELECT count(*) FROM scan) + (SELECT count(*) FROM import) + (SELECT count(*) FROM asset) \
                       + (SELECT count(*) FROM asset_import) + (SELECT count(*) FROM scan_scope)";

on_both! {
    async fn an_import_is_seen_all_at_once_and_its_scores_can_be_made_again(server: Server) {
        assert_eq!(server.push("asset=repo:shop", file("a")).await.0, 201);
        assert_eq!(seen(&server).await, (BTreeSet::from(['a']), WATCHED));
        let mut assessments = Vec::new();
        let mut views = BTreeSet::new();
        let push = server.push("asset=repo:shop&confirm=true", file("b"));
        let watch = async {
            // Some are made before, beside and after the import.
            for n in 0..60 {
                let (names, count) = seen(&server).await;
                assert_eq!((names.len(), count), (1, WATCHED), "{names:?}");
                views.extend(names);
                if n % 4 == 0 {
                    let made = server.post("/api/v1/projects/payments/assessments", json!({"frameworks": ["sox"]})).await;
                    assessments.push(made[0].clone());
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        let ((status, imported), ()) = tokio::join!(push, watch);
        assert_eq!((status, &imported["created"], &imported["closed"]), (201, &json!(WATCHED + OTHERS), &json!(WATCHED + OTHERS)), "{imported}");
        views.extend(seen(&server).await.0);
        assert_eq!(views, BTreeSet::from(['a', 'b']));
        for made in assessments {
            let path = format!("/api/v1/projects/payments/assessments/{}/evidence", made["id"].as_str().unwrap());
            let evidence = server.send("GET", &path, None).await.bytes().await.unwrap();
            let parsed = affiant_domain::score::parse(&evidence).unwrap();
            assert_eq!(affiant_domain::score::build(&parsed).digest(), made["evidence_digest"].as_str().unwrap());
        }
    }

    async fn a_refused_import_leaves_nothing(server: Server) {
        assert_eq!(server.push("asset=repo:shop", file("a")).await.0, 201);
        becomes(&server, "SELECT count(*) FROM import WHERE state <> 0", 0).await;
        let before = number(&server, WRITTEN).await;
        // It would close everything, and comes from somebody who did not confirm it.
        assert_eq!(server.push("asset=repo:shop", file("b")).await.0, 409);
        assert_eq!(number(&server, WRITTEN).await, before);
        // It only asks what would be.
        assert_eq!(server.push("asset=repo:other&dry_run=true", file("c")).await.0, 200);
        // It ends in the middle of a record.
        let half = file("d");
        assert_eq!(server.push("asset=repo:other", half[..half.len() / 2].to_owned()).await.0, 422);
        assert_eq!(number(&server, WRITTEN).await, before);
        assert_eq!(seen(&server).await, (BTreeSet::from(['a']), WATCHED));
        let assets = server.get("/api/v1/projects/payments/assets").await;
        assert_eq!(assets["items"].as_array().unwrap().len(), 1, "{assets}");
    }

    async fn what_a_killed_import_left_is_swept(server: Server) {
        let before = number(&server, WRITTEN).await;
        let request = reqwest::Client::new().post(server.at("/api/v1/projects/payments/scans?asset=repo:shop"));
        let push = tokio::spawn(request.bearer_auth(&server.token).body(file("a")).send());
        becomes_more(&server, "SELECT count(*) FROM finding", 500).await;
        let server = server.kill_and_go_on();
        drop(push.await);
        // Nobody sees it, or all of it, where the server was quick.
        let whole = number(&server, "SELECT count(*) FROM import WHERE state <= 1").await == 1;
        let (_, count) = seen(&server).await;
        assert_eq!(count, if whole { WATCHED } else { 0 });
        becomes(&server, "SELECT count(*) FROM import WHERE state <> 0", 0).await;
        if !whole {
            assert_eq!(number(&server, WRITTEN).await, before);
        }
        assert_eq!(server.push("asset=repo:shop", file("a")).await.0, 201);
        assert_eq!(seen(&server).await, (BTreeSet::from(['a']), WATCHED));
    }

    async fn a_visible_import_is_seen_whole_before_it_is_settled(server: Server) {
        assert_eq!(server.push("asset=repo:shop", file("a")).await.0, 201);
        assert_eq!(server.push("asset=repo:shop&confirm=true", file("b")).await.0, 201);
        becomes(&server, "SELECT count(*) FROM import WHERE state <> 0", 0).await;
        let pages = ["/p/payments/findings", "/p/payments/findings?state=closed&severity=high", "/p/payments"];
        let shown = async |server: &Server| {
            let mut all = vec![format!("{:?}", seen(server).await)];
            for page in pages {
                let text = page_of(server, page).await;
                all.push(text);
            }
            let closed = server.get("/api/v1/projects/payments/findings?state=closed&limit=3&severity=medium").await;
            all.push(closed.to_string());
            let one = closed["items"][0]["id"].as_str().unwrap().to_owned();
            all.push(server.get(&format!("/api/v1/projects/payments/findings/{one}")).await.to_string());
            all
        };
        let settled = shown(&server).await;
        // As a server leaves it that was killed between the publication and the copying.
        let db = database(&server).await;
        let undo = "UPDATE finding SET state = first_state, severity = first_severity, changed_at = opened_at";
        db.execute_unprepared(undo).await.unwrap();
        let latest = "id = (SELECT id FROM import ORDER BY recorded_at DESC LIMIT 1)";
        let unsettle = format!("UPDATE import SET state = 1, lease_until = 9000000000000000 WHERE {latest}");
        db.execute_unprepared(&unsettle).await.unwrap();
        for (now, before) in shown(&server).await.iter().zip(&settled) {
            assert!(now == before, "{:.3000}\n\n{:.3000}", now, before);
        }
        db.execute_unprepared(&format!("UPDATE import SET lease_until = 0 WHERE {latest}")).await.unwrap();
        becomes(&server, "SELECT count(*) FROM import WHERE state <> 0", 0).await;
        let closed = i64::try_from(WATCHED + OTHERS).unwrap();
        assert_eq!(number(&server, "SELECT count(*) FROM finding WHERE state = 1").await, closed);
        assert!(shown(&server).await == settled);
    }

    async fn imports_into_one_part_come_one_after_the_other(server: Server) {
        let texts = ["a", "b", "c", "d", "e", "f"];
        let files: Vec<String> = texts.iter().map(|name| {
            let texts: Vec<String> = (0..WATCHED).map(|n| format!("{name}{n}")).collect();
            sarif("semgrep", &texts.iter().map(|text| ("sql", text.as_str())).collect::<Vec<_>>())
        }).collect();
        let pushes = files.iter().map(|file| server.push("asset=repo:shop&confirm=true", file.clone()));
        let mut closed = 0;
        for (status, answer) in futures::future::join_all(pushes).await {
            assert_eq!((status, &answer["created"]), (201, &json!(WATCHED)), "{answer}");
            closed += answer["closed"].as_u64().unwrap();
        }
        // Each closed what the one before it had opened.
        assert_eq!(closed, u64::try_from(WATCHED * (texts.len() - 1)).unwrap());
        let (names, count) = seen(&server).await;
        assert_eq!((names.len(), count), (1, WATCHED), "{names:?}");
    }

    async fn an_asset_that_two_imports_tell_of_outlives_the_one_that_fails(server: Server) {
        let finding = |n: usize| json!({"title": format!("t{n}"), "severity": "High", "description": "d", "asset": format!("service:b{n}")}).to_string();
        let file = |from: usize, to: usize| {
            let records: Vec<String> = (from..to).map(finding).collect();
            format!("{{\"findings\": [{}]}}", records.join(","))
        };
        assert_eq!(server.push("asset=repo:one", file(40_000, 40_100)).await.0, 201);
        becomes(&server, "SELECT count(*) FROM import WHERE state <> 0", 0).await;
        // The first is refused at its end, since it would close all that is open; the second tells of some of the same resources.
        let failing = server.push("asset=repo:one", file(0, 30_000));
        let second = async {
            becomes_more(&server, "SELECT count(*) FROM asset_import", 600).await;
            server.push("asset=repo:two", file(500, 550)).await
        };
        let (failed, (status, answer)) = tokio::join!(failing, second);
        assert_eq!((failed.0, status), (409, 201), "{} {answer}", failed.1);
        becomes(&server, "SELECT count(*) FROM import WHERE state <> 0", 0).await;
        assert_eq!(number(&server, "SELECT count(*) FROM asset").await, 152);
        assert_eq!(number(&server, "SELECT count(*) FROM asset WHERE is_settled").await, 152);
        let assets = server.get("/api/v1/projects/payments/assets?limit=500").await;
        assert_eq!(assets["items"].as_array().unwrap().len(), 152);
    }
}
