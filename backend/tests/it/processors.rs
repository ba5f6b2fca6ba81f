//! Processors are told of requests, signed, and their answers tracked; contracts and breaches have their dates.

use crate::privacy::{Desk, events, raw};
use crate::server::Server;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What came: the headers of Standard Webhooks, and the body.
type Came = Arc<Mutex<Vec<([String; 3], String)>>>;

async fn receive(request: HttpRequest, body: String, came: web::Data<Came>) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
    came.lock().unwrap().push((headers, body));
    HttpResponse::Ok().json(json!({"state": "done", "text": "deleted in mail and in backups"}))
}

async fn ask(server: &Server, desk: &Desk, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let answer = server
        .send_as(&desk.handler, method, &format!("/api/v1/privacy{path}"), body)
        .await;
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn run(database: Option<String>) {
    let came: Came = Arc::default();
    let shared = web::Data::new(came.clone());
    let stand_in = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/told", web::post().to(receive))
    });
    let stand_in = stand_in.workers(1).bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", stand_in.addrs()[0]);
    tokio::spawn(stand_in.run());
    let allowed = format!("{base}/,http://127.0.0.1:1/");
    let server = Server::start_with(database, &[("AFFIANT_WEBHOOK_ENDPOINTS", &allowed)]).await;
    let desk = Desk::new(&server).await;
    let processor = |name: &str, url: &str| json!({"name": name, "services": "mail", "country": "IE", "contract_at": "2026-01-01", "review_at": "2026-06-01", "webhook_url": url});
    let (status, refused) = ask(
        &server,
        &desk,
        "PUT",
        "/processors",
        Some(processor("x", "https://elsewhere.example/")),
    )
    .await;
    assert!(
        status == 400 && refused.to_string().contains("AFFIANT_WEBHOOK_ENDPOINTS"),
        "{refused}"
    );
    let (status, mail) = ask(
        &server,
        &desk,
        "PUT",
        "/processors",
        Some(processor("Mail service", &format!("{base}/told"))),
    )
    .await;
    assert_eq!(status, 201, "{mail}");
    assert_eq!(mail["review_is_due"], true);
    let secret = mail["webhook_secret"]
        .as_str()
        .unwrap()
        .strip_prefix("whsec_")
        .unwrap()
        .to_owned();
    ask(&server, &desk, "PUT", "/processors", Some(processor("Print shop", ""))).await;
    ask(
        &server,
        &desk,
        "PUT",
        "/processors",
        Some(processor("Gone away", "http://127.0.0.1:1/")),
    )
    .await;
    let (_, listed) = ask(&server, &desk, "GET", "/processors", None).await;
    assert!(
        listed["items"].as_array().unwrap().len() == 3 && !listed.to_string().contains("whsec_"),
        "{listed}"
    );

    events(&server, "ann@corp.example", 3, &["GDPR"], "2026-11-20T10:00:00Z").await;
    let done = desk.through(&server, "erasure", "ann@corp.example").await;
    assert_eq!(done["outcome"], "erased");
    assert!(
        done["certificate"]
            .as_str()
            .unwrap()
            .contains("processor to be told: Mail service")
    );
    let id = done["id"].as_str().unwrap();
    let notice = async |name: &str| {
        let shown = desk.shown(&server, id).await;
        let found = shown["processors"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["processor"] == name);
        found.unwrap().clone()
    };
    while notice("Mail service").await["state"] == "waiting" || notice("Gone away").await["attempts"] == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let mail = notice("Mail service").await;
    assert_eq!(
        (&mail["state"], &mail["attempts"]),
        (&json!("done"), &json!(1)),
        "{mail}"
    );
    assert_eq!(mail["answer"], "deleted in mail and in backups");
    let ([message, at, signature], body) = came.lock().unwrap()[0].clone();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&BASE64_STANDARD.decode(secret).unwrap()).unwrap();
    mac.update(format!("{message}.{at}.{body}").as_bytes());
    assert_eq!(
        signature,
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&body["type"], &body["identifier"], &body["request"]),
        (&json!("subject.erasure"), &json!("ann@corp.example"), &json!(id))
    );
    // Told once, and no longer known here but for those who are still to be told, sealed.
    assert_eq!(came.lock().unwrap().len(), 1);
    assert!(!raw(&server).await.contains("ann@corp.example"));
    let gone = notice("Gone away").await;
    assert_eq!(
        (&gone["state"], &gone["answer"]),
        (&json!("waiting"), &json!("it cannot be reached"))
    );
    // One that people tell.
    let shop = notice("Print shop").await;
    assert_eq!(shop["state"], "by_hand");
    let path = format!("/notices/{}/answer", shop["id"].as_str().unwrap());
    assert_eq!(
        ask(&server, &desk, "POST", &path, Some(json!({"state": "perhaps"})))
            .await
            .0,
        400
    );
    assert_eq!(
        ask(
            &server,
            &desk,
            "POST",
            &path,
            Some(json!({"state": "done", "text": "shredded"}))
        )
        .await
        .0,
        204
    );
    assert_eq!(notice("Print shop").await["answer"], "shredded");
    let entries = server.get("/api/v1/trail/entries?action=processor.told&limit=10").await;
    assert_eq!(entries["items"].as_array().unwrap().len(), 2, "{entries}");
    // Access is nothing that processors carry out.
    let access = desk.through(&server, "access", "bob@corp.example").await;
    assert_eq!(access["processors"], json!([]));

    // A breach: 72 hours, whatever days they are, and no end before everybody was told.
    let breach = json!({"title": "Mailbox open", "what_happened": "A mailbox was open to all.", "affected": 40, "high_risk": true, "aware_at": "2026-11-20T18:00:00Z"});
    let (status, breach) = ask(&server, &desk, "POST", "/breaches", Some(breach)).await;
    assert_eq!(status, 201, "{breach}");
    assert_eq!(
        (&breach["due_at"], &breach["late"]),
        (&json!("2026-11-23T18:00:00Z"), &json!(true))
    );
    let path = format!("/breaches/{}/steps", breach["id"].as_str().unwrap());
    let step = async |body: Value| ask(&server, &desk, "POST", &path, Some(body)).await;
    assert_eq!(step(json!({"step": "closed"})).await.0, 409);
    assert_eq!(
        step(json!({"step": "authority_told", "at": "2026-11-24T10:00:00Z"}))
            .await
            .0,
        400,
        "a late notice needs its reason"
    );
    let (status, told) = step(json!({"step": "authority_told", "at": "2026-11-24T10:00:00Z", "late_because": "found out late who is affected"})).await;
    assert_eq!((status, &told["late"]), (200, &json!(true)));
    assert_eq!(step(json!({"step": "closed"})).await.0, 409, "the people were not told");
    assert_eq!(step(json!({"step": "people_told"})).await.0, 200);
    assert!(step(json!({"step": "closed"})).await.1["closed_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_are_told_and_breaches_have_their_clock_sqlite() {
    run(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_are_told_and_breaches_have_their_clock_postgres() {
    if let Some(url) = crate::server::postgres().await {
        run(Some(url)).await;
    }
}
