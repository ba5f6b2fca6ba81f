//! AWS by its API: events that CloudTrail keeps for ninety days, and findings of Security Hub. Answers are kept as they came, since the
//! readers of these formats know them.

use super::connector::{CURSOR, Connector, Next, Piece};
use super::settings::{Aws, Own};
use crate::aws::{AwsError, Reach, Service};
use crate::flow::{FlowError, invalid};
use affiant_domain::Instant;
use affiant_store::Checkpoint;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

impl From<AwsError> for FlowError {
    fn from(error: AwsError) -> Self {
        match error {
            AwsError::Wrong(what) => invalid("settings", what),
            other => Self::Away(other.to_string()),
        }
    }
}

/// A service, reached as a source says.
fn service(
    aws: &Aws<'_>,
    own: &Own,
    name: &'static str,
    path: &str,
    headers: &'static [(&'static str, &'static str)],
) -> Result<Service, FlowError> {
    let keys = match aws.access_key.resolve("settings/access_key", own)? {
        Some(key) => {
            let secret = aws.secret_key.resolve("settings/secret_key", own)?.unwrap_or_default();
            Some((key, secret))
        }
        None => None,
    };
    let reach = Reach {
        region: aws.region,
        endpoint: aws.endpoint,
        keys,
    };
    Ok(Service::new(reach, name, path, headers)?)
}

/// Days for which CloudTrail looks events up.
const KEPT: i64 = 90;
/// CloudTrail gives an event within fifteen minutes of the call; each pull begins so much before the cursor.
const LATE: i64 = 20;

/// CloudTrail's lookup, a day at a time from the oldest.
pub(super) struct Lookup {
    service: Service,
    /// From here on nothing was read.
    from: Instant,
    until: Instant,
    begun: bool,
}

/// A page of events.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Events {
    #[serde(default)]
    events: Vec<Box<RawValue>>,
    next_token: Option<String>,
}

impl Lookup {
    pub(super) fn new(
        aws: &Aws<'_>,
        own: &Own,
        known: &HashMap<String, Checkpoint>,
        now: Instant,
    ) -> Result<Self, FlowError> {
        const HEADERS: [(&str, &str); 2] = [
            ("content-type", "application/x-amz-json-1.1"),
            (
                "x-amz-target",
                "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
            ),
        ];
        let oldest = now - Duration::days(KEPT) + Duration::minutes(1);
        let before = known
            .get(CURSOR)
            .and_then(|point| DateTime::parse_from_rfc3339(&point.version).ok());
        Ok(Self {
            service: service(aws, own, "cloudtrail", "/", &HEADERS)?,
            from: before.map_or(oldest, |at| {
                (at.with_timezone(&Utc) - Duration::minutes(LATE)).max(oldest)
            }),
            until: now,
            begun: false,
        })
    }

    async fn page(&self, end: Instant, token: Option<&str>, most: u32) -> Result<Events, FlowError> {
        let mut body = json!({ "StartTime": self.from.timestamp(), "EndTime": end.timestamp(), "MaxResults": most });
        if let Some(token) = token {
            body["NextToken"] = json!(token);
        }
        let answer = self.service.call(&body).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            tracing::warn!(%error, "an answer of CloudTrail is not understood");
            FlowError::Away("CloudTrail's answer is not understood".to_owned())
        })
    }

    /// The events of a day, one a line; none where there are none.
    async fn day(&self, end: Instant, spool: &Path) -> Result<Option<(NamedTempFile, u64)>, FlowError> {
        let disk = |error| FlowError::Io(spool.display().to_string(), error);
        let mut page = self.page(end, None, 50).await?;
        if page.events.is_empty() && page.next_token.is_none() {
            return Ok(None);
        }
        let mut file = NamedTempFile::new_in(spool).map_err(disk)?;
        let mut size = 0;
        loop {
            for event in &page.events {
                // Lines, so that one event that cannot be read takes no other with it.
                let line = event.get().replace(['\n', '\r'], " ");
                writeln!(file, "{line}").map_err(disk)?;
                size += line.len() as u64 + 1;
            }
            let Some(token) = page.next_token else { break };
            page = self.page(end, Some(&token), 50).await?;
        }
        file.flush().map_err(disk)?;
        Ok((size > 0).then_some((file, size)))
    }
}

#[async_trait::async_trait]
impl Connector for Lookup {
    async fn next(&mut self, spool: &Path) -> Result<Next, FlowError> {
        // Most pulls find a quiet store, and the first finds many quiet days: one call tells.
        if !std::mem::replace(&mut self.begun, true) {
            let any = self.page(self.until, None, 1).await?;
            if any.events.is_empty() && any.next_token.is_none() {
                return Ok(Next::End);
            }
        }
        while self.from < self.until {
            let end = (self.from + Duration::days(1)).min(self.until);
            let found = self.day(end, spool).await?;
            self.from = end;
            if let Some((file, size)) = found {
                return Ok(Next::Piece(Box::new(Piece {
                    key: CURSOR.to_owned(),
                    version: end.to_rfc3339_opts(SecondsFormat::Secs, true),
                    size,
                    file,
                    skip: 0,
                })));
            }
        }
        Ok(Next::End)
    }
}

/// A page of findings.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Findings {
    #[serde(default)]
    findings: Vec<Box<RawValue>>,
    next_token: Option<String>,
}

/// Writes all findings of Security Hub to a file, those that it archived too: what it archived is gone, what is not told is unknown.
pub(super) async fn findings(aws: &Aws<'_>, own: &Own, spool: &Path) -> Result<(NamedTempFile, u64), FlowError> {
    const HEADERS: [(&str, &str); 1] = [("content-type", "application/json")];
    let service = service(aws, own, "securityhub", "/findings", &HEADERS)?;
    let disk = |error| FlowError::Io(spool.display().to_string(), error);
    let mut file = std::io::BufWriter::new(NamedTempFile::new_in(spool).map_err(disk)?);
    let mut told = 0;
    file.write_all(b"{\"Findings\":[").map_err(disk)?;
    let mut token: Option<String> = None;
    loop {
        let mut body = json!({ "MaxResults": 100 });
        if let Some(token) = &token {
            body["NextToken"] = json!(token);
        }
        let answer = service.call(&body).await?;
        let page: Findings = serde_json::from_slice(&answer).map_err(|error| {
            tracing::warn!(%error, "an answer of Security Hub is not understood");
            FlowError::Away("Security Hub's answer is not understood".to_owned())
        })?;
        for finding in &page.findings {
            file.write_all(if told == 0 { b"\n" } else { b",\n" }).map_err(disk)?;
            file.write_all(finding.get().as_bytes()).map_err(disk)?;
            told += 1;
        }
        match page.next_token.filter(|next| Some(next) != token.as_ref()) {
            Some(next) => token = Some(next),
            None => break,
        }
    }
    file.write_all(b"\n]}\n").map_err(disk)?;
    let file = file.into_inner().map_err(|error| disk(error.into_error()))?;
    Ok((file, told))
}
