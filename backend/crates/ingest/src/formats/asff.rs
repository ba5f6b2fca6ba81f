//! AWS Security Finding Format: an array, `{"Findings": […]}`, or one object a line.

use crate::record::{Records, cut, or_default, score, time, vulnerability_id};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::Severity;
use affiant_domain::asset::resource_kind;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, Resource, RunInfo, tool_name};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
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
        checks: HashMap::new(),
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
    checks: HashMap<Check, Arc<Check>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Finding {
    #[serde(deserialize_with = "or_default")]
    schema_version: String,
    id: String,
    #[serde(deserialize_with = "or_default")]
    product_arn: String,
    #[serde(deserialize_with = "or_default")]
    product_name: String,
    #[serde(deserialize_with = "or_default")]
    generator_id: String,
    #[serde(deserialize_with = "or_default")]
    types: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    updated_at: String,
    #[serde(deserialize_with = "or_default")]
    severity: SeverityField,
    #[serde(deserialize_with = "or_default")]
    finding_provider_fields: ProviderFields,
    #[serde(deserialize_with = "or_default")]
    title: String,
    #[serde(deserialize_with = "or_default")]
    description: String,
    #[serde(deserialize_with = "or_default")]
    remediation: Remediation,
    #[serde(deserialize_with = "or_default")]
    product_fields: BTreeMap<String, Value>,
    #[serde(deserialize_with = "or_default")]
    resources: Vec<Entity>,
    #[serde(deserialize_with = "or_default")]
    compliance: Compliance,
    #[serde(deserialize_with = "or_default")]
    workflow: Workflow,
    #[serde(deserialize_with = "or_default")]
    workflow_state: String,
    #[serde(deserialize_with = "or_default")]
    record_state: String,
    #[serde(deserialize_with = "or_default")]
    vulnerabilities: Vec<Vulnerability>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct SeverityField {
    #[serde(deserialize_with = "or_default")]
    label: String,
    normalized: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct ProviderFields {
    #[serde(deserialize_with = "or_default")]
    severity: SeverityField,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Remediation {
    #[serde(deserialize_with = "or_default")]
    recommendation: Recommendation,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Recommendation {
    #[serde(deserialize_with = "or_default")]
    text: String,
    #[serde(deserialize_with = "or_default")]
    url: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Entity {
    #[serde(deserialize_with = "or_default")]
    r#type: String,
    #[serde(deserialize_with = "or_default")]
    id: String,
    details: Value,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Compliance {
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "or_default")]
    related_requirements: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    security_control_id: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Workflow {
    #[serde(deserialize_with = "or_default")]
    status: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(deserialize_with = "or_default")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    vulnerable_packages: Vec<Package>,
    #[serde(deserialize_with = "or_default")]
    cvss: Vec<Cvss>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Package {
    #[serde(deserialize_with = "or_default")]
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Cvss {
    base_score: Value,
}

impl Finding {
    /// The package that is vulnerable: as Security Hub lists it, or as Trivy's template writes it.
    fn package(&self) -> &str {
        let listed = self.vulnerabilities.iter().flat_map(|v| &v.vulnerable_packages);
        let mut named = listed
            .map(|package| package.name.as_str())
            .filter(|name| !name.is_empty());
        named.next().unwrap_or_else(|| {
            let details = self.resources.first().map(|entity| &entity.details);
            let name = details.and_then(|details| details.pointer("/Other/PkgName"));
            name.and_then(Value::as_str).unwrap_or_default()
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
        let latest = self.runs.entry(check.tool.clone()).or_insert(None);
        if latest.is_none() || *latest < observed_at {
            *latest = observed_at;
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
            package: Cow::Borrowed(cut(finding.package(), 200)),
            cvss: finding.cvss(),
            check,
        })?;
        Ok(Ok(()))
    }

    fn check(&mut self, finding: &Finding) -> Arc<Check> {
        let cve = advisory(finding);
        let field = |name: &str| {
            finding
                .product_fields
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let tail = finding.generator_id.rsplit('/').next().unwrap_or_default();
        let rules = [
            finding.compliance.security_control_id.as_str(),
            cve.as_deref().unwrap_or_default(),
            field("ControlId"),
            field("RuleId"),
            tail,
            finding.title.as_str(),
        ];
        let rule = rules
            .into_iter()
            .find(|r| !r.is_empty())
            .unwrap_or("unknown")
            .to_owned();
        let recommendation = &finding.remediation.recommendation;
        let mut tags: Vec<String> = requirements(&finding.compliance.related_requirements);
        tags.extend(finding.types.iter().map(|kind| format!("type/{}", cut(kind, 180))));
        tags.truncate(100);
        let check = Check {
            tool: tool(finding),
            rule: cut(&rule, 300).to_owned(),
            title: cut(&finding.title, 300).to_owned(),
            category: if cve.is_some() || finding.types.iter().any(|kind| kind.contains("/Vulnerabilities/CVE")) {
                "vulnerability"
            } else {
                "misconfiguration"
            }
            .to_owned(),
            cve,
            tags,
            remediation: cut(&recommendation.text, 2000).to_owned(),
            help_url: cut(&recommendation.url, 500).to_owned(),
            cwe: Vec::new(),
            ocsf_class: None,
        };
        if let Some(known) = self.checks.get(&check) {
            return known.clone();
        }
        let shared = Arc::new(check.clone());
        if self.checks.len() < 100_000 {
            self.checks.insert(check, shared.clone());
        }
        shared
    }
}

/// The vulnerability that a finding is about: the first of its list, else (as Trivy's template writes them) what its generator ends in or its title
/// begins with.
fn advisory(finding: &Finding) -> Option<String> {
    let listed = finding.vulnerabilities.first().map(|v| v.id.clone());
    let of_type = finding.types.iter().any(|kind| kind.contains("/Vulnerabilities"));
    let tail = finding.generator_id.rsplit('/').next().filter(|_| of_type);
    let title = finding.title.split_whitespace().next().filter(|_| of_type);
    listed
        .filter(|id| !id.is_empty())
        .or_else(|| tail.and_then(vulnerability_id))
        .or_else(|| title.and_then(vulnerability_id))
}

/// Requirements that a finding names. Prowler joins all ids of a framework into one text and cuts it at 63 characters: the
/// last id of such a text is not to be trusted.
fn requirements(related: &[String]) -> Vec<String> {
    let mut tags = Vec::new();
    for text in related {
        let (framework, ids) = text
            .rsplit_once('/')
            .or_else(|| text.split_once(' '))
            .unwrap_or(("", text));
        let mut ids: Vec<&str> = ids.split([',', ' ']).filter(|id| !id.is_empty()).collect();
        if text.chars().count() == 63 {
            ids.pop();
        }
        let framework = if framework.is_empty() { "reference" } else { framework };
        tags.extend(
            ids.into_iter()
                .take(40)
                .map(|id| format!("{}/{}", cut(framework, 60), cut(id, 100))),
        );
    }
    tags
}

fn tool(finding: &Finding) -> String {
    let product = finding.product_arn.rsplit('/').next().unwrap_or_default();
    let name = if finding.product_name.is_empty() || finding.product_name == "Default" {
        product
    } else {
        &finding.product_name
    };
    match tool_name(name).as_str() {
        "securityhub" | "security-hub" => "security-hub".to_owned(),
        "inspector" => "amazon-inspector".to_owned(),
        "aquasecurity" => "trivy".to_owned(),
        other => other.to_owned(),
    }
}

fn outcome(finding: &Finding) -> Outcome {
    if finding.record_state == "ARCHIVED" {
        return Outcome::Gone;
    }
    match (finding.compliance.status.as_str(), finding.workflow.status.as_str()) {
        ("PASSED", _) => Outcome::Pass,
        ("NOT_AVAILABLE", _) => Outcome::Error,
        (_, "SUPPRESSED") => Outcome::Suppressed("suppressed in Security Hub".to_owned()),
        (_, "RESOLVED") => Outcome::Gone,
        _ if finding.workflow_state == "RESOLVED" => Outcome::Gone,
        _ => Outcome::Open,
    }
}

fn severity(finding: &Finding) -> Severity {
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
