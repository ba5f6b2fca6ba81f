//! Tokens that are bound to a client's certificate: by the server's own TLS, and as a trusted proxy tells it.

use crate::server::{Server, binary};
use base64::Engine;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn openssl(folder: &Path, args: &[&str]) {
    let made = Command::new("openssl").current_dir(folder).args(args).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A certificate of the authority in the folder.
fn issue(folder: &Path, name: &str, subject: &str) {
    let (key, request, cert, ext) = (
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.pem"),
        format!("{name}.ext"),
    );
    std::fs::write(
        folder.join(&ext),
        format!("subjectAltName={subject}\nbasicConstraints=critical,CA:FALSE\n"),
    )
    .unwrap();
    openssl(
        folder,
        &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key],
    );
    openssl(
        folder,
        &[
            "req",
            "-new",
            "-key",
            &key,
            "-subj",
            &format!("/CN={name}"),
            "-out",
            &request,
        ],
    );
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &ext,
            "-out",
            &cert,
        ],
    );
}

fn authority() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    openssl(
        at,
        &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key"],
    );
    openssl(
        at,
        &[
            "req",
            "-x509",
            "-key",
            "ca.key",
            "-days",
            "2",
            "-subj",
            "/CN=Test authority",
            "-out",
            "ca.pem",
        ],
    );
    issue(at, "server", "IP:127.0.0.1");
    issue(at, "ci", "URI:spiffe://acme.example/ci,DNS:ci.acme.example");
    issue(at, "other", "URI:spiffe://acme.example/other");
    folder
}

fn token(server: &Server, holder: &str) -> String {
    let made = Command::new(binary())
        .args(["token", "create", "--role", "admin", "--holder", holder, "--data"])
        .arg(server.data.path())
        .output()
        .unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(token.starts_with("aff_"), "{}", String::from_utf8_lossy(&made.stderr));
    token
}

fn client(folder: &Path, name: Option<&str>) -> reqwest::Client {
    let authority = reqwest::Certificate::from_pem(&std::fs::read(folder.join("ca.pem")).unwrap()).unwrap();
    let mut client = reqwest::Client::builder()
        .add_root_certificate(authority)
        .use_rustls_tls();
    if let Some(name) = name {
        let mut both = std::fs::read(folder.join(format!("{name}.pem"))).unwrap();
        both.extend(std::fs::read(folder.join(format!("{name}.key"))).unwrap());
        client = client.identity(reqwest::Identity::from_pem(&both).unwrap());
    }
    client.build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_worth_nothing_without_its_holders_certificate() {
    let folder = authority();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let server = Server::start_beside(&[
        ("AFFIANT_SERVER_TLS_CERTIFICATE", &file("server.pem")),
        ("AFFIANT_SERVER_TLS_KEY", &file("server.key")),
        ("AFFIANT_SERVER_TLS_CLIENT_AUTHORITIES", &file("ca.pem")),
    ]);
    let bound = token(&server, "uri:spiffe://acme.example/ci");
    let ask = async |name: Option<&str>, token: &str| {
        let request = client(folder.path(), name)
            .get(server.at("/api/v1/me"))
            .bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(Some("ci"), &bound).await, 200);
    assert_eq!(ask(None, &bound).await, 401);
    assert_eq!(ask(Some("other"), &bound).await, 401);
    let by_name = token(&server, "dns:CI.acme.example");
    assert_eq!(
        (ask(Some("ci"), &by_name).await, ask(Some("other"), &by_name).await),
        (200, 401)
    );
    // What a bound token makes is bound alike.
    let ci = client(folder.path(), Some("ci"));
    let post = |body: serde_json::Value| {
        ci.post(server.at("/api/v1/tokens"))
            .bearer_auth(&bound)
            .json(&body)
            .send()
    };
    let made: serde_json::Value = post(serde_json::json!({"name": "a", "role": "auditor"}))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(made["holder"], "uri:spiffe://acme.example/ci");
    let freed = post(serde_json::json!({"name": "a", "role": "auditor", "holder": "uri:spiffe://acme.example/other"}))
        .await
        .unwrap();
    assert_eq!(freed.status(), 403);
    let wrong = post(serde_json::json!({"name": "a", "role": "auditor", "holder": "somebody"}))
        .await
        .unwrap();
    assert_eq!(wrong.status(), 400);
    // A certificate of nobody known ends the handshake.
    let stranger = authority();
    let mut both = std::fs::read(stranger.path().join("ci.pem")).unwrap();
    both.extend(std::fs::read(stranger.path().join("ci.key")).unwrap());
    let known = reqwest::Certificate::from_pem(&std::fs::read(folder.path().join("ca.pem")).unwrap()).unwrap();
    let outside = reqwest::Client::builder().add_root_certificate(known).use_rustls_tls();
    let outside = outside
        .identity(reqwest::Identity::from_pem(&both).unwrap())
        .build()
        .unwrap();
    assert!(
        outside
            .get(server.at("/api/v1/me"))
            .bearer_auth(&bound)
            .send()
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_tells_the_certificate_only_where_it_is_trusted() {
    let folder = authority();
    let pem = std::fs::read_to_string(folder.path().join("ci.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(base64::engine::general_purpose::STANDARD.decode(&body).is_ok());
    let header = format!(":{body}:");
    let authorities = folder.path().join("ca.pem").display().to_string();
    let stranger = authority();
    let stranger = std::fs::read_to_string(stranger.path().join("ci.pem")).unwrap();
    let stranger: String = stranger.lines().filter(|line| !line.starts_with('-')).collect();
    let stranger = format!(":{stranger}:");
    let on = ("AFFIANT_SERVER_CLIENT_CERT_HEADER", "true");
    let of = ("AFFIANT_SERVER_TLS_CLIENT_AUTHORITIES", authorities.as_str());
    for (networks, more, wanted) in [
        ("127.0.0.0/8", &[on, of][..], 200),
        ("127.0.0.0/8", &[][..], 401),
        ("10.0.0.0/8", &[on, of][..], 401),
    ] {
        let server = Server::start_beside(&[&[("AFFIANT_SERVER_TRUSTED_PROXIES", networks)], more].concat());
        let bound = token(&server, "uri:spiffe://acme.example/ci");
        let ask = async |headers: &[&str]| {
            let mut request = reqwest::Client::new().get(server.at("/api/v1/me")).bearer_auth(&bound);
            for header in headers {
                request = request.header("Client-Cert", *header);
            }
            request.send().await.unwrap().status().as_u16()
        };
        assert_eq!(ask(&[&header]).await, wanted, "{networks}");
        let (header, body) = (header.as_str(), body.as_str());
        for wrong in [
            &[][..],
            &[header, header],
            &[body],
            &[":AAAA:"],
            &["::"],
            &[stranger.as_str()],
        ] {
            assert_eq!(ask(wrong).await, 401, "{networks} {wrong:?}");
        }
    }
}
