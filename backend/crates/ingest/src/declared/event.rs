//! A record becomes an audit event.

use super::emit::Emit;
use super::expr::{Expr, time_at};
use super::format::EventRule;
use super::scope::Scope;
use crate::record::{Read1, cut};
use affiant_domain::audit::{AuditEvent, EventOutcome};
use affiant_domain::observation::Place;
use serde_json::{Map, Value};

pub(super) fn give(emit: &mut Emit<'_>, rule: &EventRule, scope: &Scope<'_>, place: Place) -> Read1 {
    let found = rule
        .outcome
        .iter()
        .find(|rule| rule.when.holds(scope))
        .map(|rule| rule.is.as_str());
    let outcome = match found {
        Some("skip") => return Ok(Ok(())),
        Some("failure") => EventOutcome::Failure,
        Some("denied") => EventOutcome::Denied,
        _ => EventOutcome::Success,
    };
    let Some(action) = rule.action.text(scope) else {
        return Ok(Err("an event without an action".to_owned()));
    };
    let text = |expr: &Option<Expr>, most: usize| {
        let text = expr.as_ref().and_then(|expr| expr.text(scope)).unwrap_or_default();
        cut(text, most).to_owned()
    };
    let mut categories = Vec::new();
    for expr in &rule.data_categories {
        expr.each(scope, &mut |value| categories.push(cut(value, 60).to_owned()));
    }
    let event = AuditEvent {
        at: time_at(&rule.time, scope),
        event_id: text(&rule.id, 300),
        user: text(&rule.user, 400),
        subjects: Vec::new(),
        agent: text(&rule.agent, 200),
        action: cut(action, 200).to_owned(),
        resource: text(&rule.resource, 400),
        outcome,
        source_ip: text(&rule.source_ip, 100),
        sender_risk: None,
        tags: Vec::new(),
        data_categories: categories,
        payloads: Vec::new(),
        flagged: false,
        detail: detail(rule, scope),
    };
    emit.sink.event(event, place)?;
    Ok(Ok(()))
}

fn detail(rule: &EventRule, scope: &Scope<'_>) -> Value {
    let mut detail = Map::new();
    for (key, expr) in &rule.detail {
        if let Some(value) = expr.text(scope) {
            detail.insert(key.clone(), Value::String(cut(value, 1000).to_owned()));
        }
    }
    Value::Object(detail)
}
