//! Checkov JSON: one report, or an array of one per framework that was scanned.

use crate::json::{Shape, Walker};
use crate::record::{cut, one, or_default, score, vulnerability_id};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Rejection, Sink, Source};
use affiant_domain::Severity;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, RunInfo};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let Some(first) = sniff.first() else {
        return false;
    };
    let results =
        first.pointer("/results/failed_checks").is_some() || first.pointer("/results/passed_checks").is_some();
    results
        || first.get("checkov_version").is_some()
        || first.get("check_type").is_some() && first.get("results").is_some()
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut walker = Walker::open(source, limits)?;
    let mut reader = Reader {
        limits,
        rejected: 0,
        checks: HashMap::new(),
    };
    sink.run(&RunInfo {
        tool: "checkov".to_owned(),
        ..RunInfo::default()
    });
    match walker.shape()? {
        Some(Shape::Array) => walker.array(|w, _| reader.report(w, sink))?,
        // A document for each kind of file, one after the other.
        _ => {
            while walker.shape()? == Some(Shape::Object) {
                reader.report(&mut walker, sink)?;
            }
        }
    }
    walker.finish()
}

struct Reader<'l> {
    limits: &'l Limits,
    rejected: u64,
    checks: HashMap<String, Arc<Check>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CheckRecord {
    check_id: String,
    #[serde(deserialize_with = "or_default")]
    check_name: String,
    #[serde(deserialize_with = "or_default")]
    check_result: CheckResult,
    #[serde(deserialize_with = "or_default")]
    file_path: String,
    #[serde(deserialize_with = "or_default")]
    file_line_range: Vec<i64>,
    #[serde(deserialize_with = "or_default")]
    resource: String,
    #[serde(deserialize_with = "or_default")]
    severity: String,
    #[serde(deserialize_with = "or_default")]
    guideline: String,
    #[serde(deserialize_with = "or_default")]
    short_description: String,
    vulnerability_details: Option<Package>,
}

/// What a scan of packages says of one.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Package {
    #[serde(deserialize_with = "or_default")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    package_name: String,
    #[serde(deserialize_with = "or_default")]
    package_version: String,
    cvss: serde_json::Value,
    /// Of a licence that a policy forbids.
    #[serde(deserialize_with = "or_default")]
    license: String,
    #[serde(deserialize_with = "or_default")]
    link: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CheckResult {
    #[serde(deserialize_with = "or_default")]
    suppress_comment: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Summary {
    #[serde(deserialize_with = "or_default")]
    checkov_version: String,
}

impl Reader<'_> {
    fn report(&mut self, walker: &mut Walker<'_>, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let mut kind = String::new();
        walker.object(|w, key| match key {
            "check_type" => {
                kind = w.text()?.unwrap_or_default();
                Ok(())
            }
            "checkov_version" => {
                let version = w.text()?.unwrap_or_default();
                self.version(&version, sink);
                Ok(())
            }
            "summary" => {
                let summary: Option<Summary> = w.parse("summary")?;
                self.version(&summary.unwrap_or_default().checkov_version, sink);
                Ok(())
            }
            "results" => w.object(|w, list| match list {
                "failed_checks" => self.each(w, list, sink, None),
                "passed_checks" => self.each(w, list, sink, Some(false)),
                "skipped_checks" => self.each(w, list, sink, Some(true)),
                "parsing_errors" => {
                    let files: Option<Vec<serde_json::Value>> = w.parse("parsing_errors")?;
                    for file in files.unwrap_or_default().iter().take(1000) {
                        let name = file.as_str().map_or_else(|| file.to_string(), str::to_owned);
                        sink.reject(Rejection {
                            at: cut(&name, 300).to_owned(),
                            why: "Checkov could not parse this file".to_owned(),
                        })?;
                    }
                    Ok(())
                }
                _ => w.skip(),
            }),
            _ => w.skip(),
        })
    }

    fn version(&self, version: &str, sink: &mut dyn Sink) {
        if !version.is_empty() {
            sink.version(version);
            sink.run(&RunInfo {
                tool: "checkov".to_owned(),
                tool_version: cut(version, 60).to_owned(),
                scanned_at: None,
            });
        }
    }

    /// `list`: none for failures, then whether the checks were skipped or passed.
    fn each(
        &mut self,
        walker: &mut Walker<'_>,
        name: &str,
        sink: &mut dyn Sink,
        list: Option<bool>,
    ) -> Result<(), ReadError> {
        let (limits, checks) = (self.limits, &mut self.checks);
        let rejected = &mut self.rejected;
        walker.array_or_null(name, |w, _| {
            one(w, limits, sink, rejected, &mut |bytes, place, sink| {
                record(checks, bytes, place, sink, list)
            })
        })
    }
}

fn record(
    checks: &mut HashMap<String, Arc<Check>>,
    bytes: &[u8],
    place: Place,
    sink: &mut dyn Sink,
    list: Option<bool>,
) -> crate::record::Read1 {
    let found: CheckRecord = match serde_json::from_slice(bytes) {
        Ok(found) => found,
        Err(error) => return Ok(Err(format!("not a Checkov check: {error}"))),
    };
    if found.check_id.is_empty() {
        return Ok(Err("a check without check_id".to_owned()));
    }
    let package = found.vulnerability_details.as_ref();
    let cve = package.and_then(|package| vulnerability_id(&package.id));
    let check = checks
        .entry(found.check_id.clone())
        .or_insert_with(|| {
            let named = [&found.short_description, &found.check_name];
            let title = named[usize::from(found.short_description.is_empty() || package.is_none())];
            let link = package.map_or(&found.guideline, |package| &package.link);
            Arc::new(Check {
                tool: "checkov".to_owned(),
                rule: cut(&found.check_id, 300).to_owned(),
                title: cut(title, 300).to_owned(),
                category: match package {
                    _ if found.check_id.starts_with("CKV_SECRET") => "secret",
                    Some(package) if !package.license.is_empty() => "license",
                    Some(_) => "vulnerability",
                    None => "misconfiguration",
                }
                .to_owned(),
                cve: cve.clone(),
                help_url: cut(link, 500).to_owned(),
                ..Check::default()
            })
        })
        .clone();
    sink.listed(&check);
    let outcome = match list {
        None => Outcome::Open,
        Some(false) => Outcome::Pass,
        Some(true) => Outcome::Suppressed(cut(&found.check_result.suppress_comment, 1000).to_owned()),
    };
    let line = found
        .file_line_range
        .first()
        .and_then(|line| u32::try_from(*line).ok())
        .unwrap_or(0);
    let message = format!(
        "{} on {}",
        check.title,
        if found.resource.is_empty() {
            &found.file_path
        } else {
            &found.resource
        }
    );
    sink.observation(Observation {
        severity: if found.severity.is_empty() {
            Severity::Unknown
        } else {
            Severity::from_label(&found.severity)
        },
        counted: matches!(outcome, Outcome::Open),
        outcome,
        resource: None,
        title: Cow::Owned(check.title.clone()),
        message: Cow::Owned(message),
        location: Cow::Borrowed(cut(&found.file_path, 1000)),
        line,
        fingerprint: match package {
            Some(package) => Fingerprint::of(&[
                "checkov",
                &found.check_id,
                &found.file_path,
                &package.package_name,
                &package.package_version,
            ]),
            None => Fingerprint::of(&["checkov", &found.check_id, &found.file_path, &found.resource]),
        },
        place,
        observed_at: None,
        package: Cow::Borrowed(package.map_or("", |package| cut(&package.package_name, 200))),
        cvss: package.and_then(|package| score(&package.cvss)),
        check,
    })?;
    Ok(Ok(()))
}
