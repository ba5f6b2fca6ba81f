//! Kubernetes audit log (`audit.k8s.io`): one event a line, an `EventList`, or an array; the diagnostics of Azure, in which the event stands
//! under `properties.log`; and the messages of CloudWatch.

use crate::declared::Node;
use crate::record::{Picker, Read1, Records, cut, time};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::audit::{AuditEvent, EventOutcome};
use affiant_domain::observation::Place;
use serde_json::{Value, json};

/// Lists of records, of whatever holds them.
const LISTS: [&str; 5] = ["items", "records", "value", "logEvents", "events"];

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let Some(first) = sniff.first() else {
        return false;
    };
    let listed = LISTS.iter().find_map(|list| first.get(list)?.get(0));
    if is_event(first) || listed.is_some_and(is_event) {
        return true;
    }
    let is_list = first.get("kind").and_then(Value::as_str) == Some("EventList");
    let api = first.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    is_list && api.starts_with("audit.k8s.io")
}

fn is_event(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    if has("verb") && (has("objectRef") || has("auditID")) {
        return true;
    }
    // As something else wraps it.
    let inner = WRAPPED
        .iter()
        .find_map(|keys| keys.iter().try_fold(value, |value, key| value.get(key)));
    match inner {
        Some(Value::String(text)) => text.contains("\"audit.k8s.io/") && text.contains("\"verb\""),
        Some(inner) if inner.is_object() => is_event(inner),
        _ => {
            let api = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
            api.starts_with("audit.k8s.io") && kind == "Event"
        }
    }
}

/// Where an event stands inside a record of Azure's diagnostics, of its tables, and of CloudWatch; as text, or as it is.
const WRAPPED: [&[&str]; 5] = [
    &["properties", "log"],
    &["properties", "Log"],
    &["log_s"],
    &["log"],
    &["message"],
];

/// What is read of an event, and where others hold it.
const WANTED: [&str; 26] = [
    "apiVersion",
    "auditID",
    "impersonatedUser.username",
    "level",
    "log",
    "log_s",
    "message",
    "metadata.creationTimestamp",
    "objectRef.name",
    "objectRef.namespace",
    "objectRef.resource",
    "properties.Log",
    "properties.log",
    "requestReceivedTimestamp",
    "requestURI",
    "responseStatus.code",
    "responseStatus.reason",
    "sourceIPs",
    "stage",
    "stageTimestamp",
    "timestamp",
    "user.username",
    "userAgent",
    "verb",
    "annotations.\"authentication.openshift.io/username\"",
    "annotations.\"authorization.k8s.io/decision\"",
];

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut picker = Picker::of(&WANTED, limits);
    let mut begun = 0_u64;
    let records = Records {
        keys: &LISTS,
        bare: true,
        envelope: None,
    };
    records.read(source, limits, sink, |bytes, place, sink| {
        record(picker.next(), (bytes, place), &mut begun, sink)
    })?;
    if begun > 0 {
        sink.remark(format!(
            "not counted: {begun} records of requests that came in; each is told again when it ends"
        ));
    }
    Ok(())
}

fn record(picker: &Picker, (bytes, place): (&[u8], Place), begun: &mut u64, sink: &mut dyn Sink) -> Read1 {
    let read = picker.node(bytes).and_then(|outer| {
        // An event may have such keys itself, which whoever forwarded it added.
        let inner = WRAPPED.iter().find_map(|keys| outer.at(keys));
        match inner.filter(|_| outer.get("verb").is_none()) {
            Some(Node::Text(inner)) => {
                let inner = picker.node(inner.trim().as_bytes());
                inner.map_err(|why| format!("the event inside the record is {why}"))
            }
            Some(inner @ Node::Map(_)) => Ok(*inner),
            _ => Ok(outer),
        }
    });
    let event = match read {
        Ok(event) => event,
        Err(why) => return Ok(Err(why)),
    };
    let text = |keys: &[&str]| event.text_at(keys);
    let Some(verb) = text(&["verb"]) else {
        return Ok(Err("an event without verb".to_owned()));
    };
    if let Some(version) = text(&["apiVersion"]) {
        sink.version(version);
    }
    let stage = text(&["stage"]).unwrap_or_default();
    if stage == "RequestReceived" {
        *begun += 1;
        return Ok(Ok(()));
    }
    // What stands behind the path may be a code or a token.
    let path = || text(&["requestURI"]).and_then(|uri| uri.split('?').next());
    let kind = text(&["objectRef", "resource"]).or_else(path).unwrap_or_default();
    let times: [&[&str]; 4] = [
        &["requestReceivedTimestamp"],
        &["stageTimestamp"],
        &["timestamp"],
        &["metadata", "creationTimestamp"],
    ];
    let id = text(&["auditID"]).unwrap_or_default();
    // Who acts as somebody else is still who acts.
    let signed_in = || text(&["annotations", "authentication.openshift.io/username"]);
    let impersonated = text(&["impersonatedUser", "username"]);
    let user = text(&["user", "username"])
        .filter(|user| *user != "system:anonymous" || signed_in().is_none())
        .or_else(signed_in)
        .or(impersonated);
    let mut detail = json!({
        "stage": text(&["stage"]),
        "level": text(&["level"]),
        "code": event.at(&["responseStatus", "code"]).map(Node::json),
        "reason": text(&["responseStatus", "reason"]),
        "user_agent": text(&["userAgent"]).map(|agent| cut(agent, 200)),
    });
    if let Some(impersonated) = impersonated {
        detail["impersonated"] = cut(impersonated, 400).into();
    }
    let parsed = AuditEvent {
        at: times.iter().find_map(|keys| text(keys)).and_then(time),
        event_id: if id.is_empty() {
            String::new()
        } else {
            format!("{id}/{stage}")
        },
        user: cut(user.unwrap_or_default(), 400).to_owned(),
        subjects: Vec::new(),
        agent: String::new(),
        action: cut(&format!("{verb} {kind}"), 200).to_owned(),
        resource: cut(&resource(&event, kind), 400).to_owned(),
        outcome: outcome(&event),
        source_ip: event
            .get("sourceIPs")
            .and_then(Node::first_text)
            .unwrap_or_default()
            .to_owned(),
        sender_risk: None,
        tags: Vec::new(),
        data_categories: if kind == "secrets" {
            vec!["secret".to_owned()]
        } else {
            Vec::new()
        },
        payloads: Vec::new(),
        flagged: false,
        detail,
    };
    sink.event(parsed, place)?;
    Ok(Ok(()))
}

fn resource(event: &Node<'_>, kind: &str) -> String {
    let parts = [
        event.text_at(&["objectRef", "namespace"]),
        Some(kind),
        event.text_at(&["objectRef", "name"]),
    ];
    parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

fn outcome(event: &Node<'_>) -> EventOutcome {
    let code = event.at(&["responseStatus", "code"]).and_then(Node::text);
    let forbidden = event.text_at(&["annotations", "authorization.k8s.io/decision"]) == Some("forbid");
    match code.and_then(|code| code.parse::<i64>().ok()).unwrap_or(200) {
        401 | 403 => EventOutcome::Denied,
        400.. => EventOutcome::Failure,
        _ if forbidden => EventOutcome::Denied,
        _ => EventOutcome::Success,
    }
}
