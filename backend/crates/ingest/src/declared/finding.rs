//! A record becomes an observation.

use super::emit::Emit;
use super::expr::{Expr, time_at};
use super::filter::cvss;
use super::format::{Counted, FindingRule, SeverityRule};
use super::scope::Scope;
use crate::known::{Known, Told};
use crate::record::{Read1, cut};
use affiant_domain::Severity;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::observation::{Check, Observation, Outcome, Place, Resource, cwe_number, rule_id, tool_name};
use bumpalo::collections::Vec as ArenaVec;
use std::borrow::Cow;
use std::sync::Arc;

pub(super) fn observe(emit: &mut Emit<'_>, rule: &FindingRule, scope: &Scope<'_>, place: Place) -> Read1 {
    let Some(outcome) = outcome(rule, scope) else {
        return Ok(Ok(()));
    };
    let Some(id) = rule.rule.text(scope) else {
        return Ok(Err("a record without a rule, a check or an id".to_owned()));
    };
    let named = rule.tool.as_ref().and_then(|expr| expr.text(scope)).map(tool_name);
    let format = emit.format;
    let run = std::mem::take(&mut emit.run.tool);
    let tool = named.as_deref().unwrap_or(&run);
    emit.announce(tool);
    let check = check(&mut emit.checks, rule, scope, tool, id);
    if format.lists_checks {
        emit.sink.listed(&check);
    }
    let location = or_empty(rule.location.as_ref(), scope);
    let package = or_empty(rule.package.as_ref(), scope);
    let message = or_empty(rule.message.as_ref(), scope);
    let secrets = rule.secret.iter().filter(|_| rule.secret_when.holds(scope));
    for secret in secrets {
        let sink = &mut *emit.sink;
        secret.each(scope, &mut |text| sink.secret(text));
    }
    let kind = or_empty(rule.resource_kind.as_ref(), scope);
    let resource = rule
        .resource
        .as_ref()
        .and_then(|expr| expr.text(scope))
        .map(|name| Resource {
            kind: Cow::Borrowed(if kind.is_empty() { "resource" } else { kind }),
            name: Cow::Borrowed(name),
        });
    let taken = emit.sink.observation(Observation {
        package: Cow::Borrowed(cut(package, 200)),
        cvss: cvss(or_empty(rule.cvss.as_ref(), scope)),
        fingerprint: fingerprint(rule, scope, tool, &check.rule, (location, package)),
        severity: severity(&rule.severity, scope),
        counted: match rule.counted {
            Counted::Failures => outcome.is_finding(),
            Counted::All => true,
            Counted::None => false,
        },
        outcome,
        resource,
        title: Cow::Borrowed(&check.title),
        message: Cow::Borrowed(if message.is_empty() {
            &check.title
        } else {
            cut(message, 4000)
        }),
        location: Cow::Borrowed(cut(location, 1000)),
        line: or_empty(rule.line.as_ref(), scope).parse().unwrap_or(0),
        place,
        observed_at: rule.observed_at.as_ref().and_then(|expr| time_at(expr, scope)),
        check: check.clone(),
    });
    emit.run.tool = run;
    taken?;
    Ok(Ok(()))
}

fn or_empty<'s>(expr: Option<&'s Expr>, scope: &Scope<'s>) -> &'s str {
    expr.map(|expr| expr.or_empty(scope)).unwrap_or_default()
}

/// What came out; none where the record is to be passed over.
fn outcome(rule: &FindingRule, scope: &Scope<'_>) -> Option<Outcome> {
    let Some(found) = rule.outcome.iter().find(|rule| rule.when.holds(scope)) else {
        return Some(Outcome::Open);
    };
    Some(match found.is.as_str() {
        "skip" => return None,
        "suppressed" => Outcome::Suppressed(cut(or_empty(found.reason.as_ref(), scope), 1000).to_owned()),
        "gone" => Outcome::Gone,
        "pass" => Outcome::Pass,
        "not_applicable" => Outcome::NotApplicable,
        "error" => Outcome::Error,
        _ => Outcome::Open,
    })
}

fn check(known: &mut Known, rule: &FindingRule, scope: &Scope<'_>, tool: &str, id: &str) -> Arc<Check> {
    let mut cwe = ArenaVec::new_in(scope.file.arena);
    if let Some(expr) = &rule.cwe {
        expr.each(scope, &mut |value| cwe.extend(cwe_number(value)));
        cwe.sort_unstable();
        cwe.dedup();
    }
    let mut tags = ArenaVec::new_in(scope.file.arena);
    for expr in &rule.tags {
        expr.each(scope, &mut |value| {
            tags.extend(Some(cut(value, 200)).filter(|tag| !tag.is_empty()))
        });
    }
    tags.sort_unstable();
    tags.dedup();
    tags.truncate(400);
    let id_of_rule = rule_id(tool, id);
    known.check(&Told {
        tool,
        rule: cut(&id_of_rule, 300),
        title: cut(rule.title.text(scope).unwrap_or(id), 300),
        cwe: cwe.into_bump_slice(),
        cve: rule
            .cve
            .as_ref()
            .and_then(|expr| expr.text(scope))
            .map(|id| cut(id, 100)),
        tags: tags.into_bump_slice(),
        category: cut(or_empty(rule.category.as_ref(), scope), 60),
        remediation: cut(or_empty(rule.remediation.as_ref(), scope), 2000),
        help_url: cut(or_empty(rule.help_url.as_ref(), scope), 500),
        ocsf_class: None,
    })
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
                    found = word(rule, value);
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
    let known = rule.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
    known
        .map(|(_, severity)| *severity)
        .unwrap_or_else(|| Severity::from_label(value))
}

/// The identity of a finding: its tool, its rule, and what the format says; else where it is.
fn fingerprint(rule: &FindingRule, scope: &Scope<'_>, tool: &str, id: &str, place: (&str, &str)) -> Fingerprint {
    if rule.fingerprint.is_empty() {
        return Fingerprint::of(&[tool, id, place.0, place.1]);
    }
    let mut parts = ArenaVec::with_capacity_in(2 + rule.fingerprint.len(), scope.file.arena);
    parts.extend([tool, id]);
    parts.extend(
        rule.fingerprint
            .iter()
            .map(|expr| expr.joined(scope, "\u{1f}").unwrap_or_default()),
    );
    Fingerprint::of(&parts)
}
