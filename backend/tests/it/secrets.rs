//! Secrets by reference: Vault by a few lines that speak its protocol, AWS Secrets Manager by the server that stands in for AWS.

use crate::server::binary;
use crate::sources::s3;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;
use std::process::Command;

async fn secret(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    if request
        .headers()
        .get("x-vault-token")
        .is_none_or(|token| token != "s.token")
    {
        return HttpResponse::Forbidden().json(json!({"errors": ["permission denied"]}));
    }
    match path.as_str() {
        "affiant/corp" => {
            HttpResponse::Ok().json(json!({"data": {"data": {"client": "from-vault"}, "metadata": {"version": 3}}}))
        }
        _ => HttpResponse::NotFound().json(json!({"errors": []})),
    }
}

/// What `config check` says of a configuration whose secret is there: exit code and words.
fn check(reference: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("affiant.toml");
    let text = format!(
        "[[provider]]\nname = 'corp'\nissuer = 'https://sso.example'\nclient_id = 'a'\nclient_secret = '{reference}'\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(binary());
    let output = command
        .args(["config", "check"])
        .arg(&file)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_vault_is_fetched() {
    let stand_in = HttpServer::new(|| App::new().route("/v1/kv/data/{path:.*}", web::get().to(secret)));
    let stand_in = stand_in.workers(1).bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", stand_in.addrs()[0]);
    tokio::spawn(stand_in.run());
    let variables = [("VAULT_ADDR", address.as_str()), ("VAULT_TOKEN", "s.token")];
    assert_eq!(check("vault:kv/affiant/corp#client", &variables).0, Some(0));
    for (reference, variables, words) in [
        ("vault:kv/affiant/corp#other", variables, "no text under other"),
        ("vault:kv/affiant/none#client", variables, "404"),
        ("vault:kv/affiant/corp", variables, "the key is missing"),
        (
            "vault:kv/affiant/corp#client",
            [("VAULT_ADDR", address.as_str()), ("VAULT_TOKEN", "wrong")],
            "403",
        ),
        (
            "vault:kv/affiant/corp#client",
            [("VAULT_ADDR", "http://127.0.0.1:1"), ("VAULT_TOKEN", "s.token")],
            "cannot be reached",
        ),
    ] {
        let (code, told) = check(reference, &variables);
        assert_eq!(code, Some(2), "{reference}");
        assert!(
            told.contains(words) && told.contains("provider[0].client_secret") && !told.contains("from-vault"),
            "{reference}: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_aws_is_fetched() {
    let Some(endpoint) = s3() else { return };
    let name = format!("affiant/{}", uuid::Uuid::now_v7());
    let made = reqwest::Client::new()
        .post(&endpoint)
        .header("authorization", "AWS4-HMAC-SHA256 Credential=AKRIG/20261001/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0")
        .header("x-amz-target", "secretsmanager.CreateSecret")
        .header("content-type", "application/x-amz-json-1.1")
        .body(json!({"Name": name, "SecretString": json!({"client": "from-aws"}).to_string()}).to_string())
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success(), "{}", made.text().await.unwrap());
    let variables = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKRIG"),
        ("AWS_SECRET_ACCESS_KEY", "rigsecret"),
    ];
    assert_eq!(
        check(&format!("aws:{name}#client"), &variables),
        (Some(0), String::new())
    );
    assert_eq!(check(&format!("aws:{name}"), &variables).0, Some(0));
    for (reference, words) in [
        (format!("aws:{name}#other"), "no text under other"),
        ("aws:affiant/none".to_owned(), "ResourceNotFoundException"),
    ] {
        let (code, told) = check(&reference, &variables);
        assert_eq!(code, Some(2), "{reference}");
        assert!(told.contains(words) && !told.contains("from-aws"), "{told}");
    }
}
