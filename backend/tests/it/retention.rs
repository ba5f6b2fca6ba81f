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
        let verdict = server.post("/api/v1/trail/verify", json!({})).await;
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
        assert_eq!(server.post("/api/v1/trail/verify", json!({})).await["intact"], true);
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
