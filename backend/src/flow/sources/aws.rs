//! AWS by its API: events that CloudTrail keeps for ninety days, and findings of Security Hub. Calls are signed by the library that reads
//! the object stores; answers are kept as they came, since the readers of these formats know them.

use super::connector::{CURSOR, Connector, Next, Piece, away};
use super::settings::{Aws, Own};
use crate::flow::{FlowError, invalid};
use affiant_domain::Instant;
use affiant_store::Checkpoint;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use object_store::ClientOptions;
use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, ReqwestConnector};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// Bytes of one answer; AWS gives at most a hundred findings of 240 kB.
const ANSWER: usize = 64 << 20;
/// Calls that are tried where AWS asks for patience.
const TRIES: u32 = 6;

/// A service of AWS, called in one region.
struct Service {
    client: HttpClient,
    credentials: AwsCredentialProvider,
    region: String,
    service: &'static str,
    /// Address that is called.
    url: String,
    /// Headers of its protocol.
    headers: &'static [(&'static str, &'static str)],
}

/// An error as AWS tells it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    #[serde(rename = "__type", alias = "Code", alias = "code")]
    kind: String,
}

impl Service {
    fn new(
        aws: &Aws<'_>,
        own: &Own,
        service: &'static str,
        path: &str,
        headers: &'static [(&'static str, &'static str)],
    ) -> Result<Self, FlowError> {
        let wrong = |error: object_store::Error| invalid("settings", error.to_string());
        let mut builder = (if own.machine {
            AmazonS3Builder::from_env()
        } else {
            AmazonS3Builder::new()
        })
        .with_bucket_name("none")
        .with_region(aws.region);
        if let Some(key) = aws.access_key.resolve("settings/access_key", own)? {
            let secret = aws.secret_key.resolve("settings/secret_key", own)?.unwrap_or_default();
            builder = builder.with_access_key_id(key).with_secret_access_key(secret);
        }
        let options = ClientOptions::new()
            .with_connect_timeout(std::time::Duration::from_secs(10))
            .with_timeout(std::time::Duration::from_secs(60))
            .with_allow_http(aws.endpoint.starts_with("http://"));
        let host = match aws.endpoint {
            "" if aws.region.starts_with("cn-") => format!("https://{service}.{}.amazonaws.com.cn", aws.region),
            "" => format!("https://{service}.{}.amazonaws.com", aws.region),
            endpoint => endpoint.trim_end_matches('/').to_owned(),
        };
        Ok(Self {
            client: ReqwestConnector::default().connect(&options).map_err(wrong)?,
            credentials: builder.build().map_err(wrong)?.credentials().clone(),
            region: aws.region.to_owned(),
            service,
            url: format!("{host}{path}"),
            headers,
        })
    }

    /// Calls the service; waits and tries again where it asks for patience.
    async fn call(&self, body: &Value) -> Result<Vec<u8>, FlowError> {
        let mut wait = std::time::Duration::from_millis(500);
        for tried in 1.. {
            let (status, answer) = self.once(body).await?;
            if status == 200 {
                return Ok(answer);
            }
            let told: Told = serde_json::from_slice(&answer).unwrap_or_default();
            let kind = told.kind.rsplit('#').next().unwrap_or_default();
            let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).take(80).collect();
            let patience =
                status == 429 || status >= 500 || kind.contains("Throttl") || kind.contains("TooManyRequests");
            if !patience || tried >= TRIES {
                tracing::warn!(status, kind, service = self.service, "AWS refuses");
                return Err(FlowError::Away(format!("AWS answers {status} {kind}")));
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(FlowError::Worker)
    }

    async fn once(&self, body: &Value) -> Result<(u16, Vec<u8>), FlowError> {
        let credential = self.credentials.get_credential().await.map_err(|error| away(&error))?;
        let mut request = HttpRequest::new(body.to_string().into());
        *request.method_mut() = "POST".parse().map_err(|_| FlowError::Worker)?;
        let address = self.url.parse();
        *request.uri_mut() = address.map_err(|_| invalid("settings/endpoint", "no address"))?;
        for (name, value) in self.headers {
            let value = value.parse().map_err(|_| FlowError::Worker)?;
            request.headers_mut().insert(*name, value);
        }
        AwsAuthorizer::new(&credential, self.service, &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| away(&error))?;
        let unreachable = |error: object_store::client::HttpError| {
            tracing::warn!(%error, service = self.service, "AWS cannot be reached");
            FlowError::Away(format!("{} cannot be reached", self.service))
        };
        let answer = self.client.execute(request).await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().bytes().await.map_err(unreachable)?;
        if bytes.len() > ANSWER {
            return Err(FlowError::Away(format!("an answer has more than {ANSWER} bytes")));
        }
        Ok((status, bytes.to_vec()))
    }
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
            service: Service::new(aws, own, "cloudtrail", "/", &HEADERS)?,
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
    let service = Service::new(aws, own, "securityhub", "/findings", &HEADERS)?;
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
