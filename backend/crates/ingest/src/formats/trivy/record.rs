//! The records of Trivy: vulnerabilities, misconfigurations, secrets, licences, and what was set aside.

use super::Target;
use crate::record::{cut, or_default};
use crate::{ReadError, Sink};
use affiant_domain::Severity;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, Resource, cwe_number, rule_id};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    pkg_name: String,
    #[serde(deserialize_with = "or_default")]
    pkg_path: String,
    #[serde(deserialize_with = "or_default")]
    installed_version: String,
    #[serde(deserialize_with = "or_default")]
    fixed_version: String,
    #[serde(deserialize_with = "or_default")]
    title: String,
    #[serde(deserialize_with = "or_default")]
    description: String,
    #[serde(deserialize_with = "or_default")]
    severity: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(rename = "PrimaryURL", deserialize_with = "or_default")]
    primary_url: String,
    #[serde(rename = "CweIDs", deserialize_with = "or_default")]
    cwe_ids: Vec<String>,
}

pub(super) fn vulnerability(record: &[u8], place: Place, target: &Target, sink: &mut dyn Sink) -> crate::record::Read1 {
    let found: Vulnerability = match serde_json::from_slice(record) {
        Ok(found) => found,
        Err(error) => return Ok(Err(format!("not a vulnerability: {error}"))),
    };
    let outcome = match found.status.as_str() {
        "not_affected" => Outcome::Suppressed("the vendor says: not affected".to_owned()),
        _ => Outcome::Open,
    };
    observe_vulnerability(&found, outcome, place, target, sink)
}

fn observe_vulnerability(
    found: &Vulnerability,
    outcome: Outcome,
    place: Place,
    target: &Target,
    sink: &mut dyn Sink,
) -> crate::record::Read1 {
    if found.id.is_empty() {
        return Ok(Err("a vulnerability without VulnerabilityID".to_owned()));
    }
    let title = if found.title.is_empty() {
        format!("{} in {}", found.id, found.pkg_name)
    } else {
        found.title.clone()
    };
    let mut message = format!(
        "{} {} is affected by {}",
        found.pkg_name, found.installed_version, found.id
    );
    if !found.fixed_version.is_empty() {
        message.push_str("; fixed in ");
        message.push_str(&found.fixed_version);
    }
    let cwe = found.cwe_ids.iter().filter_map(|text| cwe_number(text)).collect();
    let check = Check {
        tool: "trivy".to_owned(),
        rule: found.id.clone(),
        title: cut(&title, 300).to_owned(),
        cwe,
        cve: Some(found.id.clone()),
        category: "vulnerability".to_owned(),
        help_url: found.primary_url.clone(),
        remediation: if found.fixed_version.is_empty() {
            String::new()
        } else {
            format!("Update {} to {}.", found.pkg_name, found.fixed_version)
        },
        ..Check::default()
    };
    let location = if found.pkg_path.is_empty() {
        format!("{}: {}", target.name, found.pkg_name)
    } else {
        format!("{}: {}", found.pkg_path, found.pkg_name)
    };
    let parts = [
        "trivy",
        &found.id,
        target_identity(target),
        &found.pkg_name,
        &found.pkg_path,
        &found.installed_version,
    ];
    give(
        sink,
        Arc::new(check),
        outcome,
        &found.severity,
        &message,
        &found.description,
        &location,
        0,
        Fingerprint::of(&parts),
        place,
        target,
    )
}

/// The target without the image's tag, which names the artefact and not the failure: `app:1.2 (alpine 3.10)` and `app:1.3 (alpine 3.10)`
/// are one.
fn target_identity(target: &Target) -> &str {
    if target.class == "os-pkgs" {
        "os-pkgs"
    } else {
        &target.name
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Misconfiguration {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "AVDID", deserialize_with = "or_default")]
    avd_id: String,
    #[serde(deserialize_with = "or_default")]
    title: String,
    #[serde(deserialize_with = "or_default")]
    description: String,
    #[serde(deserialize_with = "or_default")]
    message: String,
    #[serde(deserialize_with = "or_default")]
    resolution: String,
    #[serde(deserialize_with = "or_default")]
    severity: String,
    #[serde(rename = "PrimaryURL", deserialize_with = "or_default")]
    primary_url: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "or_default")]
    cause_metadata: Cause,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Cause {
    #[serde(deserialize_with = "or_default")]
    resource: String,
    start_line: Option<u32>,
}

/// Also whether it passed.
pub(super) fn misconfiguration(
    record: &[u8],
    place: Place,
    target: &Target,
    sink: &mut dyn Sink,
    aside: Option<Outcome>,
) -> Result<(Result<(), String>, bool), ReadError> {
    let found: Misconfiguration = match serde_json::from_slice(record) {
        Ok(found) => found,
        Err(error) => return Ok((Err(format!("not a misconfiguration: {error}")), false)),
    };
    let id = if found.id.is_empty() { &found.avd_id } else { &found.id };
    if id.is_empty() {
        return Ok((Err("a misconfiguration without ID".to_owned()), false));
    }
    let outcome = aside.unwrap_or_else(|| match found.status.as_str() {
        "PASS" => Outcome::Pass,
        "EXCEPTION" => Outcome::Suppressed("an exception of the scanner".to_owned()),
        _ => Outcome::Open,
    });
    let is_pass = outcome == Outcome::Pass;
    let rule = rule_id("trivy", id).into_owned();
    let check = Check {
        tool: "trivy".to_owned(),
        title: cut(&found.title, 300).to_owned(),
        category: "misconfiguration".to_owned(),
        remediation: found.resolution.clone(),
        help_url: found.primary_url.clone(),
        rule,
        ..Check::default()
    };
    let cause = &found.cause_metadata;
    let location = if cause.resource.is_empty() {
        target.name.clone()
    } else {
        format!("{}: {}", target.name, cause.resource)
    };
    let fingerprint = Fingerprint::of(&["trivy", &check.rule, &target.name, &cause.resource, &found.message]);
    let taken = give(
        sink,
        Arc::new(check),
        outcome,
        &found.severity,
        &found.message,
        &found.description,
        &location,
        cause.start_line.unwrap_or(0),
        fingerprint,
        place,
        target,
    )?;
    Ok((taken, is_pass))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Secret {
    #[serde(rename = "RuleID")]
    rule_id: String,
    #[serde(deserialize_with = "or_default")]
    category: String,
    #[serde(deserialize_with = "or_default")]
    severity: String,
    #[serde(deserialize_with = "or_default")]
    title: String,
    start_line: Option<u32>,
    #[serde(deserialize_with = "or_default")]
    code: Quoted,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Quoted {
    #[serde(deserialize_with = "or_default")]
    lines: Vec<QuotedLine>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct QuotedLine {
    #[serde(deserialize_with = "or_default")]
    content: String,
    #[serde(deserialize_with = "or_default")]
    highlighted: String,
}

pub(super) fn secret(
    record: &[u8],
    place: Place,
    target: &Target,
    sink: &mut dyn Sink,
    aside: Option<Outcome>,
) -> crate::record::Read1 {
    let found: Secret = match serde_json::from_slice(record) {
        Ok(found) => found,
        Err(error) => return Ok(Err(format!("not a secret: {error}"))),
    };
    let check = Check {
        tool: "trivy".to_owned(),
        rule: found.rule_id.clone(),
        title: cut(&found.title, 300).to_owned(),
        cwe: vec![798],
        category: "secret".to_owned(),
        remediation: "Take the secret out of the file and its history, and replace it where it is used.".to_owned(),
        ..Check::default()
    };
    let lines = found
        .code
        .lines
        .iter()
        .flat_map(|line| [&line.content, &line.highlighted]);
    lines
        .filter(|line| !line.contains("****"))
        .for_each(|line| sink.secret(line));
    let line = found.start_line.unwrap_or(0);
    let message = format!(
        "{} found ({})",
        if found.title.is_empty() {
            "A secret"
        } else {
            &found.title
        },
        found.category
    );
    let fingerprint = Fingerprint::of(&["trivy", &found.rule_id, &target.name]);
    give(
        sink,
        Arc::new(check),
        aside.unwrap_or(Outcome::Open),
        &found.severity,
        &message,
        "",
        &target.name,
        line,
        fingerprint,
        place,
        target,
    )
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct License {
    #[serde(deserialize_with = "or_default")]
    severity: String,
    #[serde(deserialize_with = "or_default")]
    category: String,
    #[serde(deserialize_with = "or_default")]
    pkg_name: String,
    #[serde(deserialize_with = "or_default")]
    file_path: String,
    #[serde(deserialize_with = "or_default")]
    name: String,
}

pub(super) fn license(
    record: &[u8],
    place: Place,
    target: &Target,
    sink: &mut dyn Sink,
    aside: Option<Outcome>,
) -> crate::record::Read1 {
    let found: License = match serde_json::from_slice(record) {
        Ok(found) => found,
        Err(error) => return Ok(Err(format!("not a licence: {error}"))),
    };
    let check = Check {
        tool: "trivy".to_owned(),
        rule: format!("license/{}", found.name),
        title: format!("Licence {} ({})", found.name, found.category),
        category: "license".to_owned(),
        ..Check::default()
    };
    let subject = if found.pkg_name.is_empty() {
        &found.file_path
    } else {
        &found.pkg_name
    };
    let message = format!("{subject} is under {} ({})", found.name, found.category);
    let fingerprint = Fingerprint::of(&["trivy", "license", &found.name, &target.name, subject]);
    give(
        sink,
        Arc::new(check),
        aside.unwrap_or(Outcome::Open),
        &found.severity,
        &message,
        "",
        subject,
        0,
        fingerprint,
        place,
        target,
    )
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Modified<'a> {
    r#type: &'a str,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "or_default")]
    statement: String,
    #[serde(borrow)]
    finding: Option<&'a serde_json::value::RawValue>,
}

/// What Trivy set aside by an ignore file or VEX: kept as suppressed, apart from what the file counts.
pub(super) fn modified(record: &[u8], place: Place, target: &Target, sink: &mut dyn Sink) -> crate::record::Read1 {
    let found: Modified<'_> = match serde_json::from_slice(record) {
        Ok(found) => found,
        Err(error) => return Ok(Err(format!("not a modified finding: {error}"))),
    };
    let reason = [found.status.as_str(), found.statement.as_str()]
        .into_iter()
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join(": ");
    let Some(inner) = found.finding else {
        return Ok(Err("a modified finding without Finding".to_owned()));
    };
    let (inner, aside) = (inner.get().as_bytes(), Outcome::Suppressed(reason));
    let quiet = &mut Uncounted(sink);
    match found.r#type {
        "vulnerability" => match serde_json::from_slice(inner) {
            Ok(vulnerability) => observe_vulnerability(&vulnerability, aside, place, target, quiet),
            Err(error) => Ok(Err(format!("not a vulnerability: {error}"))),
        },
        "misconfiguration" => misconfiguration(inner, place, target, quiet, Some(aside)).map(|(taken, _)| taken),
        "secret" => secret(inner, place, target, quiet, Some(aside)),
        "license" => license(inner, place, target, quiet, Some(aside)),
        other => Ok(Err(format!(
            "a modified finding of an unknown kind: {}",
            cut(other, 40)
        ))),
    }
}

/// Hands observations on as ones that the file does not count.
struct Uncounted<'s>(&'s mut dyn Sink);

impl Sink for Uncounted<'_> {
    fn secret(&mut self, secret: &str) {
        self.0.secret(secret);
    }
    fn observation(&mut self, observation: Observation<'_>) -> Result<(), crate::Stop> {
        self.0.observation(Observation {
            counted: false,
            ..observation
        })
    }
    fn event(&mut self, event: affiant_domain::audit::AuditEvent, place: Place) -> Result<(), crate::Stop> {
        self.0.event(event, place)
    }
    fn reject(&mut self, rejection: crate::Rejection) -> Result<(), crate::Stop> {
        self.0.reject(rejection)
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Control {
    #[serde(rename = "ID", deserialize_with = "or_default")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    severity: String,
    /// None where a person has to look.
    total_fail: Option<u64>,
}

/// A control of a report of compliance, summed up.
pub(super) fn control(record: &[u8], place: Place, spec: &str, sink: &mut dyn Sink) -> crate::record::Read1 {
    let found: Control = match serde_json::from_slice(record) {
        Ok(found) => found,
        Err(error) => return Ok(Err(format!("not a control: {error}"))),
    };
    if found.id.is_empty() {
        return Ok(Err("a control without ID".to_owned()));
    }
    let Some(failures) = found.total_fail else {
        return Ok(Ok(()));
    };
    let check = Check {
        tool: "trivy".to_owned(),
        rule: cut(&format!("{spec}/{}", found.id), 300).to_owned(),
        title: cut(&found.name, 300).to_owned(),
        category: "misconfiguration".to_owned(),
        ..Check::default()
    };
    let outcome = if failures > 0 { Outcome::Open } else { Outcome::Pass };
    let message = format!("{failures} checks of the control {} fail", found.id);
    let fingerprint = Fingerprint::of(&["trivy", &check.rule]);
    let nowhere = Target::default();
    let check = Arc::new(check);
    give(
        sink,
        check,
        outcome,
        &found.severity,
        &message,
        "",
        spec,
        0,
        fingerprint,
        place,
        &nowhere,
    )
}

#[allow(clippy::too_many_arguments, reason = "the fields of one observation, given once")]
fn give(
    sink: &mut dyn Sink,
    check: Arc<Check>,
    outcome: Outcome,
    severity: &str,
    message: &str,
    description: &str,
    location: &str,
    line: u32,
    fingerprint: Fingerprint,
    place: Place,
    target: &Target,
) -> crate::record::Read1 {
    let message = if description.is_empty() {
        message.to_owned()
    } else {
        format!("{message}\n\n{}", cut(description, 6000))
    };
    let resource = target.resource.as_ref().map(|(kind, name)| Resource {
        kind: Cow::Borrowed(kind.as_str()),
        name: Cow::Borrowed(name.as_str()),
    });
    let fingerprint = match &target.resource {
        Some((_, name)) => Fingerprint::of(&[&format!("{:032x}", fingerprint.0), name]),
        None => fingerprint,
    };
    // The place of a vulnerability ends with its package.
    let package = Cow::Borrowed(if check.cve.is_some() {
        location.rsplit(": ").next().unwrap_or_default()
    } else {
        ""
    });
    sink.observation(Observation {
        severity: Severity::from_label(severity),
        counted: outcome.is_finding(),
        outcome,
        resource,
        title: Cow::Owned(check.title.clone()),
        message: Cow::Owned(message),
        location: Cow::Borrowed(cut(location, 1000)),
        line,
        fingerprint,
        place,
        observed_at: None,
        package,
        cvss: None,
        check,
    })?;
    Ok(Ok(()))
}
