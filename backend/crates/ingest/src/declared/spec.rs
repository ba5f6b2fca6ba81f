//! A declarative format as it is written in TOML. `docs/FORMATS.md` explains each key with examples.

use serde::Deserialize;
use std::collections::BTreeMap;

/// One or several expressions, of which the first that gives something is taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    One(String),
    Several(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// `grype-json`: lower case, as in the API.
    pub(super) name: String,
    /// What people call it.
    pub(super) title: String,
    /// `findings` or `events`.
    pub(super) kind: String,
    /// `json` (a document, or a value a line), `csv` or `xml`.
    pub(super) container: String,
    /// The tool, normalised or as the file writes it.
    pub(super) tool: Option<Words>,
    /// Conditions on the first bytes; one must hold.
    pub(super) recognise: Vec<String>,
    /// Whether a file without a byte means that nothing was found.
    #[serde(default)]
    pub(super) empty: bool,
    /// Categories of checks that a scan runs whether or not it finds anything.
    #[serde(default)]
    pub(super) exercises: Vec<ExerciseSpec>,
    /// Whether the records list the checks that ran: passes are among them.
    #[serde(default)]
    pub(super) lists_checks: bool,
    #[serde(default)]
    pub(super) file: FileSpec,
    #[serde(default)]
    pub(super) lookup: BTreeMap<String, LookupSpec>,
    pub(super) records: Vec<RecordSpec>,
}

/// A category, always or where a condition on the file holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ExerciseSpec {
    Always(String),
    When(ExerciseWhen),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExerciseWhen {
    pub(super) category: String,
    pub(super) when: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileSpec {
    /// Version of the format.
    pub(super) version: Option<Words>,
    /// Version of the tool.
    pub(super) tool_version: Option<Words>,
    /// When the scan ended.
    pub(super) scanned_at: Option<Words>,
    /// What makes the file no report at all.
    pub(super) refuse: Vec<RefuseSpec>,
    /// What makes it tell only a part, so that it closes nothing.
    pub(super) partial: Vec<RefuseSpec>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefuseSpec {
    pub(super) when: String,
    pub(super) why: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupSpec {
    /// Where its rows are: at all of these places.
    pub(super) at: Words,
    /// The key of a row.
    pub(super) key: Words,
    /// What a record names a row by.
    pub(super) by: Words,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RecordSpec {
    /// Where the records are: the first of these that the file has.
    pub(super) at: Option<Words>,
    /// Parts of a record that are findings of their own.
    pub(super) each: Option<String>,
    /// What a record without parts is: `skip` (the default), `keep` as one, or `reject`.
    pub(super) lone: Option<String>,
    /// The record stands inside what carries it, at the first of these paths that is there: as JSON in a text, or as an object.
    pub(super) inside: Vec<String>,
    /// Records are texts, not objects: `.` is the text.
    pub(super) texts: bool,
    /// Which records the file itself calls findings: `failures` (the default), `all` or `none`.
    pub(super) counted: Option<String>,
    /// Records of another kind are passed over.
    pub(super) when: Option<String>,
    /// What a record must have.
    pub(super) required: Vec<String>,

    pub(super) tool: Option<Words>,
    pub(super) rule: Option<Words>,
    pub(super) title: Option<Words>,
    pub(super) message: Option<Words>,
    pub(super) severity: Vec<SeveritySpec>,
    pub(super) outcome: Vec<OutcomeSpec>,
    pub(super) category: Option<Words>,
    pub(super) cwe: Option<Words>,
    pub(super) cve: Option<Words>,
    pub(super) cvss: Option<Words>,
    pub(super) tags: Vec<String>,
    pub(super) location: Option<Words>,
    pub(super) line: Option<Words>,
    pub(super) package: Option<Words>,
    pub(super) resource_kind: Option<Words>,
    pub(super) resource: Option<Words>,
    pub(super) remediation: Option<Words>,
    pub(super) help_url: Option<Words>,
    pub(super) observed_at: Option<Words>,
    pub(super) fingerprint: Vec<String>,
    pub(super) secret: Vec<String>,
    pub(super) secret_when: Option<String>,

    pub(super) time: Option<Words>,
    pub(super) id: Option<Words>,
    pub(super) user: Option<Words>,
    pub(super) agent: Option<Words>,
    pub(super) action: Option<Words>,
    pub(super) source_ip: Option<Words>,
    pub(super) data_categories: Vec<String>,
    pub(super) detail: BTreeMap<String, Words>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SeveritySpec {
    From(String),
    Rule(SeverityRuleSpec),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeverityRuleSpec {
    /// When the rule applies.
    pub(super) when: Option<String>,
    /// The value: a word, or with `score` a number from 0 to 10 or a CVSS vector.
    pub(super) from: Option<Words>,
    /// Whether the value is a score.
    pub(super) score: bool,
    /// Words of this tool and what they mean.
    pub(super) words: BTreeMap<String, String>,
    /// The severity itself.
    pub(super) is: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomeSpec {
    pub(super) when: Option<String>,
    pub(super) is: String,
    pub(super) reason: Option<Words>,
}
