//! Our own findings.

use crate::RECORDS;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write;

pub(crate) fn text() -> String {
    let mut text = String::from(r#"{"findings":["#);
    for n in 0..RECORDS {
        let comma = if n == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"title":"Input reaches a query in module {n}","severity":"Low","description":"What is sent is put together with a query, which lets an attacker change what it asks.\n\n```\nq = request.get(\"order\")\n```","mitigation":"Bind the value, add a test, and run the scan again.","date":"2026-05-01","cwe":89,"file_path":"services/core/src/module_{n}.ts","line":{l},"vuln_id_from_tool":"SEC-{r:04}","unique_id_from_tool":"{n:032x}","component_name":"lib-{r}","component_version":"1.8.22","service":"core","references":"https://rules.example/SEC-{r:04}","static_finding":true,"active":true}}"#, r = n % 300, l = n % 900).unwrap();
    }
    text.push_str("]}");
    text
}

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    findings: Vec<Finding<'a>>,
}

/// The fields that the reader takes.
#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Finding<'a> {
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    severity: Cow<'a, str>,
    #[serde(borrow)]
    description: Cow<'a, str>,
    #[serde(borrow)]
    mitigation: Cow<'a, str>,
    #[serde(borrow)]
    date: Cow<'a, str>,
    cwe: u32,
    #[serde(borrow)]
    file_path: Cow<'a, str>,
    line: u32,
    #[serde(borrow)]
    vuln_id_from_tool: Cow<'a, str>,
    #[serde(borrow)]
    unique_id_from_tool: Cow<'a, str>,
    #[serde(borrow)]
    component_name: Cow<'a, str>,
    #[serde(borrow)]
    component_version: Cow<'a, str>,
    #[serde(borrow)]
    service: Cow<'a, str>,
    #[serde(borrow)]
    references: Cow<'a, str>,
    active: bool,
}

pub(crate) fn limit(text: &str) -> usize {
    let report: Report<'_> = serde_json::from_slice(text.as_bytes()).unwrap();
    report.findings.len()
}
