//! The installation's keys: wrapped by Vault's transit engine or AWS KMS, and changed while servers run.

use crate::server::{Server, on_both};
use crate::sources::s3;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

async fn event(server: &Server, user: &str) {
    let event =
        json!({"timestamp": "2026-11-01T10:00:00Z", "user_id": user, "action": "read", "resource": "db:orders"});
    let answer = server
        .send("POST", "/api/v1/projects/payments/audit-events", Some(event))
        .await;
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

async fn users(server: &Server) -> Vec<String> {
    let seen = server.get("/api/v1/projects/payments/audit-events?limit=50").await;
    let items = seen["items"].as_array().unwrap().iter();
    items
        .map(|item| item["user"].as_str().unwrap_or("?").to_owned())
        .collect()
}

async fn entries(server: &Server, action: &str) -> usize {
    let found = server
        .get(&format!("/api/v1/trail/entries?action={action}&limit=50"))
        .await;
    found["items"].as_array().unwrap().len()
}

on_both! {
    async fn the_sealing_key_changes_while_the_server_works(server: Server) {
        event(&server, "ann@corp.example").await;
        let file = server.data.path().join("installation.key");
        let before = std::fs::read_to_string(&file).unwrap();
        let clients: Vec<_> = (0..4).map(|client| {
            let (url, token) = (server.at("/api/v1/projects/payments/audit-events"), server.token.clone());
            tokio::spawn(async move {
                for n in 0..40 {
                    let event = json!({"timestamp": "2026-11-01T10:00:00Z", "user_id": format!("u{client}-{n}"), "action": "read"});
                    let answer = reqwest::Client::new().post(&url).bearer_auth(&token).json(&event).send().await.unwrap();
                    assert!(answer.status().is_success());
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
            })
        }).collect();
        let (code, told) = tokio::task::block_in_place(|| server.affiant(&["keys", "rotate", "--wait", "11"], &[]));
        assert_eq!(code, Some(0), "{told}");
        for client in clients {
            client.await.unwrap();
        }
        let after = std::fs::read_to_string(&file).unwrap();
        let (before, after): (Value, Value) = (serde_json::from_str(&before).unwrap(), serde_json::from_str(&after).unwrap());
        assert_eq!(before["ring"]["root"], after["ring"]["root"]);
        assert_eq!(after["ring"]["seals"].as_array().unwrap().len(), 1);
        assert_ne!(before["ring"]["seals"][0], after["ring"]["seals"][0]);
        // Everything opens, for this server and for one that begins now; the same person is still the same.
        event(&server, "ann@corp.example").await;
        assert!(users(&server).await.iter().all(|user| user != "?"));
        let export = server.send("GET", "/api/v1/trail/export?payloads=true", None).await.text().await.unwrap();
        for name in ["ann@corp.example", "u0-0", "u3-39"] {
            assert!(export.contains(name), "{name} cannot be read any more");
        }
        assert_eq!(entries(&server, "keys.rotated").await, 1);
        assert_eq!(server.verify_trail().await["intact"], true);
    }
}

/// Vault's transit engine, as far as it is asked: what it wraps is bound to the key's name and the context.
async fn transit(request: HttpRequest, path: web::Path<(String, String)>, body: web::Json<Value>) -> HttpResponse {
    if request
        .headers()
        .get("x-vault-token")
        .is_none_or(|token| token != "s.token")
    {
        return HttpResponse::Forbidden().json(json!({"errors": ["permission denied"]}));
    }
    let (what, name) = path.into_inner();
    let context = body["associated_data"].as_str().unwrap();
    match what.as_str() {
        "encrypt" => {
            let turned: String = body["plaintext"].as_str().unwrap().chars().rev().collect();
            HttpResponse::Ok().json(json!({"data": {"ciphertext": format!("vault:v1:{name}:{context}:{turned}")}}))
        }
        _ => match body["ciphertext"]
            .as_str()
            .unwrap()
            .strip_prefix(&format!("vault:v1:{name}:{context}:"))
        {
            Some(turned) => {
                HttpResponse::Ok().json(json!({"data": {"plaintext": turned.chars().rev().collect::<String>()}}))
            }
            None => HttpResponse::BadRequest().json(json!({"errors": ["cipher: message authentication failed"]})),
        },
    }
}

/// Wraps the keys of a server, starts another over the same data and unwraps them again.
async fn is_wrapped_and_opened(reference: &str, variables: &[(&str, &str)]) {
    let mut server = Server::start(None).await;
    event(&server, "ann@corp.example").await;
    let file = server.data.path().join("installation.key");
    let clear = std::fs::read_to_string(&file).unwrap();
    let (code, told) = server.affiant(&["keys", "wrap", "--to", reference], variables);
    assert_eq!(code, Some(0), "{told}");
    let wrapped = std::fs::read_to_string(&file).unwrap();
    let root = clear.split('"').find(|part| part.len() == 64).unwrap();
    assert!(wrapped.contains(reference) && !wrapped.contains(root), "{wrapped}");
    let (_, told) = server.affiant(&["keys", "show"], variables);
    assert!(told.contains(reference), "{told}");
    // Who wants another master key than the one that wraps is told so; without the keeper nothing opens.
    let (code, told) = server.affiant(&["migrate", "--master-key", "aws-kms:other"], variables);
    assert!(code != Some(0) && told.contains("affiant keys wrap"), "{told}");
    assert_ne!(
        server
            .affiant(
                &["migrate"],
                &[
                    ("VAULT_ADDR", "http://127.0.0.1:1"),
                    ("VAULT_TOKEN", "x"),
                    ("AWS_REGION", "x"),
                    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
                ]
            )
            .0,
        Some(0)
    );
    // The server that runs has the keys; one that begins anew gets them from the keeper.
    event(&server, "bob@corp.example").await;
    assert!(server.stop().success());
    let (code, told) = server.affiant(&["trail", "export", "--payloads"], variables);
    assert!(code == Some(0) && told.contains("bob@corp.example"), "{told}");
    let (code, told) = server.affiant(&["keys", "rotate", "--wait", "0"], variables);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = server.affiant(&["keys", "wrap", "--to", "none"], variables);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = server.affiant(&["trail", "export", "--payloads"], &[]);
    assert!(code == Some(0) && told.contains("ann@corp.example"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_wraps_the_keys() {
    let stand_in = HttpServer::new(|| App::new().route("/v1/team/transit/{what}/{name}", web::post().to(transit)));
    let stand_in = stand_in.workers(1).bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", stand_in.addrs()[0]);
    tokio::spawn(stand_in.run());
    is_wrapped_and_opened(
        "vault:team/transit/affiant",
        &[("VAULT_ADDR", &address), ("VAULT_TOKEN", "s.token")],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_kms_wraps_the_keys() {
    let Some(endpoint) = s3() else { return };
    let made = reqwest::Client::new()
        .post(&endpoint)
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKRIG/20261001/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0",
        )
        .header("x-amz-target", "TrentService.CreateKey")
        .header("content-type", "application/x-amz-json-1.1")
        .body("{}")
        .send()
        .await
        .unwrap();
    let made: Value = made.json().await.unwrap();
    let key = made["KeyMetadata"]["KeyId"].as_str().unwrap();
    let variables = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKRIG"),
        ("AWS_SECRET_ACCESS_KEY", "rigsecret"),
    ];
    is_wrapped_and_opened(&format!("aws-kms:{key}"), &variables).await;
}
