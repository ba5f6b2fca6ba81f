//! What an import changes, and what it never changes.

use crate::server::{Server, on_both, sarif, sarif_runs};
use serde_json::Value;
use std::io::Write;

const REPO: &str = "asset=repo:payments";

fn counts(result: &Value) -> [u64; 4] {
    ["created", "seen_again", "reopened", "closed"].map(|name| result[name].as_u64().unwrap_or(999))
}

on_both! {
    async fn a_snapshot_closes_what_it_no_longer_holds_and_reopens_what_returns(server: Server) {
        let (status, first) = server.push(REPO, sarif("semgrep", &[("sql", "one"), ("xss", "two")])).await;
        assert_eq!((status, counts(&first)), (201, [2, 0, 0, 0]));
        let (_, second) = server.push(REPO, sarif("semgrep", &[("sql", "one")])).await;
        assert_eq!(counts(&second), [0, 1, 0, 1]);
        assert_eq!(server.open_findings().await, 1);
        let (_, third) = server.push(REPO, sarif("semgrep", &[("xss", "two"), ("sql", "one")])).await;
        assert_eq!(counts(&third), [0, 1, 1, 0]);
        let list = server.get("/api/v1/projects/payments/findings?q=two").await;
        let id = list["items"][0]["id"].as_str().unwrap();
        let finding = server.get(&format!("/api/v1/projects/payments/findings/{id}")).await;
        let states: Vec<&str> = finding["history"].as_array().unwrap().iter().map(|h| h["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["open", "closed", "open"], "the history is kept");
    }

    async fn equal_findings_of_one_file_stay_two_in_any_order(server: Server) {
        let (_, first) = server.push(REPO, sarif("semgrep", &[("sql", "same"), ("sql", "same"), ("xss", "other")])).await;
        assert_eq!(counts(&first), [3, 0, 0, 0]);
        let (_, again) = server.push(REPO, sarif("semgrep", &[("xss", "other"), ("sql", "same"), ("sql", "same")])).await;
        assert_eq!(counts(&again), [0, 3, 0, 0]);
        let (_, one) = server.push(REPO, sarif("semgrep", &[("sql", "same"), ("xss", "other")])).await;
        assert_eq!(counts(&one), [0, 2, 0, 1]);
    }

    async fn the_same_bytes_again_change_nothing_and_count_as_a_fresh_scan(server: Server) {
        let file = sarif("semgrep", &[("sql", "one")]);
        server.push(REPO, file.clone()).await;
        let (status, again) = server.push(REPO, file).await;
        assert_eq!((status, again["unchanged"].as_bool()), (201, Some(true)));
        assert_eq!(counts(&again), [0, 1, 0, 0]);
        let imports = server.get("/api/v1/projects/payments/scans").await;
        assert_eq!(imports["items"].as_array().unwrap().len(), 2);
    }

    async fn a_delta_and_a_dry_run_close_nothing(server: Server) {
        server.push(REPO, sarif("semgrep", &[("sql", "one"), ("xss", "two")])).await;
        let (_, delta) = server.push(&format!("{REPO}&mode=delta"), sarif("semgrep", &[("sql", "three")])).await;
        assert_eq!(counts(&delta), [1, 0, 0, 0]);
        let (status, dry) = server.push(&format!("{REPO}&dry_run=true"), sarif("semgrep", &[])).await;
        assert_eq!((status, counts(&dry)), (200, [0, 0, 0, 3]));
        assert_eq!(server.open_findings().await, 3);
    }

    async fn closing_never_leaves_its_scope(server: Server) {
        server.push(REPO, sarif("semgrep", &[("sql", "one")])).await;
        server.push(REPO, sarif("codeql", &[("sql", "one")])).await;
        server.push("asset=repo:ledger", sarif("semgrep", &[("sql", "one")])).await;
        server.push(&format!("{REPO}&part=release"), sarif("semgrep", &[("sql", "one")])).await;
        let (_, empty) = server.push(REPO, sarif("semgrep", &[])).await;
        assert_eq!(counts(&empty), [0, 0, 0, 1]);
        assert_eq!(server.open_findings().await, 3);
    }

    async fn several_tools_in_one_file_have_a_scope_each(server: Server) {
        let both: &[(&str, &[(&str, &str)])] = &[("semgrep", &[("sql", "one")]), ("codeql", &[("sql", "one")])];
        let (_, first) = server.push(REPO, sarif_runs(both)).await;
        assert_eq!(counts(&first), [2, 0, 0, 0]);
        let (_, second) = server.push(REPO, sarif("codeql", &[])).await;
        assert_eq!(counts(&second), [0, 0, 0, 1]);
    }

    async fn a_mass_close_asks_first(server: Server) {
        let names: Vec<String> = (0..30).map(|n| format!("finding {n}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| ("sql", name.as_str())).collect();
        server.push(REPO, sarif("semgrep", &many)).await;
        let (status, problem) = server.push(REPO, sarif("semgrep", &[])).await;
        assert_eq!((status, problem["closing"].as_u64(), problem["open"].as_u64()), (409, Some(30), Some(30)));
        assert_eq!(server.open_findings().await, 30);
        let (status, done) = server.push(&format!("{REPO}&confirm=true"), sarif("semgrep", &[])).await;
        assert_eq!((status, done["closed"].as_u64()), (201, Some(30)));
    }

    async fn an_older_file_closes_and_reopens_nothing(server: Server) {
        server.push(&format!("{REPO}&scanned_at=2026-02-01"), sarif("semgrep", &[("sql", "one")])).await;
        let (_, older) = server.push(&format!("{REPO}&scanned_at=2026-01-01"), sarif("semgrep", &[("xss", "gone by then")])).await;
        assert_eq!(counts(&older), [1, 0, 0, 0]);
        assert_eq!(server.open_findings().await, 1, "what the newer scan no longer holds is not open");
    }

    async fn a_broken_file_closes_nothing(server: Server) {
        let whole = sarif("semgrep", &[("sql", "one"), ("xss", "two")]);
        server.push(REPO, whole.clone()).await;
        let cut = whole[..whole.len() - 40].to_owned();
        for broken in [cut, whole.replace("2.1.0", "1.0.0"), "{\"runs\": 42, \"version\": \"2.1.0\"}".to_owned(), "nonsense".to_owned()] {
            let (status, problem) = server.push(REPO, broken).await;
            assert_eq!(status, 422, "{problem}");
            assert!(problem["detail"].as_str().unwrap().len() > 10);
        }
        assert_eq!(server.open_findings().await, 2);
        assert_eq!(server.get("/api/v1/projects/payments/scans").await["items"].as_array().unwrap().len(), 1);
    }

    async fn a_file_is_not_read_as_what_it_is_not(server: Server) {
        let file = sarif("semgrep", &[("sql", "one")]);
        for (format, body) in [("trivy-json", file.clone()), ("checkov-json", "{}".to_owned()), ("ocsf-json", file.clone())] {
            let (status, problem) = server.push(&format!("{REPO}&format={format}"), body).await;
            assert_eq!(status, 422, "{format}: {problem}");
        }
        assert_eq!(server.push(&format!("{REPO}&format=sarif"), file).await.0, 201);
    }

    async fn a_file_that_says_when_it_was_made_is_no_fresher_for_being_sent_again(server: Server) {
        let trivy = r#"{"SchemaVersion": 2, "CreatedAt": "2026-01-02T03:04:05Z", "ArtifactName": "a", "Results": []}"#;
        server.push("asset=image:a", trivy).await;
        let (_, again) = server.push("asset=image:a", trivy).await;
        assert_eq!((again["unchanged"].as_bool(), again["scanned_at"].as_str()), (Some(true), Some("2026-01-02T03:04:05Z")));
        let (status, _) = server.push("asset=image:a&scanned_at=2099-01-01", trivy).await;
        assert_eq!(status, 400);
    }

    async fn one_key_one_answer(server: Server) {
        let file = sarif("semgrep", &[("sql", "one")]);
        let key = [("Idempotency-Key", "k-1")];
        let (_, first) = server.push_with(REPO, file.clone(), &key).await;
        let (status, again) = server.push_with(REPO, file, &key).await;
        assert_eq!((status, &again), (201, &first));
        let (status, _) = server.push_with(REPO, sarif("semgrep", &[]), &key).await;
        assert_eq!(status, 422);
        assert_eq!(server.get("/api/v1/projects/payments/scans").await["items"].as_array().unwrap().len(), 1);
    }

    async fn the_same_file_from_eight_clients_at_once_is_one(server: Server) {
        let file = sarif("semgrep", &[("sql", "one"), ("xss", "two")]);
        let pushes = (0..8).map(|_| server.push(REPO, file.clone()));
        for (status, result) in futures::future::join_all(pushes).await {
            assert_eq!(status, 201, "{result}");
        }
        assert_eq!(server.open_findings().await, 2);
    }

    async fn a_job_does_what_a_call_does(server: Server) {
        let (status, job) = server.push_with(REPO, sarif("semgrep", &[("sql", "one")]), &[("Prefer", "respond-async")]).await;
        assert_eq!(status, 202);
        let path = format!("/api/v1/projects/payments/jobs/{}", job["id"].as_str().unwrap());
        for _ in 0..200 {
            let job = server.get(&path).await;
            match job["state"].as_str().unwrap() {
                "done" => {
                    assert_eq!(counts(&job["result"]), [1, 0, 0, 0]);
                    return;
                }
                "failed" => panic!("{job}"),
                _ => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
        panic!("the job does not end");
    }

    async fn jobs_of_projects_take_turns(server: Server) {
        server.post("/api/v1/projects", serde_json::json!({"slug": "other", "name": "Other"})).await;
        let large = || {
            let names: Vec<String> = (0..1500).map(|n| format!("n{n}")).collect();
            let results: Vec<(&str, &str)> = names.iter().map(|name| ("sql", name.as_str())).collect();
            sarif("semgrep", &results)
        };
        let mut jobs = Vec::new();
        for n in 0..25 {
            let (status, job) = server.push_with(&format!("asset=repo:a{n}"), large(), &[("Prefer", "respond-async")]).await;
            assert_eq!(status, 202);
            jobs.push(job["id"].as_str().unwrap().to_owned());
        }
        let request = reqwest::Client::new().post(server.at("/api/v1/projects/other/scans?asset=repo:b")).bearer_auth(&server.token);
        let sent = request.header("Prefer", "respond-async").body(sarif("semgrep", &[("sql", "one")])).send().await.unwrap();
        let own: serde_json::Value = sent.json().await.unwrap();
        let state = async |project: &str, id: &str| server.get(&format!("/api/v1/projects/{project}/jobs/{id}")).await["state"].as_str().unwrap().to_owned();
        for _ in 0..600 {
            if state("other", own["id"].as_str().unwrap()).await == "done" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(state("other", own["id"].as_str().unwrap()).await, "done");
        use sea_orm::{ConnectionTrait, Statement};
        let db = server.connection().await;
        let sql = "SELECT count(*) AS n FROM job WHERE kind = 'import' AND state <> 'done'";
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap().unwrap();
        let waiting: i64 = row.try_get("", "n").unwrap();
        assert!(waiting >= 5, "only {waiting} of {} of the other project wait: it was not its turn", jobs.len());
    }

    async fn the_original_comes_back_byte_for_byte(server: Server) {
        let file = sarif("semgrep", &[("sql", "one")]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(file.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        for (asset, bytes) in [("repo:a", file.into_bytes()), ("repo:b", gzip)] {
            let (status, result) = server.push(&format!("asset={asset}"), bytes.clone()).await;
            assert_eq!(status, 201, "{result}");
            let path = format!("/api/v1/projects/payments/scans/{}/original", result["import"].as_str().unwrap());
            let back = server.send("GET", &path, None).await.bytes().await.unwrap();
            assert_eq!(back, bytes);
        }
    }

    async fn rejected_records_are_named_and_the_rest_is_kept(server: Server) {
        let file = r#"{"Findings": [{"Id": "a", "Title": "good", "ProductArn": "arn:x/y", "Resources": []}, {"Id": 7, "ProductArn": "x"}]}"#;
        let (status, result) = server.push("asset=account:1", file).await;
        assert_eq!((status, result["created"].as_u64(), result["rejected"].as_u64()), (201, Some(1), Some(1)), "{result}");
        assert!(result["rejections"][0]["at"].as_str().unwrap().contains("byte"), "{result}");
    }

    async fn what_is_asked_wrongly_is_said(server: Server) {
        let file = sarif("semgrep", &[]);
        for (query, word) in [("asset=payments", "kind:name"), ("asset=planet:mars", "unknown kind"), ("asset=repo:a&mode=x", "unknown mode"),
            ("asset=repo:a&format=nope", "known are"), ("asset=repo:a&banana=1", "banana"), ("asset=repo:a&scanned_at=soon", "RFC 3339")] {
            let (status, problem) = server.push(query, file.clone()).await;
            assert_eq!(status, 400, "{query}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(word), "{query}: {problem}");
        }
        let (status, problem) = server.push("asset=repo:a", "null").await;
        assert_eq!(status, 400, "{problem}");
    }
}
