//! Our own audit event: one object, an array, or one a line. The fields are those of `docs/API.md`.
//!
//! What went into an agent and came out of it is screened here, and handed on to be measured and committed to; it is not stored.

use crate::record::{Read1, Records, cut, time_of};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::audit::{AuditEvent, COMPLIANCE_TAGS, EventOutcome, Payload, RiskLevel};
use affiant_domain::content::{data_classes, injections};
use affiant_domain::observation::Place;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let Some(first) = sniff.first() else {
        return false;
    };
    let has = |key: &str| first.get(key).is_some();
    (has("timestamp") || has("ts")) && has("action") && (has("user_id") || has("agent_id"))
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    Records {
        keys: &["events"],
        bare: true,
        envelope: None,
    }
    .read(source, limits, sink, record)
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Given {
    #[serde(alias = "ts")]
    timestamp: Value,
    #[serde(deserialize_with = "text_or_number")]
    user_id: Option<String>,
    #[serde(deserialize_with = "text_or_number")]
    agent_id: Option<String>,
    action: Option<String>,
    #[serde(alias = "target", deserialize_with = "text_or_number")]
    resource: Option<String>,
    outcome: Option<EventOutcome>,
    input_data: Option<Value>,
    output_data: Option<Value>,
    input_data_hash: Option<String>,
    output_data_hash: Option<String>,
    risk_level: Option<RiskLevel>,
    compliance_tags: Option<Vec<String>>,
    retention_period_days: Option<u32>,
    environment: Option<Value>,
    purpose: Option<Value>,
    model_version: Option<Value>,
    tool: Option<Value>,
    source_ip: Option<Value>,
    data_categories: Option<Vec<String>>,
    subjects: Option<Value>,
    approval: Option<Value>,
    session: Option<Value>,
    attributes: Option<Map<String, Value>>,
    #[serde(deserialize_with = "text_or_number")]
    event_id: Option<String>,
}

/// An identifier, which databases keep as a number.
fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(serde::de::Error::custom("an identifier is a text or a number")),
    }
}

/// People whom one event names beside its user, at most.
const SUBJECTS: usize = 100;

fn record(bytes: &[u8], place: Place, sink: &mut dyn Sink) -> Read1 {
    let given: Given = match serde_json::from_slice(bytes) {
        Ok(given) => given,
        Err(error) => return Ok(Err(error.to_string())),
    };
    match event(given) {
        Ok(event) => sink.event(event, place)?,
        Err(why) => return Ok(Err(why)),
    }
    Ok(Ok(()))
}

fn event(given: Given) -> Result<AuditEvent, String> {
    let at = time_of(&given.timestamp).filter(|_| given.timestamp.as_str().is_some_and(has_zone));
    let at = at.ok_or("\"timestamp\" is missing or is not RFC 3339 with an offset")?;
    let user = given.user_id.unwrap_or_default();
    let agent = given.agent_id.unwrap_or_default();
    if user.is_empty() && agent.is_empty() {
        return Err("one of \"user_id\" and \"agent_id\" is needed".to_owned());
    }
    let action = given
        .action
        .filter(|action| !action.trim().is_empty())
        .ok_or("\"action\" is missing")?;
    let tags = given.compliance_tags.unwrap_or_default();
    if let Some(unknown) = tags.iter().find(|tag| !COMPLIANCE_TAGS.contains(&tag.as_str())) {
        return Err(format!(
            "unknown compliance tag \"{}\"; known are {}",
            cut(unknown, 40),
            COMPLIANCE_TAGS.join(", ")
        ));
    }
    let subjects = given
        .subjects
        .as_ref()
        .map_or(Ok(Vec::new()), |given| named(given, &user))?;
    let mut payloads = Vec::new();
    let mut categories = given.data_categories.unwrap_or_default();
    let mut flagged = false;
    for (side, content, hash) in [
        ("input", given.input_data, given.input_data_hash),
        ("output", given.output_data, given.output_data_hash),
    ] {
        if let Some(hash) = &hash
            && !(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(format!("\"{side}_data_hash\" is not a SHA-256 in hexadecimal"));
        }
        let text = content.map(|content| content.as_str().map_or_else(|| content.to_string(), str::to_owned));
        if let Some(text) = &text {
            flagged |= screen(text, &mut categories);
        }
        if text.is_some() || hash.is_some() {
            payloads.push(Payload {
                side: side.to_owned(),
                length: text.as_ref().map(|t| t.len() as u64),
                sender_sha256: hash,
                commitment: None,
                content: text,
            });
        }
    }
    let mut detail = Map::new();
    let fields = [
        ("environment", given.environment),
        ("purpose", given.purpose),
        ("model_version", given.model_version),
        ("tool", given.tool),
        ("approval", given.approval),
        ("session", given.session),
        ("retention_period_days", given.retention_period_days.map(Value::from)),
        ("attributes", given.attributes.map(|map| Value::Object(redacted(map)))),
        ("has_subjects", (!subjects.is_empty()).then_some(Value::Bool(true))),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            detail.insert(name.to_owned(), value);
        }
    }
    if serde_json::to_string(&detail).is_ok_and(|text| text.len() > 16 << 10) {
        return Err("\"attributes\" are larger than 16 kB".to_owned());
    }
    Ok(AuditEvent {
        at: Some(at),
        event_id: given.event_id.unwrap_or_default(),
        user: cut(&user, 400).to_owned(),
        subjects,
        agent: cut(&agent, 400).to_owned(),
        action: cut(&action, 200).to_owned(),
        resource: cut(&given.resource.unwrap_or_default(), 400).to_owned(),
        outcome: given.outcome.unwrap_or(EventOutcome::Success),
        source_ip: given
            .source_ip
            .and_then(|ip| ip.as_str().map(|ip| cut(ip, 100).to_owned()))
            .unwrap_or_default(),
        sender_risk: given.risk_level,
        tags,
        data_categories: categories,
        payloads,
        flagged,
        detail: Value::Object(detail),
    })
}

/// People whom an event names beside its user: one, or a list of them.
fn named(given: &Value, user: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("\"subjects\" is an identifier or a list of them, {SUBJECTS} at most");
    let all = match given {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    if all.len() > SUBJECTS {
        return Err(wrong());
    }
    let mut names: Vec<String> = Vec::with_capacity(all.len());
    for one in all {
        let name = text_or_number(one).map_err(|_| wrong())?.unwrap_or_default();
        let name = cut(name.trim(), 400);
        let is_known = |known: &str| known.trim().to_lowercase() == name.to_lowercase();
        if !name.is_empty() && !is_known(user) && !names.iter().any(|known| is_known(known)) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn has_zone(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text.trim()).is_ok()
}

/// Notes what kind of sensitive content a text holds; never the text.
fn screen(text: &str, categories: &mut Vec<String>) -> bool {
    let classes = data_classes(text);
    for class in &classes {
        if !categories.iter().any(|known| known == class) {
            categories.push((*class).to_owned());
        }
    }
    !classes.is_empty() || !injections(text).is_empty()
}

/// Values under keys that look like credentials are taken out.
fn redacted(map: Map<String, Value>) -> Map<String, Value> {
    const WORDS: [&str; 7] = [
        "password",
        "secret",
        "token",
        "api_key",
        "apikey",
        "authorization",
        "credential",
    ];
    map.into_iter()
        .map(|(key, value)| {
            let lower = key.to_lowercase();
            let value = match value {
                _ if WORDS.iter().any(|word| lower.contains(word)) => Value::String("[redacted]".to_owned()),
                Value::Object(inner) => Value::Object(redacted(inner)),
                other => other,
            };
            (key, value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_attributes_are_taken_out() {
        let given: Given = serde_json::from_value(serde_json::json!({
            "timestamp": "2026-01-01T00:00:00Z", "user_id": "u", "action": "read",
            "attributes": {"nested": {"api_key": "sk-1"}, "plain": 1}}))
        .unwrap();
        let event = event(given).unwrap();
        assert_eq!(event.detail["attributes"]["nested"]["api_key"], "[redacted]");
        assert_eq!(event.detail["attributes"]["plain"], 1);
    }
}
