//! AWS CloudTrail: log files (`{"Records": […]}`), bare arrays, single events, one a line, and the answers of `LookupEvents`
//! (the event stands as text inside `CloudTrailEvent`).

use crate::record::{Read1, Records, cut, time};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::audit::{AuditEvent, EventOutcome};
use affiant_domain::observation::Place;
use serde_json::{Value, json};
use std::borrow::Cow;

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let is_event = |value: &Value| {
        value.get("eventSource").is_some() && value.get("eventName").is_some()
            || value.get("CloudTrailEvent").is_some()
            || value.get("insightDetails").is_some()
    };
    let Some(first) = sniff.first() else {
        return false;
    };
    let inner = first
        .get("Records")
        .or_else(|| first.get("Events"))
        .and_then(Value::as_array);
    match inner {
        Some(all) => all.first().is_none_or(is_event),
        None => is_event(first),
    }
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    Records {
        keys: &["Records", "Events"],
        bare: true,
        envelope: None,
    }
    .read(source, limits, sink, record)
}

fn record(bytes: &[u8], place: Place, sink: &mut dyn Sink) -> Read1 {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => return Ok(Err(format!("not JSON: {error}"))),
    };
    let inner = match value
        .get("CloudTrailEvent")
        .and_then(Value::as_str)
        .map(serde_json::from_str::<Value>)
    {
        Some(Ok(inner)) => inner,
        Some(Err(error)) => return Ok(Err(format!("CloudTrailEvent is not JSON: {error}"))),
        None => value,
    };
    let Some(action) = action(&inner) else {
        return Ok(Err("an event without eventName".to_owned()));
    };
    sink.version(text(&inner, "/eventVersion").unwrap_or_default());
    let source = text(&inner, "/eventSource")
        .or_else(|| text(&inner, "/insightDetails/eventSource"))
        .unwrap_or_default();
    let event = AuditEvent {
        at: text(&inner, "/eventTime").and_then(time),
        event_id: text(&inner, "/eventID").unwrap_or_default().to_owned(),
        user: user(&inner),
        subjects: Vec::new(),
        agent: String::new(),
        action: cut(&action, 200).to_owned(),
        resource: resource(&inner, source),
        outcome: outcome(&inner),
        source_ip: text(&inner, "/sourceIPAddress").unwrap_or_default().to_owned(),
        sender_risk: None,
        tags: Vec::new(),
        data_categories: Vec::new(),
        payloads: Vec::new(),
        flagged: false,
        detail: detail(&inner, source),
    };
    sink.event(event, place)?;
    Ok(Ok(()))
}

/// What was done. An insight says which calls came unusually often or failed so: it begins and ends.
fn action(event: &Value) -> Option<Cow<'_, str>> {
    let Some(insight) = event.get("insightDetails") else {
        return text(event, "/eventName").map(Cow::Borrowed);
    };
    let words = ["/insightType", "/eventName", "/state"];
    let words: Vec<&str> = words.iter().filter_map(|place| text(insight, place)).collect();
    (!words.is_empty()).then(|| Cow::Owned(words.join(" ")))
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn user(event: &Value) -> String {
    let places = [
        "/userIdentity/arn",
        "/userIdentity/userName",
        "/userIdentity/principalId",
        "/userIdentity/invokedBy",
        "/userIdentity/type",
    ];
    places
        .iter()
        .find_map(|place| text(event, place))
        .map_or_else(String::new, |user| cut(user, 400).to_owned())
}

fn resource(event: &Value, source: &str) -> String {
    let named = event.pointer("/resources/0/ARN").and_then(Value::as_str);
    let parameters = [
        "bucketName",
        "userName",
        "roleName",
        "instanceId",
        "functionName",
        "trailName",
        "name",
    ];
    let parameter = parameters
        .iter()
        .find_map(|key| event.get("requestParameters")?.get(key)?.as_str());
    cut(named.or(parameter).unwrap_or(source), 400).to_owned()
}

/// A console sign-in that failed carries no `errorCode`.
fn outcome(event: &Value) -> EventOutcome {
    let code = text(event, "/errorCode").unwrap_or_default();
    let denied = ["AccessDenied", "Unauthorized", "Forbidden"]
        .iter()
        .any(|word| code.contains(word));
    if denied {
        EventOutcome::Denied
    } else if !code.is_empty() || text(event, "/responseElements/ConsoleLogin") == Some("Failure") {
        EventOutcome::Failure
    } else {
        EventOutcome::Success
    }
}

fn detail(event: &Value, source: &str) -> Value {
    let mut detail = json!({
        "source": source,
        "region": text(event, "/awsRegion"),
        "account": text(event, "/recipientAccountId"),
        "error": text(event, "/errorCode"),
        "type": text(event, "/eventType"),
        "read_only": event.get("readOnly"),
        "mfa": text(event, "/additionalEventData/MFAUsed").or_else(|| text(event, "/userIdentity/sessionContext/attributes/mfaAuthenticated")),
    });
    if let Some(statistics) = event.pointer("/insightDetails/insightContext/statistics") {
        detail["insight"] = statistics.clone();
    }
    detail
}
