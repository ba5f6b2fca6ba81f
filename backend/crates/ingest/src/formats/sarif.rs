//! SARIF 2.1.0 (OASIS standard of that name): results of static analysers, and of most other scanners on request.

use crate::json::{Direct, Walker, parse_direct};
use crate::record::{Text, cut, one, or_default, time, vulnerability_id};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::Severity;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, RunInfo, cwe_number, rule_id, tool_name};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(super) fn recognise(sniff: &Sniff) -> bool {
    let Some(json) = sniff.json.as_ref().and_then(serde_json::Value::as_object) else {
        return false;
    };
    let schema = json
        .get("$schema")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    json.contains_key("runs") || schema.contains("sarif")
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut walker = Walker::open(source, limits)?;
    let mut reader = Reader {
        limits,
        rejected: 0,
        heads: None,
    };
    let (mut version, mut has_runs) = (None, false);
    walker.object(|w, key| match key {
        "version" => {
            let text = w.text()?.unwrap_or_default();
            if !text.starts_with("2.1") {
                return Err(w.broken(format!(
                    "SARIF version \"{}\" is not supported; 2.1.0 is",
                    cut(&text, 40)
                )));
            }
            sink.version(&text);
            version = Some(text);
            Ok(())
        }
        "runs" => {
            has_runs = true;
            w.array_or_null("runs", |w, at| reader.run(w, source, at, sink))
        }
        _ => w.skip(),
    })?;
    if version.is_none() {
        return Err(walker.broken("there is no SARIF version; 2.1.0 is supported"));
    }
    if !has_runs {
        return Err(walker.broken("there is no \"runs\""));
    }
    walker.finish()
}

struct Reader<'l> {
    limits: &'l Limits,
    rejected: u64,
    /// What stands outside the results, of all runs: read only where a run's results come before its tool.
    heads: Option<Vec<Head>>,
}

/// What a run says of itself.
#[derive(Default)]
struct Head {
    info: RunInfo,
    rules: Vec<Arc<Rule>>,
    extensions: Vec<Vec<Arc<Rule>>>,
    by_id: HashMap<String, Arc<Rule>>,
    overrides: HashMap<(usize, String), Option<Severity>>,
    has_tool: bool,
}

struct Rule {
    check: Arc<Check>,
    score: Option<f64>,
    level: Option<String>,
    messages: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn run(
        &mut self,
        walker: &mut Walker<'_>,
        source: &dyn Source,
        at: usize,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        let mut head = Head::default();
        let mut announced = false;
        walker.object(|w, key| {
            if key != "results" {
                return head.take(w, key);
            }
            if !head.has_tool {
                head = self.head(source, at)?;
            }
            head.announce(sink);
            announced = true;
            w.array_or_null("results", |w, _| {
                let taken = w.direct(&mut |bytes, place| match parse_direct::<SarifResult<'_>>(bytes) {
                    Ok((result, used)) => {
                        let length = u32::try_from(used).unwrap_or(u32::MAX);
                        head.take_result(&result, Place { length, ..place }, sink)?;
                        Ok(Direct::Used(used))
                    }
                    Err(other) => Ok(other),
                })?;
                if taken {
                    return Ok(());
                }
                one(w, self.limits, sink, &mut self.rejected, &mut |bytes, place, sink| {
                    head.result(bytes, place, sink)
                })
            })
        })?;
        if !announced {
            head.announce(sink);
        }
        Ok(())
    }

    fn head(&mut self, source: &dyn Source, at: usize) -> Result<Head, ReadError> {
        if self.heads.is_none() {
            self.heads = Some(heads(source, self.limits)?);
        }
        Ok(self
            .heads
            .as_mut()
            .and_then(|all| all.get_mut(at))
            .map(std::mem::take)
            .unwrap_or_default())
    }
}

fn heads(source: &dyn Source, limits: &Limits) -> Result<Vec<Head>, ReadError> {
    let mut walker = Walker::open(source, limits)?;
    let mut heads = Vec::new();
    walker.object(|w, key| {
        if key != "runs" {
            return w.skip();
        }
        w.array_or_null("runs", |w, _| {
            let mut head = Head::default();
            w.object(|w, key| head.take(w, key))?;
            heads.push(head);
            Ok(())
        })
    })?;
    Ok(heads)
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
    fn take(&mut self, walker: &mut Walker<'_>, key: &str) -> Result<(), ReadError> {
        match key {
            "tool" => {
                let tool: Tool = walker.parse("tool")?;
                self.tool(&tool);
                Ok(())
            }
            "invocations" => {
                let all: Option<Vec<Invocation>> = walker.parse("invocations")?;
                self.invocations(&all.unwrap_or_default());
                Ok(())
            }
            _ => walker.skip(),
        }
    }

    fn tool(&mut self, tool: &Tool) {
        self.has_tool = true;
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
                rule: rule_id(&self.info.tool, &rule.id),
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
            let ended = time(&invocation.end_time_utc).or_else(|| time(&invocation.start_time_utc));
            self.info.scanned_at = self.info.scanned_at.max(ended);
            for one in &invocation.rule_configuration_overrides {
                let level = one.configuration.level.as_deref().map(from_level);
                self.overrides.insert((at, one.descriptor.id.clone()), level);
            }
        }
    }

    fn announce(&self, sink: &mut dyn Sink) {
        let mut info = self.info.clone();
        if info.tool.is_empty() {
            info.tool = tool_name("");
        }
        sink.run(&info);
        for rule in self.rules.iter().chain(self.extensions.iter().flatten()) {
            sink.listed(&rule.check);
        }
    }

    fn rule_of(&self, result: &SarifResult<'_>) -> Option<&Arc<Rule>> {
        let reference = result.rule.as_ref();
        let id = result
            .rule_id
            .as_ref()
            .or(reference.and_then(|r| r.id.as_ref()))
            .map(|id| id.0.as_ref());
        let index = result
            .rule_index
            .or(reference.and_then(|r| r.index))
            .and_then(|i| usize::try_from(i).ok());
        let component = reference.and_then(|r| r.tool_component.as_ref());
        let extension = component.and_then(|c| c.index).and_then(|i| usize::try_from(i).ok());
        let rules = match extension {
            Some(at) => self.extensions.get(at).map(Vec::as_slice),
            None => Some(self.rules.as_slice()),
        };
        if let Some(rule) = index.and_then(|index| rules?.get(index)) {
            return Some(rule);
        }
        let mut id = id?;
        loop {
            if let Some(rule) = self.by_id.get(rule_id(&self.info.tool, id).as_str()) {
                return Some(rule);
            }
            id = &id[..id.rfind('/')?];
        }
    }

    fn result(&self, bytes: &[u8], place: Place, sink: &mut dyn Sink) -> crate::record::Read1 {
        if bytes == b"null" {
            return Ok(Ok(()));
        }
        let result: SarifResult<'_> = match serde_json::from_slice(bytes) {
            Ok(result) => result,
            Err(error) => return Ok(Err(format!("not a SARIF result: {error}"))),
        };
        self.take_result(&result, place, sink)?;
        Ok(Ok(()))
    }

    fn take_result(&self, result: &SarifResult<'_>, place: Place, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let kind = result.kind.as_ref().map_or("fail", |k| k.0.as_ref());
        let outcome = match kind {
            "fail" if result.is_absent() => Outcome::Gone,
            "fail" => result.suppression().map_or(Outcome::Open, Outcome::Suppressed),
            "pass" => Outcome::Pass,
            "notApplicable" => Outcome::NotApplicable,
            _ => Outcome::Error,
        };
        let rule = self.rule_of(result);
        let check = match rule {
            Some(rule) => rule.check.clone(),
            None => Arc::new(self.unlisted(result)),
        };
        let message = result.message(rule.map(AsRef::as_ref));
        let location = result.locations.iter().flatten().next();
        let uri = location.map_or("", Location::uri);
        let fingerprint = result.fingerprint(&check, uri, location, &message);
        let title = match rule
            .map(|rule| rule.check.title.as_str())
            .filter(|title| !title.is_empty())
        {
            Some(title) => Cow::Borrowed(title),
            None => Cow::Borrowed(cut(first_line(&message), 300)),
        };
        if check.category == "secret" {
            let snippets = result.locations.iter().flatten().filter_map(Location::snippet);
            snippets.for_each(|snippet| sink.secret(snippet));
        }
        sink.observation(Observation {
            severity: self.severity(result, rule.map(AsRef::as_ref)),
            counted: outcome.is_finding(),
            outcome,
            resource: None,
            title,
            message: Cow::Borrowed(cut(&message, 8000)),
            location: Cow::Borrowed(cut(uri, 1000)),
            line: location.and_then(Location::line).unwrap_or(0),
            fingerprint,
            place,
            observed_at: None,
            package: Cow::Borrowed(""),
            cvss: None,
            check,
        })?;
        Ok(())
    }

    fn unlisted(&self, result: &SarifResult<'_>) -> Check {
        let id = result
            .rule_id
            .as_ref()
            .or(result.rule.as_ref().and_then(|r| r.id.as_ref()))
            .map_or("", |id| id.0.as_ref());
        Check {
            tool: if self.info.tool.is_empty() {
                tool_name("")
            } else {
                self.info.tool.clone()
            },
            rule: rule_id(&self.info.tool, cut(id, 300)),
            cve: vulnerability_id(id),
            category: category(&self.info.tool, id, &[]).to_owned(),
            ..Check::default()
        }
    }

    fn severity(&self, result: &SarifResult<'_>, rule: Option<&Rule>) -> Severity {
        if let Some(score) = rule.and_then(|rule| rule.score) {
            return Severity::from_cvss(score);
        }
        if let Some(level) = &result.level {
            return from_level(&level.0);
        }
        let index = result
            .provenance
            .as_ref()
            .and_then(|p| p.invocation_index)
            .and_then(|i| usize::try_from(i).ok());
        let id = result.rule_id.as_ref().map(|id| id.0.as_ref()).unwrap_or_default();
        let overridden = index.and_then(|index| *self.overrides.get(&(index, id.to_owned()))?);
        overridden
            .or_else(|| rule.and_then(|rule| rule.level.as_deref()).map(from_level))
            .unwrap_or(Severity::Medium)
    }
}

/// Level of a result or rule, section 3.27.10 of the standard.
fn from_level(level: &str) -> Severity {
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

fn first_line(text: &str) -> &str {
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

fn category(tool: &str, rule: &str, tags: &[String]) -> &'static str {
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
        "trivy" | "checkov" | "kics" | "tfsec" | "terrascan" | "dockle" | "kubescape" => "misconfiguration",
        _ => "code",
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SarifResult<'a> {
    #[serde(borrow)]
    rule_id: Option<Text<'a>>,
    rule_index: Option<i64>,
    #[serde(borrow)]
    rule: Option<RuleReference<'a>>,
    #[serde(borrow)]
    level: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<ResultMessage<'a>>,
    #[serde(borrow)]
    locations: Option<Vec<Location<'a>>>,
    #[serde(borrow)]
    fingerprints: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
    #[serde(borrow)]
    partial_fingerprints: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
    #[serde(borrow)]
    suppressions: Option<Vec<Suppression<'a>>>,
    #[serde(borrow)]
    baseline_state: Option<Text<'a>>,
    provenance: Option<Provenance>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct RuleReference<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    index: Option<i64>,
    tool_component: Option<ComponentReference>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ComponentReference {
    index: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Provenance {
    invocation_index: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResultMessage<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    markdown: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<Vec<Text<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Suppression<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    justification: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Location<'a> {
    #[serde(borrow)]
    physical_location: Option<PhysicalLocation<'a>>,
    #[serde(borrow)]
    logical_locations: Option<Vec<LogicalLocation<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct PhysicalLocation<'a> {
    #[serde(borrow)]
    artifact_location: Option<ArtifactLocation<'a>>,
    #[serde(borrow)]
    region: Option<Region<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ArtifactLocation<'a> {
    #[serde(borrow)]
    uri: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Region<'a> {
    start_line: Option<i64>,
    #[serde(borrow)]
    snippet: Option<Snippet<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Snippet<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    text: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LogicalLocation<'a> {
    #[serde(borrow)]
    fully_qualified_name: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

impl Location<'_> {
    fn uri(&self) -> &str {
        let artifact = self
            .physical_location
            .as_ref()
            .and_then(|p| p.artifact_location.as_ref());
        match artifact.and_then(|a| a.uri.as_ref()) {
            Some(uri) => &uri.0,
            None => self.logical(),
        }
    }

    fn logical(&self) -> &str {
        let logical = self.logical_locations.iter().flatten().next();
        logical
            .and_then(|l| l.fully_qualified_name.as_ref().or(l.name.as_ref()))
            .map_or("", |name| &name.0)
    }

    fn line(&self) -> Option<u32> {
        u32::try_from(self.physical_location.as_ref()?.region.as_ref()?.start_line?).ok()
    }
}

impl Location<'_> {
    fn snippet(&self) -> Option<&str> {
        let snippet = self.physical_location.as_ref()?.region.as_ref()?.snippet.as_ref()?;
        Some(snippet.text.0.as_ref())
    }
}

impl SarifResult<'_> {
    fn is_absent(&self) -> bool {
        self.baseline_state.as_ref().is_some_and(|state| state.0 == "absent")
    }

    /// The reason, where every suppression is accepted; a status that is not given counts as accepted.
    fn suppression(&self) -> Option<String> {
        let all = self.suppressions.as_deref().filter(|all| !all.is_empty())?;
        let accepted = all
            .iter()
            .all(|s| s.status.as_ref().is_none_or(|status| status.0 == "accepted"));
        let first = accepted.then(|| all.first())??;
        let reason = first.justification.as_ref().or(first.kind.as_ref());
        Some(reason.map_or_else(String::new, |reason| cut(&reason.0, 1000).to_owned()))
    }

    fn message<'s>(&'s self, rule: Option<&Rule>) -> Cow<'s, str> {
        let Some(message) = &self.message else {
            return Cow::Borrowed("");
        };
        if let Some(text) = message.text.as_ref().or(message.markdown.as_ref()) {
            return Cow::Borrowed(&text.0);
        }
        let template = message.id.as_ref().and_then(|id| rule?.messages.get(id.0.as_ref()));
        let Some(template) = template else {
            return Cow::Borrowed("");
        };
        let mut text = template.clone();
        for (at, argument) in message.arguments.iter().flatten().enumerate().take(20) {
            text = text.replace(&format!("{{{at}}}"), &argument.0);
        }
        Cow::Owned(text)
    }

    fn fingerprint(&self, check: &Check, uri: &str, location: Option<&Location<'_>>, message: &str) -> Fingerprint {
        let whole = given(self.fingerprints.as_ref());
        if !whole.is_empty() {
            return Fingerprint::of(&[&check.tool, &check.rule, &whole]);
        }
        let partial = given(self.partial_fingerprints.as_ref());
        if !partial.is_empty() {
            return Fingerprint::of(&[&check.tool, &check.rule, uri, &partial]);
        }
        Fingerprint::of(&[
            &check.tool,
            &check.rule,
            uri,
            location.map_or("", Location::logical),
            message,
        ])
    }
}

/// The fingerprints that a tool gives, in order of their names; placeholders and what is not text are left out.
fn given(all: Option<&BTreeMap<Cow<'_, str>, &RawValue>>) -> String {
    let mut joined = String::new();
    for (name, value) in all.into_iter().flatten() {
        let text = value.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        if let Some(text) = text.filter(|text| !text.is_empty() && *text != "requires login") {
            joined.push_str(name);
            joined.push('=');
            joined.push_str(text);
            joined.push('\n');
        }
    }
    joined
}
