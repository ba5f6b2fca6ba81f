//! Period reports in every format.

use crate::server::{Server, on_both, sarif};
use serde_json::{Value, json};

on_both! {
    async fn reports_are_paged_after_it_is_seen_whose_they_are(server: Server) {
        server.post("/api/v1/projects", json!({"slug": "other", "name": "Other"})).await;
        let make = async |project: &str| server.post(&format!("/api/v1/projects/{project}/reports"), json!({"framework": "sox", "period": "2026-Q2"})).await;
        let own = make("payments").await["id"].clone();
        for _ in 0..4 {
            make("other").await;
        }
        let (mut path, mut ids) = ("/api/v1/reports?limit=2".to_owned(), Vec::new());
        loop {
            let page = server.get(&path).await;
            ids.extend(page["items"].as_array().unwrap().iter().map(|one| one["id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/reports?limit=2&cursor={next}");
        }
        assert_eq!((ids.len(), ids.last()), (5, Some(&own)));
        let auditor = server.new_token("auditor", Some("payments")).await;
        let seen: Value = server.send_as(&auditor, "GET", "/api/v1/reports?limit=1", None).await.json().await.unwrap();
        assert_eq!((&seen["items"][0]["id"], &seen["next"]), (&own, &Value::Null));
        assert!(server.send("GET", "/p/payments/reports", None).await.text().await.unwrap().contains(own.as_str().unwrap()));
    }

    async fn what_a_scanner_sets_aside_is_not_closed(server: Server) {
        let file = |is_aside: bool, results: &[(&str, &str)]| {
            let mut report: Value = serde_json::from_str(&sarif("semgrep", results)).unwrap();
            if is_aside {
                report["runs"][0]["results"][0]["suppressions"] = json!([{"kind": "external"}]);
            }
            report.to_string()
        };
        let report = async || {
            let made = server.post("/api/v1/projects/payments/reports", json!({"framework": "pci-dss", "period": "2026-Q2"})).await;
            let report = server.get(&format!("/api/v1/reports/{}/json", made["id"].as_str().unwrap())).await;
            let closed: u64 = report["changes"].as_array().unwrap().iter().map(|one| one["closed"].as_u64().unwrap()).sum();
            let aside = report["metrics"]["suppressed_by_scanners"].as_u64().unwrap();
            let first = report["findings"]["items"][0]["status"].as_str().unwrap_or_default().to_owned();
            (closed, aside, first)
        };
        let to = |day: &str| format!("asset=repo:payments&confirm=true&scanned_at={day}");
        server.push(&to("2026-05-01"), file(false, &[("sql", "one")])).await;
        assert_eq!(report().await, (0, 0, "open".to_owned()));
        server.push(&to("2026-06-01"), file(true, &[("sql", "one")])).await;
        assert_eq!(report().await, (0, 1, "suppressed".to_owned()));
        server.push(&to("2026-06-02"), file(false, &[])).await;
        assert_eq!(report().await, (1, 0, "closed".to_owned()));
    }

    async fn every_incident_counts_however_many_other_events_there_are(server: Server) {
        let event = |n: u32, action: &str| json!({"timestamp": format!("2026-05-{:02}T{:02}:00:00Z", 1 + n % 28, n % 24), "event_id": format!("{action}-{n}"), "agent_id": "bot", "action": action, "resource": "r"});
        let path = "/api/v1/projects/payments/audit-events";
        server.post(path, json!([event(0, "stop_logging")])).await;
        server.post(path, json!((0..250).map(|n| event(n, "data_export")).collect::<Vec<_>>())).await;
        let incidents = async || {
            let made = server.post("/api/v1/projects/payments/reports", json!({"framework": "pci-dss", "period": "2026-Q2"})).await;
            let report = server.get(&format!("/api/v1/reports/{}/json", made["id"].as_str().unwrap())).await;
            report["metrics"]["security_incidents"].as_u64().unwrap()
        };
        assert_eq!(incidents().await, 1);
        server.post(path, json!((1..500).map(|n| event(n, "stop_logging")).collect::<Vec<_>>())).await;
        assert_eq!(incidents().await, 500);
    }

    async fn a_report_says_the_same_in_every_format(server: Server) {
        server.push("asset=repo:payments&scanned_at=2026-05-01", sarif("semgrep", &[("sql", "=1+1 漢字"), ("xss", "plain")])).await;
        server.push("asset=repo:payments&scanned_at=2026-06-01", sarif("semgrep", &[("sql", "=1+1 漢字")])).await;
        server.post("/api/v1/projects/payments/audit-events",
            json!({"timestamp": "2026-05-03T00:00:00Z", "agent_id": "bot", "action": "stop_logging", "resource": "trail"})).await;
        let made = server.post("/api/v1/projects/payments/reports", json!({"framework": "pci-dss", "period": "2026-Q2"})).await;
        let base = format!("/api/v1/reports/{}", made["id"].as_str().unwrap());
        let report = server.get(&format!("{base}/json")).await;
        for key in ["framework", "reporting_period", "metrics", "requirements", "findings", "audit_events", "security_incidents", "recommendations", "generated_at"] {
            assert!(report.get(key).is_some(), "{key}");
        }
        assert_eq!(report["reporting_period"]["end"], "2026-07-01T00:00:00Z");
        assert_eq!(report["requirements"].as_array().unwrap().len(), 277);
        assert_eq!((report["findings"]["total"].as_u64(), report["metrics"]["security_incidents"].as_u64()), (Some(2), Some(1)));
        let metrics = &report["metrics"];
        assert_eq!((metrics["total_ai_operations"].as_u64(), metrics["high_risk_operations"].as_u64()), (Some(1), Some(1)));
        let coverage = metrics["audit_coverage"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&coverage) && metrics["bounds"]["low"].as_f64() <= metrics["compliance_score"].as_f64());
        let bytes = server.send("GET", &format!("{base}/json"), None).await.bytes().await.unwrap();
        assert_eq!(affiant_domain::sha256_hex(&bytes), made["digest"].as_str().unwrap(), "the digest is that of the file");
        let line = &report["projects"][0];
        let path = format!("/api/v1/projects/payments/assessments/{}/evidence", line["assessment"].as_str().unwrap());
        let evidence = server.send("GET", &path, None).await.bytes().await.unwrap();
        let input = affiant_domain::score::build(&affiant_domain::score::parse(&evidence).unwrap());
        assert_eq!(input.digest(), line["evidence_digest"].as_str().unwrap());
        assert_eq!(report["scored_at"], report["reporting_period"]["end"]);
        let csv = server.send("GET", &format!("{base}/csv?table=findings"), None).await.text().await.unwrap();
        assert_eq!(csv.lines().count(), 3, "{csv}");
        let table = server.send("GET", &format!("{base}/csv"), None).await.text().await.unwrap();
        assert_eq!(table.lines().count(), 278);
        let pdf = server.send("GET", &format!("{base}/pdf"), None).await.bytes().await.unwrap();
        assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 20_000);
        let again = server.send("GET", &format!("{base}/pdf"), None).await.bytes().await.unwrap();
        assert!(pdf == again, "the same report is the same file");
        let stored: Vec<Value> = server.get("/api/v1/reports").await["items"].as_array().unwrap().clone();
        assert_eq!(stored.len(), 1);
    }

    async fn all_projects_together(server: Server) {
        server.post("/api/v1/projects", json!({"slug": "care", "name": "Care"})).await;
        server.push("asset=repo:payments&scanned_at=2026-05-01", sarif("semgrep", &[("sql", "one")])).await;
        let made = server.post("/api/v1/reports", json!({"framework": "hipaa", "period": "2026-05-01..2026-05-15"})).await;
        assert_eq!(made["overall"], true);
        let report = server.get(&format!("/api/v1/reports/{}/json", made["id"].as_str().unwrap())).await;
        assert_eq!(report["projects"].as_array().unwrap().len(), 2);
        // Somebody of one project does not see it.
        let token = server.new_token("auditor", Some("care")).await;
        let path = format!("/api/v1/reports/{}/json", made["id"].as_str().unwrap());
        assert_eq!(server.send_as(&token, "GET", &path, None).await.status(), 404);
    }

    async fn what_is_asked_wrongly_is_said(server: Server) {
        for (body, word) in [(json!({"framework": "iso", "period": "2026"}), "pci-dss"), (json!({"framework": "sox", "period": "later"}), "2026-Q3"),
            (json!({"framework": "sox", "period": "2026-02-02..2026-02-01"}), "before"), (json!({"framework": "sox", "period": "2999"}), "begun")] {
            let answer = server.send("POST", "/api/v1/projects/payments/reports", Some(body.clone())).await;
            assert_eq!(answer.status(), 400, "{body}");
            let text = answer.text().await.unwrap();
            assert!(text.contains(word), "{body}: {text}");
        }
        let made = server.post("/api/v1/projects/payments/reports", json!({"framework": "sox", "period": "2026-01"})).await;
        let base = format!("/api/v1/reports/{}", made["id"].as_str().unwrap());
        assert_eq!(server.send("GET", &format!("{base}/docx"), None).await.status(), 400);
        assert_eq!(server.send("GET", &format!("{base}/csv?table=nope"), None).await.status(), 400);
    }
}
