//! A record becomes an observation.

use super::emit::Emit;
use super::expr::{Expr, cvss, time_at};
use super::format::{Counted, FindingRule, SeverityRule};
use super::scope::Scope;
use crate::record::{Read1, cut};
use affiant_domain::Severity;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, Resource, cwe_number, rule_id, tool_name};
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub(super) fn observe(emit: &mut Emit<'_>, rule: &FindingRule, scope: &Scope<'_>, place: Place) -> Read1 {
    let Some(outcome) = outcome(rule, scope) else {
        return Ok(Ok(()));
    };
    let Some(id) = rule.rule.text(scope) else {
        return Ok(Err("a record without a rule, a check or an id".to_owned()));
    };
    let tool = rule
        .tool
        .as_ref()
        .and_then(|expr| expr.text(scope))
        .map(|name| tool_name(&name));
    let tool = tool.unwrap_or_else(|| emit.run.tool.clone());
    emit.announce(&tool);
    let check = check(emit, rule, scope, &tool, &id);
    if emit.format.lists_checks {
        emit.sink.listed(&check);
    }
    let location = or_empty(rule.location.as_ref(), scope);
    let package = or_empty(rule.package.as_ref(), scope);
    let shared = check.clone();
    let message = rule
        .message
        .as_ref()
        .and_then(|expr| expr.text(scope))
        .unwrap_or(Cow::Borrowed(&shared.title));
    let secrets = rule.secret.iter().filter(|_| rule.secret_when.holds(scope));
    for secret in secrets {
        let sink = &mut *emit.sink;
        secret.each(scope, &mut |text| sink.secret(&text));
    }
    let resource = rule
        .resource
        .as_ref()
        .and_then(|expr| expr.text(scope))
        .map(|name| Resource {
            kind: rule
                .resource_kind
                .as_ref()
                .and_then(|expr| expr.text(scope))
                .unwrap_or(Cow::Borrowed("resource")),
            name,
        });
    let cvss = or_empty(rule.cvss.as_ref(), scope);
    emit.sink.observation(Observation {
        package: Cow::Borrowed(cut(&package, 200)),
        cvss: super::expr::cvss(&cvss),
        fingerprint: fingerprint(rule, scope, &tool, &check.rule, (&location, &package)),
        severity: severity(&rule.severity, scope),
        counted: match rule.counted {
            Counted::Failures => outcome.is_finding(),
            Counted::All => true,
            Counted::None => false,
        },
        outcome,
        resource,
        title: Cow::Borrowed(&shared.title),
        message: Cow::Borrowed(cut(&message, 4000)),
        location: Cow::Borrowed(cut(&location, 1000)),
        line: rule
            .line
            .as_ref()
            .and_then(|expr| expr.text(scope))
            .and_then(|line| line.parse().ok())
            .unwrap_or(0),
        place,
        observed_at: rule.observed_at.as_ref().and_then(|expr| time_at(expr, scope)),
        check,
    })?;
    Ok(Ok(()))
}

fn or_empty<'s>(expr: Option<&Expr>, scope: &Scope<'s>) -> Cow<'s, str> {
    expr.map(|expr| expr.or_empty(scope)).unwrap_or_default()
}

/// What came out; none where the record is to be passed over.
fn outcome(rule: &FindingRule, scope: &Scope<'_>) -> Option<Outcome> {
    let Some(found) = rule.outcome.iter().find(|rule| rule.when.holds(scope)) else {
        return Some(Outcome::Open);
    };
    Some(match found.is.as_str() {
        "skip" => return None,
        "suppressed" => Outcome::Suppressed(cut(&or_empty(found.reason.as_ref(), scope), 1000).to_owned()),
        "gone" => Outcome::Gone,
        "pass" => Outcome::Pass,
        "not_applicable" => Outcome::NotApplicable,
        "error" => Outcome::Error,
        _ => Outcome::Open,
    })
}

/// A check as a record tells it, borrowed: most records tell one that is known already.
#[derive(Hash)]
struct Told<'s> {
    tool: &'s str,
    rule: &'s str,
    title: &'s str,
    cwe: Vec<u32>,
    cve: Option<&'s str>,
    tags: Vec<&'s str>,
    category: &'s str,
    remediation: &'s str,
    help_url: &'s str,
}

impl Told<'_> {
    fn is(&self, check: &Check) -> bool {
        self.tool == check.tool
            && self.rule == check.rule
            && self.title == check.title
            && self.cwe == check.cwe
            && self.cve == check.cve.as_deref()
            && self.tags == check.tags
            && self.category == check.category
            && self.remediation == check.remediation
            && self.help_url == check.help_url
    }

    fn check(&self) -> Arc<Check> {
        Arc::new(Check {
            tool: self.tool.to_owned(),
            rule: self.rule.to_owned(),
            title: self.title.to_owned(),
            cwe: self.cwe.clone(),
            cve: self.cve.map(str::to_owned),
            tags: self.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            category: self.category.to_owned(),
            ocsf_class: None,
            remediation: self.remediation.to_owned(),
            help_url: self.help_url.to_owned(),
        })
    }
}

fn check(emit: &mut Emit<'_>, rule: &FindingRule, scope: &Scope<'_>, tool: &str, id: &str) -> Arc<Check> {
    let mut cwe = Vec::new();
    if let Some(expr) = &rule.cwe {
        expr.each(scope, &mut |value| cwe.extend(cwe_number(&value)));
        cwe.sort_unstable();
        cwe.dedup();
    }
    let mut tags = Vec::new();
    for expr in &rule.tags {
        expr.each(scope, &mut |value| tags.push(value));
    }
    let mut tags: Vec<&str> = tags
        .iter()
        .map(|tag| cut(tag, 200))
        .filter(|tag| !tag.is_empty())
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags.truncate(400);
    let text = |expr: &Option<Expr>| or_empty(expr.as_ref(), scope);
    let (category, remediation, help_url) = (text(&rule.category), text(&rule.remediation), text(&rule.help_url));
    let (title, cve) = (
        rule.title.text(scope),
        rule.cve.as_ref().and_then(|expr| expr.text(scope)),
    );
    let id_of_rule = rule_id(tool, id);
    let told = Told {
        tool,
        rule: cut(&id_of_rule, 300),
        title: cut(title.as_deref().unwrap_or(id), 300),
        cwe,
        cve: cve.as_deref().map(|id| cut(id, 100)),
        tags,
        category: cut(&category, 60),
        remediation: cut(&remediation, 2000),
        help_url: cut(&help_url, 500),
    };
    let mut hasher = DefaultHasher::new();
    told.hash(&mut hasher);
    let key = hasher.finish();
    if let Some(known) = emit.checks.get(&key).filter(|known| told.is(known)) {
        return known.clone();
    }
    let check = told.check();
    if emit.checks.len() < 100_000 {
        emit.checks.insert(key, check.clone());
    }
    check
}

fn severity(rules: &[SeverityRule], scope: &Scope<'_>) -> Severity {
    for rule in rules.iter().filter(|rule| rule.when.holds(scope)) {
        if let Some(severity) = rule.is {
            return severity;
        }
        let mut found = Severity::Unknown;
        if let Some(from) = &rule.from {
            from.each(scope, &mut |value| {
                if found == Severity::Unknown {
                    found = word(rule, &value);
                }
            });
        }
        if found != Severity::Unknown {
            return found;
        }
    }
    Severity::Unknown
}

fn word(rule: &SeverityRule, value: &str) -> Severity {
    if rule.score {
        return cvss(value).map_or(Severity::Unknown, Severity::from_cvss);
    }
    let known = rule.words.get(&value.to_lowercase());
    known.copied().unwrap_or_else(|| Severity::from_label(value))
}

/// The identity of a finding: its tool, its rule, and what the format says; else where it is.
fn fingerprint(rule: &FindingRule, scope: &Scope<'_>, tool: &str, id: &str, place: (&str, &str)) -> Fingerprint {
    if rule.fingerprint.is_empty() {
        return Fingerprint::of(&[tool, id, place.0, place.1]);
    }
    let mut parts = vec![Cow::Borrowed(tool), Cow::Borrowed(id)];
    for expr in &rule.fingerprint {
        let mut all: Vec<Cow<'_, str>> = Vec::new();
        expr.each(scope, &mut |value| all.push(value));
        parts.push(if all.len() == 1 {
            all.remove(0)
        } else {
            Cow::Owned(all.join("\u{1f}"))
        });
    }
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    Fingerprint::of(&parts)
}
