//! Audit events: durable, once each, and without what should not be kept.

use crate::server::{Server, on_both};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/projects/payments/audit-events";

fn event(id: &str) -> Value {
    json!({"timestamp": "2026-05-01T10:00:00+02:00", "event_id": id, "agent_id": "invoice-bot", "user_id": "ann@example.com",
        "action": "ModelUpdate", "resource": "risk model", "compliance_tags": ["SOX"], "attributes": {"api_key": "sk-very-secret"}})
}

on_both! {
    async fn the_same_event_again_adds_nothing(server: Server) {
        let first = server.post(PATH, event("e-1")).await;
        assert_eq!((first["created"].as_u64(), first["repeated"].as_u64()), (Some(1), Some(0)));
        let again = server.post(PATH, json!([event("e-1"), event("e-2")])).await;
        assert_eq!((again["created"].as_u64(), again["repeated"].as_u64()), (Some(1), Some(1)));
        let list = server.get(PATH).await;
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
        assert_eq!((list["items"][0]["risk"].as_str(), list["items"][0]["at"].as_str()), (Some("HIGH"), Some("2026-05-01T08:00:00Z")));
        assert_eq!(server.get(&format!("{PATH}?risk=LOW")).await["items"].as_array().unwrap().len(), 0);
    }

    async fn content_is_measured_and_not_kept(server: Server) {
        let mut with = event("e-3");
        with["action"] = json!("answer");
        with["input_data"] = json!("my card is 4111 1111 1111 1111 and a phrase like zebra-umbrella");
        server.post(PATH, with).await;
        let listed = server.get(PATH).await;
        assert_eq!(listed["items"][0]["risk"], "MEDIUM");
        assert!(listed["items"][0]["data_categories"].to_string().contains("payment_card"));
        if server.database.is_none() {
            let mut all = Vec::new();
            for entry in std::fs::read_dir(server.data.path()).unwrap().flatten().filter(|e| e.path().is_file()) {
                all.extend(std::fs::read(entry.path()).unwrap());
            }
            for word in ["zebra-umbrella", "sk-very-secret", "4111 1111"] {
                assert!(!all.windows(word.len()).any(|w| w == word.as_bytes()), "{word} is on the disk");
            }
        }
    }

    async fn good_lines_are_kept_and_bad_ones_named(server: Server) {
        let body = format!("{}\nnot json\n{}\n", event("n-1"), event("n-2"));
        let client = reqwest::Client::new();
        let answer = client.post(server.at(PATH)).bearer_auth(&server.token).body(body).send().await.unwrap();
        let result: Value = answer.json().await.unwrap();
        assert_eq!((result["created"].as_u64(), result["rejected"].as_u64()), (Some(2), Some(1)), "{result}");
        assert_eq!(result["rejections"][0]["at"], "line 2");
        for bad in [json!({"action": "x"}), json!({"timestamp": "2026-05-01T10:00:00", "user_id": "u", "action": "x"}),
            json!({"timestamp": "2026-05-01T10:00:00Z", "user_id": "u", "action": "x", "compliance_tags": ["ISO"]}),
            json!({"timestamp": "2026-05-01T10:00:00Z", "user_id": "u", "action": "x", "tenant": "other"})] {
            let answer = server.send("POST", PATH, Some(bad.clone())).await;
            assert!([400, 422].contains(&answer.status().as_u16()), "{bad}: {}", answer.status());
        }
    }

    async fn many_single_events_at_once_are_all_there(server: Server) {
        let pushes = (0..64).map(|n| { let server = &server; async move { server.post(PATH, event(&format!("c-{n}"))).await } });
        let created: u64 = futures::future::join_all(pushes).await.iter().map(|r| r["created"].as_u64().unwrap()).sum();
        assert_eq!(created, 64);
        assert_eq!(server.get(&format!("{PATH}?limit=500")).await["items"].as_array().unwrap().len(), 64);
    }

    async fn logs_of_clouds_are_read(server: Server) {
        let trail = json!({"Records": [{"eventVersion": "1.08", "eventTime": "2026-05-01T10:00:00Z", "eventSource": "iam.amazonaws.com",
            "eventName": "CreateAccessKey", "eventID": "t-1", "userIdentity": {"arn": "arn:aws:iam::1:user/ann"}, "sourceIPAddress": "10.0.0.1"}]});
        let result = server.post(&format!("{PATH}?asset=account:1"), trail).await;
        assert_eq!((result["format"].as_str(), result["created"].as_u64()), (Some("cloudtrail-json"), Some(1)));
        let assets = server.get("/api/v1/projects/payments/assets").await;
        assert!(assets.to_string().contains("account:1"));
    }
}

/// The bound on a request holds whatever the format, and whether it is compressed or not; what is refused leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_holds_so_many_events() {
    let server = Server::start(None).await;
    let line = |n: usize| {
        format!(
            "{{\"timestamp\":\"2026-11-20T09:30:00Z\",\"agent_id\":\"bot\",\"action\":\"read\",\"event_id\":\"e{n}\"}}"
        )
    };
    let lines: Vec<String> = (0..50_001).map(line).collect();
    for body in [lines.join("\n"), format!("[{}]", lines.join(","))] {
        let request = reqwest::Client::new().post(server.at("/api/v1/projects/payments/audit-events"));
        let answer = request.bearer_auth(&server.token).body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        assert_eq!(status, 413, "{}", answer.text().await.unwrap());
    }
    let stored = server.get("/api/v1/projects/payments/audit-events").await;
    assert!(stored["items"].as_array().unwrap().is_empty());
}
