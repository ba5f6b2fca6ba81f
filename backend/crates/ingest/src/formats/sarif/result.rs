//! One result, and what it says of the rule that it breaks.

use super::head::{Head, Rule, category, first_line, from_level};
use crate::json::{Cursor, Fault, text};
use crate::record::{cut, vulnerability_id};
use crate::{ReadError, Sink};
use affiant_domain::Severity;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, rule_id, tool_name};
use std::borrow::Cow;
use std::sync::Arc;

type Text<'b> = Option<&'b str>;

/// Bytes that arguments may add to a message.
const MESSAGE: usize = 64 << 10;

/// What is read of a result.
#[derive(Default)]
pub(super) struct SarifResult<'b> {
    rule_id: Text<'b>,
    rule_index: Option<i64>,
    /// Which extension of the tool its rule is of.
    extension: Option<i64>,
    level: Text<'b>,
    kind: Text<'b>,
    baseline: Text<'b>,
    message: Message<'b>,
    locations: Vec<Location<'b>>,
    fingerprints: Named<'b>,
    partial_fingerprints: Named<'b>,
    suppressions: Vec<Suppression<'b>>,
    invocation: Option<i64>,
    /// The whole of it, as it is written.
    whole: &'b [u8],
}

/// Values by name, as they are written.
type Named<'b> = Vec<(&'b str, &'b str)>;

#[derive(Default)]
struct Message<'b> {
    text: Text<'b>,
    markdown: Text<'b>,
    id: Text<'b>,
    arguments: Vec<&'b str>,
}

#[derive(Default)]
struct Location<'b> {
    uri: Text<'b>,
    /// What it is relative to.
    base: Text<'b>,
    /// Which file of the run it is.
    index: Option<i64>,
    /// The first logical location's name.
    logical: Text<'b>,
    line: Option<i64>,
}

#[derive(Default)]
struct Suppression<'b> {
    status: Text<'b>,
    justification: Text<'b>,
    kind: Text<'b>,
}

impl<'b> SarifResult<'b> {
    /// Takes the next value, which is to be a result.
    pub(super) fn take(cursor: &mut Cursor<'b>) -> Result<Self, Fault> {
        let mut found = Self::default();
        let mut rule = (None, None);
        let start = cursor.at();
        cursor.object(|c, key| {
            match key {
                b"ruleId" => found.rule_id = c.text()?,
                b"ruleIndex" => found.rule_index = c.whole()?,
                b"rule" => rule = found.rule(c)?,
                b"level" => found.level = c.text()?,
                b"kind" => found.kind = c.text()?,
                b"baselineState" => found.baseline = c.text()?,
                b"message" => found.message = Message::take(c)?,
                b"locations" => c.list_or_null(|c| {
                    found.locations.push(Location::take(c)?);
                    Ok(())
                })?,
                b"fingerprints" => found.fingerprints = named(c)?,
                b"partialFingerprints" => found.partial_fingerprints = named(c)?,
                b"suppressions" => c.list_or_null(|c| {
                    found.suppressions.push(Suppression::take(c)?);
                    Ok(())
                })?,
                b"provenance" => c.object_or_null(|c, key| match key {
                    b"invocationIndex" => {
                        found.invocation = c.whole()?;
                        Ok(())
                    }
                    _ => c.skip(),
                })?,
                _ => c.skip()?,
            }
            Ok(())
        })?;
        found.whole = cursor.since(start);
        found.rule_id = found.rule_id.or(rule.0);
        found.rule_index = found.rule_index.or(rule.1);
        Ok(found)
    }

    fn rule(&mut self, cursor: &mut Cursor<'b>) -> Result<(Text<'b>, Option<i64>), Fault> {
        let (mut id, mut index) = (None, None);
        cursor.object_or_null(|c, key| {
            match key {
                b"id" => id = c.text()?,
                b"index" => index = c.whole()?,
                b"toolComponent" => c.object_or_null(|c, key| match key {
                    b"index" => {
                        self.extension = c.whole()?;
                        Ok(())
                    }
                    _ => c.skip(),
                })?,
                _ => c.skip()?,
            }
            Ok(())
        })?;
        Ok((id, index))
    }

    fn id(&self) -> &str {
        self.rule_id.unwrap_or_default()
    }

    fn is_absent(&self) -> bool {
        self.baseline == Some("absent")
    }

    /// The reason, where every suppression is accepted; a status that is not given counts as accepted.
    fn suppression(&self) -> Option<String> {
        let first = self.suppressions.first()?;
        let is_accepted = |one: &Suppression<'_>| one.status.is_none_or(|status| status == "accepted");
        let reason = first.justification.or(first.kind);
        let reason = reason.map_or("", |reason| cut(reason, 1000));
        self.suppressions.iter().all(is_accepted).then(|| reason.to_owned())
    }

    fn message<'s>(&'s self, head: &'s Head, rule: Option<&'s Rule>) -> Cow<'s, str> {
        let message = &self.message;
        let by_id = |id| {
            rule.and_then(|rule| rule.messages.get(id))
                .or_else(|| head.messages.get(id))
        };
        let told = message.text.or(message.markdown);
        let told = told.or_else(|| message.id.and_then(by_id).map(String::as_str));
        let told = told.unwrap_or_default();
        if message.arguments.is_empty() {
            return Cow::Borrowed(told);
        }
        let mut text = told.to_owned();
        for (at, argument) in message.arguments.iter().enumerate().take(20) {
            // A message is shown up to eight thousand bytes: what would grow past reason stays as it is.
            let place = format!("{{{at}}}");
            let grown = text.matches(&place).count().saturating_mul(argument.len());
            if grown <= MESSAGE {
                text = text.replace(&place, argument);
            }
        }
        Cow::Owned(text)
    }

    fn fingerprint(&self, check: &Check, uri: &str, message: &str) -> Fingerprint {
        let location = self.locations.first();
        let whole = given(&self.fingerprints);
        if !whole.is_empty() {
            return Fingerprint::of(&[&check.tool, &check.rule, &whole]);
        }
        let partial = given(&self.partial_fingerprints);
        if !partial.is_empty() {
            return Fingerprint::of(&[&check.tool, &check.rule, uri, &partial]);
        }
        let logical = location.and_then(|location| location.logical);
        Fingerprint::of(&[&check.tool, &check.rule, uri, logical.unwrap_or_default(), message])
    }
}

impl<'b> Message<'b> {
    fn take(cursor: &mut Cursor<'b>) -> Result<Self, Fault> {
        let mut found = Self::default();
        cursor.object_or_null(|c, key| {
            match key {
                b"text" => found.text = c.text()?,
                b"markdown" => found.markdown = c.text()?,
                b"id" => found.id = c.text()?,
                b"arguments" => c.list_or_null(|c| {
                    found.arguments.push(c.text()?.unwrap_or_default());
                    Ok(())
                })?,
                _ => c.skip()?,
            }
            Ok(())
        })?;
        Ok(found)
    }
}

impl<'b> Suppression<'b> {
    fn take(cursor: &mut Cursor<'b>) -> Result<Self, Fault> {
        let mut found = Self::default();
        cursor.object(|c, key| {
            match key {
                b"status" => found.status = c.text()?,
                b"justification" => found.justification = c.text()?,
                b"kind" => found.kind = c.text()?,
                _ => c.skip()?,
            }
            Ok(())
        })?;
        Ok(found)
    }
}

impl<'b> Location<'b> {
    fn take(cursor: &mut Cursor<'b>) -> Result<Self, Fault> {
        let mut found = Self::default();
        cursor.object(|c, key| match key {
            b"physicalLocation" => c.object_or_null(|c, key| match key {
                b"artifactLocation" => c.object_or_null(|c, key| match key {
                    b"uri" => {
                        found.uri = c.text()?;
                        Ok(())
                    }
                    b"uriBaseId" => {
                        if c.peek()? != b'"' {
                            return c.skip();
                        }
                        found.base = c.text()?;
                        Ok(())
                    }
                    b"index" => {
                        found.index = c.raw()?.parse().ok();
                        Ok(())
                    }
                    _ => c.skip(),
                }),
                b"region" => c.object_or_null(|c, key| match key {
                    b"startLine" => {
                        found.line = c.whole()?;
                        Ok(())
                    }
                    _ => c.skip(),
                }),
                _ => c.skip(),
            }),
            b"logicalLocations" => {
                let mut first = true;
                c.list_or_null(|c| {
                    let name = logical(c)?;
                    if std::mem::take(&mut first) {
                        found.logical = name;
                    }
                    Ok(())
                })
            }
            _ => c.skip(),
        })?;
        Ok(found)
    }

    fn uri<'l>(&'l self, head: &'l Head) -> Cow<'l, str> {
        match (self.uri, self.index.and_then(|index| head.artifact(index))) {
            (Some(uri), _) => head.placed(uri, self.base.unwrap_or_default()),
            (None, Some(uri)) => Cow::Borrowed(uri),
            (None, None) => Cow::Borrowed(self.logical.unwrap_or_default()),
        }
    }

    fn line(&self) -> Option<u32> {
        u32::try_from(self.line?).ok()
    }
}

/// Keys under which tools that look for secrets write them, or the lines that hold them.
const SECRET_KEYS: [&str; 7] = ["snippet", "offender", "secret", "match", "raw", "rawv2", "plaintext"];

/// Hands the texts under those keys to the sink, wherever they stand in a result.
fn secrets(value: &serde_json::Value, key: &str, sink: &mut dyn Sink) {
    match value {
        serde_json::Value::String(text) if !key.is_empty() => sink.secret(text),
        serde_json::Value::Array(all) => all.iter().for_each(|one| secrets(one, key, sink)),
        serde_json::Value::Object(map) => {
            for (name, inner) in map {
                let is_secret = SECRET_KEYS.iter().any(|known| known.eq_ignore_ascii_case(name));
                secrets(inner, if is_secret { name } else { key }, sink);
            }
        }
        _ => {}
    }
}

fn logical<'b>(cursor: &mut Cursor<'b>) -> Result<Text<'b>, Fault> {
    let (mut full, mut name) = (None, None);
    cursor.object(|c, key| {
        match key {
            b"fullyQualifiedName" => full = c.text()?,
            b"name" => name = c.text()?,
            _ => c.skip()?,
        }
        Ok(())
    })?;
    Ok(full.or(name))
}

fn named<'b>(cursor: &mut Cursor<'b>) -> Result<Named<'b>, Fault> {
    let mut all = Named::new();
    cursor.object_or_null(|c, key| {
        all.push((text(key)?, c.raw()?));
        Ok(())
    })?;
    // Of equal names the last one counts.
    all.reverse();
    all.sort_by_key(|(one, _)| *one);
    all.dedup_by(|(one, _), (other, _)| one == other);
    Ok(all)
}

/// The fingerprints that a tool gives, in order of their names; placeholders and what is not text are left out.
fn given(all: &Named<'_>) -> String {
    let mut joined = String::new();
    for (name, value) in all {
        let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        if let Some(text) = text.filter(|text| !text.is_empty() && *text != "requires login") {
            joined.push_str(name);
            joined.push('=');
            joined.push_str(text);
            joined.push('\n');
        }
    }
    joined
}

impl Head {
    fn rule_of(&self, result: &SarifResult<'_>) -> Option<&Arc<Rule>> {
        let index = result.rule_index.and_then(|i| usize::try_from(i).ok());
        let extension = result.extension.and_then(|i| usize::try_from(i).ok());
        let rules = match extension {
            Some(at) => self.extensions.get(at).map(Vec::as_slice),
            None => Some(self.rules.as_slice()),
        };
        let named = result.rule_id.map(|id| rule_id(&self.info.tool, id));
        // A rule by number that the name contradicts is not the one.
        let is_meant = |rule: &&Arc<Rule>| {
            let (rule, Some(id)) = (rule.check.rule.as_str(), named.as_deref()) else {
                return true;
            };
            rule.is_empty() || id == rule || id.strip_prefix(rule).is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(rule) = index.and_then(|index| rules?.get(index)).filter(is_meant) {
            return Some(rule);
        }
        let mut id = result.rule_id?;
        loop {
            if let Some(rule) = self.by_id.get(&*rule_id(&self.info.tool, id)) {
                return Some(rule);
            }
            id = &id[..id.rfind('/')?];
        }
    }

    /// Hands a result to the sink.
    pub(super) fn give(&self, result: &SarifResult<'_>, place: Place, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let outcome = match result.kind.unwrap_or("fail") {
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
        let message = result.message(self, rule.map(AsRef::as_ref));
        let location = result.locations.first();
        let uri = location.map_or(Cow::Borrowed(""), |location| location.uri(self));
        let fingerprint = result.fingerprint(&check, &uri, &message);
        let title = match rule
            .map(|rule| rule.check.title.as_str())
            .filter(|title| !title.is_empty())
        {
            Some(title) => Cow::Borrowed(title),
            None => Cow::Borrowed(cut(first_line(&message), 300)),
        };
        if check.category == "secret"
            && let Ok(whole) = serde_json::from_slice(result.whole)
        {
            secrets(&whole, "", sink);
            if check.tool == "bandit"
                && let Some((_, quoted)) = message.split_once('\'')
                && let Some((quoted, _)) = quoted.rsplit_once('\'')
            {
                sink.secret(quoted);
            }
        }
        sink.observation(Observation {
            severity: self.severity(result, rule.map(AsRef::as_ref)),
            counted: outcome.is_finding(),
            outcome,
            resource: None,
            title,
            message: Cow::Borrowed(cut(&message, 8000)),
            location: Cow::Borrowed(cut(&uri, 1000)),
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
        let id = result.id();
        Check {
            tool: if self.info.tool.is_empty() {
                tool_name("")
            } else {
                self.info.tool.clone()
            },
            rule: rule_id(&self.info.tool, cut(id, 300)).into_owned(),
            cve: vulnerability_id(id),
            category: category(&self.info.tool, id, &[]).to_owned(),
            ..Check::default()
        }
    }

    fn severity(&self, result: &SarifResult<'_>, rule: Option<&Rule>) -> Severity {
        if let Some(score) = rule.and_then(|rule| rule.score) {
            return Severity::from_cvss(score);
        }
        if let Some(level) = result.level {
            return from_level(level);
        }
        let index = result.invocation.and_then(|i| usize::try_from(i).ok());
        let overridden = index.and_then(|index| *self.overrides.get(&(index, result.id().to_owned()))?);
        overridden
            .or_else(|| rule.and_then(|rule| rule.level.as_deref()).map(from_level))
            .unwrap_or(Severity::Medium)
    }
}
