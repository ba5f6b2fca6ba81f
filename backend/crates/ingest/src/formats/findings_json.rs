//! Our own findings JSON, for tools without a format: `{"findings": [{"title", "severity", "description", …}]}`.
//!
//! The field names are those of the widely used generic findings format. A missing required field or an unknown one refuses the
//! file, by name: whoever writes the file wrote it for us and wants to know.

use crate::json::{Direct, Walker};
use crate::known::{Known, Told};
use crate::record::{Text, cut, or_default, time};
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
#[serde(default, deny_unknown_fields, bound(deserialize = "'de: 'a"))]
pub(super) struct Given<'a> {
    pub(super) title: Option<Text<'a>>,
    pub(super) severity: Option<Text<'a>>,
    pub(super) description: Option<Text<'a>>,
    pub(super) mitigation: Text<'a>,
    pub(super) date: Text<'a>,
    pub(super) cwe: serde_json::Value,
    pub(super) cwes: serde_json::Value,
    pub(super) cve: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    pub(super) vulnerability_ids: Vec<Text<'a>>,
    pub(super) file_path: Text<'a>,
    pub(super) line: serde_json::Value,
    pub(super) vuln_id_from_tool: Text<'a>,
    pub(super) unique_id_from_tool: Text<'a>,
    pub(super) component_name: Text<'a>,
    pub(super) component_version: Text<'a>,
    pub(super) service: Text<'a>,
    pub(super) references: Text<'a>,
    pub(super) active: Option<bool>,
    pub(super) false_p: Option<bool>,
    pub(super) out_of_scope: Option<bool>,
    pub(super) risk_accepted: Option<bool>,
    pub(super) is_mitigated: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    pub(super) tags: Vec<Text<'a>>,
    /// The asset of this finding, `kind:name`, where it is not the one that was scanned.
    pub(super) asset: Text<'a>,
    /// `vulnerability`, `secret`, `misconfiguration`, `code`, `license`, `eol`, `malware`, ….
    pub(super) category: Text<'a>,
    // Fields of the format that are accepted and not used.
    kev_date: Unused,
    known_exploited: Unused,
    ransomware_used: Unused,
    files: Unused,
    mitigated: Unused,
    under_review: Unused,
    impact: Unused,
    steps_to_reproduce: Unused,
    severity_justification: Unused,
    verified: Unused,
    duplicate: Unused,
    nb_occurences: Unused,
    numerical_severity: Unused,
    cvssv3: Unused,
    cvssv3_score: Unused,
    cvssv4: Unused,
    cvssv4_score: Unused,
    static_finding: Unused,
    dynamic_finding: Unused,
    endpoints: Unused,
    sast_source_object: Unused,
    sast_sink_object: Unused,
    sast_source_line: Unused,
    sast_source_file_path: Unused,
    publish_date: Unused,
    planned_remediation_date: Unused,
    planned_remediation_version: Unused,
    effort_for_fixing: Unused,
    epss_score: Unused,
    epss_percentile: Unused,
    fix_available: Unused,
    fix_version: Unused,
    payload: Unused,
    param: Unused,
    thread_id: Unused,
    scanner_confidence: Unused,
}

/// A value that is passed over.
type Unused = serde::de::IgnoredAny;

const REQUIRED: [&str; 3] = ["title", "severity", "description"];

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut walker = Walker::open(source, limits)?;
    let mut head = Head::default();
    let (mut count, mut present) = (0, false);
    let mut known = Known::default();
    walker.object(|w, key| match key {
        "name" => text(w, &mut head.name),
        "type" => text(w, &mut head.kind),
        "tool" => text(w, &mut head.tool),
        "version" | "tool_version" => text(w, &mut head.version),
        "scanned_at" => text(w, &mut head.scanned_at),
        "findings" => {
            present = true;
            head.announce(sink);
            let tool = head.tool();
            w.array_or_null("findings", |w, at| {
                count += 1;
                finding(w, at, (&tool, &mut known), sink)
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

fn finding(
    walker: &mut Walker<'_>,
    at: usize,
    (tool, known): (&str, &mut Known),
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    // Where it stands, without looking for its end first.
    let taken = walker.direct(&mut |bytes, _, place| {
        let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Given<'_>>();
        match stream.next() {
            Some(Ok(given)) if missing(&given).is_empty() => {
                let used = stream.byte_offset();
                let length = u32::try_from(used).unwrap_or(u32::MAX);
                observe(&given, (tool, known), Place { length, ..place }, sink)?;
                Ok(Direct::Used(used))
            }
            Some(Err(error)) if error.is_eof() => Ok(Direct::More),
            None => Ok(Direct::More),
            _ => Ok(Direct::Unlike),
        }
    })?;
    if taken {
        return Ok(());
    }
    let (bytes, place) = walker.placed()?;
    match parse(bytes) {
        Ok(given) => observe(&given, (tool, known), place, sink),
        Err(why) => Err(walker.broken(format!("/findings/{at}: {why}"))),
    }
}

/// Required fields that it lacks.
fn missing(given: &Given<'_>) -> Vec<&'static str> {
    REQUIRED
        .into_iter()
        .zip([&given.title, &given.severity, &given.description])
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name)
        .collect()
}

/// Reads one finding.
fn parse(bytes: &[u8]) -> Result<Given<'_>, String> {
    if !bytes.starts_with(b"{") {
        return Err("a finding is an object".to_owned());
    }
    let given: Given<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let missing = missing(&given);
    if missing.is_empty() {
        Ok(given)
    } else {
        Err(format!("required fields are missing: {}", missing.join(", ")))
    }
}

/// Hands one finding on.
pub(super) fn observe(
    given: &Given<'_>,
    (tool, known): (&str, &mut Known),
    place: Place,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let title = given.title.as_deref().unwrap_or_default();
    let description = given.description.as_deref().unwrap_or_default();
    let outcome = outcome(given);
    let check = check(given, (tool, known), title);
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

fn outcome(given: &Given<'_>) -> Outcome {
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

fn check(given: &Given<'_>, (tool, known): (&str, &mut Known), title: &str) -> Arc<Check> {
    let cwe = match &given.cwe {
        serde_json::Value::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0),
        serde_json::Value::String(text) => cwe_number(text),
        _ => None,
    };
    let mut ids = std::iter::once(&given.cve).chain(&given.vulnerability_ids);
    let cve = ids.find(|id| !id.is_empty()).map(|id| cut(id, 100));
    let rule = [given.vuln_id_from_tool.as_str(), cve.unwrap_or_default()];
    let tags: Vec<&str> = given.tags.iter().take(64).map(|tag| cut(tag, 200)).collect();
    known.check(&Told {
        tool,
        rule: cut(rule.into_iter().find(|rule| !rule.is_empty()).unwrap_or(title), 300),
        title: cut(title, 300),
        cwe: &cwes(given, cwe),
        cve,
        tags: &tags,
        category: match (given.category.as_str(), cve) {
            ("", Some(_)) => "vulnerability",
            (named, _) => cut(named, 60),
        },
        ocsf_class: None,
        remediation: cut(&given.mitigation, 4000),
        help_url: cut(given.references.lines().next().unwrap_or_default(), 500),
    })
}

/// All weaknesses that are named, one or several.
fn cwes(given: &Given<'_>, one: Option<u32>) -> Vec<u32> {
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
