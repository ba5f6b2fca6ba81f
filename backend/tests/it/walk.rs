//! Every operation of the description and every page: without credentials, with each role, with another project's ids. A route that is
//! new and has no rule fails here.

use crate::server::{Server, on_both, sarif};
use affiant::auth::{PERMISSIONS, Role};
use serde_json::{Value, json};
use std::path::Path;

const NOBODY: &str = "018f0000-0000-7000-8000-000000000000";

/// What a route is: method, path with plausible names, and the permission that its handler's signature asks for.
struct Route {
    method: String,
    path: String,
    permission: Option<&'static str>,
}

/// Routes for people who have nothing yet, or nothing but their own account.
const OPEN: [&str; 11] = [
    "/your-data",
    "/emergency",
    "/sign-in/{secret}",
    "/sign-in/with/{provider}",
    "/auth/callback",
    "/auth/callback/{provider}",
    "/auth/backchannel-logout",
    "/sign-out",
    "/account",
    "/account/sessions/{session}",
    "/api/v1/token-exchange",
];

fn permission(name: &str) -> Option<&'static str> {
    PERMISSIONS.iter().map(|(known, _)| *known).find(|known| *known == name)
}

/// Names of permissions by the type in the signature, as `auth/mod.rs` pairs them.
fn types() -> Vec<(String, &'static str)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth/mod.rs")).unwrap();
    let pairs = text.lines().filter_map(|line| line.trim().split_once(" = \""));
    let pairs = pairs.filter_map(|(name, rest)| Some((name.to_owned(), permission(rest.split('"').next()?)?)));
    pairs.collect()
}

/// The routes of a folder of handlers, read from their source: nothing can be forgotten in a list beside it.
fn routes(folder: &str) -> Vec<Route> {
    let types = types();
    assert_eq!(types.len(), PERMISSIONS.len());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for method in ["get", "post", "put", "delete", "patch"] {
            for part in text.split(&format!("#[{method}(\"")).skip(1) {
                let path = part.split('"').next().unwrap();
                let signature = part.split("async fn").nth(1).unwrap().split('{').next().unwrap();
                let held = types.iter().find(|(name, _)| {
                    signature.contains(&format!("In<{name}>")) || signature.contains(&format!("Allowed<{name}>"))
                });
                let open = OPEN.contains(&path) || path == "/healthz" || path == "/readyz";
                assert!(held.is_some() != open, "{method} {path}: {signature}");
                let mut plain = path
                    .replace("{project}", "payments")
                    .replace("{framework}", "pci-dss")
                    .replace("{format}", "json");
                while let (Some(a), Some(b)) = (plain.find('{'), plain.find('}')) {
                    plain.replace_range(a..=b, NOBODY);
                }
                all.push(Route {
                    method: method.to_uppercase(),
                    path: plain,
                    permission: held.map(|(_, permission)| *permission),
                });
            }
        }
    }
    all
}

fn all_routes() -> Vec<Route> {
    let mut all = routes("src/http/pages");
    assert!(all.len() > 30);
    all.extend(routes("src/http/api"));
    assert!(all.len() > 80);
    all.extend(routes("src/http/scim"));
    all.extend(routes("src/http/tiles"));
    all
}

#[test]
fn the_description_says_which_permission_each_operation_needs() {
    let api: Value = serde_json::from_str(&affiant::http::api::description()).unwrap();
    let mut described = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let plain = path
                .replace("{project}", "payments")
                .replace("{framework}", "pci-dss")
                .replace("{format}", "json");
            let mut plain = plain;
            while let (Some(a), Some(b)) = (plain.find('{'), plain.find('}')) {
                plain.replace_range(a..=b, NOBODY);
            }
            let route = routes("src/http/api")
                .into_iter()
                .find(|route| route.path == plain && route.method.eq_ignore_ascii_case(method));
            let route = route.unwrap_or_else(|| panic!("{method} {path} is described and not there"));
            let text = operation["description"]
                .as_str()
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            if let Some(permission) = route.permission {
                assert!(
                    text.contains(&format!("`{permission}`")),
                    "{method} {path} needs {permission}: {text}"
                );
            }
            described += 1;
        }
    }
    let there = routes("src/http/api").len();
    assert_eq!(described, there, "each operation is described");
}

on_both! {
    async fn each_role_may_what_its_permissions_say(server: Server) {
        let routes = all_routes();
        for role in Role::ALL {
            let token = server.new_token(role.as_str(), None).await;
            for route in routes.iter().filter(|route| route.permission.is_some()) {
                let permission = route.permission.unwrap();
                let roles = PERMISSIONS.iter().find(|(name, _)| *name == permission).unwrap().1;
                let status = server.send_as(&token, &route.method, &route.path, None).await.status().as_u16();
                assert_ne!(status, 401, "{} {} as {}", route.method, route.path, role.as_str());
                assert!(status < 500, "{} {} as {}: {status}", route.method, route.path, role.as_str());
                assert_eq!(status == 403, !roles.contains(&role), "{} {} as {}: {status}", route.method, route.path, role.as_str());
            }
        }
    }

    async fn nobody_gets_nothing(server: Server) {
        for route in all_routes().iter().filter(|route| route.permission.is_some()) {
            for token in ["", "aff_guess"] {
                let status = server.send_as(token, &route.method, &route.path, None).await.status();
                assert_eq!(status, 401, "{} {}", route.method, route.path);
            }
        }
        for path in ["/account", "/account/sessions/x"] {
            let method = if path == "/account" { "GET" } else { "POST" };
            let answer = server.send_as("", method, path, None).await.status().as_u16();
            assert!(answer == 401 || answer == 400, "{path}: {answer}");
        }
    }

    async fn ids_of_another_project_are_not_there(server: Server) {
        // Something of each kind in a project of others.
        let made = ["secret", "payments"];
        server.post("/api/v1/projects", json!({"slug": "secret", "name": "Secret"})).await;
        let at = |project: &str, path: &str| format!("/api/v1/projects/{project}{path}");
        let id = |value: &Value| value["id"].as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
        let mut ids = Vec::new();
        for project in made {
            let client = reqwest::Client::new();
            let push = client.post(server.at(&at(project, "/scans?asset=repo:x"))).bearer_auth(&server.token);
            let file = sarif("semgrep", &[("sql", &format!("in {project}")), ("xss", "two")]);
            let import: Value = push.body(file).send().await.unwrap().json().await.unwrap();
            let finding = server.get(&at(project, "/findings?limit=1")).await;
            let cursor = finding["next"].as_str().unwrap().to_owned();
            let finding = id(&finding["items"][0]);
            let waiver = server.post(&at(project, "/waivers"), json!({"finding": finding, "kind": "accepted_risk", "reason": "a test", "until": "2027-01-01"})).await;
            let assessed = server.post(&at(project, "/assessments"), json!({"frameworks": ["hipaa"]})).await;
            let assessment = id(assessed.as_array().map_or(&assessed["items"][0], |all| &all[0]));
            let report = server.post(&at(project, "/reports"), json!({"framework": "hipaa", "period": "2026-Q3"})).await;
            let expected = server.send("PUT", &at(project, "/expected-operations"), Some(json!({"agent": "a", "action": "b", "within_seconds": 60}))).await;
            let expected: Value = expected.json().await.unwrap();
            let hold = server.post(&at(project, "/holds"), json!({"reason": "a test"})).await;
            let event = json!({"timestamp": "2026-11-01T10:00:00Z", "user_id": "u", "action": "read"});
            server.send("POST", &at(project, "/audit-events"), Some(event)).await;
            let entry = server.get("/api/v1/trail/entries?action=event&limit=1").await["items"][0]["index"].clone();
            let token = server.post("/api/v1/tokens", json!({"name": "t", "role": "ingest", "project": project})).await;
            let member = server.post("/api/v1/memberships", json!({"group": "g", "role": "member", "project": project})).await;
            ids.push(json!({"finding": finding, "import": import["import"], "waiver": id(&waiver), "assessment": assessment, "report": id(&report),
                "operation": id(&expected), "hold": id(&hold), "entry": entry.to_string(), "token": id(&token), "membership": id(&member), "cursor": cursor}));
        }
        let of_others = |name: &str| ids[0][name].as_str().unwrap().to_owned();
        let admin = server.new_token("admin", Some("payments")).await;
        let refused = [
            ("GET", at("payments", &format!("/findings/{}", of_others("finding"))), None),
            ("GET", at("payments", &format!("/scans/{}/original", of_others("import"))), None),
            ("POST", at("payments", &format!("/waivers/{}/decision", of_others("waiver"))), Some(json!({"approve": true}))),
            ("DELETE", at("payments", &format!("/waivers/{}", of_others("waiver"))), None),
            ("POST", at("payments", "/waivers"), Some(json!({"finding": of_others("finding"), "kind": "accepted_risk", "reason": "a test", "until": "2027-01-01"}))),
            ("GET", at("payments", &format!("/assessments/{}", of_others("assessment"))), None),
            ("GET", at("payments", &format!("/assessments/{}/evidence", of_others("assessment"))), None),
            ("DELETE", at("payments", &format!("/expected-operations/{}", of_others("operation"))), None),
            ("PUT", at("payments", &format!("/waivers/{}/owner", of_others("waiver"))), None),
            ("DELETE", at("payments", &format!("/holds/{}", of_others("hold"))), None),
            ("GET", format!("/api/v1/trail/proof?index={}", of_others("entry")), None),
            ("GET", format!("/trail?entry={}", of_others("entry")), None),
            ("GET", "/api/v1/trail/export?project=secret".to_owned(), None),
            ("POST", at("secret", "/retention/runs"), Some(json!({}))),
            ("GET", format!("/api/v1/reports/{}/json", of_others("report")), None),
            ("GET", format!("/reports/{}/json", of_others("report")), None),
            ("GET", format!("/p/payments/findings/{}", of_others("finding")), None),
            ("DELETE", format!("/api/v1/tokens/{}", of_others("token")), None),
            ("POST", format!("/api/v1/tokens/{}/rotate", of_others("token")), Some(json!({}))),
            ("DELETE", format!("/api/v1/memberships/{}", of_others("membership")), None),
            ("GET", at("secret", "/findings"), None),
            ("GET", "/p/secret".to_owned(), None),
        ];
        for (method, path, body) in refused {
            // An unknown id looks the same.
            let unknown = path.replace(&path.split('/').find(|part| part.len() == 36).unwrap_or("secret").to_owned(), NOBODY);
            let unknown_body = body.clone().map(|mut body| { if body["finding"].is_string() { body["finding"] = json!(NOBODY); } body });
            let mut seen = Vec::new();
            for (path, body) in [(path.clone(), body), (unknown, unknown_body)] {
                let answer = server.send_as(&admin, method, &path, body).await;
                assert_eq!(answer.status(), 404, "{method} {path}");
                let text = answer.text().await.unwrap();
                seen.push(text.split("\"instance\"").next().unwrap().to_owned());
            }
            if path.starts_with("/api/") {
                assert_eq!(seen[0], seen[1], "{method} {path}: forbidden and unknown look alike");
            }
        }
        // A cursor of another project leads to nothing of it; a filter by its ids finds nothing.
        let path = at("payments", &format!("/findings?limit=50&cursor={}", of_others("cursor")));
        let answer = server.send_as(&admin, "GET", &path, None).await;
        let text = answer.text().await.unwrap();
        assert!(!text.contains("in secret"), "{text}");
        for list in ["/api/v1/trail/entries", "/api/v1/tokens", "/api/v1/memberships", "/api/v1/reports", "/api/v1/actions", "/api/v1/projects"] {
            let text = server.send_as(&admin, "GET", list, None).await.text().await.unwrap();
            let leaked = ["report", "token", "membership"].iter().find(|name| text.contains(&of_others(name)));
            assert!(leaked.is_none() && !text.contains("\"secret\""), "{list}: {text}");
        }
        let overall = server.send_as(&admin, "POST", "/api/v1/reports", Some(json!({"framework": "hipaa", "period": "2026-Q3"}))).await;
        assert_eq!(overall.status(), 403);
        let wide = server.send_as(&admin, "POST", "/api/v1/memberships", Some(json!({"group": "g", "role": "admin"}))).await;
        assert_eq!(wide.status(), 403);
        for name in ["project"] {
            let body = json!({"name": "x", "role": "ingest", "group": "g", name: "secret"});
            for path in ["/api/v1/tokens", "/api/v1/memberships"] {
                let mut body = body.clone();
                body.as_object_mut().unwrap().remove(if path.ends_with("tokens") { "group" } else { "name" });
                if path.ends_with("memberships") { body["role"] = json!("member"); }
                assert_eq!(server.send_as(&admin, "POST", path, Some(body)).await.status(), 400, "{path}");
            }
        }
    }
}
