//! Nobody gets in without an identity, and everybody sees what is theirs.

use crate::server::{Server, on_both, sarif};
use serde_json::{Value, json};

/// Every operation of the description: method and path with plausible ids.
async fn operations(server: &Server) -> Vec<(String, String)> {
    let api: Value = reqwest::get(server.at("/api/openapi.json"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let mut all = Vec::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path
                .replace("{project}", "payments")
                .replace("{framework}", "pci-dss")
                .replace("{format}", "json");
            let path = [
                "{finding}",
                "{waiver}",
                "{attestation}",
                "{assessment}",
                "{report}",
                "{job}",
                "{token}",
                "{person}",
                "{membership}",
                "{operation}",
                "{hold}",
                "{request}",
                "{activity}",
                "{import}",
            ]
            .iter()
            .fold(path, |path, name| {
                path.replace(name, "018f0000-0000-7000-8000-000000000000")
            });
            let query = if path.ends_with("/scans") && method == "post" {
                "?asset=repo:x"
            } else {
                ""
            };
            let query = if path.ends_with("/findings") && method == "post" {
                "?asset=repo:x"
            } else {
                query
            };
            all.push((method.to_uppercase(), format!("{path}{query}")));
        }
    }
    all
}

on_both! {
    async fn every_operation_refuses_who_is_not_signed_in(server: Server) {
        let operations = operations(&server).await;
        assert!(operations.len() > 30);
        for (method, path) in operations.iter().filter(|(_, path)| !path.starts_with("/healthz") && !path.starts_with("/readyz")) {
            for token in ["", "aff_not-a-token"] {
                let answer = server.send_as(token, method, path, Some(json!({}))).await;
                assert_eq!(answer.status(), 401, "{method} {path}");
                assert_eq!(answer.headers()["content-type"], "application/problem+json");
            }
        }
        for page in ["/", "/p/payments", "/p/payments/findings", "/p/payments/reports", "/reports/x/pdf"] {
            let answer = server.send_as("", "GET", page, None).await;
            assert_eq!(answer.status(), 401, "{page}");
            assert!(answer.text().await.unwrap().contains("<h1>Sign in</h1>"));
        }
    }

    async fn a_push_token_pushes_and_does_nothing_else(server: Server) {
        let token = server.new_token("ingest", Some("payments")).await;
        let may = [("POST", "/scans"), ("POST", "/findings"), ("POST", "/audit-events"), ("GET", "/jobs/")];
        for (method, path) in operations(&server).await {
            let inside = path.strip_prefix("/api/v1/projects/payments").map(|rest| rest.split('?').next().unwrap().to_owned());
            let allowed = inside.is_some_and(|rest| may.iter().any(|(m, p)| *m == method && (rest == *p || p.ends_with('/') && rest.starts_with(p))));
            let health = ["healthz", "readyz", "token-exchange", "/screen"].iter().any(|open| path.ends_with(open));
            let status = server.send_as(&token, &method, &path, Some(json!({}))).await.status().as_u16();
            assert_eq!(status == 403, !allowed && !health, "{method} {path}: {status}");
        }
    }

    async fn another_project_is_like_one_that_is_not_there(server: Server) {
        server.post("/api/v1/projects", json!({"slug": "secret", "name": "Secret"})).await;
        server.push("asset=repo:payments", sarif("semgrep", &[("sql", "one")])).await;
        let finding = server.get("/api/v1/projects/payments/findings").await["items"][0]["id"].as_str().unwrap().to_owned();
        let token = server.new_token("member", Some("payments")).await;
        let other = server.send_as(&token, "GET", "/api/v1/projects/secret/findings", None).await;
        let none = server.send_as(&token, "GET", "/api/v1/projects/nothing/findings", None).await;
        assert_eq!((other.status(), none.status()), (none.status(), other.status()));
        let strip = |text: String| text.split("\"instance\"").next().unwrap().to_owned();
        assert_eq!(strip(other.text().await.unwrap()), strip(none.text().await.unwrap()));
        let own = server.send_as(&token, "GET", "/api/v1/projects", None).await.json::<Value>().await.unwrap();
        assert_eq!(own.as_array().unwrap().len(), 1);
        // An id of one project in the path of another is not there either.
        let crossed = server.send("GET", &format!("/api/v1/projects/secret/findings/{finding}"), None).await;
        assert_eq!(crossed.status(), 404);
        // A token bound to a project makes none for another.
        let admin = server.new_token("admin", Some("payments")).await;
        let wide = server.send_as(&admin, "POST", "/api/v1/tokens", Some(json!({"name": "x", "role": "admin", "project": "secret"}))).await;
        assert_eq!(wide.status(), 400);
        assert_eq!(server.send_as(&admin, "POST", "/api/v1/projects", Some(json!({"slug": "more", "name": "More"}))).await.status(), 403);
    }

    async fn a_revoked_token_is_worth_nothing(server: Server) {
        let made = server.post("/api/v1/tokens", json!({"name": "short", "role": "auditor"})).await;
        let token = made["token"].as_str().unwrap();
        assert_eq!(server.send_as(token, "GET", "/api/v1/projects", None).await.status(), 200);
        let listed = server.get("/api/v1/tokens").await;
        assert!(!listed.to_string().contains(token), "a token is shown once");
        assert_eq!(server.send("DELETE", &format!("/api/v1/tokens/{}", made["id"].as_str().unwrap()), None).await.status(), 204);
        assert_eq!(server.send_as(token, "GET", "/api/v1/projects", None).await.status(), 401);
    }

    async fn forms_and_sessions_withstand_forgery(server: Server) {
        let forged = server.client.post(server.at("/api/v1/projects")).json(&json!({"slug": "forged", "name": "F"})).send().await.unwrap();
        assert_eq!(forged.status(), 403, "a session's request must say that it comes from this site");
        let form = server.client.post(server.at("/projects")).form(&[("csrf", "wrong"), ("slug", "forged"), ("name", "F")]).send().await.unwrap();
        assert_eq!(form.status(), 403);
        assert_eq!(server.send("GET", "/api/v1/projects/forged", None).await.status(), 404);
        let page = server.client.get(server.at("/p/payments")).send().await.unwrap();
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let link = server.client.get(server.at("/sign-in/guess")).send().await.unwrap();
        assert_eq!(link.status(), 401);
    }
}

/// Two servers on one database: what one ends is over on the other at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_ends_is_over_on_the_other() {
    let Some(url) = crate::server::postgres().await else {
        return;
    };
    let first = Server::start(Some(url.clone())).await;
    let key = first.data.path().join("installation.key").display().to_string();
    let variables = [
        ("AFFIANT_DATABASE_URL", url.as_str()),
        ("AFFIANT_KEY_FILE", key.as_str()),
    ];
    let second = Server::start_beside(&variables);
    let elsewhere = |path: &str| format!("{}{path}", second.url);
    let made = first
        .post("/api/v1/tokens", json!({"name": "both", "role": "auditor"}))
        .await;
    let token = made["token"].as_str().unwrap().to_owned();
    let ask = async || {
        let request = reqwest::Client::new().get(elsewhere("/api/v1/me")).bearer_auth(&token);
        request.send().await.unwrap().status()
    };
    assert_eq!(ask().await, 200);
    let revoke = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(first.send("DELETE", &revoke, None).await.status(), 204);
    assert_eq!(ask().await, 401);
    // The session of the first server's browser holds on the second, until the first ends it.
    let page = first
        .client
        .get(first.at("/account"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let csrf = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let cookies = first.cookies();
    let session = async || {
        let request = reqwest::Client::new()
            .get(elsewhere("/api/v1/me"))
            .header("cookie", &cookies);
        request.send().await.unwrap().status()
    };
    assert_eq!(session().await, 200);
    first
        .client
        .post(first.at("/sign-out"))
        .header("sec-fetch-site", "same-origin")
        .form(&[("csrf", csrf)])
        .send()
        .await
        .unwrap();
    assert_eq!(session().await, 401);
}

on_both! {
    async fn a_token_is_bound_rotated_and_makes_none_that_is_stronger(server: Server) {
        let make = async |token: &str, body: Value| {
            let answer = server.send_as(token, "POST", "/api/v1/tokens", Some(body)).await;
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        };
        let (_, made) = make(&server.token, json!({"name": "narrow", "role": "admin", "scopes": ["tokens:write", "read"]})).await;
        let narrow = made["token"].as_str().unwrap().to_owned();
        let asked = server.send_as(&narrow, "POST", "/api/v1/projects", Some(json!({"slug": "more", "name": "More"}))).await;
        assert_eq!(asked.status(), 403, "bound to less than its role");
        assert_eq!(server.send_as(&narrow, "GET", "/api/v1/projects", None).await.status(), 200);
        assert_eq!(make(&narrow, json!({"name": "x", "role": "admin", "scopes": ["projects:write"]})).await.0, 403);
        assert_eq!(make(&narrow, json!({"name": "x", "role": "auditor", "scopes": ["tokens:write"]})).await.0, 400);
        let (_, sole) = make(&server.token, json!({"name": "sole", "role": "admin", "scopes": ["tokens:write"]})).await;
        let sole = sole["token"].as_str().unwrap();
        assert_eq!(make(sole, json!({"name": "x", "role": "compliance"})).await.0, 403, "nothing is shared, so nothing is given");
        let (_, heir) = make(&narrow, json!({"name": "heir", "role": "admin"})).await;
        assert_eq!(heir["scopes"].as_array().unwrap().len(), 2, "it inherits the bounds: {heir}");
        let end = |one: &Value| one["expires_at"].as_str().unwrap().to_owned();
        let (_, long) = make(&narrow, json!({"name": "long", "role": "admin", "expires_at": "2027-09-01T00:00:00Z"})).await;
        assert_eq!(end(&long), end(&made), "and ends no later");
        // A new one, while the old one holds on.
        let id = made["id"].as_str().unwrap();
        let path = format!("/api/v1/tokens/{id}/rotate");
        let new = server.post(&path, json!({"overlap_seconds": 600})).await;
        let fresh = new["token"].as_str().unwrap();
        for token in [&narrow, fresh] {
            assert_eq!(server.send_as(token, "GET", "/api/v1/projects", None).await.status(), 200);
        }
        let all = server.get("/api/v1/tokens").await;
        let old = all.as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
        assert!(end(old) < end(&new), "{old}");
        server.post(&format!("/api/v1/tokens/{}/rotate", new["id"].as_str().unwrap()), json!({"overlap_seconds": 0})).await;
        assert_eq!(server.send_as(fresh, "GET", "/api/v1/projects", None).await.status(), 401);
        let log = server.get("/api/v1/actions").await.to_string();
        assert!(log.contains("token.rotated") && !log.contains(fresh));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_waits() {
    let limits = [
        ("AFFIANT_LIMITS_IDENTITY_PER_SECOND", "20"),
        ("AFFIANT_LIMITS_ANONYMOUS_PER_SECOND", "2"),
    ];
    let server = Server::start_with(None, &limits).await;
    let other = server.new_token("auditor", None).await;
    let client = reqwest::Client::new();
    let ask = async |token: &str, n: usize| {
        // What a client says of itself changes nothing.
        let request = client
            .get(server.at("/api/v1/me"))
            .header("x-forwarded-for", format!("198.51.100.{n}"));
        let request = request
            .header("forwarded", format!("for=198.51.100.{n}"))
            .header("x-real-ip", format!("198.51.100.{n}"));
        request.bearer_auth(token).send().await.unwrap()
    };
    let mut refused = None;
    for n in 0..200 {
        let answer = ask(&server.token, n).await;
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("two hundred requests at once");
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..10).contains(&seconds));
    assert_eq!(
        refused.json::<Value>().await.unwrap()["type"],
        "urn:affiant:problem:too-many-requests"
    );
    assert_eq!(ask(&other, 0).await.status(), 200, "somebody else is not held up");
    let mut guessed = Vec::new();
    for n in 0..60 {
        guessed.push(ask(&format!("aff_guess-{n}"), n).await.status().as_u16());
    }
    assert!(
        guessed.contains(&429) && guessed[0] == 401,
        "guesses from one address are counted together: {guessed:?}"
    );
    assert_eq!(client.get(server.at("/healthz")).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_speaks_tls_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &file("key.pem"),
            "-out",
            &file("cert.pem"),
        ])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let files = [file("cert.pem"), file("key.pem")];
    let variables = [
        ("AFFIANT_SERVER_TLS_CERTIFICATE", files[0].as_str()),
        ("AFFIANT_SERVER_TLS_KEY", files[1].as_str()),
    ];
    let server = Server::start_beside(&variables);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(&files[0]).unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .add_root_certificate(certificate)
        .build()
        .unwrap();
    let answer = client.get(server.at("/healthz")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(
        answer.headers()["strict-transport-security"]
            .to_str()
            .unwrap()
            .starts_with("max-age=")
    );
    assert!(
        reqwest::Client::new().get(server.at("/healthz")).send().await.is_err(),
        "nobody vouches for it but itself"
    );
    let plain = server.at("/healthz").replace("https://", "http://");
    assert!(reqwest::Client::new().get(plain).send().await.is_err());
}

/// The code of an authenticator: RFC 6238 over SHA-1, written out here so that the library does not vouch for itself.
fn code(otpauth: &str) -> String {
    use std::process::Command;
    let secret = otpauth.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let script = "import base64,hashlib,hmac,struct,sys,time\ns=sys.argv[1]\nk=base64.b32decode(s+'='*(-len(s)%8))\nd=hmac.new(k,struct.pack('>Q',int(time.time())//30),hashlib.sha1).digest()\no=d[19]&15\nprint('%06d'%((struct.unpack('>I',d[o:o+4])[0]&0x7fffffff)%10**6))";
    let output = Command::new("python3").args(["-c", script, secret]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

on_both! {
    async fn the_glass_is_whole_until_the_operator_says_otherwise(server: Server) {
        let client = || reqwest::Client::builder().cookie_store(true).redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let closed = client().get(server.at("/emergency")).send().await.unwrap();
        assert_eq!(closed.status(), 404, "off by default");
        let run = |args: &[&str]| {
            let mut command = std::process::Command::new(crate::server::binary());
            command.args(args).args(["--data"]).arg(server.data.path());
            if let Some(url) = &server.database {
                command.args(["--database-url", url]);
            }
            let output = command.output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let make = || {
            let told = run(&["break-glass", "set"]);
            let line = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{told}")).trim().to_owned();
            (line("password:"), line("authenticator:"))
        };
        let (password, otpauth) = make();
        let url = server.database.clone().unwrap_or_else(|| format!("sqlite:{}", server.data.path().join("affiant.sqlite").display()));
        let key = server.data.path().join("installation.key").display().to_string();
        let open = Server::start_beside(&[("AFFIANT_DATABASE_URL", &url), ("AFFIANT_KEY_FILE", &key), ("AFFIANT_SERVER_BREAK_GLASS", "true")]);
        let attempt = async |password: &str, code: &str| {
            let client = client();
            let answer = client.post(open.at("/emergency")).form(&[("password", password), ("code", code)]).send().await.unwrap();
            let inside = client.get(open.at("/api/v1/me")).send().await.unwrap().status();
            (answer.status().as_u16(), inside.as_u16())
        };
        assert_eq!(attempt("wrong", &code(&otpauth)).await, (200, 401));
        assert_eq!(attempt(&password, "000000").await, (200, 401));
        let once = code(&otpauth);
        assert_eq!(attempt(&password, &once).await, (303, 200));
        assert_eq!(attempt(&password, &once).await, (200, 401), "a code works once");
        let (password, otpauth) = make();
        for _ in 0..20 {
            attempt("guess", "111111").await;
        }
        assert_eq!(attempt(&password, &code(&otpauth)).await, (303, 200), "nobody else locks the administrator out");
        let (password, otpauth) = make();
        for _ in 0..6 {
            attempt(&password, "111111").await;
        }
        assert_eq!(attempt(&password, &code(&otpauth)).await, (200, 401), "locked, even for who knows both");
        let log = server.get("/api/v1/actions").await.to_string();
        assert!(log.contains("break-glass.sign-in") && log.contains("break-glass.refused") && !log.contains(&password));
        let (new, otpauth) = make();
        assert_eq!(attempt(&password, &code(&otpauth)).await, (200, 401), "made anew, the old one is worth nothing");
        assert_eq!(attempt(&new, &code(&otpauth)).await, (303, 200));
    }
}

/// Every route that changes something, as the source declares it: method and address.
fn changing_routes() -> Vec<(String, String)> {
    fn below(folder: &std::path::Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                below(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for method in ["post", "put", "patch", "delete"] {
                let attribute = format!("#[{method}(\"");
                found.extend(
                    text.split(attribute.as_str())
                        .skip(1)
                        .map(|rest| (method.to_uppercase(), rest.split('"').next().unwrap().to_owned())),
                );
            }
        }
    }
    let mut found = Vec::new();
    below(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"),
        &mut found,
    );
    found
}

on_both! {
    async fn no_route_takes_what_another_site_makes_a_browser_send(server: Server) {
        let id = "018f0000-0000-7000-8000-000000000001";
        let routes = changing_routes();
        assert!(routes.len() > 80, "{}", routes.len());
        let mut taken = Vec::new();
        for (method, route) in &routes {
            let named = route.replace("{project}", "payments");
            let parts: Vec<&str> = named.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect();
            let path = parts.join("/");
            for site in [Some("same-site"), Some("cross-site"), None] {
                for (kind, body) in [("application/json", "{}"), ("application/scim+json", "{}"), ("text/plain", "{}"), ("application/x-www-form-urlencoded", "a=b")] {
                    let method = method.parse::<reqwest::Method>().unwrap();
                    let request = reqwest::Client::new().request(method.clone(), server.at(&path)).header("cookie", server.cookies());
                    let request = request.header("content-type", kind).body(body);
                    let request = match site {
                        Some(site) => request.header("sec-fetch-site", site),
                        None => request,
                    };
                    let status = request.send().await.unwrap().status().as_u16();
                    if status != 403 {
                        taken.push(format!("{method} {path} {site:?} {kind}: {status}"));
                    }
                }
            }
        }
        assert!(taken.is_empty(), "{}", taken.join("\n"));
        // A session is no way to provision, wherever the request comes from.
        let list = reqwest::Client::new().get(server.at("/scim/v2/any/Users")).header("cookie", server.cookies());
        let list = list.header("sec-fetch-site", "same-origin").send().await.unwrap();
        assert_eq!(list.status(), 403);
    }
}

on_both! {
    async fn a_token_takes_along_what_it_made(server: Server) {
        let make = async |by: &str, body: serde_json::Value| -> serde_json::Value {
            let answer = server.send_as(by, "POST", "/api/v1/tokens", Some(body)).await;
            assert_eq!(answer.status(), 201);
            answer.json().await.unwrap()
        };
        let first = make(&server.token, json!({"name": "first", "role": "admin"})).await;
        let second = make(first["token"].as_str().unwrap(), json!({"name": "second", "role": "admin"})).await;
        let third = make(second["token"].as_str().unwrap(), json!({"name": "third", "role": "auditor"})).await;
        assert_eq!(second["made_by_token"], first["id"]);
        let given = json!({"group": "team", "role": "member", "project": "payments"});
        let given = server.send_as(second["token"].as_str().unwrap(), "POST", "/api/v1/memberships", Some(given)).await;
        assert_eq!(given.status(), 201);
        let alive = async |token: &serde_json::Value| server.send_as(token["token"].as_str().unwrap(), "GET", "/api/v1/me", None).await.status().as_u16();
        let at = format!("/api/v1/tokens/{}", first["id"].as_str().unwrap());
        let made = server.get(&format!("{at}/made")).await;
        assert_eq!((made["tokens"].as_array().unwrap().len(), made["memberships"].as_array().unwrap().len()), (2, 1), "{made}");
        let asked = server.send("DELETE", &at, None).await;
        assert_eq!(asked.status(), 409);
        let told = asked.text().await.unwrap();
        assert!(told.contains("second") && told.contains("third") && told.contains("team") && told.contains("confirm=true"), "{told}");
        assert_eq!(alive(&third).await, 200);
        assert_eq!(server.send("DELETE", &format!("{at}?confirm=true"), None).await.status(), 204);
        for token in [&first, &second, &third] {
            assert_eq!(alive(token).await, 401);
        }
        assert_eq!(server.get("/api/v1/memberships").await["items"], json!([]));
        // A token without anything needs no second word; one that replaces another looks after what that made.
        let old = make(&server.token, json!({"name": "old", "role": "admin"})).await;
        let child = make(old["token"].as_str().unwrap(), json!({"name": "child", "role": "auditor"})).await;
        let turned = server.post(&format!("/api/v1/tokens/{}/rotate", old["id"].as_str().unwrap()), json!({"overlap_seconds": 60})).await;
        assert_eq!(server.send("DELETE", &format!("/api/v1/tokens/{}", old["id"].as_str().unwrap()), None).await.status(), 204);
        assert_eq!(alive(&child).await, 200);
        assert_eq!(server.send("DELETE", &format!("/api/v1/tokens/{}?confirm=true", turned["id"].as_str().unwrap()), None).await.status(), 204);
        assert_eq!(alive(&child).await, 401);
    }

    async fn nobody_gives_more_than_they_have(server: Server) {
        let end = (affiant::clock::Clock::system().now() + chrono::Duration::days(3)).to_rfc3339();
        let bound = json!({"name": "people", "role": "admin", "scopes": ["people:write", "read", "frameworks:read"], "expires_at": end});
        let bound = server.post("/api/v1/tokens", bound).await["token"].as_str().unwrap().to_owned();
        for role in ["admin", "compliance", "member", "privacy"] {
            let given = json!({"group": "team", "role": role});
            let answer = server.send_as(&bound, "POST", "/api/v1/memberships", Some(given)).await;
            assert_eq!(answer.status(), 403, "{role}");
        }
        let whole = server.post("/api/v1/tokens", json!({"name": "all", "role": "admin", "expires_at": end})).await;
        let whole = whole["token"].as_str().unwrap();
        let given = server.send_as(whole, "POST", "/api/v1/memberships", Some(json!({"group": "team", "role": "member"}))).await;
        let given: serde_json::Value = given.json().await.unwrap();
        let ends = given["ends_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        assert!(ends <= affiant::clock::Clock::system().now() + chrono::Duration::days(3), "{given}");
    }

    async fn a_token_without_a_person_decides_nothing_that_wants_four_eyes(server: Server) {
        server.push("asset=repo:a", crate::server::sarif("semgrep", &[("sql", "one")])).await;
        let list = server.get("/api/v1/projects/payments/findings").await;
        let ask = json!({"finding": list["items"][0]["id"], "kind": "accepted_risk", "reason": "planned for spring", "until": "2027-06-01"});
        let waiver = server.post("/api/v1/projects/payments/waivers", ask).await;
        let decision = format!("/api/v1/projects/payments/waivers/{}/decision", waiver["id"].as_str().unwrap());
        let yes = || Some(json!({"approve": true}));
        let other = server.new_token("compliance", None).await;
        assert_eq!(server.send_as(&other, "POST", &decision, yes()).await.status(), 403);
        // Nor somebody at a browser of whom nobody knows who they are, where such a token asked: it may be theirs.
        assert_eq!(server.client.post(server.at(&decision)).header("sec-fetch-site", "same-origin").json(&yes()).send().await.unwrap().status(), 403);
        let otto = server.person_token("Otto", "compliance", None).await;
        assert_eq!(server.send_as(&otto, "POST", &decision, yes()).await.status(), 204);
    }

    async fn strangers_cause_one_entry_a_minute(server: Server) {
        for n in 0..40 {
            let path = ["/api/v1/projects", "/api/v1/tokens", "/trail", "/scim/v2/x/Users"][n % 4];
            server.send_as("aff_guess", "GET", path, None).await;
            let body = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange";
            reqwest::Client::new().post(server.at("/api/v1/token-exchange")).body(body).send().await.unwrap();
        }
        let begun = std::time::Instant::now();
        let entries = loop {
            let entries = server.get("/api/v1/trail/entries?action=strangers.refused").await;
            if !entries["items"].as_array().unwrap().is_empty() {
                break entries["items"].clone();
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(75));
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        };
        let counts = |kind: &str| {
            let of = |entry: &Value| serde_json::from_str::<Value>(entry["leaf"].as_str()?).ok()?["refs"][kind].as_str()?.parse::<u32>().ok();
            entries.as_array().unwrap().iter().filter_map(of).sum::<u32>()
        };
        assert!(entries.as_array().unwrap().len() <= 2, "{entries}");
        assert!(counts("token") >= 20 && counts("exchange") >= 20, "{entries}");
        let known = server.get("/api/v1/trail/entries?action=access.refused").await;
        assert_eq!(known["items"], json!([]));
    }

    async fn what_is_read_before_it_is_known_who_sends_it_is_small(server: Server) {
        let body = format!("password={}&code=1", "x".repeat(70 << 10));
        for path in ["/emergency", "/auth/backchannel-logout", "/your-data", "/sign-out", "/account/sessions/x"] {
            let answer = reqwest::Client::new().post(server.at(path));
            let answer = answer.header("content-type", "application/x-www-form-urlencoded").body(body.clone()).send().await.unwrap();
            assert!(matches!(answer.status().as_u16(), 401 | 413), "{path}: {}", answer.status());
        }
    }
}
