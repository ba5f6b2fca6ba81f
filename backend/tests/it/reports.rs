//! Period reports in every format.

use crate::server::{Server, on_both, sarif};
use serde_json::{Value, json};

on_both! {
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
