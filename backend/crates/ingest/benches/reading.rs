//! Reading SARIF, beside what `serde_json` alone takes to parse the same bytes into borrowed types.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use affiant_ingest::{Bytes, Counter, Limits, read};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write;
use std::hint::black_box;

const RESULTS: usize = 20_000;

fn sarif() -> String {
    let mut text = String::from(r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"bench","rules":["#);
    for n in 0..200 {
        let comma = if n == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"id":"R{n}","shortDescription":{{"text":"Rule {n}"}},"properties":{{"security-severity":"7.5","tags":["external/cwe/cwe-{}"]}}}}"#, 20 + n).unwrap();
    }
    text.push_str(r#"]}},"results":["#);
    for n in 0..RESULTS {
        let comma = if n == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"ruleId":"R{r}","ruleIndex":{r},"level":"error","message":{{"text":"Input reaches a query in module {n}, which lets an attacker change what it asks."}},"locations":[{{"physicalLocation":{{"artifactLocation":{{"uri":"src/module{n}/handlers/order.py","uriBaseId":"%SRCROOT%"}},"region":{{"startLine":{n},"startColumn":5,"endLine":{n},"snippet":{{"text":"cursor.execute(\"SELECT * FROM orders WHERE id = \" + order_id)"}}}}}}}}],"fingerprints":{{"primary/v1":"{n:064x}"}},"properties":{{"confidence":"HIGH"}}}}"#, r = n % 200).unwrap();
    }
    text.push_str("]}]}");
    text
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log<'a> {
    #[serde(borrow)]
    runs: Vec<Run<'a>>,
}

#[derive(Deserialize)]
struct Run<'a> {
    #[serde(borrow)]
    results: Vec<Outcome<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Outcome<'a> {
    #[serde(borrow)]
    rule_id: Cow<'a, str>,
    #[serde(borrow)]
    level: Cow<'a, str>,
    #[serde(borrow)]
    message: Message<'a>,
    #[serde(borrow)]
    locations: Vec<Location<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Message<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Location<'a> {
    #[serde(borrow)]
    physical_location: Physical<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Physical<'a> {
    #[serde(borrow)]
    artifact_location: Artifact<'a>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Artifact<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
}

fn reading(c: &mut Criterion) {
    let text = sarif();
    let mut group = c.benchmark_group("sarif");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(20);
    group.bench_function("affiant reader", |b| {
        b.iter(|| {
            let mut counter = Counter::new();
            read(&Bytes(text.as_bytes()), None, &Limits::default(), &mut counter).unwrap();
            assert_eq!(counter.findings, RESULTS as u64);
        });
    });
    group.bench_function("limit: serde_json, borrowed types", |b| {
        b.iter(|| {
            let log: Log<'_> = serde_json::from_slice(black_box(text.as_bytes())).unwrap();
            assert_eq!(log.runs[0].results.len(), RESULTS);
        });
    });
    group.finish();
}

/// A report of a declarative format, as its tool writes it.
fn grype() -> String {
    let mut text = String::from(r#"{"matches":["#);
    for n in 0..RESULTS {
        let comma = if n == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"vulnerability":{{"id":"CVE-2024-{i:04}","dataSource":"https://nvd.nist.gov/vuln/detail/CVE-2024-{i:04}","namespace":"nvd","severity":"High","urls":["http://a.example/1","http://b.example/2"],"description":"The proxy creates files and directories with permissions that let a local user read what others wrote.","cvss":[{{"version":"3.1","vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","metrics":{{"baseScore":9.8}}}}],"fix":{{"versions":["1.2.3"],"state":"fixed"}},"advisories":[]}},"relatedVulnerabilities":[],"matchDetails":[{{"matcher":"m","searchedBy":{{"cpes":["cpe:2.3:a:*:delegate:3.2.0:*:*:*:*:*:*:*"]}}}}],"artifact":{{"name":"pkg{p}","version":"3.2.0","type":"npm","locations":[{{"path":"components/{p}/yarn.lock"}}],"purl":"pkg:npm/pkg{p}@3.2.0"}}}}"#, i = n % 4000, p = n % 700).unwrap();
    }
    text.push_str(r#"],"descriptor":{"name":"grype","version":"0.80.0"}}"#);
    text
}

#[derive(Deserialize)]
struct Matches<'a> {
    #[serde(borrow)]
    matches: Vec<Match<'a>>,
}

/// The fields that the reader takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Match<'a> {
    #[serde(borrow)]
    vulnerability: Vulnerability<'a>,
    #[serde(borrow)]
    related_vulnerabilities: Vec<Vulnerability<'a>>,
    #[serde(borrow)]
    artifact: Package<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Vulnerability<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    data_source: Cow<'a, str>,
    #[serde(borrow)]
    severity: Cow<'a, str>,
    #[serde(borrow)]
    description: Cow<'a, str>,
    cvss: Vec<Cvss>,
    #[serde(borrow)]
    fix: Fix<'a>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Cvss {
    metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Metrics {
    base_score: f64,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Fix<'a> {
    #[serde(borrow)]
    versions: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    state: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Package<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    locations: Vec<Place<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Place<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

fn declared(c: &mut Criterion) {
    let text = grype();
    let mut group = c.benchmark_group("grype, declared in TOML");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(20);
    group.bench_function("affiant reader", |b| {
        b.iter(|| {
            let mut counter = Counter::new();
            read(&Bytes(text.as_bytes()), None, &Limits::default(), &mut counter).unwrap();
            assert_eq!(counter.findings, RESULTS as u64);
        });
    });
    group.bench_function("limit: serde_json, borrowed types", |b| {
        b.iter(|| {
            let report: Matches<'_> = serde_json::from_slice(black_box(text.as_bytes())).unwrap();
            assert_eq!(report.matches.len(), RESULTS);
        });
    });
    group.finish();
}

criterion_group!(benches, reading, declared);
criterion_main!(benches);
