//! Scores can be recomputed, and follow what people decide.

use crate::server::{Server, binary, on_both, sarif};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::process::Command;

async fn assess(server: &Server) -> Value {
    server
        .post(
            "/api/v1/projects/payments/assessments",
            json!({"frameworks": ["pci-dss"]}),
        )
        .await[0]
        .clone()
}

async fn control(server: &Server, assessment: &Value, id: &str) -> Value {
    let path = format!(
        "/api/v1/projects/payments/assessments/{}",
        assessment["id"].as_str().unwrap()
    );
    let score = server.get(&path).await;
    let controls = score["requirements"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| r["controls"].as_array().unwrap().clone());
    controls.into_iter().find(|c| c["id"] == id).unwrap()
}

/// A report of some of twelve findings, scanned on a day of November: their severity, and whether they are suppressed, differ by file.
fn drawn(draw: &mut StdRng, day: u32) -> String {
    let mut report: Value = serde_json::from_str(&sarif("semgrep", &[])).unwrap();
    let run = &mut report["runs"][0];
    run["invocations"] = json!([{"executionSuccessful": true, "endTimeUtc": format!("2026-11-{day:02}T08:00:00Z")}]);
    let high = ["9.5", "8.0", "5.0", "2.0"][draw.random_range(0..4)];
    run["tool"]["driver"]["rules"][0]["properties"]["security-severity"] = high.into();
    let mut results = Vec::new();
    for n in 0..12 {
        if draw.random_bool(0.4) {
            continue;
        }
        let place = json!({"physicalLocation": {"artifactLocation": {"uri": format!("src/{n}.py")}, "region": {"startLine": 7}}});
        let mut result = json!({"ruleId": (if n % 2 == 0 { "sql" } else { "xss" }), "message": {"text": format!("m{n}")}, "locations": [place]});
        if draw.random_bool(0.2) {
            result["suppressions"] = json!([{"kind": "external"}]);
        }
        results.push(result);
    }
    run["results"] = results.into();
    report.to_string()
}

on_both! {
    async fn a_score_counts_what_its_evidence_replays(server: Server) {
        // The score counts present states and puts later changes back; the evidence replays every change from the start.
        let seed: u64 = rand::rng().random();
        let mut draw = StdRng::seed_from_u64(seed);
        let mut made = Vec::new();
        for step in 0..14 {
            let asset = ["repo:a", "repo:b"][draw.random_range(0..2)];
            let day = if draw.random_bool(0.7) { 6 + step } else { draw.random_range(1..20) };
            let file = drawn(&mut draw, day);
            let (status, told) = server.push(&format!("asset={asset}&confirm=true"), file).await;
            assert!(status == 201 || status == 200, "seed {seed}: {status} {told}");
            for _ in 0..2 {
                let as_of = format!("2026-11-{:02}T12:00:00Z", draw.random_range(1..22));
                let wanted = json!({"frameworks": ["pci-dss"], "as_of": as_of});
                made.push(server.post("/api/v1/projects/payments/assessments", wanted).await[0].clone());
            }
        }
        let mut digests = std::collections::BTreeSet::new();
        for assessment in made {
            let path = format!("/api/v1/projects/payments/assessments/{}/evidence", assessment["id"].as_str().unwrap());
            let evidence = server.send("GET", &path, None).await.bytes().await.unwrap();
            let replayed = affiant_domain::score::build(&affiant_domain::score::parse(&evidence).unwrap()).digest();
            assert_eq!(replayed, assessment["evidence_digest"].as_str().unwrap(), "seed {seed}, {}", assessment["as_of"]);
            digests.insert(replayed);
        }
        assert!(digests.len() > 10, "seed {seed}: only {} states were seen", digests.len());
    }

    async fn an_exported_evidence_file_gives_the_stored_score(server: Server) {
        server.push("asset=repo:payments", sarif("semgrep", &[("sql", "one"), ("sql", "two"), ("xss", "three")])).await;
        server.push("asset=repo:ledger", sarif("semgrep", &[("xss", "three")])).await;
        let until = "2027-06-01";
        server.post("/api/v1/projects/payments/attestations",
            json!({"control": "GOV-01", "outcome": "partially_effective", "statement": "reviewed", "until": until})).await;
        let list = server.get("/api/v1/projects/payments/findings?q=one").await;
        let waiver = server.post("/api/v1/projects/payments/waivers",
            json!({"finding": list["items"][0]["id"], "kind": "accepted_risk", "reason": "planned", "until": until})).await;
        let other = server.person_token("Otto", "compliance", Some("payments")).await;
        let decision = format!("/api/v1/projects/payments/waivers/{}/decision", waiver["id"].as_str().unwrap());
        assert_eq!(server.send_as(&other, "POST", &decision, Some(json!({"approve": true}))).await.status(), 204);
        let assessment = assess(&server).await;
        // What comes later changes neither the stored score nor its evidence.
        server.push("asset=repo:payments", sarif("semgrep", &[("sql", "late"), ("sql", "later")])).await;
        let base = format!("/api/v1/projects/payments/assessments/{}", assessment["id"].as_str().unwrap());
        let stored = server.get(&base).await;
        let evidence = server.send("GET", &format!("{base}/evidence"), None).await.bytes().await.unwrap();
        let file = server.data.path().join("evidence.json");
        std::fs::write(&file, &evidence).unwrap();
        let output = Command::new(binary()).arg("score").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let again: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(again, stored, "to the last bit");
        let parsed = affiant_domain::score::parse(&evidence).unwrap();
        assert_eq!(affiant_domain::score::build(&parsed).digest(), assessment["evidence_digest"].as_str().unwrap());
        assert!(stored["compliance_score"].as_f64().unwrap() < 1.0);
        assert_eq!(parsed.waivers.len(), 1);
    }

    async fn findings_lower_and_waivers_raise_a_control(server: Server) {
        server.push("asset=repo:payments", sarif("semgrep", &[])).await;
        let clean = control(&server, &assess(&server).await, "COD-09").await;
        assert_eq!((clean["score"].as_f64(), clean["coverage"].as_f64()), (Some(1.0), Some(1.0)));
        server.push("asset=repo:payments", sarif("semgrep", &[("sql", "one")])).await;
        let bad = control(&server, &assess(&server).await, "COD-09").await;
        // High (0.40) through a weakness class that is trusted with 0.8: standing 0.68.
        assert!((bad["automated"].as_f64().unwrap() - 0.68).abs() < 1e-9, "{bad}");
        assert_eq!(bad["failing"], true);
        let list = server.get("/api/v1/projects/payments/findings?state=open").await;
        let ask = json!({"finding": list["items"][0]["id"], "kind": "false_positive", "reason": "not reached", "until": "2027-06-01"});
        let waiver = server.post("/api/v1/projects/payments/waivers", ask).await;
        let decision = format!("/api/v1/projects/payments/waivers/{}/decision", waiver["id"].as_str().unwrap());
        let own = server.send("POST", &decision, Some(json!({"approve": true}))).await;
        assert_eq!(own.status(), 403, "nobody decides on what they asked for");
        let other = server.person_token("Otto", "compliance", None).await;
        assert_eq!(server.send_as(&other, "POST", &decision, Some(json!({"approve": true}))).await.status(), 204);
        let waived = control(&server, &assess(&server).await, "COD-09").await;
        assert_eq!((waived["score"].as_f64(), waived["failing"].as_bool()), (Some(1.0), Some(false)));
    }

    async fn an_asset_ruled_out_of_scope_counts_for_nothing(server: Server) {
        server.push("asset=repo:payments", sarif("semgrep", &[])).await;
        server.push("asset=repo:website", sarif("semgrep", &[("sql", "one")])).await;
        let before = control(&server, &assess(&server).await, "COD-09").await;
        assert_eq!(before["in_scope"], 2);
        let ruling = json!({"asset": "repo:website", "framework": "pci-dss", "in_scope": false, "reason": "no card data"});
        server.post("/api/v1/projects/payments/scope/assets", ruling).await;
        let after = control(&server, &assess(&server).await, "COD-09").await;
        assert_eq!((after["in_scope"].as_u64(), after["score"].as_f64()), (Some(1), Some(1.0)));
        let ruling = json!({"requirement": "pci-6.2.4", "applicable": false, "reason": "no bespoke software"});
        server.post("/api/v1/projects/payments/scope/requirements", ruling).await;
        let path = format!("/api/v1/projects/payments/assessments/{}", assess(&server).await["id"].as_str().unwrap());
        let score = server.get(&path).await;
        let row = score["requirements"].as_array().unwrap().iter().find(|r| r["id"] == "pci-6.2.4").unwrap().clone();
        assert_eq!((row["status"].as_str(), row["score"].is_null()), (Some("not_applicable"), true));
    }

    async fn the_past_is_scored_as_it_was(server: Server) {
        server.push("asset=repo:payments&scanned_at=2026-03-01", sarif("semgrep", &[("sql", "one")])).await;
        server.push("asset=repo:payments&scanned_at=2026-04-01", sarif("semgrep", &[])).await;
        let at = |day: &str| json!({"frameworks": ["pci-dss"], "as_of": day});
        let march = server.post("/api/v1/projects/payments/assessments", at("2026-03-15")).await[0].clone();
        let april = server.post("/api/v1/projects/payments/assessments", at("2026-04-15")).await[0].clone();
        assert_eq!(control(&server, &march, "COD-09").await["failing"], true);
        assert_eq!(control(&server, &april, "COD-09").await["score"].as_f64(), Some(1.0));
        let unknown = server.send("POST", "/api/v1/projects/payments/assessments", Some(json!({"frameworks": ["iso"]}))).await;
        assert_eq!(unknown.status(), 400);
        assert!(unknown.text().await.unwrap().contains("pci-dss"), "the known ones are listed");
    }
}
