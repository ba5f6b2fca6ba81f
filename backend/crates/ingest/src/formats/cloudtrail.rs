//! AWS CloudTrail: log files (`{"Records": […]}`), bare arrays, single events, one a line; the answers of `LookupEvents` and the messages of
//! CloudWatch, in which the event stands as text; and what EventBridge delivers.

use crate::declared::Node;
use crate::record::{Picker, Read1, Records, cut, time};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::audit::{AuditEvent, EventOutcome};
use affiant_domain::observation::Place;
use serde_json::{Value, json};
use std::borrow::Cow;

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let Some(first) = sniff.first() else {
        return false;
    };
    let inner = LISTS.iter().find_map(|list| first.get(list)?.as_array());
    match inner {
        Some(all) => all.first().map_or(
            first.get("Records").is_some() || first.get("Events").is_some(),
            is_event,
        ),
        None => is_event(first),
    }
}

/// Lists of events, of whatever holds them.
const LISTS: [&str; 4] = ["Records", "Events", "logEvents", "events"];

fn is_event(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    let told = value.get("message").and_then(Value::as_str);
    has("eventSource") && has("eventName")
        || has("CloudTrailEvent")
        || has("insightDetails")
        || has("detail-type") && value.get("detail").is_some_and(is_event)
        || told.is_some_and(|text| text.contains("\"eventSource\"") && text.contains("\"eventName\""))
}

/// What is read of an event, and where an answer of `LookupEvents` holds it.
const WANTED: [&str; 47] = [
    "CloudTrailEvent",
    "Resources.ResourceName",
    "additionalEventData.MFAUsed",
    "additionalEventData.UserName",
    "awsRegion",
    "detail",
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
    "message",
    "readOnly",
    "recipientAccountId",
    "requestParameters.bucketName",
    "requestParameters.dBInstanceIdentifier",
    "requestParameters.functionName",
    "requestParameters.groupId",
    "requestParameters.instanceId",
    "requestParameters.instancesSet.items.instanceId",
    "requestParameters.keyId",
    "requestParameters.name",
    "requestParameters.policyArn",
    "requestParameters.roleArn",
    "requestParameters.roleName",
    "requestParameters.secretId",
    "requestParameters.topicArn",
    "requestParameters.trailName",
    "requestParameters.userName",
    "resources.ARN",
    "responseElements.ConsoleLogin",
    "sourceIPAddress",
    "userIdentity.arn",
    "userIdentity.invokedBy",
    "userIdentity.onBehalfOf.userId",
    "userIdentity.principalId",
    "userIdentity.sessionContext.attributes.mfaAuthenticated",
    "userIdentity.sessionContext.sessionIssuer.arn",
    "userIdentity.type",
    "userIdentity.userName",
];

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut picker = Picker::of(&WANTED, limits);
    let records = Records {
        keys: &LISTS,
        bare: true,
        envelope: None,
    };
    records.read(source, limits, sink, |bytes, place, sink| {
        record(picker.next(), bytes, place, sink)
    })
}

fn record(picker: &Picker, bytes: &[u8], place: Place, sink: &mut dyn Sink) -> Read1 {
    let read = picker.node(bytes).and_then(|outer| {
        // An event may have such keys itself, which whoever forwarded it added.
        let is_event = outer.get("eventName").is_some() || outer.get("insightDetails").is_some();
        let told = ["CloudTrailEvent", "message"];
        let told = told.iter().find_map(|key| outer.text_at(&[key]));
        match (told.filter(|_| !is_event), outer.get("detail").filter(|_| !is_event)) {
            (Some(inner), _) => {
                let inner = picker.node(inner.as_bytes());
                inner
                    .map(|inner| (inner, outer))
                    .map_err(|why| format!("the event inside the record is {why}"))
            }
            (None, Some(Node::Map(_))) => Ok((outer.get("detail").copied().unwrap_or(outer), outer)),
            _ => Ok((outer, outer)),
        }
    });
    let (inner, outer) = match read {
        Ok(read) => read,
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
        resource: resource(&inner, &outer, source),
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
    let places: [&[&str]; 8] = [
        &["userIdentity", "arn"],
        &["userIdentity", "userName"],
        &["userIdentity", "onBehalfOf", "userId"],
        &["additionalEventData", "UserName"],
        &["userIdentity", "sessionContext", "sessionIssuer", "arn"],
        &["userIdentity", "principalId"],
        &["userIdentity", "invokedBy"],
        &["userIdentity", "type"],
    ];
    let named = places.iter().find_map(|keys| event.text_at(keys));
    named.map_or_else(String::new, |user| cut(user, 400).to_owned())
}

fn resource(event: &Node<'_>, outer: &Node<'_>, source: &str) -> String {
    let keys = [
        "bucketName",
        "userName",
        "roleName",
        "instanceId",
        "functionName",
        "trailName",
        "name",
        "roleArn",
        "topicArn",
        "secretId",
        "keyId",
        "dBInstanceIdentifier",
        "groupId",
        "policyArn",
    ];
    let given = event.get("requestParameters");
    let items = || given?.text_at(&["instancesSet", "items", "instanceId"]);
    let parameter = || keys.iter().find_map(|key| given?.text_at(&[key])).or_else(items);
    let named = event.text_at(&["resources", "ARN"]).or_else(parameter);
    let named = named.or_else(|| outer.text_at(&["Resources", "ResourceName"]));
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
        "mfa": event.at(&["additionalEventData", "MFAUsed"]).map(Node::json).or_else(|| text(&session).map(Value::from)),
    });
    if let Some(statistics) = event.at(&["insightDetails", "insightContext", "statistics"]) {
        detail["insight"] = statistics.json();
    }
    detail
}
