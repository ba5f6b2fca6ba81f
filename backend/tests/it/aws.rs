//! AWS by its API: Security Hub against a server that stands in for AWS, CloudTrail's lookup (which that server lacks) against a few lines
//! that speak its protocol.

use crate::server::Server;
use crate::sources::{pull, s3, set};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

const KEYS: [(&str, &str); 2] = [
    ("AFFIANT_SOURCE_PAYMENTS__KEY", "AKRIGRIGRIGRIG"),
    ("AFFIANT_SOURCE_PAYMENTS__SECRET", "rigsecret"),
];

fn settings(kind: &str, endpoint: &str) -> Value {
    json!({"kind": kind, "endpoint": endpoint,
        "access_key": "env:AFFIANT_SOURCE_PAYMENTS__KEY", "secret_key": "env:AFFIANT_SOURCE_PAYMENTS__SECRET"})
}

async fn server(endpoint: &str) -> Server {
    let variables = [KEYS[0], KEYS[1], ("AFFIANT_SOURCE_ENDPOINTS", endpoint)];
    Server::start_with(None, &variables).await
}

/// A finding of this run: the server may have others of runs before.
fn finding(run: &str, n: u32, archived: bool) -> Value {
    let id = format!("arn:aws:securityhub:us-east-1:123456789012:finding/{run}/{n}");
    json!({"SchemaVersion": "2018-10-08", "Id": id, "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
        "GeneratorId": "aws-foundational-security-best-practices/v/1.0.0/S3.1", "AwsAccountId": "123456789012",
        "CreatedAt": "2026-10-01T00:00:00Z", "UpdatedAt": "2026-10-02T00:00:00Z", "Types": ["Software and Configuration Checks"],
        "Severity": {"Label": "HIGH"}, "Title": "S3.1 A bucket blocks public access", "Description": "Of the account.",
        "Compliance": {"Status": "FAILED"}, "Workflow": {"Status": "NEW"}, "WorkflowState": "NEW",
        "RecordState": if archived { "ARCHIVED" } else { "ACTIVE" },
        "Resources": [{"Type": "AwsS3Bucket", "Id": format!("arn:aws:s3:::{run}-{n}")}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_of_security_hub_are_pulled() {
    let Some(endpoint) = s3() else { return };
    // The server that stands in for AWS tells services apart by what a request is signed for.
    let import = async |findings: Vec<Value>| {
        let scope = "Credential=AKRIGRIGRIGRIG/20261001/us-east-1/securityhub/aws4_request";
        let answer = reqwest::Client::new()
            .post(format!("{endpoint}/findings/import"))
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"),
            )
            .json(&json!({ "Findings": findings }))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    };
    let run = uuid::Uuid::now_v7().simple().to_string();
    import((0..3).map(|n| finding(&run, n, false)).collect()).await;
    let server = server(&endpoint).await;
    let nameless = json!({"name": "hub", "settings": settings("security-hub", &endpoint)});
    let answer = server
        .send("PUT", "/api/v1/projects/payments/sources", Some(nameless))
        .await;
    assert_eq!(answer.status(), 400, "findings are about something");
    set(
        &server,
        "hub",
        settings("security-hub", &endpoint),
        json!({"asset": "account:123456789012"}),
    )
    .await;
    // The server pulls a new source by itself, too, and may be first.
    let first = pull(&server, "hub").await;
    assert_eq!(first["rejected"].as_u64(), Some(0), "{first}");
    let open = async || {
        let list = server
            .get("/api/v1/projects/payments/findings?state=open&limit=500")
            .await;
        let ours = |item: &&Value| item.to_string().contains(&run);
        list["items"].as_array().unwrap().iter().filter(ours).count()
    };
    assert_eq!(open().await, 3, "{first}");
    import(vec![finding(&run, 1, true), finding(&run, 3, false)]).await;
    let second = pull(&server, "hub").await;
    assert_eq!(second["created"].as_u64(), Some(1), "{second}");
    assert_eq!(open().await, 3, "one is archived, one is new");
}

/// Four days of events, of which the second is quiet and the third has two hundred; every twentieth call is told to wait.
async fn lookup(calls: web::Data<AtomicU32>, request: HttpRequest, bytes: web::Bytes) -> HttpResponse {
    let head = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert!(head("x-amz-target").ends_with(".LookupEvents"));
    let signed = head("authorization");
    assert!(signed.contains("/eu-central-1/cloudtrail/aws4_request"), "{signed}");
    if calls.fetch_add(1, Ordering::SeqCst) % 20 == 2 {
        return HttpResponse::BadRequest().json(json!({"__type": "ThrottlingException"}));
    }
    let asked: Value = serde_json::from_slice(&bytes).unwrap();
    let elapsed = std::time::UNIX_EPOCH.elapsed().unwrap();
    let now = i64::try_from(elapsed.as_secs()).unwrap();
    let mut all: Vec<i64> = vec![now - 3 * 86_400 - 50, now - 60];
    all.extend((0..200).map(|n| now - 86_400 - 3600 - n));
    let within = asked["StartTime"].as_i64().unwrap()..=asked["EndTime"].as_i64().unwrap();
    all.retain(|at| within.contains(at));
    all.sort_unstable_by(|a, b| b.cmp(a));
    let from: usize = asked["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let most = usize::try_from(asked["MaxResults"].as_u64().unwrap()).unwrap();
    let events = all.iter().skip(from).take(most).map(|at| {
        let day = chrono::DateTime::from_timestamp(*at, 0).unwrap();
        let event = json!({"eventID": format!("e-{}", now - at), "eventTime": day.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "eventSource": "iam.amazonaws.com", "eventName": "CreateUser", "userIdentity": {"arn": "arn:aws:iam::1:user/ann"}});
        json!({"EventId": format!("e-{}", now - at), "EventTime": at, "CloudTrailEvent": event.to_string()})
    });
    let events: Vec<Value> = events.collect();
    let next = (from + most < all.len()).then(|| (from + most).to_string());
    HttpResponse::Ok().json(json!({"Events": events, "NextToken": next}))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cloudtrail_looks_up_are_pulled_once() {
    let calls = web::Data::new(AtomicU32::new(0));
    let shared = calls.clone();
    let stand_in = HttpServer::new(move || App::new().app_data(shared.clone()).route("/", web::post().to(lookup)))
        .workers(1)
        .bind("127.0.0.1:0")
        .unwrap();
    let endpoint = format!("http://{}", stand_in.addrs()[0]);
    tokio::spawn(stand_in.run());
    let server = server(&endpoint).await;
    let mut reached = settings("cloudtrail-api", &endpoint);
    reached["region"] = json!("eu-central-1");
    set(&server, "lookup", reached, json!({"tags": ["SOX"]})).await;
    let first = pull(&server, "lookup").await;
    assert_eq!(first["rejected"].as_u64(), Some(0), "{first}");
    // The server pulls a new source by itself, too, and may be first: both together create each event once.
    loop {
        let before = calls.load(Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        if calls.load(Ordering::SeqCst) == before {
            break;
        }
    }
    assert!(calls.load(Ordering::SeqCst) > 90, "a day at a time");
    let list = server.get("/api/v1/projects/payments/audit-events?limit=500").await;
    let events = list["items"].as_array().unwrap();
    assert_eq!(events.len(), 202, "{first}");
    assert!(events.iter().all(|event| event["action"] == "CreateUser"), "{list}");
    calls.store(0, Ordering::SeqCst);
    let again = pull(&server, "lookup").await;
    assert_eq!(
        again["created"].as_u64(),
        Some(0),
        "what comes late is looked for again: {again}"
    );
    assert!(calls.load(Ordering::SeqCst) < 6, "from the cursor on");
}
