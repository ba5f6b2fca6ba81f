//! Requests of data subjects over HTTP: two people, one plan, nothing left of who is forgotten, and a trail that still verifies.

use crate::server::{Server, on_both};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use std::io::Read;

pub async fn events(server: &Server, user: &str, count: usize, tags: &[&str], at: &str) {
    let one = |n: usize| json!({"timestamp": at, "user_id": user, "agent_id": "bot", "action": "read", "event_id": format!("{at}{user}{n}{tags:?}"), "compliance_tags": tags, "source_ip": "203.0.113.77"});
    let all: Vec<Value> = (0..count).map(one).collect();
    let answer = server
        .send("POST", "/api/v1/projects/payments/audit-events", Some(json!(all)))
        .await;
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

pub struct Desk {
    pub handler: String,
    approver: String,
}

impl Desk {
    pub async fn new(server: &Server) -> Self {
        let make = async |name: &str| {
            let made = server
                .post("/api/v1/tokens", json!({"name": name, "role": "privacy"}))
                .await;
            made["token"].as_str().unwrap().to_owned()
        };
        Self {
            handler: make("handler").await,
            approver: server.person_token("Otto Approver", "privacy", None).await,
        }
    }

    pub async fn receive(&self, server: &Server, right: &str, who: &str) -> String {
        let answer = server
            .send_as(
                &self.handler,
                "POST",
                "/api/v1/privacy/requests",
                Some(json!({"right": right, "identifier": who})),
            )
            .await;
        assert_eq!(answer.status(), 201);
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub async fn step(&self, server: &Server, token: &str, id: &str, body: Value) -> (u16, Value) {
        let answer = server
            .send_as(
                token,
                "POST",
                &format!("/api/v1/privacy/requests/{id}/steps"),
                Some(body),
            )
            .await;
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// All steps up to the fulfilment.
    pub async fn through(&self, server: &Server, right: &str, who: &str) -> Value {
        let id = self.receive(server, right, who).await;
        for (token, body) in [
            (
                &self.handler,
                json!({"step": "verify_identity", "text": "passport seen"}),
            ),
            (&self.handler, json!({"step": "plan"})),
            (&self.approver, json!({"step": "approve"})),
            (&self.handler, json!({"step": "fulfil"})),
        ] {
            let (status, answer) = self.step(server, token, &id, body.clone()).await;
            assert_eq!(status, 200, "{body}: {answer}");
        }
        self.shown(server, &id).await
    }

    pub async fn shown(&self, server: &Server, id: &str) -> Value {
        server
            .send_as(&self.handler, "GET", &format!("/api/v1/privacy/requests/{id}"), None)
            .await
            .json()
            .await
            .unwrap()
    }
}

/// Everything that the database holds.
pub async fn raw(server: &Server) -> String {
    if let Some(url) = &server.database {
        let db = Database::connect(url).await.unwrap();
        let mut all = String::new();
        for (table, _) in affiant_store::entity::tables() {
            let sql = format!("SELECT coalesce(string_agg(t::text, ' '), '') AS all_of_it FROM \"{table}\" t");
            let row = db
                .query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql))
                .await
                .unwrap()
                .unwrap();
            all.push_str(&row.try_get::<String>("", "all_of_it").unwrap());
        }
        return all.to_lowercase();
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(server.data.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_file())
    {
        all.extend(std::fs::read(entry.path()).unwrap());
    }
    String::from_utf8_lossy(&all).to_lowercase()
}

async fn wrapped_keys(server: &Server) -> Vec<Vec<u8>> {
    let url = server
        .database
        .clone()
        .unwrap_or_else(|| format!("sqlite://{}", server.data.path().join("affiant.sqlite").display()));
    let db = Database::connect(url).await.unwrap();
    let sql = "SELECT wrapped FROM subject WHERE wrapped IS NOT NULL";
    let rows = db
        .query_all_raw(sea_orm::Statement::from_string(db.get_database_backend(), sql))
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.try_get::<Vec<u8>>("", "wrapped").unwrap())
        .collect()
}

on_both! {
    async fn who_is_forgotten_is_nowhere_and_the_trail_still_verifies(server: Server) {
        let desk = Desk::new(&server).await;
        events(&server, "Jane.Doe@corp.example", 30, &["GDPR"], "2026-11-01T10:00:00Z").await;
        events(&server, "someone.else@corp.example", 5, &["GDPR"], "2026-11-01T10:00:00Z").await;
        let before = wrapped_keys(&server).await;
        let done = desk.through(&server, "erasure", "jane.doe@CORP.example").await;
        assert_eq!((&done["state"], &done["outcome"], &done["identifier"]), (&json!("fulfilled"), &json!("erased"), &Value::Null), "{done}");
        assert_eq!((&done["plan"][0]["verdict"], &done["plan"][0]["count"]), (&json!("erased"), &json!(30)));
        let after = wrapped_keys(&server).await;
        let destroyed: Vec<&Vec<u8>> = before.iter().filter(|key| !after.contains(key)).collect();
        assert_eq!(destroyed.len(), 1, "her key is destroyed, and no other");
        let destroyed = destroyed[0];
        assert!(!raw(&server).await.contains("jane"));
        if server.database.is_none() {
            // Not even in free pages or the write-ahead log.
            for name in ["affiant.sqlite", "affiant.sqlite-wal"] {
                let bytes = std::fs::read(server.data.path().join(name)).unwrap_or_default();
                assert!(!bytes.windows(destroyed.len()).any(|part| part == destroyed), "{name}");
            }
        }
        let verdict = server.verify_trail().await;
        assert_eq!((&verdict["intact"], &verdict["erased"]), (&json!(true), &json!(30)), "{verdict}");
        let seen = server.get("/api/v1/projects/payments/audit-events?limit=50").await;
        assert_eq!(seen["items"].as_array().unwrap().len(), 35, "the skeletons stay");
        assert!(!seen.to_string().to_lowercase().contains("jane") && seen.to_string().contains("someone.else"));
        // The certificate is signed by the trail's key.
        let keys = server.get("/api/v1/trail/keys").await;
        let key = affiant_trail::PublicKey::parse(keys[0]["key"].as_str().unwrap()).unwrap();
        let text = key.text(done["certificate"].as_str().unwrap()).unwrap();
        assert!(text.contains("outcome erased") && text.contains("erased 30 audit events"), "{text}");
        // The same name later is somebody new.
        events(&server, "jane.doe@corp.example", 1, &["GDPR"], "2026-11-02T10:00:00Z").await;
        assert_eq!(server.verify_trail().await["erased"], 30);
    }

    async fn what_a_duty_or_a_hold_keeps_is_set_aside(server: Server) {
        let desk = Desk::new(&server).await;
        events(&server, "max", 4, &["SOX"], "2026-11-01T10:00:00Z").await;
        events(&server, "max", 3, &["GDPR"], "2026-11-01T10:00:00Z").await;
        let done = desk.through(&server, "erasure", "max").await;
        assert_eq!(done["outcome"], "restricted_hold", "{done}");
        let restricted = done["plan"].as_array().unwrap().iter().find(|class| class["verdict"] == "restricted").unwrap();
        assert_eq!((&restricted["count"], &restricted["basis"]), (&json!(4), &json!("17.3.e")));
        assert!(restricted["until"].as_str().unwrap().starts_with("2033-11-01"));
        let seen = server.get("/api/v1/projects/payments/audit-events?limit=50").await;
        assert!(!seen.to_string().contains("\"max\""), "nobody reads what is set aside: {seen}");
        // But for the privacy role, with a reason, each reading an entry.
        let path = format!("/api/v1/privacy/requests/{}/readings", done["id"].as_str().unwrap());
        let read = async |token: &str, reason: &str| {
            let answer = server.send_as(token, "POST", &path, Some(json!({"reason": reason}))).await;
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        };
        assert_eq!(read(&desk.handler, "why not").await.0, 400);
        let (status, told) = read(&desk.handler, "Claim 17 of 2026 before the regional court").await;
        assert_eq!((status, told["items"].as_array().unwrap().len()), (200, 4), "{told}");
        assert_eq!(told["items"][0]["content"]["user"], "max");
        let compliance = server.new_token("compliance", None).await;
        assert_eq!(read(&compliance, "Claim 17 of 2026 before the regional court").await.0, 403);
        let readings = server.get("/api/v1/trail/entries?action=subject.restricted-read").await;
        assert_eq!(readings["items"].as_array().unwrap().len(), 1);
        assert!(readings["items"][0]["payload"]["detail"].as_str().unwrap().contains("Claim 17"), "{readings}");
        let verdict = server.verify_trail().await;
        assert_eq!((&verdict["intact"], &verdict["erased"]), (&json!(true), &json!(3)));
        // A duty counts behind the rule that gave the date.
        events(&server, "pia", 2, &["PCI_DSS", "GDPR"], "2026-11-01T10:00:00Z").await;
        let done = desk.through(&server, "erasure", "pia").await;
        assert_eq!((&done["outcome"], &done["done"][0]["records"]), (&json!("restricted_hold"), &json!("audit events kept by ret-pci-log")), "{done}");
        // A hold that comes after the plan is kept.
        events(&server, "eve", 5, &["GDPR"], "2026-11-01T10:00:00Z").await;
        let id = desk.receive(&server, "erasure", "eve").await;
        desk.step(&server, &desk.handler, &id, json!({"step": "verify_identity", "text": "known"})).await;
        desk.step(&server, &desk.handler, &id, json!({"step": "plan"})).await;
        desk.step(&server, &desk.approver, &id, json!({"step": "approve"})).await;
        server.post("/api/v1/projects/payments/holds", json!({"person": "eve", "reason": "Litigation"})).await;
        let (status, done) = desk.step(&server, &desk.handler, &id, json!({"step": "fulfil"})).await;
        assert_eq!((status, &done["outcome"]), (200, &json!("partly_erased")), "{done}");
        assert!(done["certificate"].as_str().unwrap().contains("kept 5 audit events"), "it says what was done, not what was planned: {done}");
        assert_eq!(server.verify_trail().await["erased"], 3, "what is held is not erased");
        // A hold finds what was set aside before it.
        let hold = server.post("/api/v1/projects/payments/holds", json!({"person": "max", "reason": "Litigation"})).await;
        assert_eq!(hold["of_person"], true);
        let holds = server.get("/api/v1/projects/payments/holds").await;
        assert_eq!(holds["items"].as_array().unwrap().len(), 3, "one for who they are now, one for what was set aside: {holds}");
    }

    async fn a_request_wants_two_people_and_its_steps_in_order(server: Server) {
        let desk = Desk::new(&server).await;
        events(&server, "ann", 2, &[], "2026-11-01T10:00:00Z").await;
        let id = desk.receive(&server, "access", "ann").await;
        let again = server.send_as(&desk.handler, "POST", "/api/v1/privacy/requests", Some(json!({"right": "access", "identifier": "ANN"}))).await;
        assert_eq!(again.status(), 200, "one that is open is not taken in twice");
        let step = async |token: &str, body: Value| desk.step(&server, token, &id, body).await.0;
        assert_eq!(step(&desk.handler, json!({"step": "fulfil"})).await, 409);
        assert_eq!(step(&desk.handler, json!({"step": "approve"})).await, 409);
        assert_eq!(step(&desk.handler, json!({"step": "verify_identity"})).await, 400, "how?");
        assert_eq!(step(&desk.handler, json!({"step": "dance"})).await, 400);
        assert_eq!(step(&desk.handler, json!({"step": "verify_identity", "text": "seen"})).await, 200);
        assert_eq!(step(&desk.handler, json!({"step": "extend", "text": "many systems"})).await, 200);
        assert_eq!(step(&desk.handler, json!({"step": "extend", "text": "more still"})).await, 409, "once");
        assert_eq!(step(&desk.handler, json!({"step": "plan", "ground": "because"})).await, 400);
        assert_eq!(step(&desk.handler, json!({"step": "plan"})).await, 200);
        assert_eq!(step(&desk.handler, json!({"step": "approve"})).await, 403, "four eyes");
        let package = format!("/api/v1/privacy/requests/{id}/package");
        assert_eq!(server.send_as(&desk.handler, "GET", &package, None).await.status(), 409, "not approved yet");
        assert_eq!(step(&desk.approver, json!({"step": "approve"})).await, 200);
        let zip = server.send_as(&desk.handler, "GET", &package, None).await.bytes().await.unwrap();
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
        let mut read = |name: &str| {
            let mut text = String::new();
            zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        let data: Value = serde_json::from_str(&read("data.json")).unwrap();
        assert_eq!(data["records"].as_array().unwrap().len(), 2);
        assert_eq!(data["records"][0]["content"]["source_ip"], "203.0.113.77");
        assert!(read("data.csv").lines().count() == 3 && read("index.txt").contains("records 2") && read("digests.txt").contains("data.csv"));
        assert_eq!(step(&desk.handler, json!({"step": "fulfil"})).await, 200);
        assert_eq!(step(&desk.handler, json!({"step": "withdraw"})).await, 409, "what is closed stays so");
        let due = server.send_as(&desk.handler, "GET", "/api/v1/privacy/due", None).await.json::<Value>().await.unwrap();
        assert_eq!((&due["open"], &due["late"]), (&json!(0), &json!(0)));
        let member = server.new_token("member", None).await;
        assert_eq!(server.send_as(&member, "GET", "/api/v1/privacy/requests", None).await.status(), 403);
        let told = server.get("/api/v1/trail/entries?action=request.step&limit=50").await.to_string();
        assert!(told.contains("verify_identity") && !told.contains("ann\""));
    }

    async fn the_four_answers_come_in_one_call(server: Server) {
        let desk = Desk::new(&server).await;
        events(&server, "kim", 3, &["GDPR"], "2026-11-01T10:00:00Z").await;
        events(&server, "kim", 2, &["SOX"], "2026-11-01T10:00:00Z").await;
        let ask = async |method: &str, path: &str, body: Value| {
            let answer = server.send_as(&desk.handler, method, &format!("/api/v1/privacy{path}"), Some(body)).await;
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
        };
        let consent = json!({"identifier": "Kim", "purpose": "training", "proof": "ticked on the form of 1 November"});
        assert_eq!(ask("PUT", "/consents", consent.clone()).await.0, 204);
        assert_eq!(ask("PUT", "/consents", consent.clone()).await.0, 204, "again changes nothing");
        assert_eq!(ask("PUT", "/consents", json!({"identifier": "kim", "purpose": "", "proof": "x"})).await.0, 400);
        let activity = json!({"name": "Support assistant", "purpose": "answers to customers", "basis": "contract", "subjects": "customers", "categories": "tickets", "retention": "a year"});
        assert_eq!(ask("PUT", "/activities", activity.clone()).await.0, 201);
        let mut changed = activity.clone();
        changed["retention"] = json!("two years");
        let (_, set) = ask("PUT", "/activities", changed).await;
        let mut wrong = activity;
        wrong["basis"] = json!("because");
        assert_eq!(ask("PUT", "/activities", wrong).await.0, 400);
        let (status, four) = ask("POST", "/answers", json!({"identifier": "kim"})).await;
        assert_eq!(status, 200, "{four}");
        assert_eq!((&four["data_export"]["known"], &four["data_export"]["records"]), (&json!(true), &json!(5)));
        assert_eq!(four["data_deletion"].as_array().unwrap().len(), 2, "{four}");
        assert_eq!((four["consent_tracking"].as_array().unwrap().len(), &four["consent_tracking"][0]["state"]), (1, &json!("given")));
        assert_eq!((four["processing_purposes"].as_array().unwrap().len(), &four["processing_purposes"][0]["retention"]), (1, &json!("two years")));
        assert_eq!(ask("POST", "/consents/withdrawal", json!({"identifier": "kim", "purpose": "training"})).await.0, 204);
        assert_eq!(ask("POST", "/consents/withdrawal", json!({"identifier": "kim", "purpose": "training"})).await.0, 404);
        assert_eq!(ask("DELETE", &format!("/activities/{}", set["id"].as_str().unwrap()), Value::Null).await.0, 204);
        let (_, four) = ask("POST", "/answers", json!({"identifier": "kim"})).await;
        assert_eq!((&four["consent_tracking"][0]["state"], &four["processing_purposes"]), (&json!("withdrawn"), &json!([])));
        let (_, nobody) = ask("POST", "/answers", json!({"identifier": "nobody"})).await;
        assert_eq!((&nobody["data_export"]["known"], &nobody["data_deletion"]), (&json!(false), &json!([])));
        assert!(!raw(&server).await.contains("ticked on the form"), "proofs are sealed");
    }
}

on_both! {
    async fn requests_are_carried_out_on_the_command_line_too(server: Server) {
        events(&server, "kim@corp.example", 4, &["GDPR"], "2026-11-20T10:00:00Z").await;
        let run = |actor: &str, args: &[&str]| {
            let mut all = vec!["privacy", "--actor", actor];
            all.extend(args);
            server.affiant(&all, &[])
        };
        let (code, told) = run("ines", &["receive", "portability", "kim@corp.example"]);
        assert_eq!(code, Some(0), "{told}");
        let id = serde_json::from_str::<Value>(&told).unwrap()["id"].as_str().unwrap().to_owned();
        assert_eq!(run("ines", &["step", &id, "fulfil"]).0, Some(2), "not before it is approved");
        for (actor, args) in [("ines", vec!["step", &id, "verify_identity", "--text", "passport seen"]), ("ines", vec!["step", &id, "plan"])] {
            assert_eq!(run(actor, &args).0, Some(0));
        }
        let (code, told) = run("ines", &["step", &id, "approve"]);
        assert!(code != Some(0) && told.contains("somebody else"), "{told}");
        assert_eq!(run("otto", &["step", &id, "approve"]).0, Some(0));
        let out = server.data.path().join("kim.zip").display().to_string();
        assert_eq!(run("ines", &["package", &id, &out]).0, Some(0));
        let mut zip = zip::ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
        let mut json = String::new();
        zip.by_name("data.json").unwrap().read_to_string(&mut json).unwrap();
        assert!(json.contains("kim@corp.example"));
        assert!(run("ines", &["list"]).1.contains("portability"));
        let (_, told) = run("ines", &["preview", "kim@corp.example"]);
        assert!(told.contains("erased") && told.contains("ret-gdpr-gen"), "{told}");
        let (code, told) = run("ines", &["step", &id, "fulfil"]);
        assert!(code == Some(0) && told.contains("Affiant: certificate"), "{told}");
    }

    async fn who_is_named_in_events_of_others_is_found_and_forgotten(server: Server) {
        let desk = Desk::new(&server).await;
        let event = |id: &str, tag: &str, subjects: Value| json!({
            "timestamp": "2026-11-20T10:00:00Z", "user_id": "ann@corp.example", "agent_id": "bot", "action": "record.read", "resource": "chart",
            "event_id": id, "compliance_tags": [tag], "source_ip": "203.0.113.77", "subjects": subjects,
        });
        let path = "/api/v1/projects/payments/audit-events";
        for (id, tag, subjects) in [("1", "GDPR", json!(["Patient-17", "patient-17 via token ci", "patient-18", "ANN@corp.example"])), ("2", "GDPR", json!("patient-17 ")), ("3", "HIPAA", json!(["patient-19"]))] {
            assert!(server.send("POST", path, Some(event(id, tag, subjects))).await.status().is_success());
        }
        assert!(server.send("POST", path, Some(event("4", "GDPR", json!([{"name": "patient-17"}])))).await.status().is_client_error());
        let known = async |who: &str| {
            let answer = server.send_as(&desk.handler, "POST", "/api/v1/privacy/answers", Some(json!({"identifier": who}))).await;
            answer.json::<Value>().await.unwrap()
        };
        assert_eq!(known("patient-17").await["data_export"]["known"], true);
        assert!(!raw(&server).await.contains("patient-1"), "their names stand nowhere");
        // What is handed over names them, and not who did it.
        let id = {
            let done = desk.through(&server, "access", "PATIENT-17").await;
            done["id"].as_str().unwrap().to_owned()
        };
        let out = server.data.path().join("patient.zip").display().to_string();
        let (code, told) = server.affiant(&["privacy", "--actor", "ines", "package", &id, &out], &[]);
        assert_eq!(code, Some(0), "{told}");
        let mut zip = zip::ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
        let mut text = String::new();
        zip.by_name("data.json").unwrap().read_to_string(&mut text).unwrap();
        std::fs::remove_file(&out).unwrap();
        let records = serde_json::from_str::<Value>(&text).unwrap()["records"].as_array().unwrap().clone();
        let named: Vec<&Value> = records.iter().filter(|record| record["content"]["names_you"] == true).collect();
        assert_eq!((named.len(), &named[0]["content"]["action"]), (2, &json!("record.read")), "{text}");
        assert!(!text.contains("ann@corp") && !text.contains("203.0.113.77"), "{text}");
        // Forgotten, they are found no more; the events are still whose they were.
        let done = desk.through(&server, "erasure", "patient-17").await;
        assert_eq!((&done["outcome"], &done["done"][0]["verdict"]), (&json!("erased"), &json!("erased")), "{done}");
        assert!(done["done"][0]["records"].as_str().unwrap().contains("of others that name them"), "{done}");
        assert_eq!((&known("patient-17").await["data_export"]["known"], &known("patient-18").await["data_export"]["known"]), (&json!(false), &json!(true)));
        let restricted = desk.through(&server, "erasure", "patient-19").await;
        assert_eq!(restricted["outcome"], "restricted_hold", "a duty keeps that they were named: {restricted}");
        let seen = server.get("/api/v1/projects/payments/audit-events?limit=50").await;
        assert!(seen["items"].as_array().unwrap().iter().all(|item| item["user"] == "ann@corp.example"), "{seen}");
        let verdict = server.verify_trail().await;
        assert!(verdict["intact"] == true && verdict["erased"] == 0, "{verdict}");
        assert!(!raw(&server).await.contains("patient-1"));
        // Who is named alone makes an event another one; a hold on whom it names keeps it from who did it, too.
        let same = |who: &str| json!({"timestamp": "2026-11-20T11:00:00Z", "agent_id": "bot", "action": "look", "subjects": who});
        for who in ["patient-20", "patient-21"] {
            assert!(server.send("POST", path, Some(same(who))).await.status().is_success());
            assert_eq!(known(who).await["data_export"]["known"], true, "{who}");
        }
        server.post("/api/v1/projects/payments/holds", json!({"person": "patient-18", "reason": "Litigation"})).await;
        let done = desk.through(&server, "erasure", "ann@corp.example").await;
        let kept = done["done"].as_array().unwrap().iter().find(|class| class["verdict"] == "kept");
        assert_eq!(kept.map(|class| &class["count"]), Some(&json!(1)), "{done}");
    }

    async fn registers_speak_for_controls(server: Server) {
        let desk = Desk::new(&server).await;
        let ask = async |method: &str, path: &str, body: Value| {
            let answer = server.send_as(&desk.handler, method, &format!("/api/v1/privacy{path}"), Some(body)).await;
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        };
        assert!(server.affiant(&["privacy", "evidence"], &[]).1.contains("told: 0"), "nothing is in any register");
        ask("PUT", "/activities", json!({"name": "Support", "purpose": "answers", "basis": "contract", "subjects": "customers", "categories": "tickets", "retention": "a year"})).await;
        ask("PUT", "/processors", json!({"name": "Mail", "services": "mail", "country": "IE", "contract_at": "2025-01-01", "review_at": "2026-01-01"})).await;
        ask("POST", "/breaches", json!({"title": "Open", "what_happened": "It was open.", "aware_at": "2026-11-01T00:00:00Z"})).await;
        desk.receive(&server, "access", "kim@corp.example").await;
        assert!(server.affiant(&["privacy", "evidence"], &[]).1.contains("told: 1"));
        let found = server.get("/api/v1/projects/payments/findings?state=open").await;
        let titles: Vec<&str> = found["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect();
        assert_eq!(titles.len(), 2, "a contract past its review, a breach that was not told: {found}");
        server.post("/api/v1/projects/payments/assessments", json!({"frameworks": ["gdpr"]})).await;
        let evidence = server.get("/api/v1/projects/payments/assessments?framework=gdpr&limit=1").await;
        let id = evidence["items"][0]["id"].as_str().unwrap();
        let whole = server.get(&format!("/api/v1/projects/payments/assessments/{id}")).await;
        let controls: Vec<Value> = whole["requirements"].as_array().unwrap().iter().flat_map(|one| one["controls"].as_array().unwrap().clone()).collect();
        let control = |id: &str| controls.iter().find(|one| one["id"] == id).unwrap().clone();
        assert!(control("AGT-PRV-04")["score"].as_f64() == Some(1.0) && control("AGT-PRV-04")["coverage"].as_f64() == Some(1.0), "{}", control("AGT-PRV-04"));
        assert!(control("AGT-IRP-01")["score"].as_f64().unwrap() < 1.0, "{}", control("AGT-IRP-01"));
        // What was put right closes.
        ask("PUT", "/processors", json!({"name": "Mail", "services": "mail", "country": "IE", "contract_at": "2025-01-01", "review_at": "2027-01-01"})).await;
        server.affiant(&["privacy", "evidence"], &[]);
        assert_eq!(server.open_findings().await, 1);
    }
}

/// Events of one person while they are forgotten: what was acknowledged before is gone, what comes after is somebody new's, and no name is
/// left of the first.
async fn forgotten_beside_ingest(server: Server) {
    let desk = Desk::new(&server).await;
    events(&server, "ann@corp.example", 300, &["GDPR"], "2026-11-20T10:00:00Z").await;
    let id = desk.receive(&server, "erasure", "ann@corp.example").await;
    for (token, body) in [
        (&desk.handler, json!({"step": "verify_identity", "text": "known"})),
        (&desk.handler, json!({"step": "plan"})),
        (&desk.approver, json!({"step": "approve"})),
    ] {
        assert_eq!(desk.step(&server, token, &id, body).await.0, 200);
    }
    let (url, token) = (
        server.at("/api/v1/projects/payments/audit-events"),
        server.token.clone(),
    );
    let more = tokio::spawn(async move {
        for n in 0..60 {
            let event = json!({"timestamp": "2026-11-20T11:00:00Z", "user_id": "ann@corp.example", "action": "read", "event_id": format!("more-{n}"), "compliance_tags": ["GDPR"]});
            let sent = reqwest::Client::new()
                .post(&url)
                .bearer_auth(&token)
                .json(&event)
                .send()
                .await
                .unwrap();
            assert!(sent.status().is_success());
        }
    });
    let (status, done) = desk.step(&server, &desk.handler, &id, json!({"step": "fulfil"})).await;
    assert_eq!((status, &done["outcome"]), (200, &json!("erased")), "{done}");
    more.await.unwrap();
    let verdict = server.verify_trail().await;
    let (erased, readable) = (verdict["erased"].as_u64().unwrap(), {
        let seen = server.get("/api/v1/projects/payments/audit-events?limit=500").await;
        let named = |item: &&Value| item["user"] == "ann@corp.example";
        seen["items"].as_array().unwrap().iter().filter(named).count() as u64
    });
    assert!(verdict["intact"] == true && erased >= 300, "{verdict}");
    assert_eq!(erased + readable, 360, "each is erased or somebody new's: {verdict}");
    // Who is somebody new can be forgotten too, and then nothing is left.
    desk.through(&server, "erasure", "ann@corp.example").await;
    assert!(!raw(&server).await.contains("ann@corp.example"));
}

/// `kill -9` again and again while somebody is forgotten: each time it goes on where it was, and all of it is done once.
async fn forgotten_through_kills(server: Server) {
    let desk = Desk::new(&server).await;
    for part in 0..8 {
        let at = format!("2026-11-{:02}T10:00:00Z", part + 1);
        events(&server, "ann@corp.example", 500, &["GDPR"], &at).await;
    }
    events(&server, "bob@corp.example", 50, &["GDPR"], "2026-11-20T10:00:00Z").await;
    let id = desk.receive(&server, "erasure", "ann@corp.example").await;
    for (token, body) in [
        (&desk.handler, json!({"step": "verify_identity", "text": "known"})),
        (&desk.handler, json!({"step": "plan"})),
        (&desk.approver, json!({"step": "approve"})),
    ] {
        assert_eq!(desk.step(&server, token, &id, body).await.0, 200);
    }
    let mut server = server;
    for round in 0..8_u64 {
        let path = server.at(&format!("/api/v1/privacy/requests/{id}/steps"));
        let fulfil = reqwest::Client::new()
            .post(path)
            .bearer_auth(&desk.handler)
            .json(&json!({"step": "fulfil"}));
        let sent = tokio::spawn(fulfil.send());
        tokio::time::sleep(std::time::Duration::from_millis(5 + round * round * 12)).await;
        server = tokio::task::block_in_place(|| server.kill_and_go_on());
        let _ = sent.await;
    }
    desk.step(&server, &desk.handler, &id, json!({"step": "fulfil"})).await;
    let done = desk.shown(&server, &id).await;
    assert_eq!(
        (&done["state"], &done["outcome"]),
        (&json!("fulfilled"), &json!("erased")),
        "{done}"
    );
    let counted: u64 = done["done"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| class["count"].as_u64().unwrap())
        .sum();
    let verdict = server.verify_trail().await;
    assert_eq!(
        (&verdict["intact"], &verdict["erased"]),
        (&json!(true), &json!(4000)),
        "{verdict}"
    );
    assert_eq!(counted, 4000, "each record is told once: {done}");
    let everything = raw(&server).await;
    assert!(!everything.contains("ann@corp.example"));
    let export = server
        .send("GET", "/api/v1/trail/export?payloads=true", None)
        .await
        .text()
        .await
        .unwrap();
    assert!(export.contains("bob@corp.example"));
}

mod faults {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn forgotten_beside_ingest_sqlite() {
        forgotten_beside_ingest(Server::start(None).await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn forgotten_beside_ingest_postgres() {
        if let Some(url) = crate::server::postgres().await {
            forgotten_beside_ingest(Server::start(Some(url)).await).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn forgotten_through_kills_sqlite() {
        forgotten_through_kills(Server::start(None).await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn forgotten_through_kills_postgres() {
        if let Some(url) = crate::server::postgres().await {
            forgotten_through_kills(Server::start(Some(url)).await).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_ask_without_signing_in_and_learn_nothing() {
    let off = Server::start(None).await;
    let nobody = reqwest::Client::new();
    assert_eq!(nobody.get(off.at("/your-data")).send().await.unwrap().status(), 404);
    let server = Server::start_with(None, &[("AFFIANT_PRIVACY_INTAKE", "true")]).await;
    events(&server, "kim@corp.example", 2, &["GDPR"], "2026-11-20T10:00:00Z").await;
    let form = nobody
        .get(server.at("/your-data"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(form.contains("Send the request") && form.contains("Erase my data"));
    let ask = async |who: &str| {
        let sent = nobody
            .post(server.at("/your-data"))
            .form(&[("right", "erasure"), ("identifier", who)])
            .send()
            .await
            .unwrap();
        (sent.status().as_u16(), sent.text().await.unwrap())
    };
    let known = ask("kim@corp.example").await;
    let again = ask("kim@corp.example").await;
    let stranger = ask("nobody@corp.example").await;
    assert_eq!(known.0, 200);
    let plain = |page: &str| page.split("<main").nth(1).unwrap().to_owned();
    assert!(
        plain(&known.1) == plain(&again.1) && plain(&known.1) == plain(&stranger.1),
        "the same words whoever asks"
    );
    let desk = Desk::new(&server).await;
    let list = server
        .send_as(&desk.handler, "GET", "/api/v1/privacy/requests", None)
        .await
        .json::<Value>()
        .await
        .unwrap();
    assert_eq!(
        list["items"].as_array().unwrap().len(),
        2,
        "one for each person: {list}"
    );
    assert!(
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["state"] == "received" && row["handlers"] == json!(["intake"]))
    );
    let mut last = 200;
    for n in 0..6 {
        last = ask(&format!("x{n}@corp.example")).await.0;
    }
    assert_eq!(last, 429);
}
