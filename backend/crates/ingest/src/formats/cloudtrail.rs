//! AWS CloudTrail: log files (`{"Records": […]}`), bare arrays, single events, one a line, and the answers of `LookupEvents`
//! (the event stands as text inside `CloudTrailEvent`).

use crate::declared::Node;
use crate::record::{Picker, Read1, Records, cut, time};
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

/// What is read of an event, and where an answer of `LookupEvents` holds it.
const WANTED: [&str; 33] = [
    "CloudTrailEvent",
    "additionalEventData.MFAUsed",
    "awsRegion",
    "errorCode",
    "eventID",
    "eventName",
    "eventSource",
    "eventTime",
    "eventType",
    "eventVersion",
    "insightDetails.eventName",
    "insightDetails.eventSource",
    "insightDetails.insightContext.statistics",
    "insightDetails.insightType",
    "insightDetails.state",
    "readOnly",
    "recipientAccountId",
    "requestParameters.bucketName",
    "requestParameters.functionName",
    "requestParameters.instanceId",
    "requestParameters.name",
    "requestParameters.roleName",
    "requestParameters.trailName",
    "requestParameters.userName",
    "resources.ARN",
    "responseElements.ConsoleLogin",
    "sourceIPAddress",
    "userIdentity.arn",
    "userIdentity.invokedBy",
    "userIdentity.principalId",
    "userIdentity.sessionContext.attributes.mfaAuthenticated",
    "userIdentity.type",
    "userIdentity.userName",
];

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut picker = Picker::of(&WANTED, limits);
    let records = Records {
        keys: &["Records", "Events"],
        bare: true,
        envelope: None,
    };
    records.read(source, limits, sink, |bytes, place, sink| {
        record(picker.next(), bytes, place, sink)
    })
}

fn record(picker: &Picker, bytes: &[u8], place: Place, sink: &mut dyn Sink) -> Read1 {
    let read = picker
        .node(bytes)
        .and_then(|outer| match outer.text_at(&["CloudTrailEvent"]) {
            Some(inner) => picker
                .node(inner.as_bytes())
                .map_err(|why| format!("CloudTrailEvent is {why}")),
            None => Ok(outer),
        });
    let inner = match read {
        Ok(inner) => inner,
        Err(why) => return Ok(Err(why)),
    };
    let Some(action) = action(&inner) else {
        return Ok(Err("an event without eventName".to_owned()));
    };
    let text = |keys: &[&str]| inner.text_at(keys);
    sink.version(text(&["eventVersion"]).unwrap_or_default());
    let source = text(&["eventSource"]).or_else(|| text(&["insightDetails", "eventSource"]));
    let source = source.unwrap_or_default();
    let event = AuditEvent {
        at: text(&["eventTime"]).and_then(time),
        event_id: text(&["eventID"]).unwrap_or_default().to_owned(),
        user: user(&inner),
        subjects: Vec::new(),
        agent: String::new(),
        action: cut(&action, 200).to_owned(),
        resource: resource(&inner, source),
        outcome: outcome(&inner),
        source_ip: text(&["sourceIPAddress"]).unwrap_or_default().to_owned(),
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
fn action<'e>(event: &Node<'e>) -> Option<Cow<'e, str>> {
    if event.get("insightDetails").is_none() {
        return event.text_at(&["eventName"]).map(Cow::Borrowed);
    }
    let words = ["insightType", "eventName", "state"];
    let words: Vec<&str> = words
        .iter()
        .filter_map(|key| event.text_at(&["insightDetails", key]))
        .collect();
    (!words.is_empty()).then(|| Cow::Owned(words.join(" ")))
}

fn user(event: &Node<'_>) -> String {
    let keys = ["arn", "userName", "principalId", "invokedBy", "type"];
    let identity = event.get("userIdentity");
    let named = identity.and_then(|identity| keys.iter().find_map(|key| identity.text_at(&[key])));
    named.map_or_else(String::new, |user| cut(user, 400).to_owned())
}

fn resource(event: &Node<'_>, source: &str) -> String {
    let keys = [
        "bucketName",
        "userName",
        "roleName",
        "instanceId",
        "functionName",
        "trailName",
        "name",
    ];
    let given = event.get("requestParameters");
    let parameter = || keys.iter().find_map(|key| given?.text_at(&[key]));
    let named = event.text_at(&["resources", "ARN"]).or_else(parameter);
    cut(named.unwrap_or(source), 400).to_owned()
}

/// A console sign-in that failed carries no `errorCode`.
fn outcome(event: &Node<'_>) -> EventOutcome {
    let code = event.text_at(&["errorCode"]).unwrap_or_default();
    let denied = ["AccessDenied", "Unauthorized", "Forbidden"]
        .iter()
        .any(|word| code.contains(word));
    if denied {
        EventOutcome::Denied
    } else if !code.is_empty() || event.text_at(&["responseElements", "ConsoleLogin"]) == Some("Failure") {
        EventOutcome::Failure
    } else {
        EventOutcome::Success
    }
}

fn detail(event: &Node<'_>, source: &str) -> Value {
    let text = |keys: &[&str]| event.text_at(keys);
    let session = ["userIdentity", "sessionContext", "attributes", "mfaAuthenticated"];
    let mut detail = json!({
        "source": source,
        "region": text(&["awsRegion"]),
        "account": text(&["recipientAccountId"]),
        "error": text(&["errorCode"]),
        "type": text(&["eventType"]),
        "read_only": event.get("readOnly").map(Node::json),
        "mfa": text(&["additionalEventData", "MFAUsed"]).or_else(|| text(&session)),
    });
    if let Some(statistics) = event.at(&["insightDetails", "insightContext", "statistics"]) {
        detail["insight"] = statistics.json();
    }
    detail
}
