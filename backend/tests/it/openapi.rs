//! The committed description is the program's own.

use std::path::Path;

#[test]
fn the_committed_description_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/openapi.json");
    let now = affiant::http::api::description();
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "openapi/openapi.json is stale: run UPDATE=1 cargo test --test it openapi"
    );
}

#[test]
fn operations_have_names_of_their_own_and_responses_say_what_they_are() {
    let api: serde_json::Value = serde_json::from_str(&affiant::http::api::description()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(
                names.insert(name.to_owned()),
                "{method} {path}: {name} is the name of two operations"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let text = response["description"].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{method} {path} {status} says nothing");
                for (media, content) in response["content"].as_object().into_iter().flatten() {
                    let is_file =
                        media == "application/pdf" || media == "application/zip" || media == "application/octet-stream";
                    assert!(
                        !is_file || content["schema"]["format"] == "binary",
                        "{method} {path} {status} {media}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_operation_says_what_it_needs_and_what_can_go_wrong() {
    let api: serde_json::Value = serde_json::from_str(&affiant::http::api::description()).unwrap();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            // Who has nothing yet comes here to get something: the only operation without a permission.
            if path.starts_with("/api/") && path != "/api/v1/token-exchange" {
                assert!(
                    operation["description"].as_str().is_some_and(|d| d
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" ")
                        .contains("Needs the permission")),
                    "{name} names no permission"
                );
                assert!(
                    operation["responses"]["401"].is_object() && operation["responses"]["403"].is_object(),
                    "{name} hides its refusals"
                );
            }
        }
    }
}
