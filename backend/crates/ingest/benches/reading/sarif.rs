//! Results of static analysis, SARIF.

use crate::RECORDS;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write;

pub(crate) fn text() -> String {
    let mut text = String::from(r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"bench","rules":["#);
    for n in 0..200 {
        let comma = if n == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"id":"R{n}","shortDescription":{{"text":"Rule {n}"}},"properties":{{"security-severity":"7.5","tags":["external/cwe/cwe-{}"]}}}}"#, 20 + n).unwrap();
    }
    text.push_str(r#"]}},"results":["#);
    for n in 0..RECORDS {
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

pub(crate) fn limit(text: &str) -> usize {
    let log: Log<'_> = serde_json::from_slice(text.as_bytes()).unwrap();
    log.runs[0].results.len()
}
