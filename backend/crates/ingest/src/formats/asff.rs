//! AWS Security Finding Format: an array, `{"Findings": […]}`, or one object a line.

use crate::known::{Known, Told};
use crate::record::{Records, Text, cut, or_default, score, time, vulnerability_id};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::Severity;
use affiant_domain::asset::resource_kind;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, Resource, RunInfo, tool_name};
use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let is_finding = |value: &Value| {
        value.get("ProductArn").is_some() || value.get("AwsAccountId").is_some() && value.get("GeneratorId").is_some()
    };
    let Some(first) = sniff.first() else {
        return false;
    };
    // As the event bus wraps them.
    let first = first
        .get("detail")
        .filter(|detail| detail.get("findings").is_some())
        .unwrap_or(first);
    let inner = first.get("Findings").or_else(|| first.get("findings"));
    match inner {
        Some(Value::Array(all)) => match all.first() {
            Some(first) => is_finding(first),
            None => first.get("Findings").is_some(),
        },
        _ => is_finding(first),
    }
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut reader = Reader {
        runs: BTreeMap::new(),
        checks: Known::default(),
        arena: Bump::new(),
    };
    let records = Records {
        keys: &["Findings", "findings"],
        bare: true,
        envelope: Some("detail"),
    };
    records.read(source, limits, sink, |bytes, place, sink| {
        reader.record(bytes, place, sink)
    })
}

struct Reader {
    runs: BTreeMap<String, Option<affiant_domain::Instant>>,
    checks: Known,
    /// Where tags are made.
    arena: Bump,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Finding<'a> {
    schema_version: Text<'a>,
    id: Text<'a>,
    product_arn: Text<'a>,
    product_name: Text<'a>,
    generator_id: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    types: Vec<Text<'a>>,
    updated_at: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    severity: SeverityField<'a>,
    #[serde(deserialize_with = "or_default")]
    finding_provider_fields: ProviderFields<'a>,
    title: Text<'a>,
    description: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    remediation: Remediation<'a>,
    #[serde(deserialize_with = "or_default")]
    product_fields: ProductFields<'a>,
    #[serde(deserialize_with = "or_default")]
    resources: Vec<Entity<'a>>,
    #[serde(deserialize_with = "or_default")]
    compliance: Compliance<'a>,
    #[serde(deserialize_with = "or_default")]
    workflow: Workflow<'a>,
    workflow_state: Text<'a>,
    record_state: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    vulnerabilities: Vec<Vulnerability<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct SeverityField<'a> {
    label: Text<'a>,
    normalized: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct ProviderFields<'a> {
    #[serde(deserialize_with = "or_default")]
    severity: SeverityField<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Remediation<'a> {
    #[serde(deserialize_with = "or_default")]
    recommendation: Recommendation<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Recommendation<'a> {
    text: Text<'a>,
    url: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Entity<'a> {
    r#type: Text<'a>,
    id: Text<'a>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Compliance<'a> {
    status: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    related_requirements: Vec<Text<'a>>,
    security_control_id: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Workflow<'a> {
    status: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Vulnerability<'a> {
    id: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    vulnerable_packages: Vec<Package<'a>>,
    #[serde(deserialize_with = "or_default")]
    cvss: Vec<Cvss>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Package<'a> {
    name: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Cvss {
    base_score: Value,
}

/// Of the fields that products add, those that name a rule.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct ProductFields<'a> {
    #[serde(borrow)]
    control_id: Option<&'a RawValue>,
    #[serde(borrow)]
    rule_id: Option<&'a RawValue>,
}

/// What Trivy's template says of a package.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Details<'a> {
    #[serde(borrow)]
    other: Other<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Other<'a> {
    #[serde(borrow)]
    pkg_name: Text<'a>,
}

/// A value of any kind, where it is what is asked for.
fn of<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

impl<'a> Finding<'a> {
    /// The package that is vulnerable: as Security Hub lists it, or as Trivy's template writes it.
    fn package(&self) -> Text<'a> {
        let listed = self.vulnerabilities.iter().flat_map(|v| &v.vulnerable_packages);
        let named = listed.map(|package| &package.name).find(|name| !name.is_empty());
        named.cloned().unwrap_or_else(|| {
            let details = self.resources.first().and_then(|entity| entity.details);
            of::<Details<'a>>(details).other.pkg_name
        })
    }

    /// The highest score that is told of the vulnerability.
    fn cvss(&self) -> Option<f64> {
        let all = self.vulnerabilities.iter().flat_map(|v| &v.cvss);
        let scores = all.filter_map(|cvss| score(&cvss.base_score));
        scores.reduce(f64::max)
    }
}

impl Reader {
    fn record(&mut self, bytes: &[u8], place: Place, sink: &mut dyn Sink) -> crate::record::Read1 {
        let finding: Finding = match serde_json::from_slice(bytes) {
            Ok(finding) => finding,
            Err(error) => return Ok(Err(format!("not an ASFF finding: {error}"))),
        };
        if finding.id.is_empty() && finding.title.is_empty() {
            return Ok(Err("an ASFF finding without Id and Title".to_owned()));
        }
        sink.version(&finding.schema_version);
        let observed_at = time(&finding.updated_at);
        let check = self.check(&finding);
        let latest = self.runs.get(&check.tool).copied().flatten();
        if latest.is_none() || latest < observed_at {
            self.runs.insert(check.tool.clone(), observed_at);
            sink.run(&RunInfo {
                tool: check.tool.clone(),
                tool_version: String::new(),
                scanned_at: observed_at,
            });
        }
        sink.listed(&check);
        let entity = finding.resources.first();
        let (uid, kind) = entity.map_or(("", ""), |e| (e.id.as_str(), e.r#type.as_str()));
        let fingerprint = Fingerprint::of(&[&check.tool, &check.rule, uid, &finding.id, &finding.title]);
        sink.observation(Observation {
            severity: severity(&finding),
            counted: true,
            outcome: outcome(&finding),
            resource: (!uid.is_empty()).then(|| Resource {
                kind: Cow::Owned(resource_kind(uid, kind)),
                name: Cow::Borrowed(cut(uid, 480)),
            }),
            title: Cow::Borrowed(cut(&finding.title, 300)),
            message: Cow::Borrowed(cut(&finding.description, 8000)),
            location: Cow::Borrowed(cut(uid, 1000)),
            line: 0,
            fingerprint,
            place,
            observed_at,
            package: Cow::Borrowed(cut(&finding.package(), 200)),
            cvss: finding.cvss(),
            check,
        })?;
        Ok(Ok(()))
    }

    fn check(&mut self, finding: &Finding<'_>) -> Arc<Check> {
        let cve = advisory(finding);
        let (control, named): (Text<'_>, Text<'_>) = (
            of(finding.product_fields.control_id),
            of(finding.product_fields.rule_id),
        );
        let rules = [
            finding.compliance.security_control_id.as_str(),
            cve.as_deref().unwrap_or_default(),
            control.as_str(),
            named.as_str(),
            finding.generator_id.rsplit('/').next().unwrap_or_default(),
            finding.title.as_str(),
        ];
        let rule = rules.into_iter().find(|rule| !rule.is_empty()).unwrap_or("unknown");
        let recommendation = &finding.remediation.recommendation;
        self.arena.reset();
        let mut tags = ArenaVec::new_in(&self.arena);
        for text in &finding.compliance.related_requirements {
            requirements(text, &mut tags);
        }
        let types = finding.types.iter();
        tags.extend(types.map(|kind| joined("type", cut(kind, 180), &self.arena)));
        tags.truncate(100);
        let of_type = || finding.types.iter().any(|kind| kind.contains("/Vulnerabilities/CVE"));
        self.checks.check(&Told {
            tool: &tool(finding),
            rule: cut(rule, 300),
            title: cut(&finding.title, 300),
            category: if cve.is_some() || of_type() {
                "vulnerability"
            } else {
                "misconfiguration"
            },
            cve: cve.as_deref(),
            tags: &tags,
            remediation: cut(&recommendation.text, 2000),
            help_url: cut(&recommendation.url, 500),
            ..Told::default()
        })
    }
}

/// The vulnerability that a finding is about: the first of its list, else (as Trivy's template writes them) what its generator ends in or its title
/// begins with.
fn advisory(finding: &Finding<'_>) -> Option<String> {
    let listed = finding.vulnerabilities.first().map(|v| v.id.to_string());
    let of_type = finding.types.iter().any(|kind| kind.contains("/Vulnerabilities"));
    let tail = finding.generator_id.rsplit('/').next().filter(|_| of_type);
    let title = finding.title.split_whitespace().next().filter(|_| of_type);
    listed
        .filter(|id| !id.is_empty())
        .or_else(|| tail.and_then(vulnerability_id))
        .or_else(|| title.and_then(vulnerability_id))
}

/// The requirements that a text names. Prowler joins all ids of a framework into one text and cuts it at 63 characters: the last id of such
/// a text is not to be trusted.
fn requirements<'t>(text: &str, tags: &mut ArenaVec<'t, &'t str>) {
    let (framework, ids) = text
        .rsplit_once('/')
        .or_else(|| text.split_once(' '))
        .unwrap_or(("", text));
    let framework = if framework.is_empty() { "reference" } else { framework };
    let is_cut = text.chars().count() == 63;
    let mut ids = ids.split([',', ' ']).filter(|id| !id.is_empty()).peekable();
    let arena = tags.bump();
    let mut count = 0;
    while let Some(id) = ids.next() {
        if count == 40 || is_cut && ids.peek().is_none() {
            break;
        }
        tags.push(joined(cut(framework, 60), cut(id, 100), arena));
        count += 1;
    }
}

/// `a/b`.
fn joined<'t>(before: &str, behind: &str, arena: &'t Bump) -> &'t str {
    let mut tag = ArenaString::with_capacity_in(before.len() + 1 + behind.len(), arena);
    tag.push_str(before);
    tag.push('/');
    tag.push_str(behind);
    tag.into_bump_str()
}

fn tool(finding: &Finding<'_>) -> String {
    let product = finding.product_arn.rsplit('/').next().unwrap_or_default();
    let name = if finding.product_name.is_empty() || &*finding.product_name == "Default" {
        product
    } else {
        &finding.product_name
    };
    let name = tool_name(name);
    match name.as_str() {
        "securityhub" => "security-hub".to_owned(),
        "inspector" => "amazon-inspector".to_owned(),
        "aquasecurity" => "trivy".to_owned(),
        _ => name,
    }
}

fn outcome(finding: &Finding<'_>) -> Outcome {
    if &*finding.record_state == "ARCHIVED" {
        return Outcome::Gone;
    }
    match (finding.compliance.status.as_str(), finding.workflow.status.as_str()) {
        ("PASSED", _) => Outcome::Pass,
        ("NOT_AVAILABLE", _) => Outcome::Error,
        (_, "SUPPRESSED") => Outcome::Suppressed("suppressed in Security Hub".to_owned()),
        (_, "RESOLVED") => Outcome::Gone,
        _ if &*finding.workflow_state == "RESOLVED" => Outcome::Gone,
        _ => Outcome::Open,
    }
}

fn severity(finding: &Finding<'_>) -> Severity {
    let fields = [&finding.severity, &finding.finding_provider_fields.severity];
    if let Some(field) = fields.iter().find(|field| !field.label.is_empty()) {
        return Severity::from_label(&field.label);
    }
    match fields.iter().find_map(|field| field.normalized) {
        Some(n) if n >= 90.0 => Severity::Critical,
        Some(n) if n >= 70.0 => Severity::High,
        Some(n) if n >= 40.0 => Severity::Medium,
        Some(n) if n >= 1.0 => Severity::Low,
        Some(_) => Severity::Informational,
        None => Severity::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vulnerability_is_known_by_its_list_or_its_generator() {
        let cve = |text: &str| serde_json::from_str(text).ok().and_then(|finding| advisory(&finding));
        let listed = r#"{"GeneratorId": "x", "Vulnerabilities": [{"Id": "CVE-2026-1"}]}"#;
        assert_eq!(cve(listed).as_deref(), Some("CVE-2026-1"));
        let named = r#"{"GeneratorId": "Trivy/CVE-2026-2", "Types": ["Software and Configuration Checks/Vulnerabilities/CVE"]}"#;
        assert_eq!(cve(named).as_deref(), Some("CVE-2026-2"));
        assert_eq!(
            cve(r#"{"GeneratorId": "aws/S3.1", "Types": ["Software and Configuration Checks/Vulnerabilities"]}"#),
            None
        );
        assert_eq!(
            cve(r#"{"GeneratorId": "Trivy/CVE-2026-3", "Types": ["Sensitive Data Identifications"]}"#),
            None
        );
    }
}
