//! Events of AWS CloudTrail.

use crate::RECORDS;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write;

pub(crate) fn text() -> String {
    let mut text = String::from(r#"{"Records":["#);
    for n in 0..RECORDS {
        let comma = if n == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"eventVersion":"1.09","userIdentity":{{"type":"AssumedRole","principalId":"AROA{r}:user{r}","arn":"arn:aws:sts::555555555555:assumed-role/svc/user{r}","accountId":"555555555555","accessKeyId":"ASIA{n:016}","sessionContext":{{"sessionIssuer":{{"type":"Role","arn":"arn:aws:iam::555555555555:role/svc","userName":"svc"}},"attributes":{{"creationDate":"2026-01-01T00:00:00Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2026-01-01T00:00:00Z","eventSource":"logs.amazonaws.com","eventName":"DescribeLogGroups","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.100","userAgent":"aws-cli/2.15.30 Python/3.11.8 Linux/6.1","requestParameters":{{"bucketName":"logs-{r}"}},"responseElements":null,"requestID":"{n:016X}","eventID":"fcaab175-645b-4b64-a5b5-{n:012x}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"555555555555","eventCategory":"Management"}}"#, r = n % 300).unwrap();
    }
    text.push_str("]}");
    text
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<Event<'a>>,
}

/// The fields that the reader takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Event<'a> {
    #[serde(borrow)]
    event_version: Cow<'a, str>,
    #[serde(borrow)]
    user_identity: Identity<'a>,
    #[serde(borrow)]
    event_time: Cow<'a, str>,
    #[serde(borrow)]
    event_source: Cow<'a, str>,
    #[serde(borrow)]
    event_name: Cow<'a, str>,
    #[serde(borrow)]
    aws_region: Cow<'a, str>,
    #[serde(borrow, rename = "sourceIPAddress")]
    source_ip: Cow<'a, str>,
    #[serde(borrow)]
    request_parameters: Parameters<'a>,
    #[serde(borrow, rename = "eventID")]
    event_id: Cow<'a, str>,
    read_only: bool,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    recipient_account_id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Identity<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    principal_id: Cow<'a, str>,
    #[serde(borrow)]
    arn: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed and not looked at")]
struct Parameters<'a> {
    #[serde(borrow)]
    bucket_name: Cow<'a, str>,
}

pub(crate) fn limit(text: &str) -> usize {
    let log: Log<'_> = serde_json::from_slice(text.as_bytes()).unwrap();
    log.records.len()
}
