//! Kubernetes audit log (`audit.k8s.io`): one event a line, an `EventList`, or an array; and the diagnostics of Azure, in which the event
//! stands as text under `properties.log`.

use crate::record::{Read1, Records, cut, time};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::audit::{AuditEvent, EventOutcome};
use affiant_domain::observation::Place;
use serde_json::{Value, json};

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let Some(first) = sniff.first() else {
        return false;
    };
    let kind = first.get("kind").and_then(Value::as_str).unwrap_or_default();
    let api = first.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let record = first
        .pointer("/records/0")
        .or_else(|| first.pointer("/value/0"))
        .unwrap_or(first);
    let category = record.get("category").or_else(|| record.get("Category"));
    let of_azure = category
        .and_then(Value::as_str)
        .is_some_and(|category| category.starts_with("kube-audit"));
    if of_azure && wrapped(record).is_some() {
        return true;
    }
    let audit = api.starts_with("audit.k8s.io");
    audit && matches!(kind, "Event" | "EventList")
        || first.get("verb").is_some() && (first.get("objectRef").is_some() || first.get("auditID").is_some())
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    Records {
        keys: &["items", "records", "value"],
        bare: true,
        envelope: None,
    }
    .read(source, limits, sink, record)
}

fn record(bytes: &[u8], place: Place, sink: &mut dyn Sink) -> Read1 {
    let mut event: Value = match serde_json::from_slice(bytes) {
        Ok(event) => event,
        Err(error) => return Ok(Err(format!("not JSON: {error}"))),
    };
    if let Some(inner) = wrapped(&event) {
        event = match serde_json::from_str(inner) {
            Ok(inner) => inner,
            Err(error) => return Ok(Err(format!("properties.log is not JSON: {error}"))),
        };
    }
    let Some(verb) = text(&event, "/verb") else {
        return Ok(Err("an event without verb".to_owned()));
    };
    if let Some(version) = text(&event, "/apiVersion") {
        sink.version(version);
    }
    let kind = text(&event, "/objectRef/resource")
        .or_else(|| text(&event, "/requestURI"))
        .unwrap_or_default();
    let times = [
        "/requestReceivedTimestamp",
        "/stageTimestamp",
        "/timestamp",
        "/metadata/creationTimestamp",
    ];
    let id = text(&event, "/auditID").unwrap_or_default();
    let parsed = AuditEvent {
        at: times.iter().find_map(|place| text(&event, place)).and_then(time),
        event_id: if id.is_empty() {
            String::new()
        } else {
            format!("{id}/{}", text(&event, "/stage").unwrap_or_default())
        },
        user: cut(
            text(&event, "/impersonatedUser/username")
                .or_else(|| text(&event, "/user/username"))
                .unwrap_or_default(),
            400,
        )
        .to_owned(),
        subjects: Vec::new(),
        agent: String::new(),
        action: cut(&format!("{verb} {kind}"), 200).to_owned(),
        resource: cut(&resource(&event, kind), 400).to_owned(),
        outcome: outcome(&event),
        source_ip: text(&event, "/sourceIPs/0").unwrap_or_default().to_owned(),
        sender_risk: None,
        tags: Vec::new(),
        data_categories: if kind == "secrets" {
            vec!["secret".to_owned()]
        } else {
            Vec::new()
        },
        payloads: Vec::new(),
        flagged: false,
        detail: json!({
            "stage": text(&event, "/stage"),
            "level": text(&event, "/level"),
            "code": event.pointer("/responseStatus/code"),
            "reason": text(&event, "/responseStatus/reason"),
            "user_agent": text(&event, "/userAgent").map(|agent| cut(agent, 200)),
        }),
    };
    sink.event(parsed, place)?;
    Ok(Ok(()))
}

/// The event inside a record of Azure's diagnostics.
fn wrapped(record: &Value) -> Option<&str> {
    ["/properties/log", "/properties/Log", "/log_s", "/log"]
        .iter()
        .find_map(|place| text(record, place))
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn resource(event: &Value, kind: &str) -> String {
    let parts = [
        text(event, "/objectRef/namespace"),
        Some(kind),
        text(event, "/objectRef/name"),
    ];
    parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

fn outcome(event: &Value) -> EventOutcome {
    let code = event
        .pointer("/responseStatus/code")
        .and_then(Value::as_i64)
        .unwrap_or(200);
    match code {
        401 | 403 => EventOutcome::Denied,
        400.. => EventOutcome::Failure,
        _ => EventOutcome::Success,
    }
}
