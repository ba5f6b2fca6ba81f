//! The registry of formats. A new one is a file here and a row below.

mod asff;
mod audit_event;
mod auditd;
mod checkov;
mod cloudtrail;
mod findings_csv;
mod findings_json;
mod k8s_audit;
mod ocsf;
mod pgaudit;
mod sarif;
mod trivy;

use crate::declared::Declared;
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source, SpecError};
use bumpalo::Bump;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

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
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it holds.
    pub kind: Kind,
    reader: Reader,
}

/// How a format is read.
#[derive(Debug)]
enum Reader {
    /// By code of its own.
    Code(&'static Code),
    /// As its TOML file says.
    Declared(Box<Declared>),
}

/// A reader in code.
#[derive(Debug)]
struct Code {
    name: &'static str,
    title: &'static str,
    kind: Kind,
    recognise: fn(&Sniff<'_>) -> bool,
    read: fn(&dyn Source, &Limits, &mut dyn Sink) -> Result<(), ReadError>,
}

impl Format {
    /// Whether a file that begins so is of this format.
    #[must_use]
    pub fn recognises(&self, sniff: &Sniff<'_>) -> bool {
        match &self.reader {
            Reader::Code(code) => (code.recognise)(sniff),
            Reader::Declared(declared) => declared.recognises(sniff),
        }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// [`ReadError`] where the file is refused whole.
    pub fn read(&self, source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
        match &self.reader {
            Reader::Code(code) => (code.read)(source, limits, sink),
            Reader::Declared(declared) => declared.read(source, limits, sink),
        }
    }

    /// Whether a TOML file declares it.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        matches!(self.reader, Reader::Declared(_))
    }

    /// Whether its files may hold secrets in clear: never (none), always (no marks), or where the bytes hold one of these marks.
    #[must_use]
    pub fn secret_marks(&self) -> Option<&'static [&'static str]> {
        match &self.reader {
            // Snippets of tools and rules that look for secrets; names without their first letter, as they are written with either case.
            Reader::Code(code) if code.name == "sarif" => Some(&[
                "itleaks",
                "andit",
                "rufflehog",
                "ruffleHog",
                "ecret",
                "redential",
                "gshield",
                "osey",
                "ingfisher",
                "redscan",
                "redScan",
                "alisman",
                "hispers",
            ]),
            // Trivy masks the line with the secret, and quotes those around it as they are.
            Reader::Code(code) if code.name == "trivy-json" => Some(&["\"Secrets\""]),
            Reader::Code(_) => None,
            Reader::Declared(declared) => declared.names_secrets().then_some(&[]),
        }
    }

    /// Whether a file without a byte means that nothing was found.
    #[must_use]
    pub fn may_be_empty(&self) -> bool {
        matches!(&self.reader, Reader::Declared(declared) if declared.empty)
    }
}

impl From<&'static Code> for Format {
    fn from(code: &'static Code) -> Self {
        Self {
            name: code.name.to_owned(),
            title: code.title.to_owned(),
            kind: code.kind,
            reader: Reader::Code(code),
        }
    }
}

impl From<Declared> for Format {
    fn from(declared: Declared) -> Self {
        Self {
            name: declared.name.clone(),
            title: declared.title.clone(),
            kind: declared.kind,
            reader: Reader::Declared(Box::new(declared)),
        }
    }
}

/// The readers in code, in the order in which recognition asks them; those of our own formats, which take much, come last.
static CODE: [Code; 12] = [
    Code {
        name: "sarif",
        title: "SARIF 2.1.0",
        kind: Kind::Findings,
        recognise: sarif::recognise,
        read: sarif::read,
    },
    Code {
        name: "trivy-json",
        title: "Trivy JSON",
        kind: Kind::Findings,
        recognise: trivy::recognise,
        read: trivy::read,
    },
    Code {
        name: "ocsf-json",
        title: "OCSF findings (Prowler)",
        kind: Kind::Findings,
        recognise: ocsf::recognise,
        read: ocsf::read,
    },
    Code {
        name: "asff-json",
        title: "AWS Security Hub findings (ASFF)",
        kind: Kind::Findings,
        recognise: asff::recognise,
        read: asff::read,
    },
    Code {
        name: "checkov-json",
        title: "Checkov JSON",
        kind: Kind::Findings,
        recognise: checkov::recognise,
        read: checkov::read,
    },
    Code {
        name: "cloudtrail-json",
        title: "AWS CloudTrail",
        kind: Kind::Events,
        recognise: cloudtrail::recognise,
        read: cloudtrail::read,
    },
    Code {
        name: "k8s-audit-jsonl",
        title: "Kubernetes audit log",
        kind: Kind::Events,
        recognise: k8s_audit::recognise,
        read: k8s_audit::read,
    },
    Code {
        name: "auditd-log",
        title: "Linux audit daemon log",
        kind: Kind::Events,
        recognise: auditd::recognise,
        read: auditd::read,
    },
    Code {
        name: "pgaudit-log",
        title: "PostgreSQL log with pgAudit",
        kind: Kind::Events,
        recognise: pgaudit::recognise,
        read: pgaudit::read,
    },
    Code {
        name: "audit-event",
        title: "Affiant audit events",
        kind: Kind::Events,
        recognise: audit_event::recognise,
        read: audit_event::read,
    },
    Code {
        name: "generic-json",
        title: "Affiant findings JSON",
        kind: Kind::Findings,
        recognise: findings_json::recognise,
        read: findings_json::read,
    },
    Code {
        name: "generic-csv",
        title: "Affiant findings CSV",
        kind: Kind::Findings,
        recognise: findings_csv::recognise,
        read: findings_csv::read,
    },
];

/// Our own formats, which take much and are asked last.
const LAST: [&str; 3] = ["audit-event", "generic-json", "generic-csv"];

/// A declarative format that comes with the program.
macro_rules! declared {
    ($name:literal) => {
        ($name, include_str!(concat!("../../formats/", $name, ".toml")))
    };
}

/// The formats that TOML files declare, in the order in which recognition asks them.
static DECLARED: [(&str, &str); 38] = [
    declared!("grype-json"),
    declared!("prowler-csv"),
    declared!("prowler-v3-json"),
    declared!("gitleaks-json"),
    declared!("trufflehog-json"),
    declared!("detect-secrets"),
    declared!("ggshield-json"),
    declared!("kube-bench-json"),
    declared!("kubescape-json"),
    declared!("snyk-json"),
    declared!("npm-audit-v7-json"),
    declared!("npm-audit-v6-json"),
    declared!("osv-scanner-json"),
    declared!("dependency-check-xml"),
    declared!("cyclonedx-json"),
    declared!("cyclonedx-xml"),
    declared!("semgrep-json"),
    declared!("bandit-json"),
    declared!("zap-xml"),
    declared!("zap-json"),
    declared!("nuclei-jsonl"),
    declared!("nessus-xml"),
    declared!("nessus-csv"),
    declared!("openvas-xml"),
    declared!("openvas-csv"),
    declared!("wazuh-vuln-json"),
    declared!("hdf-json"),
    declared!("inspec-jsonl"),
    declared!("xccdf-xml"),
    declared!("trivy-operator"),
    declared!("okta-json"),
    declared!("gcp-audit-jsonl"),
    declared!("azure-activity-jsonl"),
    declared!("m365-audit-jsonl"),
    declared!("m365-audit-csv"),
    declared!("github-audit-jsonl"),
    declared!("vault-audit-jsonl"),
    declared!("ocsf-events-json"),
];

/// Every format that can be read: those in code, those that come declared, and a user's own.
#[derive(Debug)]
pub struct Formats(Vec<Arc<Format>>);

/// Why a folder of declarative formats cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FormatsError {
    /// A file or the folder cannot be read.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// A file is no format.
    #[error("{0}: {1}")]
    Spec(PathBuf, SpecError),
    /// A name is taken.
    #[error("{0}: a format named \"{1}\" is there already")]
    Taken(PathBuf, String),
}

static BUILT_IN: LazyLock<Arc<Formats>> = LazyLock::new(|| Arc::new(Formats::assemble(Vec::new())));

impl Formats {
    /// The formats that come with the program.
    #[must_use]
    pub fn built_in() -> Arc<Self> {
        BUILT_IN.clone()
    }

    /// Those that come with the program, and a user's own, which are asked first.
    ///
    /// # Errors
    /// [`FormatsError`] names the file that is wrong.
    pub fn with_folder(folder: &Path) -> Result<Arc<Self>, FormatsError> {
        let io = |error| FormatsError::Io(folder.to_owned(), error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let mut own: Vec<Format> = Vec::new();
        for path in files {
            let text = std::fs::read_to_string(&path).map_err(|error| FormatsError::Io(path.clone(), error))?;
            let declared = Declared::parse(&text).map_err(|error| FormatsError::Spec(path.clone(), error))?;
            let taken =
                own.iter().any(|format| format.name == declared.name) || BUILT_IN.by_name(&declared.name).is_some();
            if taken {
                return Err(FormatsError::Taken(path, declared.name));
            }
            own.push(Format::from(declared));
        }
        Ok(Arc::new(Self::assemble(own)))
    }

    fn assemble(own: Vec<Format>) -> Self {
        let (last, first): (Vec<_>, Vec<_>) = CODE.iter().partition(|code| LAST.contains(&code.name));
        let declared = DECLARED.iter().filter_map(|(_, text)| Declared::parse(text).ok());
        let all = own
            .into_iter()
            .chain(first.into_iter().map(Format::from))
            .chain(declared.map(Format::from))
            .chain(last.into_iter().map(Format::from));
        Self(all.map(Arc::new).collect())
    }

    /// Each, in the order in which recognition asks them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Format>> {
        self.0.iter()
    }

    /// The format of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Format>> {
        self.0.iter().find(|format| format.name == name)
    }

    /// The names, for errors.
    #[must_use]
    pub fn names(&self) -> String {
        self.0
            .iter()
            .map(|format| format.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Recognises a file by its first bytes, or looks a named format up.
    ///
    /// # Errors
    /// [`ReadError`] where nothing fits.
    pub fn recognise(
        &self,
        source: &dyn Source,
        named: Option<&str>,
        limits: &Limits,
    ) -> Result<Arc<Format>, ReadError> {
        let unknown = |name: &str| ReadError::UnknownFormat(name.chars().take(60).collect(), self.names());
        let format = named
            .map(|name| self.by_name(name).ok_or_else(|| unknown(name)))
            .transpose()?;
        let arena = Bump::new();
        let sniff = Sniff::of(&crate::source::prefix(source, limits)?, &arena);
        let Some(format) = format else {
            return self.find(&sniff).cloned();
        };
        // A log may begin with a broken line; a report of findings must bear the marks of its format, or it would be read as one
        // without findings.
        let nothing = sniff.is_nothing() || sniff.blank && format.may_be_empty();
        if format.kind == Kind::Events || nothing || format.recognises(&sniff) {
            return Ok(format.clone());
        }
        Err(self.foreign(format, &sniff))
    }

    fn find(&self, sniff: &Sniff<'_>) -> Result<&Arc<Format>, ReadError> {
        if sniff.blank {
            return Err(ReadError::Unrecognised(
                "the file is empty; if the tool writes nothing when it finds nothing, name its format".to_owned(),
            ));
        }
        let found = self.0.iter().find(|format| format.recognises(sniff));
        found.ok_or_else(|| {
            let what = describe(sniff);
            let known = self.0.len();
            ReadError::Unrecognised(format!(
                "it is {what}. `affiant formats list` and /api/v1/formats show the {known} that are"
            ))
        })
    }

    /// A file that does not bear the marks of the format that was named.
    fn foreign(&self, named: &Format, sniff: &Sniff<'_>) -> ReadError {
        let what = match self.find(sniff) {
            Ok(found) => format!("it looks like {} ({})", found.title, found.name),
            Err(ReadError::Unrecognised(what)) => what,
            Err(other) => other.to_string(),
        };
        ReadError::Unrecognised(format!("it is not {} ({}): {what}", named.title, named.name))
    }
}

fn describe(sniff: &Sniff<'_>) -> String {
    match (&sniff.json, sniff.header.is_empty()) {
        (Some(serde_json::Value::Object(map)), _) => format!("a JSON object with the keys {}", keys(map)),
        (Some(serde_json::Value::Array(all)), _) => match all.first() {
            Some(serde_json::Value::Object(map)) => format!("a JSON array of objects with the keys {}", keys(map)),
            Some(_) => "a JSON array of something else than objects".to_owned(),
            None => "an empty JSON array; name the format to say whose".to_owned(),
        },
        (Some(_), _) => "a single JSON value".to_owned(),
        (None, false) => {
            let columns: Vec<_> = sniff.header.iter().take(12).cloned().collect();
            format!("a table with the columns {}", columns.join(", "))
        }
        (None, true) => match &sniff.node {
            crate::declared::Node::Map(entries) if sniff.container == crate::declared::Container::Xml => {
                let root = entries.first().map_or("?", |(name, _)| name.as_ref());
                format!("XML with the root element {root}")
            }
            _ => "neither JSON nor XML nor a table".to_owned(),
        },
    }
}

fn keys(map: &serde_json::Map<String, serde_json::Value>) -> String {
    let shown: Vec<String> = map.keys().take(12).map(|key| key.chars().take(40).collect()).collect();
    if shown.is_empty() {
        "(none)".to_owned()
    } else {
        shown.join(", ")
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_declared_format_is_sound_and_every_name_is_given_once() {
        for (file, text) in DECLARED {
            if let Err(error) = Declared::parse(text) {
                panic!("{file}: {error}");
            }
        }
        let mut names: Vec<_> = Formats::built_in().iter().map(|format| format.name.clone()).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
