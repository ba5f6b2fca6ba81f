//! Trivy JSON: images, file systems, repositories and clusters; schema 2, and the bare array of before; and reports of compliance, whole
//! (a control holds results of its own) or summed up.

mod record;

use crate::json::{Shape, Walker};
use crate::record::{cut, one, time};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::observation::{Check, Place, RunInfo};
use record::{control, license, misconfiguration, modified, secret, vulnerability};
use serde::Deserialize;
use std::sync::Arc;

pub(in crate::formats) fn recognise(sniff: &Sniff<'_>) -> bool {
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
                || value.get("Title").is_some()
                    && (value.get("SummaryControls").is_some() || value.pointer("/Results/0/ID").is_some())
        }
        None => false,
    }
}

pub(in crate::formats) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
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
        let mut spec = String::new();
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
            "ID" => text_into(w, &mut spec),
            "SummaryControls" => {
                self.announce(sink);
                self.each(w, key, sink, |record, place, sink| control(record, place, &spec, sink))
            }
            "ClusterName" => {
                cluster = true;
                w.skip()
            }
            "Results" => {
                self.announce(sink);
                w.array_or_null("Results", |w, _| self.target(w, None, sink))
            }
            "Vulnerabilities" | "Misconfigurations" | "Resources" | "Findings" => {
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
            "Error" => {
                let why = w.text()?.filter(|why| !why.is_empty());
                why.into_iter()
                    .for_each(|why| sink.partial(format!("an object could not be scanned: {}", cut(&why, 300))));
                Ok(())
            }
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
            // A control of a report of compliance.
            "Results" => w.array_or_null(key, |w, _| self.target(w, None, sink)),
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
