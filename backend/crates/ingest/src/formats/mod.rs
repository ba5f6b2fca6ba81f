//! The registry of formats. A new one is a file here and a row below.

mod asff;
mod audit_event;
mod checkov;
mod cloudtrail;
mod findings_csv;
mod findings_json;
mod k8s_audit;
mod ocsf;
mod sarif;
mod trivy;

use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};

/// What a format holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Findings and passed checks.
    Findings,
    /// Audit events.
    Events,
}

/// A format that can be read.
#[derive(Debug)]
pub struct Format {
    /// Its name in the API and on the command line.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a file that starts so is of this format.
    pub recognise: fn(&Sniff) -> bool,
    /// Reads a whole file.
    pub read: fn(&dyn Source, &Limits, &mut dyn Sink) -> Result<(), ReadError>,
}

/// Every format, in the order in which recognition asks them.
pub static FORMATS: [Format; 10] = [
    Format {
        name: "sarif",
        title: "SARIF 2.1.0",
        kind: Kind::Findings,
        recognise: sarif::recognise,
        read: sarif::read,
    },
    Format {
        name: "trivy-json",
        title: "Trivy JSON",
        kind: Kind::Findings,
        recognise: trivy::recognise,
        read: trivy::read,
    },
    Format {
        name: "ocsf-json",
        title: "OCSF findings (Prowler)",
        kind: Kind::Findings,
        recognise: ocsf::recognise,
        read: ocsf::read,
    },
    Format {
        name: "asff-json",
        title: "AWS Security Hub findings (ASFF)",
        kind: Kind::Findings,
        recognise: asff::recognise,
        read: asff::read,
    },
    Format {
        name: "checkov-json",
        title: "Checkov JSON",
        kind: Kind::Findings,
        recognise: checkov::recognise,
        read: checkov::read,
    },
    Format {
        name: "cloudtrail-json",
        title: "AWS CloudTrail",
        kind: Kind::Events,
        recognise: cloudtrail::recognise,
        read: cloudtrail::read,
    },
    Format {
        name: "k8s-audit-jsonl",
        title: "Kubernetes audit log",
        kind: Kind::Events,
        recognise: k8s_audit::recognise,
        read: k8s_audit::read,
    },
    Format {
        name: "audit-event",
        title: "Affiant audit events",
        kind: Kind::Events,
        recognise: audit_event::recognise,
        read: audit_event::read,
    },
    Format {
        name: "generic-json",
        title: "Affiant findings JSON",
        kind: Kind::Findings,
        recognise: findings_json::recognise,
        read: findings_json::read,
    },
    Format {
        name: "generic-csv",
        title: "Affiant findings CSV",
        kind: Kind::Findings,
        recognise: findings_csv::recognise,
        read: findings_csv::read,
    },
];

/// The format of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// The names, for errors.
#[must_use]
pub fn names() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ")
}

pub(crate) fn recognise(sniff: &Sniff) -> Result<&'static Format, ReadError> {
    if sniff.blank {
        return Err(ReadError::Unrecognised(
            "the file is empty; if the tool writes nothing when it finds nothing, name its format".to_owned(),
        ));
    }
    FORMATS.iter().find(|format| (format.recognise)(sniff)).ok_or_else(|| {
        let what = match (&sniff.json, sniff.header.is_empty()) {
            (Some(serde_json::Value::Object(map)), _) => {
                format!("a JSON object with the keys {}", keys(map))
            }
            (Some(serde_json::Value::Array(all)), _) => match all.first() {
                Some(serde_json::Value::Object(map)) => {
                    format!("a JSON array of objects with the keys {}", keys(map))
                }
                Some(_) => "a JSON array of something else than objects".to_owned(),
                None => "an empty JSON array; name the format to say whose".to_owned(),
            },
            (Some(_), _) => "a single JSON value".to_owned(),
            (None, false) => format!(
                "a table with the columns {}",
                sniff.header.iter().take(12).cloned().collect::<Vec<_>>().join(", ")
            ),
            (None, true) => "neither JSON nor a table".to_owned(),
        };
        ReadError::Unrecognised(format!("it is {what}. Known formats: {}", names()))
    })
}

/// A file that does not bear the marks of the format that was named.
pub(crate) fn foreign(named: &Format, sniff: &Sniff) -> ReadError {
    let what = match recognise(sniff) {
        Ok(found) => format!("it looks like {} ({})", found.title, found.name),
        Err(ReadError::Unrecognised(what)) => what,
        Err(other) => other.to_string(),
    };
    ReadError::Unrecognised(format!("it is not {} ({}): {what}", named.title, named.name))
}

fn keys(map: &serde_json::Map<String, serde_json::Value>) -> String {
    let shown: Vec<String> = map.keys().take(12).map(|key| key.chars().take(40).collect()).collect();
    if shown.is_empty() {
        "(none)".to_owned()
    } else {
        shown.join(", ")
    }
}
