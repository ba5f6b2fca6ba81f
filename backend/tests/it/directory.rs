//! SCIM 2.0 as directories speak it: who is told is known, who leaves is out, and no directory sees what another told.

use crate::server::{Server, postgres};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[server]
development = true
[[provider]]
name = "corp"
issuer = "http://127.0.0.1:9/corp"
client_id = "affiant"
admin_groups = ["affiant-admins"]
directory_admin_groups = ["platform-admins"]
[[provider]]
name = "partner"
issuer = "http://127.0.0.1:9/partner"
client_id = "affiant"
directory_claim = "oid"
"#;

struct Directory {
    server: Server,
    token: String,
}

impl Directory {
    async fn start(database: Option<String>) -> Self {
        let server = Server::start_configured(database, CONFIG).await;
        let wanted = json!({"name": "directory", "role": "admin", "scopes": ["people:provision"]});
        let token = server.post("/api/v1/tokens", wanted).await["token"]
            .as_str()
            .unwrap()
            .to_owned();
        Self { server, token }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let path = format!("/scim/v2{path}");
        let answer = self.server.send_as(&self.token, method, &path, body).await;
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").cloned();
        let text = answer.text().await.unwrap();
        if !text.is_empty() {
            assert_eq!(
                kind.unwrap(),
                "application/scim+json",
                "{method} {path}: {status} {text}"
            );
        }
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn ann(&self, of: &str) -> String {
        let (status, made) = self.send("POST", &format!("/{of}/Users"), Some(ann())).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }
}

fn ann() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "userName": "ann@corp.example", "externalId": "s-1", "displayName": "Ann Lee", "active": true,
        "name": {"givenName": "Ann", "familyName": "Lee"}, "emails": [{"type": "work", "value": "ann@corp.example", "primary": true}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "d"},
    })
}

async fn on_both<F: Future<Output = ()>>(test: impl Fn(Directory) -> F) {
    test(Directory::start(None).await).await;
    if let Some(url) = postgres().await {
        test(Directory::start(Some(url)).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_found_changed_and_let_go() {
    on_both(|directory| async move {
        let id = directory.ann("corp").await;
        let (_, again) = directory.send("POST", "/corp/Users", Some(ann())).await;
        assert_eq!((&again["status"], &again["scimType"]), (&json!("409"), &json!("uniqueness")));
        let (_, found) = directory
            .send("GET", "/corp/Users?filter=userName%20eq%20%22ANN@corp.example%22&startIndex=1&count=10", None)
            .await;
        assert_eq!((&found["totalResults"], &found["Resources"][0]["id"]), (&json!(1), &json!(id)));
        assert_eq!(found["Resources"][0]["name"]["familyName"], "Lee");
        let (status, wrong) = directory.send("GET", "/corp/Users?filter=userName%20co%20%22a%22", None).await;
        assert_eq!((status, &wrong["scimType"]), (400, &json!("invalidFilter")));
        let at = format!("/corp/Users/{id}");
        let off = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
        assert_eq!(directory.send("PATCH", &at, Some(off)).await.1["active"], false);
        let mut changed = ann();
        changed["emails"][0]["value"] = json!("lee@corp.example");
        let (status, back) = directory.send("PUT", &at, Some(changed)).await;
        assert_eq!((status, &back["active"], &back["emails"][0]["value"]), (200, &json!(true), &json!("lee@corp.example")));
        let log = directory.server.get("/api/v1/actions").await.to_string();
        for kind in ["person.provisioned", "person.left", "person.returned"] {
            assert!(log.contains(kind), "{kind} is not in {log}");
        }
        assert_eq!(directory.send("DELETE", &at, None).await.0, 204);
        assert_eq!(directory.send("GET", &at, None).await.0, 404);
        assert_eq!(directory.send("DELETE", &at, None).await.0, 404);
        assert_eq!(directory.ann("corp").await, id, "who comes back is who they were");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_directory_sees_or_changes_what_another_told() {
    on_both(|directory| async move {
        let id = directory.ann("corp").await;
        let other = directory.ann("partner").await;
        assert_ne!(id, other, "the same name and identity, told by two, are two people");
        assert_eq!(directory.send("GET", "/partner/Users", None).await.1["totalResults"], 1);
        for (method, body) in [("GET", None), ("PUT", Some(ann())), ("DELETE", None)] {
            let at = format!("/partner/Users/{id}");
            assert_eq!(directory.send(method, &at, body).await.0, 404, "{method}");
        }
        let (_, group) = directory
            .send(
                "POST",
                "/partner/Groups",
                Some(json!({"displayName": "g", "members": [{"value": id}, {"value": other}]})),
            )
            .await;
        assert_eq!(group["members"].as_array().unwrap().len(), 1, "{group}");
        assert_eq!(directory.send("GET", "/nobody/Users", None).await.0, 404);
        // Somebody who manages one project tells nobody.
        let bound = directory.server.new_token("admin", Some("payments")).await;
        assert_eq!(
            directory
                .server
                .send_as(&bound, "GET", "/scim/v2/corp/Users", None)
                .await
                .status(),
            403
        );
        // The directory's token tells people and does nothing else.
        assert_eq!(
            directory
                .server
                .send_as(&directory.token, "GET", "/api/v1/people", None)
                .await
                .status(),
            403
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_told_at_the_same_time_are_all_there() {
    on_both(|directory| async move {
        let mut ids = Vec::new();
        for n in 0..8 {
            let body = json!({"userName": format!("u{n}"), "externalId": format!("s{n}")});
            let (_, made) = directory.send("POST", "/corp/Users", Some(body)).await;
            ids.push(made["id"].as_str().unwrap().to_owned());
        }
        let (_, group) = directory
            .send("POST", "/corp/Groups", Some(json!({"displayName": "Payments team"})))
            .await;
        let at = format!("/corp/Groups/{}", group["id"].as_str().unwrap());
        let add = |id: &String| {
            let body = json!({"Operations": [{"op": "add", "path": "members", "value": [{"value": id}]}]});
            directory.send("PATCH", &at, Some(body))
        };
        let all = futures::future::join_all(ids.iter().map(add)).await;
        // Who was too slow too often is told so, and tries again.
        for (n, (status, answer)) in all.iter().enumerate() {
            assert!(matches!(status, 200 | 503), "{status} {answer}");
            if *status == 503 {
                assert_eq!(add(&ids[n]).await.0, 200);
            }
        }
        let (_, whole) = directory.send("GET", &at, None).await;
        assert_eq!(whole["members"].as_array().unwrap().len(), 8, "{whole}");
        let (_, listed) = directory
            .send(
                "GET",
                "/corp/Groups?excludedAttributes=members&filter=displayName%20eq%20%22payments%20team%22",
                None,
            )
            .await;
        assert_eq!(listed["totalResults"], 1);
        assert!(listed["Resources"][0].get("members").is_none());
        let gone = json!({"Operations": [{"op": "remove", "path": format!("members[value eq \"{}\"]", ids[0])}]});
        assert_eq!(
            directory.send("PATCH", &at, Some(gone)).await.1["members"]
                .as_array()
                .unwrap()
                .len(),
            7
        );
        assert_eq!(directory.send("DELETE", &at, None).await.0, 204);
        assert_eq!(directory.send("GET", &at, None).await.0, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_wrong_are_told_so() {
    let directory = Directory::start(None).await;
    let id = directory.ann("corp").await;
    let at = format!("/corp/Users/{id}");
    for (method, path, body) in [
        ("POST", "/corp/Users", json!([])),
        ("POST", "/corp/Users", json!({"userName": "x"})),
        ("POST", "/corp/Users", json!({"externalId": "x"})),
        ("POST", "/corp/Users", json!({"userName": 7, "externalId": "x"})),
        (
            "POST",
            "/corp/Users",
            json!({"userName": "x", "externalId": "x", "active": "maybe"}),
        ),
        ("POST", "/corp/Groups", json!({"displayName": ""})),
        (
            "POST",
            "/corp/Groups",
            json!({"displayName": "g", "members": [{"value": "nobody"}]}),
        ),
        (
            "PATCH",
            at.as_str(),
            json!({"Operations": [{"op": "replace", "path": "active", "value": "perhaps"}]}),
        ),
        ("PATCH", at.as_str(), json!({"Operations": 7})),
        ("PUT", at.as_str(), json!({"userName": ""})),
    ] {
        let (status, answer) = directory.send(method, path, Some(body.clone())).await;
        assert_eq!(status, 400, "{method} {path} {body}: {answer}");
        assert!(!answer["detail"].as_str().unwrap().is_empty());
    }
    for path in ["ServiceProviderConfig", "ResourceTypes", "Schemas"] {
        assert_eq!(directory.send("GET", &format!("/corp/{path}"), None).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_tell_groups_makes_no_administrator() {
    on_both(|directory| async move {
        let server = &directory.server;
        let ann = directory.ann("corp").await;
        let made = server
            .post("/api/v1/tokens", json!({"name": "own", "role": "admin"}))
            .await;
        let own = made["token"].as_str().unwrap();
        server
            .own(made["id"].as_str().unwrap().parse().unwrap(), ann.parse().unwrap())
            .await;
        server
            .post(
                "/api/v1/memberships",
                json!({"group": "team", "provider": "corp", "role": "admin"}),
            )
            .await;
        let is_in = async || {
            server
                .send_as(own, "GET", "/api/v1/tokens", None)
                .await
                .status()
                .as_u16()
        };
        for (name, wanted) in [("affiant-admins", 401), ("team", 401), ("platform-admins", 200)] {
            let group = json!({"displayName": name, "members": [{"value": ann}]});
            let (status, told) = directory.send("POST", "/corp/Groups", Some(group)).await;
            assert_eq!(status, 201, "{told}");
            assert_eq!(is_in().await, wanted, "{name}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_keeps_their_identity() {
    on_both(|directory| async move {
        let ann = directory.ann("partner").await;
        let given = json!({"person": ann, "role": "admin"});
        directory.server.post("/api/v1/memberships", given).await;
        let at = format!("/partner/Users/{ann}");
        let other = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "externalId", "value": "mallory"}]});
        let (status, told) = directory.send("PATCH", &at, Some(other)).await;
        assert_eq!((status, &told["scimType"]), (400, &json!("mutability")), "{told}");
        assert_eq!(directory.send("GET", &at, None).await.1["externalId"], "s-1");
    })
    .await;
}
