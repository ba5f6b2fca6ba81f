//! A report of a format that is declared in TOML, as its tool writes it.

use crate::RECORDS;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write;

pub(crate) fn text() -> String {
    let mut text = String::from(r#"{"matches":["#);
    for n in 0..RECORDS {
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

pub(crate) fn limit(text: &str) -> usize {
    let report: Matches<'_> = serde_json::from_slice(text.as_bytes()).unwrap();
    report.matches.len()
}
