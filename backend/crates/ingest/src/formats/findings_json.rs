//! Our own findings JSON, for tools without a format: `{"findings": [{"title", "severity", "description", …}]}`.
//!
//! The field names are those of the widely used generic findings format. A missing required field or an unknown one refuses the
//! file, by name: whoever writes the file wrote it for us and wants to know.

use crate::json::Walker;
use crate::record::{cut, or_default, time};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::Severity;
use affiant_domain::asset::AssetKey;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, Resource, RunInfo, cwe_number, tool_name};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    sniff
        .json
        .as_ref()
        .is_some_and(|json| json.get("findings").is_some_and(serde_json::Value::is_array))
}

/// One finding as the file gives it.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Given {
    pub(super) title: Option<String>,
    pub(super) severity: Option<String>,
    pub(super) description: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) mitigation: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) date: String,
    pub(super) cwe: serde_json::Value,
    pub(super) cwes: serde_json::Value,
    #[serde(deserialize_with = "or_default")]
    pub(super) cve: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) vulnerability_ids: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) file_path: String,
    pub(super) line: serde_json::Value,
    #[serde(deserialize_with = "or_default")]
    pub(super) vuln_id_from_tool: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) unique_id_from_tool: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) component_name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) component_version: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) service: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) references: String,
    pub(super) active: Option<bool>,
    pub(super) false_p: Option<bool>,
    pub(super) out_of_scope: Option<bool>,
    pub(super) risk_accepted: Option<bool>,
    pub(super) is_mitigated: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    pub(super) tags: Vec<String>,
    /// The asset of this finding, `kind:name`, where it is not the one that was scanned.
    #[serde(deserialize_with = "or_default")]
    pub(super) asset: String,
    /// `vulnerability`, `secret`, `misconfiguration`, `code`, `license`, `eol`, `malware`, ….
    #[serde(deserialize_with = "or_default")]
    pub(super) category: String,
}

/// Fields of the format that are accepted and not used.
const ACCEPTED: [&str; 36] = [
    "kev_date",
    "known_exploited",
    "ransomware_used",
    "files",
    "mitigated",
    "under_review",
    "impact",
    "steps_to_reproduce",
    "severity_justification",
    "verified",
    "duplicate",
    "nb_occurences",
    "numerical_severity",
    "cvssv3",
    "cvssv3_score",
    "cvssv4",
    "cvssv4_score",
    "static_finding",
    "dynamic_finding",
    "endpoints",
    "sast_source_object",
    "sast_sink_object",
    "sast_source_line",
    "sast_source_file_path",
    "publish_date",
    "planned_remediation_date",
    "planned_remediation_version",
    "effort_for_fixing",
    "epss_score",
    "epss_percentile",
    "fix_available",
    "fix_version",
    "payload",
    "param",
    "thread_id",
    "scanner_confidence",
];

const REQUIRED: [&str; 3] = ["title", "severity", "description"];

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut walker = Walker::open(source, limits)?;
    let mut head = Head::default();
    let (mut count, mut present) = (0, false);
    walker.object(|w, key| match key {
        "name" => text(w, &mut head.name),
        "type" => text(w, &mut head.kind),
        "tool" => text(w, &mut head.tool),
        "version" | "tool_version" => text(w, &mut head.version),
        "scanned_at" => text(w, &mut head.scanned_at),
        "findings" => {
            present = true;
            head.announce(sink);
            w.array_or_null("findings", |w, at| {
                count += 1;
                finding(w, at, &head, sink)
            })
        }
        _ => w.skip(),
    })?;
    walker.finish()?;
    if !present {
        return Err(walker.broken("there is no \"findings\""));
    }
    if count == 0 {
        head.announce(sink);
    }
    Ok(())
}

#[derive(Default)]
struct Head {
    name: String,
    kind: String,
    tool: String,
    version: String,
    scanned_at: String,
}

impl Head {
    fn tool(&self) -> String {
        let name = [&self.tool, &self.kind, &self.name].into_iter().find(|n| !n.is_empty());
        name.map_or_else(|| "generic".to_owned(), |n| tool_name(n))
    }

    fn announce(&self, sink: &mut dyn Sink) {
        sink.version(&self.version);
        sink.run(&RunInfo {
            tool: self.tool(),
            tool_version: self.version.clone(),
            scanned_at: time(&self.scanned_at),
        });
    }
}

fn text(walker: &mut Walker<'_>, into: &mut String) -> Result<(), ReadError> {
    if let Some(text) = walker.text()? {
        *into = cut(&text, 200).to_owned();
    }
    Ok(())
}

fn finding(walker: &mut Walker<'_>, at: usize, head: &Head, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let (bytes, place) = walker.placed()?;
    let pointer = format!("/findings/{at}");
    match parse(bytes) {
        Ok(given) => observe(&given, &head.tool(), place, sink),
        Err(why) => Err(walker.broken(format!("{pointer}: {why}"))),
    }
}

/// Reads one finding; the fields that are accepted and ignored are taken out first.
fn parse(bytes: &[u8]) -> Result<Given, String> {
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let map = map
        .into_iter()
        .filter(|(key, _)| !ACCEPTED.contains(&key.as_str()))
        .collect();
    let given: Given = serde_json::from_value(serde_json::Value::Object(map)).map_err(|e| e.to_string())?;
    let missing: Vec<&str> = REQUIRED
        .into_iter()
        .zip([&given.title, &given.severity, &given.description])
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name)
        .collect();
    if missing.is_empty() {
        Ok(given)
    } else {
        Err(format!("required fields are missing: {}", missing.join(", ")))
    }
}

/// Hands one finding on.
pub(super) fn observe(given: &Given, tool: &str, place: Place, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let title = given.title.as_deref().unwrap_or_default();
    let description = given.description.as_deref().unwrap_or_default();
    let outcome = outcome(given);
    let check = Arc::new(check(given, tool, title));
    let location = if given.file_path.is_empty() {
        &given.component_name
    } else {
        &given.file_path
    };
    let fingerprint = if given.unique_id_from_tool.is_empty() {
        Fingerprint::of(&[
            tool,
            &check.rule,
            title,
            location,
            &given.component_version,
            &given.service,
            &given.asset,
        ])
    } else {
        Fingerprint::of(&[tool, &given.unique_id_from_tool])
    };
    let asset = AssetKey::parse(&given.asset).ok();
    let line = match &given.line {
        serde_json::Value::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    sink.observation(Observation {
        severity: Severity::from_label(given.severity.as_deref().unwrap_or_default()),
        counted: true,
        outcome,
        resource: asset.as_ref().map(|key| Resource {
            kind: Cow::Borrowed(key.kind()),
            name: Cow::Borrowed(key.name()),
        }),
        title: Cow::Borrowed(cut(title, 300)),
        message: Cow::Borrowed(cut(description, 8000)),
        location: Cow::Borrowed(cut(location, 1000)),
        line: line.unwrap_or(0),
        fingerprint,
        place,
        observed_at: time(&given.date),
        package: Cow::Borrowed(cut(&given.component_name, 200)),
        cvss: None,
        check,
    })?;
    Ok(())
}

fn outcome(given: &Given) -> Outcome {
    let yes = |flag: Option<bool>| flag == Some(true);
    if yes(given.is_mitigated) {
        Outcome::Gone
    } else if yes(given.false_p) {
        Outcome::Suppressed("marked as a false positive in the file".to_owned())
    } else if yes(given.out_of_scope) {
        Outcome::Suppressed("marked as out of scope in the file".to_owned())
    } else if yes(given.risk_accepted) {
        Outcome::Suppressed("marked as accepted in the file".to_owned())
    } else if given.active == Some(false) {
        Outcome::Suppressed("marked as inactive in the file".to_owned())
    } else {
        Outcome::Open
    }
}

fn check(given: &Given, tool: &str, title: &str) -> Check {
    let cwe = match &given.cwe {
        serde_json::Value::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0),
        serde_json::Value::String(text) => cwe_number(text),
        _ => None,
    };
    let ids = std::iter::once(&given.cve).chain(&given.vulnerability_ids);
    let cve = ids
        .into_iter()
        .find(|id| !id.is_empty())
        .map(|id| cut(id, 100).to_owned());
    let rule = [
        &given.vuln_id_from_tool,
        cve.as_ref().unwrap_or(&given.vuln_id_from_tool),
    ]
    .into_iter()
    .find(|r| !r.is_empty());
    let category = match (given.category.as_str(), &cve) {
        ("", Some(_)) => "vulnerability",
        ("", None) => "",
        (named, _) => cut(named, 60),
    };
    Check {
        tool: tool.to_owned(),
        rule: cut(rule.map_or(title, String::as_str), 300).to_owned(),
        title: cut(title, 300).to_owned(),
        cwe: cwes(given, cwe),
        cve,
        tags: given.tags.iter().take(64).map(|tag| cut(tag, 200).to_owned()).collect(),
        category: category.to_owned(),
        ocsf_class: None,
        remediation: cut(&given.mitigation, 4000).to_owned(),
        help_url: cut(given.references.lines().next().unwrap_or_default(), 500).to_owned(),
    }
}

/// All weaknesses that are named, one or several.
fn cwes(given: &Given, one: Option<u32>) -> Vec<u32> {
    let more = given.cwes.as_array().into_iter().flatten();
    let more = more.filter_map(|value| match value {
        serde_json::Value::String(text) => cwe_number(text),
        value => value.as_u64().and_then(|number| u32::try_from(number).ok()),
    });
    let mut all: Vec<u32> = one.into_iter().chain(more.filter(|number| *number > 0)).collect();
    all.sort_unstable();
    all.dedup();
    all
}
