//! What is past its date goes, and nothing else: not early, not under a hold, not too much at once; and the trail verifies afterwards.

use crate::server::{Server, binary, on_both};
use serde_json::{Value, json};
use std::process::Command;

async fn events(server: &Server, at: &str, user: &str, count: usize, tags: &[&str]) {
    let one = |n: usize| json!({"timestamp": at, "user_id": user, "agent_id": "bot", "action": "read", "event_id": format!("{at}{user}{n}"), "compliance_tags": tags});
    let all: Vec<Value> = (0..count).map(one).collect();
    let answer = server
        .send("POST", "/api/v1/projects/payments/audit-events", Some(json!(all)))
        .await;
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

async fn enforce(server: &Server, wish: Value) -> Value {
    server.post("/api/v1/projects/payments/retention/runs", wish).await
}

async fn count(server: &Server) -> usize {
    let list = server
        .get("/api/v1/projects/payments/audit-events?limit=500&from=1990-01-01&until=2100-01-01")
        .await;
    list["items"].as_array().unwrap().len()
}

on_both! {
    async fn a_ceiling_takes_what_is_personal_and_a_duty_keeps_the_rest(server: Server) {
        // Of 2022: past the three years of the GDPR, within the seven of SOX.
        events(&server, "2022-03-01T00:00:00Z", "ann@corp.example", 6, &["SOX", "GDPR"]).await;
        events(&server, "2022-03-01T00:00:00Z", "bob@corp.example", 6, &["SOX"]).await;
        events(&server, "2026-11-01T00:00:00Z", "cleo@corp.example", 300, &["GDPR"]).await;
        let seen = server.get("/api/v1/projects/payments/audit-events?limit=20&from=2022-01-01&until=2023-01-01").await;
        let of = |name: &str| seen["items"].as_array().unwrap().iter().find(|item| item["user"] == name).unwrap().clone();
        assert_eq!((&of("ann@corp.example")["payload_rule"], &of("ann@corp.example")["payload_until"]), (&json!("ret-gdpr-gen"), &json!("2025-03-01T00:00:00Z")));
        assert_eq!((&of("bob@corp.example")["payload_rule"], &of("bob@corp.example")["payload_until"]), (&json!(""), &Value::Null));
        let rules = server.get("/api/v1/retention/rules").await;
        let rule = |id: &str| rules.as_array().unwrap().iter().find(|rule| rule["id"] == id).unwrap().clone();
        assert_eq!((&rule("ret-sox-issuer")["ends_before"], &rule("ret-gdpr-gen")["at_most"]), (&json!(["ret-gdpr-gen"]), &json!(36)));
        let dry = enforce(&server, json!({"dry_run": true})).await;
        assert_eq!((&dry["due"], &dry["payloads_due"]), (&json!(0), &json!(6)), "{dry}");
        let hold = server.post("/api/v1/projects/payments/holds", json!({"person": "ann@corp.example", "reason": "Litigation"})).await;
        assert_eq!(enforce(&server, json!({})).await["payloads_purged"], 0, "a hold keeps what is personal too");
        server.send("DELETE", &format!("/api/v1/projects/payments/holds/{}", hold["id"].as_str().unwrap()), None).await;
        let run = enforce(&server, json!({})).await;
        assert_eq!((&run["purged"], &run["payloads_purged"], &run["waits"]), (&json!(0), &json!(6), &json!(false)), "{run}");
        assert_eq!(count(&server).await, 312, "the records stay");
        let export = server.send("GET", "/api/v1/trail/export?payloads=true", None).await.text().await.unwrap();
        assert!(!export.contains("\\\"user\\\":\\\"ann@corp.example") && export.contains("bob@corp.example"), "what is personal is gone");
        assert_eq!(server.verify_trail().await["intact"], true);
        assert_eq!(enforce(&server, json!({})).await["payloads_due"], 0);
    }

    async fn rules_are_edited_with_a_reason_and_stored_events_get_their_dates(server: Server) {
        events(&server, "2026-05-01T00:00:00Z", "ann", 25, &["PCI_DSS"]).await;
        let keep = async || server.get("/api/v1/projects/payments/audit-events?limit=1&from=2026-01-01").await["items"][0].clone();
        assert_eq!((&keep().await["keep_rule"], &keep().await["keep_until"]), (&json!("ret-pci-log"), &json!("2027-05-01T00:00:00Z")));
        let put = async |id: &str, body: Value| {
            let answer = server.send("PUT", &format!("/api/v1/retention/rules/{id}"), Some(body)).await;
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        };
        for (id, wrong) in [
            ("ret-pci-log", json!({"at_least": 24, "reason": "because"})),
            ("ret-pci-log", json!({"reason": "Our counsel's reading of it"})),
            ("ret-pci-log", json!({"at_least": 5000, "reason": "Our counsel's reading of it"})),
            ("my rule", json!({"at_least": 5, "reason": "Our counsel's reading of it"})),
            ("duty-tax", json!({"at_least": 120, "tag": "TAX", "reason": "Our counsel's reading of it"})),
        ] {
            assert_eq!(put(id, wrong).await.0, 400, "{id}");
        }
        let (status, told) = put("ret-pci-log", json!({"at_least": 24, "reason": "Our acquirer asks for two years, contract of 2026-02-01"})).await;
        assert_eq!((status, &told["events"]), (200, &json!(25)));
        assert_eq!(keep().await["keep_until"], "2028-05-01T00:00:00Z");
        events(&server, "2026-06-01T00:00:00Z", "bob", 1, &["PCI_DSS"]).await;
        assert_eq!(keep().await["keep_until"], "2028-06-01T00:00:00Z", "those that come later too");
        let (status, told) = put("duty-tax", json!({"at_least": 120, "tag": "PCI_DSS", "reason": "Section 147 of the tax code, our counsel of 2026-10-01"})).await;
        assert_eq!((status, &told["events"]), (200, &json!(26)));
        assert_eq!((&keep().await["keep_rule"], &keep().await["keep_until"]), (&json!("duty-tax"), &json!("2036-06-01T00:00:00Z")));
        let entries = server.get("/api/v1/trail/entries?action=retention.rule-changed").await;
        assert_eq!(entries["items"].as_array().unwrap().len(), 2);
        // A project's own people do not change the installation's rules.
        let narrow = server.new_token("compliance", Some("payments")).await;
        let answer = server.send_as(&narrow, "PUT", "/api/v1/retention/rules/ret-pci-log", Some(json!({"at_least": 1, "reason": "shorter than it may be"}))).await;
        assert_eq!(answer.status(), 403);
    }

    async fn what_is_past_its_date_goes_and_nothing_else(server: Server) {
        events(&server, "2015-03-01T00:00:00Z", "ann", 30, &["SOX"]).await;
        events(&server, "2024-02-29T00:00:00Z", "bob", 12, &["PCI_DSS"]).await;
        events(&server, "2024-02-29T00:00:00Z", "carl", 9, &["PCI_DSS", "SOX"]).await;
        events(&server, "2026-11-01T00:00:00Z", "ann", 300, &[]).await;
        let dry = enforce(&server, json!({"dry_run": true})).await;
        assert_eq!((&dry["due"], &dry["all"], &dry["purged"], &dry["waits"]), (&json!(42), &json!(351), &json!(0), &json!(true)), "{dry}");
        let guarded = enforce(&server, json!({})).await;
        assert_eq!((&guarded["purged"], &guarded["waits"]), (&json!(0), &json!(true)), "more than five in a hundred ask");
        // A hold on one person, and one on a window of time.
        let hold = server.post("/api/v1/projects/payments/holds", json!({"person": " BOB ", "reason": "Litigation"})).await;
        let window = server.post("/api/v1/projects/payments/holds", json!({"from": "2015-01-01", "until": "2016-01-01", "reason": "Audit"})).await;
        let held = enforce(&server, json!({"confirm": true})).await;
        assert_eq!((&held["held"], &held["due"], &held["purged"]), (&json!(42), &json!(0), &json!(0)), "{held}");
        let release = async |hold: &Value| {
            let at = format!("/api/v1/projects/payments/holds/{}", hold["id"].as_str().unwrap());
            server.send("DELETE", &at, None).await.status().as_u16()
        };
        assert_eq!((release(&window).await, release(&window).await), (204, 404));
        let some = enforce(&server, json!({"confirm": true})).await;
        assert_eq!((&some["held"], &some["purged"]), (&json!(12), &json!(30)), "{some}");
        release(&hold).await;
        let rest = enforce(&server, json!({})).await;
        assert_eq!((&rest["purged"], &rest["waits"]), (&json!(12), &json!(false)), "few go without asking: {rest}");
        assert_eq!(count(&server).await, 309, "what SOX keeps for seven years stays beside what PCI DSS lets go after one");
        // The entries are still there, their payloads are not, and it all verifies.
        let verdict = server.verify_trail().await;
        assert_eq!((&verdict["intact"], &verdict["purged"]), (&json!(true), &json!(42)), "{verdict}");
        let told = server.get("/api/v1/trail/entries?action=retention.purged").await;
        assert_eq!(told["items"].as_array().unwrap().len(), 2);
        assert!(told["items"][0]["payload"]["detail"].as_str().unwrap().contains("ret-pci-log"), "{told}");
        let held = server.get("/api/v1/projects/payments/holds").await;
        assert_eq!(held["items"].as_array().unwrap().len(), 2);
        assert!(!held.to_string().to_lowercase().contains("bob"));
        for wrong in [json!({"reason": ""}), json!({"reason": "long enough", "from": "2026-02-01", "until": "2026-01-01"})] {
            assert_eq!(server.send("POST", "/api/v1/projects/payments/holds", Some(wrong)).await.status(), 400);
        }
    }

    async fn a_hold_on_somebody_keeps_the_events_of_others_that_name_them(server: Server) {
        let event = |n: u32, subjects: Value| json!({"timestamp": "2024-02-01T00:00:00Z", "user_id": "ann", "action": "read", "event_id": n.to_string(), "compliance_tags": ["PCI_DSS"], "subjects": subjects});
        let all = json!([event(1, json!("patient-17")), event(2, json!("patient-18")), event(3, json!([]))]);
        assert!(server.send("POST", "/api/v1/projects/payments/audit-events", Some(all)).await.status().is_success());
        let hold = server.post("/api/v1/projects/payments/holds", json!({"person": "Patient-17", "reason": "Litigation"})).await;
        let some = enforce(&server, json!({"confirm": true})).await;
        assert_eq!((&some["held"], &some["purged"]), (&json!(1), &json!(2)), "{some}");
        let at = format!("/api/v1/projects/payments/holds/{}", hold["id"].as_str().unwrap());
        assert_eq!(server.send("DELETE", &at, None).await.status(), 204);
        assert_eq!(enforce(&server, json!({"confirm": true})).await["purged"], 1);
        let verdict = server.verify_trail().await;
        assert_eq!((&verdict["intact"], &verdict["purged"]), (&json!(true), &json!(3)), "{verdict}");
    }

    async fn a_hold_beside_a_purge_keeps_what_it_was_acknowledged_for(server: Server) {
        events(&server, "2015-03-01T00:00:00Z", "ann", 400, &[]).await;
        events(&server, "2015-03-01T00:00:00Z", "bob", 400, &[]).await;
        let purge = enforce(&server, json!({"confirm": true}));
        let hold = async {
            let made = server.post("/api/v1/projects/payments/holds", json!({"person": "bob", "reason": "Litigation"})).await;
            let dry = enforce(&server, json!({"dry_run": true})).await;
            (made, dry["held"].as_u64().unwrap())
        };
        let (_, (_, held)) = futures::future::join(purge, hold).await;
        enforce(&server, json!({"confirm": true})).await;
        let after = enforce(&server, json!({"dry_run": true})).await;
        assert_eq!(after["held"].as_u64().unwrap(), held, "nothing that was held when the hold was acknowledged went: {after}");
        assert_eq!(after["due"], 0);
        assert_eq!(server.verify_trail().await["intact"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_what_waits() {
    let server = Server::start(None).await;
    events(&server, "2015-03-01T00:00:00Z", "ann", 40, &[]).await;
    let run = |args: &[&str]| {
        let output = Command::new(binary())
            .arg("retention")
            .args(args)
            .arg("--data")
            .arg(server.data.path())
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, told) = run(&[]);
    assert!(
        code == 1 && told.contains("40 of 40") && told.contains("--confirm"),
        "{code} {told}"
    );
    let (code, told) = run(&["--confirm"]);
    assert!(code == 0 && told.contains("40 purged"), "{code} {told}");
}
