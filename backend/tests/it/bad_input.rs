//! Hostile input gets a bounded, documented answer; nothing of it is stored, and the server lives on.

use crate::server::{Server, on_both, sarif};
use serde_json::json;
use std::io::Write;

fn gzip_zeros(mebibytes: usize) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..mebibytes {
        gzip.write_all(&[b' '; 1 << 20]).unwrap();
    }
    gzip.finish().unwrap()
}

on_both! {
    async fn hostile_files_are_refused(server: Server) {
        server.push("asset=repo:a", sarif("semgrep", &[("sql", "stays")])).await;
        let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
        let files: Vec<(&str, Vec<u8>)> = vec![
            ("deep array", deep("[", "]").into_bytes()),
            ("deep object", "{\"a\":".repeat(100_000).into_bytes()),
            ("deep inside SARIF", format!("{{\"version\":\"2.1.0\",\"runs\":[{{\"x\":{}}}]}}", deep("[", "]")).into_bytes()),
            ("bomb", gzip_zeros(300)),
            ("damaged gzip", [&[0x1f, 0x8b, 8, 0][..], &[0xff; 40][..]].concat()),
            ("bad UTF-8", b"{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"\xff\xfe\"}}}]}".to_vec()),
            ("UTF-16", "{\"x\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("UTF-16 with mark", [&[0xff, 0xfe][..], &"{}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat()),
            ("empty", Vec::new()),
            ("white space", vec![b' '; 1 << 20]),
            ("comments", b"{/*c*/\"version\":\"2.1.0\",}".to_vec()),
            ("NaN", b"{\"version\":\"2.1.0\",\"runs\":[{\"x\":NaN}]}".to_vec()),
            ("trailing", b"{\"version\":\"2.1.0\",\"runs\":[]} {\"y\":1}".to_vec()),
            ("XML", b"<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><l>&x;</l>".to_vec()),
            ("a huge record", format!("{{\"version\":\"2.1.0\",\"runs\":[{{\"results\":[{{\"message\":{{\"text\":\"{}\"}}}}]}}]}}", "A".repeat(20 << 20)).into_bytes()),
        ];
        for (name, bytes) in files {
            let (status, problem) = server.push("asset=repo:a", bytes).await;
            assert!((400..500).contains(&status), "{name}: {status} {problem}");
            assert!(problem["detail"].is_string(), "{name}: {problem}");
        }
        assert_eq!(server.open_findings().await, 1, "nothing was closed or opened");
        assert_eq!(server.send_as("", "GET", "/healthz", None).await.status(), 200);
    }

    async fn odd_text_is_stored_and_shown_as_text(server: Server) {
        let odd = ["<script>alert(1)</script>", "' OR 1=1 --", "a\u{0}b", "\u{202e}gnp.exe", "=cmd|'/c calc'!A0", "100%_\\", "{{7*7}}"];
        let results: Vec<(&str, &str)> = odd.iter().map(|text| ("sql", *text)).collect();
        let (status, result) = server.push("asset=repo:a", sarif("semgrep", &results)).await;
        assert_eq!((status, result["created"].as_u64()), (201, Some(odd.len() as u64)), "{result}");
        let page = server.client.get(server.at("/p/payments/findings")).send().await.unwrap().text().await.unwrap();
        assert!(!page.contains("<script>alert"));
        for (search, found) in [("' OR 1=1", 1), ("%", 1), ("_", 1), ("\\", 1), ("no such", 0)] {
            let path = format!("/api/v1/projects/payments/findings?q={}", serde_urlencoded::to_string([("q", search)]).unwrap().trim_start_matches("q="));
            let list = server.get(&path).await;
            assert_eq!(list["items"].as_array().unwrap().len(), found, "{search}");
        }
    }

    async fn hostile_bodies_and_addresses_are_refused(server: Server) {
        let client = reqwest::Client::new();
        for body in ["{", "[]", "{\"slug\":\"x\",\"slug\":\"y\",\"name\":\"n\"}", "{\"slug\":\"ok\",\"name\":\"n\",\"role\":\"admin\"}", "{\"slug\":\"../x\",\"name\":\"n\"}",
            "{\"slug\":\"ab\",\"name\":\"\\ud800\"}"] {
            let answer = client.post(server.at("/api/v1/projects")).bearer_auth(&server.token).header("content-type", "application/json").body(body).send().await.unwrap();
            assert_eq!(answer.status(), 400, "{body}");
        }
        let large = json!({"slug": "big", "name": "n".repeat(3 << 20)});
        assert_eq!(server.send("POST", "/api/v1/projects", Some(large)).await.status(), 413);
        for path in ["/api/v1/projects/payments/findings/not-an-id", "/api/v1/projects/%00/findings", "/api/v1/projects/payments/findings?cursor=x",
            "/api/v1/projects/payments/findings?limit=0", "/api/v1/projects/payments/findings?state=x", "/api/v1/nothing"] {
            let status = server.send("GET", path, None).await.status().as_u16();
            assert!([400, 404].contains(&status), "{path}: {status}");
        }
    }
}
