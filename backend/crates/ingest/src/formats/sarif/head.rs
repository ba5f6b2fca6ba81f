//! What a run says of itself: its tool with the rules, and its invocations.

use crate::json::{Shape, Walker};
use crate::record::{cut, or_default, time, vulnerability_id};
use crate::{ReadError, Sink};
use affiant_domain::Severity;
use affiant_domain::observation::{Check, RunInfo, cwe_number, rule_id, tool_name};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a run says of itself.
#[derive(Default)]
pub(super) struct Head {
    pub(super) info: RunInfo,
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) extensions: Vec<Vec<Arc<Rule>>>,
    pub(super) by_id: HashMap<String, Arc<Rule>>,
    pub(super) overrides: HashMap<(usize, String), Option<Severity>>,
    pub(super) has_tool: bool,
    /// An invocation of the tool says that it did not end well.
    pub(super) failed: bool,
    /// Messages that results refer to, of no rule.
    pub(super) messages: BTreeMap<String, String>,
    /// Where the files of the run are, which results name by number.
    artifacts: Vec<String>,
    /// How many bytes these are.
    held: usize,
    /// What addresses may be relative to, by name.
    bases: BTreeMap<String, Base>,
}

/// Bytes of addresses of files of a run that are held at most.
const ARTIFACTS: usize = 16 << 20;
/// How many bases one may be relative to, one after the other.
const BASES: usize = 8;
/// Bytes of an address that are read.
const ADDRESS: usize = 1000;

/// What addresses may be relative to.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Base {
    #[serde(deserialize_with = "or_default")]
    uri: String,
    #[serde(deserialize_with = "or_default")]
    uri_base_id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Artifact<'a> {
    #[serde(borrow)]
    location: Option<&'a RawValue>,
}

impl Base {
    /// A base as it is written, and nothing where something else is.
    fn of(text: &str) -> Self {
        let mut base: Self = serde_json::from_str(text).unwrap_or_default();
        base.uri.truncate(cut(&base.uri, ADDRESS).len());
        base
    }
}

pub(super) struct Rule {
    pub(super) check: Arc<Check>,
    pub(super) score: Option<f64>,
    pub(super) level: Option<String>,
    pub(super) messages: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Tool {
    #[serde(deserialize_with = "or_default")]
    driver: Component,
    #[serde(deserialize_with = "or_default")]
    extensions: Vec<Component>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Component {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    version: String,
    #[serde(deserialize_with = "or_default")]
    semantic_version: String,
    #[serde(deserialize_with = "or_default")]
    rules: Vec<Descriptor>,
    #[serde(deserialize_with = "or_default")]
    global_message_strings: serde_json::Value,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Descriptor {
    #[serde(deserialize_with = "or_default")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    short_description: Message,
    #[serde(deserialize_with = "or_default")]
    full_description: Message,
    #[serde(deserialize_with = "or_default")]
    help: Message,
    #[serde(deserialize_with = "or_default")]
    help_uri: String,
    #[serde(deserialize_with = "or_default")]
    default_configuration: Configuration,
    #[serde(deserialize_with = "or_default")]
    message_strings: BTreeMap<String, Message>,
    #[serde(deserialize_with = "or_default")]
    properties: serde_json::Map<String, serde_json::Value>,
    #[serde(deserialize_with = "or_default")]
    relationships: Vec<Relationship>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Relationship {
    target: Target,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Target {
    id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    #[serde(deserialize_with = "or_default")]
    text: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Configuration {
    level: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Invocation {
    execution_successful: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    end_time_utc: String,
    #[serde(deserialize_with = "or_default")]
    start_time_utc: String,
    #[serde(deserialize_with = "or_default")]
    rule_configuration_overrides: Vec<Override>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Override {
    descriptor: Target,
    configuration: Configuration,
}

impl Head {
    pub(super) fn take(&mut self, walker: &mut Walker<'_>, key: &str) -> Result<(), ReadError> {
        match key {
            "tool" => {
                let tool: Tool = walker.parse("tool")?;
                self.tool(&tool);
                Ok(())
            }
            "artifacts" if walker.shape()? == Some(Shape::Array) => walker.array(|w, _| {
                if self.held >= ARTIFACTS {
                    return w.skip();
                }
                let one: Artifact<'_> = serde_json::from_slice(w.value()?).unwrap_or_default();
                let Base { uri, uri_base_id } = one.location.map(|raw| Base::of(raw.get())).unwrap_or_default();
                let uri = self.placed(&uri, &uri_base_id).into_owned();
                self.held += uri.len() + size_of::<String>();
                self.artifacts.push(uri);
                Ok(())
            }),
            "originalUriBaseIds" if walker.shape()? == Some(Shape::Object) => walker.object(|w, name| {
                let base = Base::of(&String::from_utf8_lossy(w.value()?));
                self.bases.insert(name.to_owned(), base);
                Ok(())
            }),
            "invocations" => {
                let all: Option<Vec<Invocation>> = walker.parse("invocations")?;
                self.invocations(&all.unwrap_or_default());
                Ok(())
            }
            _ => walker.skip(),
        }
    }

    /// The address of the n-th file.
    pub(super) fn artifact(&self, n: i64) -> Option<&str> {
        let uri = self.artifacts.get(usize::try_from(n).ok()?)?;
        Some(uri.as_str()).filter(|uri| !uri.is_empty())
    }

    /// An address below what it is relative to, as far as that is relative itself: where a tree was checked out is nobody's concern.
    pub(super) fn placed<'u>(&self, uri: &'u str, base: &str) -> Cow<'u, str> {
        let is_absolute = |uri: &str| uri.starts_with('/') || uri.contains("://") || uri.starts_with("file:");
        let mut whole = Cow::Borrowed(uri);
        let mut base = self.bases.get(base);
        for _ in 0..BASES {
            let Some(known) = base else { break };
            if is_absolute(&whole) || is_absolute(&known.uri) || whole.len() + known.uri.len() > 2 * ADDRESS {
                break;
            }
            if !known.uri.is_empty() {
                whole = Cow::Owned(format!("{}/{whole}", known.uri.trim_end_matches('/')));
            }
            base = self
                .bases
                .get(&known.uri_base_id)
                .filter(|next| !std::ptr::eq(*next, known));
        }
        whole
    }

    fn tool(&mut self, tool: &Tool) {
        self.has_tool = true;
        let messages = tool.driver.global_message_strings.as_object().into_iter().flatten();
        let texts = messages.filter_map(|(id, message)| Some((id.clone(), message.get("text")?.as_str()?.to_owned())));
        self.messages = texts.collect();
        self.info.tool = tool_name(&tool.driver.name);
        let versions = [&tool.driver.semantic_version, &tool.driver.version];
        self.info.tool_version = versions
            .into_iter()
            .find(|v| !v.is_empty())
            .cloned()
            .unwrap_or_default();
        self.rules = tool.driver.rules.iter().map(|rule| Arc::new(self.rule(rule))).collect();
        self.extensions = tool
            .extensions
            .iter()
            .map(|e| e.rules.iter().map(|rule| Arc::new(self.rule(rule))).collect())
            .collect();
        for rule in self.rules.iter().chain(self.extensions.iter().flatten()) {
            self.by_id
                .entry(rule.check.rule.clone())
                .or_insert_with(|| rule.clone());
        }
    }

    fn rule(&self, rule: &Descriptor) -> Rule {
        let text = |key: &str| match rule.properties.get(key) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let mut tags: Vec<String> = list(rule.properties.get("tags"));
        let mut cwe: Vec<u32> = tags
            .iter()
            .filter(|tag| is_cwe(tag))
            .filter_map(|tag| cwe_number(tag))
            .collect();
        cwe.extend(
            list(rule.properties.get("cwe"))
                .iter()
                .filter_map(|text| cwe_number(text)),
        );
        cwe.extend(
            rule.relationships
                .iter()
                .filter(|r| is_cwe(&r.target.id))
                .filter_map(|r| cwe_number(&r.target.id)),
        );
        cwe.sort_unstable();
        cwe.dedup();
        tags.retain(|tag| !is_cwe(tag));
        tags.truncate(64);
        let titles = [
            &rule.short_description.text,
            &rule.name,
            &rule.full_description.text,
            &rule.id,
        ];
        let title = titles
            .into_iter()
            .find(|t| !t.trim().is_empty())
            .map_or("", |t| first_line(t));
        Rule {
            check: Arc::new(Check {
                rule: rule_id(&self.info.tool, &rule.id).into_owned(),
                title: cut(title, 300).to_owned(),
                cwe,
                cve: vulnerability_id(&rule.id),
                category: category(&self.info.tool, &rule.id, &tags).to_owned(),
                tags,
                ocsf_class: None,
                remediation: cut(&rule.help.text, 4000).to_owned(),
                help_url: cut(&rule.help_uri, 500).to_owned(),
                tool: self.info.tool.clone(),
            }),
            score: text("security-severity").trim().parse().ok(),
            level: rule.default_configuration.level.clone(),
            messages: rule
                .message_strings
                .iter()
                .map(|(id, message)| (id.clone(), message.text.clone()))
                .collect(),
        }
    }

    fn invocations(&mut self, all: &[Invocation]) {
        for (at, invocation) in all.iter().enumerate() {
            self.failed |= invocation.execution_successful == Some(false);
            let ended = time(&invocation.end_time_utc).or_else(|| time(&invocation.start_time_utc));
            self.info.scanned_at = self.info.scanned_at.max(ended);
            for one in &invocation.rule_configuration_overrides {
                let level = one.configuration.level.as_deref().map(from_level);
                self.overrides.insert((at, one.descriptor.id.clone()), level);
            }
        }
    }

    pub(super) fn announce(&self, sink: &mut dyn Sink) {
        let mut info = self.info.clone();
        if info.tool.is_empty() {
            info.tool = tool_name("");
        }
        sink.run(&info);
        for rule in self.rules.iter().chain(self.extensions.iter().flatten()) {
            sink.listed(&rule.check);
        }
    }
}

/// Level of a result or rule, section 3.27.10 of the standard.
pub(super) fn from_level(level: &str) -> Severity {
    match level {
        "error" => Severity::High,
        "warning" => Severity::Medium,
        "note" => Severity::Low,
        "none" => Severity::Informational,
        _ => Severity::Unknown,
    }
}

fn list(value: Option<&serde_json::Value>) -> Vec<String> {
    match value {
        Some(serde_json::Value::Array(all)) => all
            .iter()
            .filter_map(|v| v.as_str().map(|s| cut(s, 200).to_owned()))
            .collect(),
        Some(serde_json::Value::String(one)) => vec![cut(one, 200).to_owned()],
        _ => Vec::new(),
    }
}

fn is_cwe(tag: &str) -> bool {
    let lower = tag.to_ascii_lowercase();
    lower.contains("cwe-") || lower.starts_with("cwe")
}

pub(super) fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

/// Tools that look for secrets, by a part of their names.
const SECRET_TOOLS: [&str; 10] = [
    "gitleaks",
    "trufflehog",
    "detect-secrets",
    "ggshield",
    "noseyparker",
    "kingfisher",
    "credscan",
    "talisman",
    "whispers",
    "secret",
];

pub(super) fn category(tool: &str, rule: &str, tags: &[String]) -> &'static str {
    if vulnerability_id(rule).is_some() {
        return "vulnerability";
    }
    let secret_tag = |tag: &String| {
        let tag = tag.to_ascii_lowercase();
        tag.contains("secret") || tag.contains("credential")
    };
    if SECRET_TOOLS.iter().any(|name| tool.contains(name)) || tags.iter().any(secret_tag) {
        return "secret";
    }
    match tool {
        // Its rules for passwords quote them.
        "bandit" if matches!(rule, "B105" | "B106" | "B107") => "secret",
        "trivy" | "checkov" | "kics" | "tfsec" | "terrascan" | "dockle" | "kubescape" => "misconfiguration",
        _ => "code",
    }
}
