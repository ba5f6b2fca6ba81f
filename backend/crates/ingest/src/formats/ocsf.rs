//! OCSF findings (classes 2001 to 2008), as Prowler 4 and later writes them: an array, a single object, or one a line.

use crate::known::{Known, Told};
use crate::record::{Records, Text, cut, or_default, score, time_of, vulnerability_id};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::Severity;
use affiant_domain::asset::resource_kind;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, Resource, RunInfo, tool_name};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    if sniff
        .json
        .as_ref()
        .is_some_and(|json| json.as_array().is_some_and(Vec::is_empty))
    {
        return true;
    }
    let Some(first) = sniff.first() else {
        return false;
    };
    let class = first.get("class_uid").and_then(Value::as_u64);
    let finding = class.is_some_and(|class| (2001..=2008).contains(&class));
    finding || first.get("finding_info").is_some() && first.get("metadata").is_some()
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut reader = Reader {
        runs: Vec::new(),
        checks: Known::default(),
        empty: true,
    };
    let records = Records {
        keys: &[],
        bare: true,
        envelope: None,
    };
    records.read(source, limits, sink, |bytes, place, sink| {
        reader.record(bytes, place, sink)
    })?;
    if reader.empty {
        sink.remark(
            "the file holds nothing, taken for OCSF without findings; it names no tool, so nothing would close"
                .to_owned(),
        );
    }
    Ok(())
}

struct Reader {
    runs: Vec<RunInfo>,
    checks: Known,
    empty: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Finding<'a> {
    class_uid: Option<u32>,
    message: Text<'a>,
    metadata: Metadata<'a>,
    severity_id: Option<i64>,
    severity: Text<'a>,
    status: Text<'a>,
    status_id: Option<i64>,
    /// Of the class that came before 1.1.
    state: Text<'a>,
    state_id: Option<i64>,
    status_code: Text<'a>,
    status_detail: Text<'a>,
    #[serde(alias = "finding", deserialize_with = "or_default")]
    finding_info: Info<'a>,
    #[serde(deserialize_with = "or_default")]
    resources: Vec<Entity<'a>>,
    #[serde(deserialize_with = "or_default")]
    resource: Option<Entity<'a>>,
    #[serde(deserialize_with = "or_default")]
    compliance: Option<Compliance<'a>>,
    #[serde(deserialize_with = "or_default")]
    vulnerabilities: Vec<Vulnerability<'a>>,
    #[serde(deserialize_with = "or_default")]
    remediation: Remediation<'a>,
    #[serde(borrow)]
    unmapped: Option<&'a RawValue>,
    time: Value,
    time_dt: Value,
    event_time: Value,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Metadata<'a> {
    event_code: Text<'a>,
    version: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    product: Product<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Product<'a> {
    name: Text<'a>,
    vendor_name: Text<'a>,
    version: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Info<'a> {
    uid: Text<'a>,
    title: Text<'a>,
    desc: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    types: Vec<Text<'a>>,
    /// Of the class that came before 1.1.
    #[serde(deserialize_with = "or_default")]
    remediation: Remediation<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Entity<'a> {
    uid: Text<'a>,
    name: Text<'a>,
    #[serde(rename = "type")]
    kind: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Compliance<'a> {
    status: Text<'a>,
    status_id: Option<i64>,
    control: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    requirements: Vec<Text<'a>>,
    #[serde(deserialize_with = "or_default")]
    standards: Vec<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Vulnerability<'a> {
    #[serde(deserialize_with = "or_default")]
    cve: Cve<'a>,
    title: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    affected_packages: Vec<Package<'a>>,
    #[serde(deserialize_with = "or_default")]
    affected_code: Vec<Code<'a>>,
    /// The name of its packages before version 1.1.
    #[serde(deserialize_with = "or_default")]
    packages: Vec<Package<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Cve<'a> {
    uid: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    cvss: Scores,
}

/// A list since version 1.0, one before.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scores {
    Many(Vec<Cvss>),
    One(Cvss),
    Other(serde::de::IgnoredAny),
}

impl Default for Scores {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cvss {
    base_score: Value,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Package<'a> {
    name: Text<'a>,
}

/// A place in code.
#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Code<'a> {
    #[serde(borrow)]
    file: Option<&'a RawValue>,
    start_line: Value,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct File<'a> {
    path: Text<'a>,
    name: Text<'a>,
}

impl Finding<'_> {
    /// What the first vulnerability is known by; none where that is the id of a check of code.
    fn advisory(&self) -> Option<&str> {
        let first = self.vulnerabilities.first()?;
        let uid = Some(first.cve.uid.as_str()).filter(|uid| !uid.is_empty())?;
        let is_known = vulnerability_id(uid).is_some() || first.affected_code.is_empty();
        is_known.then_some(uid)
    }

    /// Where in code it is.
    fn code(&self) -> Option<(Text<'_>, u32)> {
        let code = self.vulnerabilities.iter().find_map(|v| v.affected_code.first())?;
        let file: File<'_> = serde_json::from_str(code.file?.get()).ok()?;
        let path = [file.path, file.name].into_iter().find(|path| !path.is_empty())?;
        let line = code.start_line.as_u64().and_then(|line| u32::try_from(line).ok());
        Some((path, line.unwrap_or(0)))
    }

    /// The package that is vulnerable.
    fn package(&self) -> &str {
        let all = self.vulnerabilities.iter();
        let mut names = all
            .flat_map(|v| v.affected_packages.iter().chain(&v.packages))
            .map(|package| package.name.as_str());
        names.find(|name| !name.is_empty()).unwrap_or_default()
    }

    /// The highest score that is told of the vulnerability.
    fn cvss(&self) -> Option<f64> {
        let scores = self.vulnerabilities.iter().flat_map(|v| match &v.cve.cvss {
            Scores::Many(all) => all.as_slice(),
            Scores::One(one) => std::slice::from_ref(one),
            Scores::Other(_) => &[],
        });
        let scores = scores.filter_map(|cvss| score(&cvss.base_score));
        scores.reduce(f64::max)
    }
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Remediation<'a> {
    desc: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    references: Vec<Text<'a>>,
}

impl Reader {
    fn record(&mut self, bytes: &[u8], place: Place, sink: &mut dyn Sink) -> crate::record::Read1 {
        let finding: Finding = match serde_json::from_slice(bytes) {
            Ok(finding) => finding,
            Err(error) => return Ok(Err(format!("not an OCSF finding: {error}"))),
        };
        if finding.class_uid.is_some_and(|class| !(2001..=2008).contains(&class)) {
            return Ok(Err(format!(
                "OCSF class {} is not a finding",
                finding.class_uid.unwrap_or(0)
            )));
        }
        self.empty = false;
        let observed_at = [&finding.time_dt, &finding.event_time, &finding.time]
            .into_iter()
            .find_map(time_of);
        let check = self.check(&finding);
        self.announce(&finding, &check.tool, observed_at, sink);
        sink.listed(&check);
        let outcome = finding.outcome();
        let entity = finding.resources.first().or(finding.resource.as_ref());
        let (uid, kind) = entity.map_or(("", ""), |e| {
            (
                if e.uid.is_empty() {
                    e.name.as_str()
                } else {
                    e.uid.as_str()
                },
                e.kind.as_str(),
            )
        });
        let message = [&finding.status_detail, &finding.message, &finding.finding_info.desc]
            .into_iter()
            .find(|t| !t.is_empty());
        let told = match check.rule.as_str() {
            "unknown" => message.map_or("", |text| cut(text, 1000)),
            _ => identity(&finding),
        };
        let (path, line) = finding.code().unwrap_or_default();
        let fingerprint = match path.as_str() {
            "" => Fingerprint::of(&[&check.tool, &check.rule, uid, told]),
            path => Fingerprint::of(&[&check.tool, &check.rule, uid, told, path]),
        };
        sink.observation(Observation {
            severity: severity(&finding),
            counted: outcome.is_finding() && !matches!(outcome, Outcome::Suppressed(_)),
            outcome,
            resource: (!uid.is_empty()).then(|| Resource {
                kind: Cow::Owned(resource_kind(uid, kind)),
                name: Cow::Borrowed(cut(uid, 480)),
            }),
            title: Cow::Borrowed(&check.title),
            message: Cow::Borrowed(message.map_or("", |text| cut(text, 8000))),
            location: Cow::Borrowed(cut(if path.is_empty() { uid } else { &path }, 1000)),
            line,
            fingerprint,
            place,
            observed_at,
            package: Cow::Borrowed(cut(finding.package(), 200)),
            cvss: finding.cvss(),
            check: check.clone(),
        })?;
        Ok(Ok(()))
    }

    fn announce(
        &mut self,
        finding: &Finding<'_>,
        tool: &str,
        observed_at: Option<affiant_domain::Instant>,
        sink: &mut dyn Sink,
    ) {
        sink.version(&finding.metadata.version);
        let version = &finding.metadata.product.version;
        match self.runs.iter_mut().find(|run| run.tool == tool) {
            Some(run) if run.scanned_at >= observed_at => {}
            Some(run) => {
                run.scanned_at = observed_at;
                sink.run(run);
            }
            None => {
                let run = RunInfo {
                    tool: tool.to_owned(),
                    tool_version: version.to_string(),
                    scanned_at: observed_at,
                };
                sink.run(&run);
                self.runs.push(run);
            }
        }
    }

    fn check(&mut self, finding: &Finding<'_>) -> Arc<Check> {
        let product = &finding.metadata.product;
        let tool = tool_name(if product.name.is_empty() {
            &product.vendor_name
        } else {
            &product.name
        });
        let vulnerability = finding.vulnerabilities.first();
        let cve = finding.advisory();
        let info = &finding.finding_info;
        let control = finding.compliance.as_ref().map_or("", |c| c.control.as_str());
        let rules = [
            finding.metadata.event_code.as_str(),
            vulnerability.map_or("", |v| v.cve.uid.as_str()),
            control,
            info.title.as_str(),
        ];
        let rule = rules.into_iter().find(|rule| !rule.is_empty()).unwrap_or("unknown");
        let remediation = match finding.remediation.desc.is_empty() {
            true => &info.remediation,
            false => &finding.remediation,
        };
        let titles = [
            info.title.as_str(),
            vulnerability.map_or("", |v| v.title.as_str()),
            finding.message.as_str(),
        ];
        let tags = tags(finding);
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        self.checks.check(&Told {
            tool: &tool,
            rule: cut(rule, 300),
            title: cut(titles.into_iter().find(|title| !title.is_empty()).unwrap_or(rule), 300),
            category: match (cve, finding.code()) {
                (Some(_), _) => "vulnerability",
                (None, Some(_)) => "code",
                (None, None) => "misconfiguration",
            },
            cve,
            tags: &tags,
            ocsf_class: finding.class_uid,
            remediation: cut(&remediation.desc, 2000),
            help_url: remediation.references.first().map_or("", |url| cut(url, 500)),
            cwe: &[],
        })
    }
}

/// The id that the tool gives the finding, unless it is a fresh one for each run.
fn identity<'f>(finding: &'f Finding<'_>) -> &'f str {
    let uid = finding.finding_info.uid.as_str();
    let random = uid.len() == 36 && uid.bytes().filter(|b| *b == b'-').count() == 4;
    if random { "" } else { uid }
}

impl Finding<'_> {
    fn outcome(&self) -> Outcome {
        let verdict = self.status_code.to_ascii_uppercase();
        let word = [&self.status, &self.state].into_iter().find(|word| !word.is_empty());
        let is = |wanted: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(wanted));
        let number = self.status_id.or(self.state_id).filter(|_| word.is_none());
        let suppressed = is("suppressed") || number == Some(3);
        let compliance = self.compliance.as_ref();
        let compliance_verdict = compliance.map_or("", |c| c.status.as_str()).to_ascii_lowercase();
        match (
            verdict.as_str(),
            compliance_verdict.as_str(),
            compliance.and_then(|c| c.status_id),
        ) {
            ("PASS", ..) => Outcome::Pass,
            ("MANUAL", ..) => Outcome::Error,
            (verdict, "pass" | "passed", _) | (verdict, _, Some(1)) if verdict != "FAIL" => Outcome::Pass,
            // Beside a verdict the detail is of the finding, not of why it is muted.
            _ if suppressed => Outcome::Suppressed(match self.status_detail.as_str() {
                detail if !detail.is_empty() && verdict.is_empty() => cut(detail, 1000).to_owned(),
                _ => "muted in the scanner".to_owned(),
            }),
            ("FAIL", ..) => Outcome::Open,
            (_, "not applicable", _) => Outcome::NotApplicable,
            _ if is("resolved") || number == Some(4) => Outcome::Gone,
            _ => Outcome::Open,
        }
    }
}

fn severity(finding: &Finding<'_>) -> Severity {
    match finding.severity_id {
        Some(1) => Severity::Informational,
        Some(2) => Severity::Low,
        Some(3) => Severity::Medium,
        Some(4) => Severity::High,
        Some(5 | 6) => Severity::Critical,
        _ => Severity::from_label(&finding.severity),
    }
}

/// What Prowler adds.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Unmapped {
    compliance: Value,
}

fn tags(finding: &Finding<'_>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    let unmapped = finding
        .unmapped
        .and_then(|raw| serde_json::from_str::<Unmapped>(raw.get()).ok());
    if let Some(map) = unmapped.as_ref().and_then(|unmapped| unmapped.compliance.as_object()) {
        let sorted: BTreeMap<_, _> = map.iter().collect();
        for (framework, ids) in sorted {
            for id in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
                tags.push(format!("{framework}/{id}"));
            }
        }
    }
    if let Some(compliance) = &finding.compliance {
        for standard in &compliance.standards {
            tags.extend(
                compliance
                    .requirements
                    .iter()
                    .map(|id| format!("{}/{}", &**standard, &**id)),
            );
        }
        if compliance.standards.is_empty() {
            tags.extend(compliance.requirements.iter().map(|id| id.to_string()));
        }
    }
    tags.extend(
        finding
            .finding_info
            .types
            .iter()
            .map(|kind| format!("type/{}", &**kind)),
    );
    tags.iter_mut().for_each(|tag| *tag = cut(tag, 200).to_owned());
    tags.sort();
    tags.dedup();
    tags.truncate(400);
    tags
}
