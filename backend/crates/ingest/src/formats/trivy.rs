//! Trivy JSON: images, file systems, repositories and clusters; schema 2, and the bare array of before.

use crate::json::{Shape, Walker};
use crate::record::{cut, one, or_default, time};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::Severity;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, Resource, RunInfo, cwe_number, rule_id};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

pub(super) fn recognise(sniff: &Sniff) -> bool {
    let target = |value: &serde_json::Value| {
        value.get("Target").is_some()
            && (value.get("Vulnerabilities").is_some() || value.get("Type").is_some() || value.get("Class").is_some())
    };
    match &sniff.json {
        Some(serde_json::Value::Null) => true,
        Some(serde_json::Value::Array(all)) => all.first().is_some_and(target),
        Some(value) => {
            let schema = value.get("SchemaVersion").is_some_and(serde_json::Value::is_number);
            schema && (value.get("ArtifactName").is_some() || value.get("ArtifactType").is_some())
                || value.get("ClusterName").is_some()
                || value.pointer("/Results/0/Target").is_some()
        }
        None => false,
    }
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut walker = Walker::open(source, limits)?;
    let mut reader = Reader {
        limits,
        rejected: 0,
        created: None,
        version: String::new(),
        announced: false,
        listed: Vec::new(),
    };
    match walker.shape()? {
        Some(Shape::Array) => {
            sink.version("1");
            walker.array(|w, _| reader.target(w, None, sink))?;
        }
        Some(Shape::Object) => reader.report(&mut walker, sink)?,
        Some(Shape::Scalar) if walker.value()? == b"null" => {
            sink.remark("the file is the value null, taken for a Trivy report without results".to_owned());
        }
        _ => return Err(walker.broken("neither a Trivy report nor an array of results")),
    }
    reader.announce(sink);
    walker.finish()
}

struct Reader<'l> {
    limits: &'l Limits,
    rejected: u64,
    created: Option<affiant_domain::Instant>,
    version: String,
    announced: bool,
    listed: Vec<&'static str>,
}

/// A target of the report: an image's packages, a lock file, a manifest.
#[derive(Default)]
struct Target {
    name: String,
    class: String,
    resource: Option<(String, String)>,
}

#[derive(Deserialize)]
struct TrivyHead {
    #[serde(rename = "Version", default)]
    version: String,
}

impl Reader<'_> {
    fn announce(&mut self, sink: &mut dyn Sink) {
        if !self.announced {
            self.announced = true;
            sink.run(&RunInfo {
                tool: "trivy".to_owned(),
                tool_version: self.version.clone(),
                scanned_at: self.created,
            });
        }
    }

    fn report(&mut self, walker: &mut Walker<'_>, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let mut cluster = false;
        walker.object(|w, key| match key {
            "SchemaVersion" => {
                let version: serde_json::Value = w.parse("SchemaVersion")?;
                sink.version(&version.to_string());
                Ok(())
            }
            "Trivy" => {
                self.version = w
                    .parse::<Option<TrivyHead>>("Trivy")?
                    .map(|head| head.version)
                    .unwrap_or_default();
                Ok(())
            }
            "CreatedAt" => {
                self.created = w.text()?.as_deref().and_then(time);
                Ok(())
            }
            "ClusterName" => {
                cluster = true;
                w.skip()
            }
            "Results" => {
                self.announce(sink);
                w.array_or_null("Results", |w, _| self.target(w, None, sink))
            }
            "Vulnerabilities" | "Misconfigurations" | "Resources" => {
                self.announce(sink);
                w.array_or_null(key, |w, _| self.resource(w, sink))
            }
            _ => w.skip(),
        })
    }

    /// An object of a cluster with results of its own.
    fn resource(&mut self, walker: &mut Walker<'_>, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let (mut namespace, mut kind, mut name) = (String::new(), String::new(), String::new());
        walker.object(|w, key| match key {
            "Namespace" => text_into(w, &mut namespace),
            "Kind" => text_into(w, &mut kind),
            "Name" => text_into(w, &mut name),
            "Results" => {
                let id = [namespace.as_str(), kind.as_str(), name.as_str()]
                    .into_iter()
                    .filter(|p| !p.is_empty())
                    .collect::<Vec<_>>()
                    .join("/");
                w.array_or_null("Results", |w, _| {
                    self.target(w, Some(("workload".to_owned(), id.clone())), sink)
                })
            }
            _ => w.skip(),
        })
    }

    fn target(
        &mut self,
        walker: &mut Walker<'_>,
        resource: Option<(String, String)>,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        let mut target = Target {
            resource,
            ..Target::default()
        };
        self.announce(sink);
        let (mut successes, mut listed) = (0_u64, 0_u64);
        walker.object(|w, key| match key {
            "Target" => text_into(w, &mut target.name),
            "Class" => {
                text_into(w, &mut target.class)?;
                self.exercise(&target.class, sink);
                Ok(())
            }
            "Vulnerabilities" => {
                self.exercise("os-pkgs", sink);
                self.each(w, key, sink, |record, place, sink| {
                    vulnerability(record, place, &target, sink)
                })
            }
            "Misconfigurations" => self.each(w, key, sink, |record, place, sink| {
                let (taken, is_pass) = misconfiguration(record, place, &target, sink, None)?;
                listed += u64::from(is_pass);
                Ok(taken)
            }),
            "Secrets" => {
                self.exercise("secret", sink);
                self.each(w, key, sink, |record, place, sink| {
                    secret(record, place, &target, sink, None)
                })
            }
            "Licenses" => self.each(w, key, sink, |record, place, sink| {
                license(record, place, &target, sink, None)
            }),
            "ExperimentalModifiedFindings" => self.each(w, key, sink, |record, place, sink| {
                modified(record, place, &target, sink)
            }),
            "MisconfSummary" => {
                let summary: Option<Summary> = w.parse("MisconfSummary")?;
                successes = summary.unwrap_or_default().successes;
                Ok(())
            }
            _ => w.skip(),
        })?;
        // Those that it also lists were counted one by one.
        sink.passed(successes.saturating_sub(listed));
        Ok(())
    }

    fn each(
        &mut self,
        walker: &mut Walker<'_>,
        what: &str,
        sink: &mut dyn Sink,
        mut each: impl FnMut(&[u8], Place, &mut dyn Sink) -> crate::record::Read1,
    ) -> Result<(), ReadError> {
        walker.array_or_null(what, |w, _| one(w, self.limits, sink, &mut self.rejected, &mut each))
    }

    /// A scan for packages or secrets exercises those checks, whether or not it finds anything.
    fn exercise(&mut self, class: &str, sink: &mut dyn Sink) {
        let category = match class {
            "os-pkgs" | "lang-pkgs" => "vulnerability",
            "secret" => "secret",
            _ => return,
        };
        if !self.listed.contains(&category) {
            self.listed.push(category);
            let cve = (category == "vulnerability").then(|| "any".to_owned());
            let check = Check {
                tool: "trivy".to_owned(),
                rule: format!("({category})"),
                cve,
                category: category.to_owned(),
                ..Check::default()
            };
            sink.listed(&Arc::new(check));
        }
    }
}

fn text_into(walker: &mut Walker<'_>, into: &mut String) -> Result<(), ReadError> {
    if let Some(text) = walker.text()? {
        *into = cut(&text, 1000).to_owned();
    }
    Ok(())
}

#[derive(Deserialize, Default)]
struct Summary {
    #[serde(rename = "Successes", default)]
    successes: u64,
}

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

fn vulnerability(record: &[u8], place: Place, target: &Target, sink: &mut dyn Sink) -> crate::record::Read1 {
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
fn misconfiguration(
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
    let rule = rule_id("trivy", id);
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

fn secret(
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

fn license(
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
fn modified(record: &[u8], place: Place, target: &Target, sink: &mut dyn Sink) -> crate::record::Read1 {
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
