//! Traces go to the collector that OpenTelemetry's own variables name, belong to the trace of who asks, and hold nothing that was sent.

use crate::server::{Server, sarif};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A collector: keeps what is posted to it.
fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let own = kept.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut all = Vec::new();
            let mut chunk = [0; 4096];
            loop {
                let n = stream.read(&mut chunk).unwrap();
                all.extend_from_slice(&chunk[..n]);
                let Some(head) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
                    continue;
                };
                let text = String::from_utf8_lossy(&all[..head]).to_lowercase();
                let length = text.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
                if all.len() >= head + 4 + length {
                    break;
                }
            }
            own.lock().unwrap().extend(all);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
        }
    });
    (url, kept)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_traced_and_nothing_of_it_told() {
    let (url, kept) = collector();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let server = Server::start_with(None, &variables).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let (status, _) = server
        .push_with(
            "asset=repo:x",
            sarif("semgrep", &[("sql", "a-message-of-the-file")]),
            &[("traceparent", &parent)],
        )
        .await;
    assert_eq!(status, 201);
    let trace: Vec<u8> = (0..16)
        .map(|n| u8::from_str_radix(&trace[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    let done = |bytes: &[u8]| holds(bytes, &trace) && holds(bytes, b"POST /api/v1/projects/{project}/scans");
    for _ in 0..200 {
        if done(&kept.lock().unwrap()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let bytes = kept.lock().unwrap().clone();
    assert!(done(&bytes), "{}", String::from_utf8_lossy(&bytes));
    assert!(holds(&bytes, b"import"));
    for secret in ["a-message-of-the-file", "repo:x", server.token.as_str(), "payments"] {
        assert!(!holds(&bytes, secret.as_bytes()), "{secret}");
    }
}
