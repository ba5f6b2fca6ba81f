//! Audit stores: each event goes in exactly once, however often a pull is cut off, and what is missing is seen.

use crate::server::{Server, binary, on_both};
use flate2::Compression;
use flate2::write::GzEncoder;
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

fn trail(ids: std::ops::Range<u32>) -> String {
    let records: Vec<Value> = ids
        .map(|n| {
            json!({"eventID": format!("e-{n}"), "eventTime": format!("2026-10-01T{:02}:{:02}:{:02}Z", n / 3600 % 24, n / 60 % 60, n % 60),
                "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "userIdentity": {"arn": "arn:aws:iam::1:user/ann"}})
        })
        .collect();
    json!({"Records": records}).to_string()
}

fn gz(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

pub async fn set(server: &Server, name: &str, settings: Value, more: Value) {
    let mut wanted = json!({"name": name, "settings": settings});
    wanted
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = server
        .send("PUT", "/api/v1/projects/payments/sources", Some(wanted))
        .await;
    let status = answer.status();
    assert!(status.is_success(), "{status} {}", answer.text().await.unwrap());
}

pub async fn pull(server: &Server, name: &str) -> Value {
    server
        .post(&format!("/api/v1/projects/payments/sources/{name}/pull"), json!({}))
        .await
}

async fn events(server: &Server) -> Vec<Value> {
    let list = server.get("/api/v1/projects/payments/audit-events?limit=500").await;
    list["items"].as_array().unwrap().clone()
}

/// Writes a file below the folder for sources.
fn put(server: &Server, name: &str, bytes: &[u8]) {
    let path = server.data.path().join("inbox/payments").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

on_both! {
    async fn no_link_leads_out_of_a_folder(server: Server) {
        put(&server, "trail/own.json", trail(0..3).as_bytes());
        put(&server, "trail/inner/more.json", trail(10..12).as_bytes());
        let inbox = server.data.path().join("inbox");
        std::fs::create_dir_all(inbox.join("other")).unwrap();
        std::fs::write(inbox.join("other/secret.json"), trail(20..30)).unwrap();
        let within = inbox.join("payments/trail");
        std::os::unix::fs::symlink(inbox.join("other/secret.json"), within.join("file.json")).unwrap();
        std::os::unix::fs::symlink(inbox.join("other"), within.join("folder")).unwrap();
        std::os::unix::fs::symlink("inner/more.json", within.join("inside.json")).unwrap();
        set(&server, "trail", json!({"kind": "folder", "path": "trail"}), json!({"asset": "account:1"})).await;
        let pulled = pull(&server, "trail").await;
        assert_eq!(pulled["created"].as_u64(), Some(5), "{pulled}");
        let problems = pulled["problems"].to_string();
        assert!(problems.contains("file.json") && problems.contains("folder/secret.json"), "{pulled}");
    }

    async fn each_event_of_a_folder_goes_in_once(server: Server) {
        put(&server, "trail/AWSLogs/1/CloudTrail/a.json.gz", &gz(&trail(0..30)));
        put(&server, "trail/AWSLogs/1/CloudTrail-Digest/d.json", b"{}");
        put(&server, "trail/AWSLogs/1/CloudTrail/broken.json", b"{\"Records\": [");
        set(&server, "trail", json!({"kind": "folder", "path": "trail"}), json!({"tags": ["SOX"], "asset": "account:1"})).await;
        let first = pull(&server, "trail").await;
        assert_eq!((first["objects"].as_u64(), first["created"].as_u64()), (Some(2), Some(30)), "{first}");
        assert!(first["problems"][0].as_str().unwrap().contains("broken.json"), "{first}");
        let again = pull(&server, "trail").await;
        assert_eq!((again["objects"].as_u64(), again["created"].as_u64()), (Some(0), Some(0)), "{again}");
        // The broken file was still being written; another holds ten events again and ten new ones.
        put(&server, "trail/AWSLogs/1/CloudTrail/broken.json", trail(30..35).as_bytes());
        put(&server, "trail/AWSLogs/1/CloudTrail/again.json", trail(20..45).as_bytes());
        let more = pull(&server, "trail").await;
        assert_eq!(more["created"].as_u64(), Some(15), "{more}");
        let all = events(&server).await;
        assert_eq!(all.len(), 45);
        assert_eq!((all[0]["source"].as_str(), all[0]["keep_rule"].as_str()), (Some("trail"), Some("ret-sox-issuer")));
        assert!(all[0]["keep_until"].as_str().unwrap().starts_with("2033-10-01"));
    }

    async fn a_log_that_grows_gives_only_what_is_new(server: Server) {
        let line = |n: u32| json!({"timestamp": format!("2026-10-01T00:00:{n:02}Z"), "agent_id": "bot", "action": "read"}).to_string();
        let two: String = [line(1), line(2), line(2)].join("\n");
        put(&server, "log/agent.ndjson", format!("{two}\n{}", &line(3)[..20]).as_bytes());
        set(&server, "log", json!({"kind": "folder", "path": "log"}), json!({})).await;
        let first = pull(&server, "log").await;
        assert_eq!((first["created"].as_u64(), first["rejected"].as_u64()), (Some(3), Some(1)), "equal events stay two: {first}");
        put(&server, "log/agent.ndjson", format!("{two}\n{}\n{}\n", line(3), line(4)).as_bytes());
        let second = pull(&server, "log").await;
        assert_eq!((second["created"].as_u64(), second["rejected"].as_u64()), (Some(2), Some(0)), "{second}");
        let moved = std::fs::read(server.data.path().join("inbox/payments/log/agent.ndjson")).unwrap();
        put(&server, "log/agent.ndjson.1", &moved);
        assert_eq!(pull(&server, "log").await["created"].as_u64(), Some(0), "a log that was rotated adds nothing");
    }

    async fn a_pull_that_is_killed_goes_on_where_it_was(server: Server) {
        const ALL: u32 = 12_000;
        put(&server, "big/a.json.gz", &gz(&trail(0..ALL)));
        set(&server, "big", json!({"kind": "folder", "path": "big"}), json!({})).await;
        let command = || {
            let mut command = Command::new(binary());
            command.args(["sources", "--project", "payments", "pull", "big", "--data"]).arg(server.data.path());
            if let Some(url) = &server.database {
                command.args(["--database-url", url]);
            }
            command
        };
        for wait in [150, 250, 350, 500] {
            let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let _ = child.kill();
            child.wait().unwrap();
        }
        let output = command().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let url = server.database.clone().unwrap_or_else(|| format!("sqlite:{}", server.data.path().join("affiant.sqlite").display()));
        let db = sea_orm::Database::connect(&url).await.unwrap();
        let count = |sql: &str| {
            let statement = sea_orm::Statement::from_string(sea_orm::ConnectionTrait::get_database_backend(&db), sql.to_owned());
            let db = db.clone();
            async move { sea_orm::ConnectionTrait::query_one_raw(&db, statement).await.unwrap().unwrap().try_get::<i64>("", "n").unwrap() }
        };
        assert_eq!(count("SELECT count(*) AS n FROM audit_event").await, i64::from(ALL));
        assert_eq!(count("SELECT events AS n FROM source_object").await, i64::from(ALL));
    }

    async fn what_the_register_expects_of_an_agent_is_missed(server: Server) {
        let expect = |agent: &str, action: &str, within: i64| json!({"agent": agent, "action": action, "within_seconds": within});
        let path = "/api/v1/projects/payments/expected-operations";
        let bad = server.send("PUT", path, Some(expect("bot", "post", 5))).await;
        assert_eq!(bad.status(), 400);
        for within in [60, 86_400] {
            assert_eq!(server.send("PUT", path, Some(expect("bot", "post", within))).await.status(), 200);
        }
        let none = server.get("/api/v1/projects/payments/event-coverage?period=2026-10").await;
        assert_eq!(none["event_coverage"], Value::Null, "nothing was expected before the register said so: {none}");
        // Daily from the first to the tenth, but for three days; another operation on each day.
        let days = (1..=10).filter(|day| !(4..7).contains(day));
        let mut all: Vec<Value> = days.map(|day| json!({"timestamp": format!("2026-10-{day:02}T06:00:00Z"), "agent_id": "bot", "action": "post"})).collect();
        all.extend((1..=10).map(|day| json!({"timestamp": format!("2026-10-{day:02}T07:00:00Z"), "agent_id": "bot", "action": "read"})));
        server.post("/api/v1/projects/payments/audit-events?source=any", json!(all)).await;
        let told = server.get("/api/v1/projects/payments/event-coverage?period=2026-10-01..2026-10-11").await;
        assert_eq!((told["recorded"].as_u64(), told["missing"].as_u64()), (Some(7), Some(3)), "{told}");
        assert_eq!((told["lost"][0]["source"].as_str(), told["event_coverage"].as_f64()), (Some("bot: post"), Some(0.7)), "{told}");
        let list = server.get(path).await;
        let id = list["items"][0]["id"].as_str().unwrap();
        assert_eq!((list["items"].as_array().unwrap().len(), list["items"][0]["within_seconds"].as_i64()), (1, Some(86_400)), "{list}");
        for status in [204, 404] {
            assert_eq!(server.send("DELETE", &format!("{path}/{id}"), None).await.status(), status);
        }
    }

    async fn silence_and_missing_numbers_are_seen(server: Server) {
        set(&server, "agents", json!({"kind": "push"}), json!({"expected_seconds": 3600})).await;
        let url = server.database.clone().unwrap_or_else(|| format!("sqlite:{}", server.data.path().join("affiant.sqlite").display()));
        let db = sea_orm::Database::connect(&url).await.unwrap();
        let begun = chrono::DateTime::parse_from_rfc3339("2026-10-01T00:00:00Z").unwrap().timestamp_micros();
        let sql = format!("UPDATE source SET created_at = {begun}");
        sea_orm::ConnectionTrait::execute_unprepared(&db, &sql).await.unwrap();
        // Hourly on the first of October, but for the hours from 9 to 13.
        let hours = (0..24).filter(|hour| !(10..13).contains(hour));
        let all: Vec<Value> = hours.map(|hour| json!({"timestamp": format!("2026-10-01T{hour:02}:00:00Z"), "agent_id": "bot", "action": "read"})).collect();
        server.post("/api/v1/projects/payments/audit-events?source=agents", json!(all)).await;
        let told = server.get("/api/v1/projects/payments/event-coverage?period=2026-10-01..2026-10-02").await;
        assert_eq!((told["recorded"].as_u64(), told["missing"].as_u64()), (Some(21), Some(3)), "{told}");
        assert_eq!(told["lost"][0]["from"], "2026-10-01T09:00:00Z", "{told}");
        assert_eq!(told["lost"][0]["until"], "2026-10-01T13:00:00Z", "{told}");
        let share = told["event_coverage"].as_f64().unwrap();
        assert!((share - 21.0 / 24.0).abs() < 1e-9, "{told}");
        let report = json!({"framework": "sox", "period": "2026-10-01..2026-10-02"});
        let made = server.post("/api/v1/projects/payments/reports", report).await;
        let report = server.get(&format!("/api/v1/reports/{}/json", made["id"].as_str().unwrap())).await;
        assert_eq!(report["metrics"]["event_coverage"].as_f64(), Some(share), "{}", report["metrics"]);
        assert_eq!(report["coverage_lost"][0]["source"], "agents");
        // Numbers that a log passes over.
        let log = "type=LOGIN msg=audit(1790000000.100:10): res=1\ntype=LOGIN msg=audit(1790000001.100:14): res=1\n";
        put(&server, "linux/audit.log", log.as_bytes());
        set(&server, "linux", json!({"kind": "folder", "path": "linux"}), json!({})).await;
        assert_eq!(pull(&server, "linux").await["created"].as_u64(), Some(2));
        let told = server.get("/api/v1/projects/payments/event-coverage?period=2026-09").await;
        let gap = &told["lost"][0];
        assert_eq!((gap["source"].as_str(), gap["missing"].as_u64(), gap["reason"].as_str()), (Some("linux"), Some(3), Some("sequence")), "{told}");
    }

    async fn what_is_written_for_exchange_can_be_read_again(server: Server) {
        std::fs::create_dir_all(server.data.path().join("inbox/payments/out")).unwrap();
        let event = json!({"timestamp": "2026-10-01T00:00:00Z", "agent_id": "bot", "action": "data_export", "compliance_tags": ["SOX", "GDPR"], "input_data": "the content ann@example.org"});
        server.post("/api/v1/projects/payments/audit-events", event).await;
        let stored = &events(&server).await[0];
        let payload = &stored["payloads"][0];
        assert_eq!((payload["length"].as_u64(), payload["commitment"].as_str().unwrap().len()), (Some(27), 64), "{stored}");
        assert!(!stored.to_string().contains("the content"), "{stored}");
        set(&server, "out", json!({"kind": "folder", "path": "out"}), json!({})).await;
        let mut command = Command::new(binary());
        command.args(["sources", "--project", "payments", "export", "out", "2026-10", "--data"]).arg(server.data.path());
        if let Some(url) = &server.database {
            command.args(["--database-url", url]);
        }
        // A folder keeps no metadata; the store says so rather than losing them.
        let output = command.output().unwrap();
        let wrote = output.status.success();
        let path = server.data.path().join(format!("inbox/payments/out/audit_logs/2026/{}.json", stored["id"].as_str().unwrap()));
        assert_eq!(path.exists(), wrote, "{output:?}");
    }
}

/// The address of an S3 server, where the test script started one.
pub fn s3() -> Option<String> {
    match std::env::var("AFFIANT_TEST_S3") {
        Ok(url) => Some(url),
        Err(_) if std::env::var("CI").is_ok() => panic!("AFFIANT_TEST_S3 is not set; run the tests by ./test.sh"),
        Err(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_read_and_written() {
    let Some(endpoint) = s3() else { return };
    let bucket = format!("t{}", uuid::Uuid::now_v7().simple());
    let store = AmazonS3Builder::new()
        .with_bucket_name(&bucket)
        .with_region("us-east-1")
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_access_key_id("AKRIGRIGRIGRIG")
        .with_secret_access_key("rigsecret")
        .build()
        .unwrap();
    let made = reqwest::Client::new()
        .put(format!("{endpoint}/{bucket}"))
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success(), "{}", made.status());
    let variables = [
        ("AFFIANT_SOURCE_PAYMENTS__KEY", "AKRIGRIGRIGRIG"),
        ("AFFIANT_SOURCE_PAYMENTS__SECRET", "rigsecret"),
        ("AFFIANT_SOURCE_OTHER__KEY", "AKRIGRIGRIGRIG"),
        ("AFFIANT_SOURCE_OTHER__SECRET", "rigsecret"),
        ("AFFIANT_SOURCE_ENDPOINTS", endpoint.as_str()),
    ];
    let server = Server::start_with(None, &variables).await;
    for (key, bytes) in [
        ("AWSLogs/1/CloudTrail/ev ü+1.json.gz", gz(&trail(0..100))),
        ("AWSLogs/1/CloudTrail/2.json", trail(90..150).into_bytes()),
        ("other/x.json", trail(900..910).into_bytes()),
    ] {
        store.put(&Key::from(key), bytes.into()).await.unwrap();
    }
    let settings = json!({"kind": "s3", "bucket": bucket, "prefix": "AWSLogs", "endpoint": endpoint,
        "access_key": "env:AFFIANT_SOURCE_PAYMENTS__KEY", "secret_key": "env:AFFIANT_SOURCE_PAYMENTS__SECRET"});
    set(&server, "trail", settings, json!({"every_seconds": 60})).await;
    let first = pull(&server, "trail").await;
    assert_eq!(
        (first["objects"].as_u64(), first["created"].as_u64()),
        (Some(2), Some(150)),
        "{first}"
    );
    assert_eq!(pull(&server, "trail").await["objects"].as_u64(), Some(0));
    let list = server.get("/api/v1/projects/payments/sources").await.to_string();
    assert!(
        list.contains("env:AFFIANT_SOURCE_PAYMENTS__SECRET") && !list.contains("rigsecret"),
        "{list}"
    );

    let mut command = Command::new(binary());
    command
        .args([
            "sources",
            "--project",
            "payments",
            "export",
            "trail",
            "2026-10",
            "--data",
        ])
        .arg(server.data.path());
    command.envs(variables);
    for wanted in [(150, 0), (0, 150)] {
        let output = command.output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(
            (told["written"].as_u64(), told["there"].as_u64()),
            (Some(wanted.0), Some(wanted.1)),
            "{told}"
        );
    }
    let id = events(&server).await[0]["id"].as_str().unwrap().to_owned();
    let got = store
        .get(&Key::from(format!("AWSLogs/audit_logs/2026/{id}.json")))
        .await
        .unwrap();
    let attributes = format!("{:?}", got.attributes);
    assert!(
        attributes.contains("retention-period") && attributes.contains("risk-level"),
        "{attributes}"
    );
    // What was written is our own event: pulled again it adds nothing here, and to another project everything.
    pull(&server, "trail").await;
    assert_eq!(events(&server).await.len(), 150);
    server
        .post("/api/v1/projects", json!({"slug": "other", "name": "Other"}))
        .await;
    let settings = json!({"kind": "s3", "bucket": bucket, "prefix": "AWSLogs/audit_logs", "endpoint": endpoint,
        "access_key": "env:AFFIANT_SOURCE_OTHER__KEY", "secret_key": "env:AFFIANT_SOURCE_OTHER__SECRET"});
    let wanted = json!({"name": "exchange", "settings": settings});
    let made = server.send("PUT", "/api/v1/projects/other/sources", Some(wanted)).await;
    assert!(made.status().is_success());
    let taken = server
        .post("/api/v1/projects/other/sources/exchange/pull", json!({}))
        .await;
    let list = server.get("/api/v1/projects/other/audit-events?limit=500").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 150, "{taken}");
}

/// A source over a store that already holds two logs: each event once, and what is exported there comes back.
async fn is_read_and_written(store: &dyn object_store::ObjectStore, settings: Value, variables: &[(&str, &str)]) {
    let server = Server::start_with(None, variables).await;
    for (key, bytes) in [
        ("logs/1.json.gz", gz(&trail(0..100))),
        ("logs/2.json", trail(90..150).into_bytes()),
    ] {
        store.put(&Key::from(key), bytes.into()).await.unwrap();
    }
    set(&server, "trail", settings, json!({"every_seconds": 60})).await;
    let first = pull(&server, "trail").await;
    assert_eq!(
        (first["objects"].as_u64(), first["created"].as_u64()),
        (Some(2), Some(150)),
        "{first}"
    );
    assert_eq!(pull(&server, "trail").await["objects"].as_u64(), Some(0));
    store
        .put(&Key::from("logs/2.json"), trail(90..160).into_bytes().into())
        .await
        .unwrap();
    let again = pull(&server, "trail").await;
    assert_eq!(
        (again["objects"].as_u64(), again["created"].as_u64()),
        (Some(1), Some(10)),
        "a log that grew: {again}"
    );
    let mut command = Command::new(binary());
    command
        .args([
            "sources",
            "--project",
            "payments",
            "export",
            "trail",
            "2026-10",
            "--data",
        ])
        .arg(server.data.path());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(told["written"].as_u64(), Some(160), "{told}");
    pull(&server, "trail").await;
    assert_eq!(
        events(&server).await.len(),
        160,
        "what was written is known when it is read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_azure_is_read_and_written() {
    let Ok(base) = std::env::var("AFFIANT_TEST_AZURE") else {
        assert!(
            std::env::var("CI").is_err(),
            "AFFIANT_TEST_AZURE is not set; run the tests by ./test.sh"
        );
        return;
    };
    // The account and key that every such server knows.
    let (account, key) = (
        "devstoreaccount1",
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    );
    let container = format!("t{}", uuid::Uuid::now_v7().simple());
    let endpoint = format!("{base}/{account}");
    let builder = object_store::azure::MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_access_key(key);
    let store = builder
        .with_endpoint(endpoint.clone())
        .with_allow_http(true)
        .with_container_name(&container)
        .build()
        .unwrap();
    make_container(&endpoint, account, key, &container).await;
    let settings = json!({"kind": "azure", "account": account, "container": container, "prefix": "logs", "endpoint": endpoint, "access_key": "env:AFFIANT_SOURCE_PAYMENTS__KEY"});
    is_read_and_written(
        &store,
        settings,
        &[
            ("AFFIANT_SOURCE_PAYMENTS__KEY", key),
            ("AFFIANT_SOURCE_ENDPOINTS", &endpoint),
        ],
    )
    .await;
}

#[allow(clippy::disallowed_methods, reason = "the server compares it with its own clock")]
/// Makes a container, which the library for object stores does not; signed by the account's key.
async fn make_container(endpoint: &str, account: &str, key: &str, container: &str) {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use hmac::{Hmac, KeyInit, Mac};
    let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = format!("x-ms-date:{date}\nx-ms-version:2021-08-06");
    let text = format!(
        "PUT{}{headers}\n/{account}/{account}/{container}\nrestype:container",
        "\n".repeat(12)
    );
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&BASE64_STANDARD.decode(key).unwrap()).unwrap();
    mac.update(text.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let made = reqwest::Client::new()
        .put(format!("{endpoint}/{container}?restype=container"))
        .header("x-ms-date", date)
        .header("x-ms-version", "2021-08-06")
        .header("content-length", "0")
        .header("authorization", format!("SharedKey {account}:{signature}"))
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success(), "{}", made.text().await.unwrap());
}

/// Google's XML interface is that of S3 but for how one signs in and asks that an object be new: what comes goes on to the server that
/// stands in for AWS.
async fn forward(request: actix_web::HttpRequest, body: actix_web::web::Bytes) -> actix_web::HttpResponse {
    let url = format!("{}{}", s3().unwrap(), request.uri());
    let signed = "AWS4-HMAC-SHA256 Credential=rig/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let headers = [(reqwest::header::AUTHORIZATION, signed.parse().unwrap())];
    let client = reqwest::Client::builder()
        .default_headers(headers.into_iter().collect())
        .build()
        .unwrap();
    let must_be_new = request.headers().contains_key("x-goog-if-generation-match");
    if must_be_new && client.head(&url).send().await.unwrap().status().is_success() {
        return actix_web::HttpResponse::PreconditionFailed().finish();
    }
    let method = request.method().as_str().parse::<reqwest::Method>().unwrap();
    let answer = client.request(method, url).body(body.to_vec()).send().await.unwrap();
    let status = actix_web::http::StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let mut told = actix_web::HttpResponse::build(status);
    for name in ["etag", "last-modified", "content-type"] {
        if let Some(value) = answer.headers().get(name) {
            told.insert_header((name, value.to_str().unwrap()));
        }
    }
    told.insert_header(("x-goog-generation", "1"));
    told.body(answer.bytes().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_google_is_read_and_written() {
    let Some(base) = s3() else { return };
    let bucket = format!("t{}", uuid::Uuid::now_v7().simple());
    let made = reqwest::Client::new()
        .put(format!("{base}/{bucket}"))
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success(), "{}", made.status());
    let front = actix_web::HttpServer::new(|| actix_web::App::new().default_service(actix_web::web::to(forward)));
    let front = front.workers(1).bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", front.addrs()[0]);
    tokio::spawn(front.run());
    let account = json!({"gcs_base_url": endpoint, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}).to_string();
    let builder = object_store::gcp::GoogleCloudStorageBuilder::new()
        .with_service_account_key(&account)
        .with_bucket_name(&bucket);
    let options = object_store::ClientOptions::new().with_allow_http(true);
    let store = builder.with_client_options(options).build().unwrap();
    let settings = json!({"kind": "gcs", "bucket": bucket, "prefix": "logs", "endpoint": endpoint, "service_account": "env:AFFIANT_SOURCE_PAYMENTS__SA"});
    let variables = [
        ("AFFIANT_SOURCE_PAYMENTS__SA", account.as_str()),
        ("AFFIANT_SOURCE_ENDPOINTS", endpoint.as_str()),
    ];
    is_read_and_written(&store, settings, &variables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_database_are_read_behind_a_cursor() {
    use sea_orm::{ConnectionTrait, Database};
    let Some(url) = crate::server::postgres().await else {
        return;
    };
    let db = Database::connect(&url).await.unwrap();
    db.execute_unprepared("CREATE TABLE trail (id bigint PRIMARY KEY, at timestamptz, login text, what text)")
        .await
        .unwrap();
    let fill = "INSERT INTO trail SELECT n, timestamptz '2026-10-01Z' + n * interval '1 second', 'ann', 'read?record' FROM generate_series";
    db.execute_unprepared(&format!("{fill}(1, 4500) n")).await.unwrap();
    let server = Server::start_with(None, &[("AFFIANT_SOURCE_PAYMENTS__DB", &url)]).await;
    let settings = json!({"kind": "postgres", "url": "env:AFFIANT_SOURCE_PAYMENTS__DB", "cursor": "event_id",
        "query": "SELECT id AS event_id, at AS timestamp, login AS user_id, what AS action FROM trail WHERE what LIKE 'read?%'"});
    set(&server, "rows", settings, json!({"format": "audit-event"})).await;
    let first = pull(&server, "rows").await;
    assert_eq!(
        (first["objects"].as_u64(), first["created"].as_u64()),
        (Some(3), Some(4500)),
        "{first}"
    );
    for query in [
        "SELECT id AS event_id FROM trail --",
        "SELECT id AS event_id FROM trail) q --",
        "SELECT id AS event_id FROM trail /*",
        "SELECT 1 AS event_id, n FROM generate_series(1, 3000) n",
    ] {
        let settings =
            json!({"kind": "postgres", "url": "env:AFFIANT_SOURCE_PAYMENTS__DB", "cursor": "event_id", "query": query});
        set(&server, "odd", settings, json!({"format": "audit-event"})).await;
        let pulled = server
            .send("POST", "/api/v1/projects/payments/sources/odd/pull", Some(json!({})))
            .await;
        let (status, told) = (pulled.status(), pulled.text().await.unwrap());
        let is_comment = query.ends_with("--") && !query.contains(')');
        assert!(
            is_comment || !status.is_success() || told.contains("cannot be reached"),
            "{query}: {status} {told}"
        );
    }
    server
        .send("DELETE", "/api/v1/projects/payments/sources/odd", None)
        .await;
    db.execute_unprepared(&format!("{fill}(4501, 4510) n")).await.unwrap();
    // The server's own schedule may be quicker than we are.
    pull(&server, "rows").await;
    let own = format!("sqlite://{}", server.data.path().join("affiant.sqlite").display());
    let own = Database::connect(own).await.unwrap();
    let count = "SELECT count(*) AS n FROM audit_event";
    let counted = own
        .query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, count))
        .await;
    assert_eq!(counted.unwrap().unwrap().try_get::<i64>("", "n").unwrap(), 4510);
    // Rows that were committed late are found a little before the cursor.
    db.execute_unprepared(
        "DELETE FROM trail WHERE id = 4400; INSERT INTO trail VALUES (4400, now(), 'eve', 'read?late')",
    )
    .await
    .unwrap();
    assert_eq!(
        pull(&server, "rows").await["created"].as_u64(),
        Some(0),
        "an id that was there adds nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_said_and_nothing_is_told_of_its_secrets() {
    let server = Server::start_with(
        None,
        &[("AFFIANT_SOURCE_PAYMENTS__DB", "postgres://ann:hunter2@127.0.0.1:9/x")],
    )
    .await;
    let settings = json!({"kind": "postgres", "url": "env:AFFIANT_SOURCE_PAYMENTS__DB", "cursor": "id", "query": "select 1 as id"});
    set(&server, "rows", settings, json!({})).await;
    let answer = server
        .send("POST", "/api/v1/projects/payments/sources/rows/pull", Some(json!({})))
        .await;
    assert_eq!(answer.status(), 503);
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("cannot be reached") && !text.contains("hunter2"),
        "{text}"
    );
    for (settings, word) in [
        (json!({"kind": "folder", "path": "../.."}), "settings/path"),
        (
            json!({"kind": "s3", "bucket": "b", "access_key": "AKIA", "secret_key": "x"}),
            "named, not written",
        ),
        (
            json!({"kind": "postgres", "url": "env:HOME", "cursor": "id", "query": "select 1"}),
            "AFFIANT_SOURCE_",
        ),
        (json!({"kind": "ftp"}), "unknown variant"),
    ] {
        let wanted = json!({"name": "x", "settings": settings});
        let answer = server
            .send("PUT", "/api/v1/projects/payments/sources", Some(wanted))
            .await;
        assert_eq!(answer.status(), 400);
        let text = answer.text().await.unwrap();
        assert!(text.contains(word), "{text}");
    }
    let member = server.new_token("member", None).await;
    let answer = server
        .send_as(
            &member,
            "PUT",
            "/api/v1/projects/payments/sources",
            Some(json!({"name": "x", "settings": {"kind": "push"}})),
        )
        .await;
    assert_eq!(answer.status(), 403);
}
