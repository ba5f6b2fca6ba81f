//! AWS by its API. Calls are signed by the library that reads the object stores; answers are kept as they came.

use object_store::ClientOptions;
use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, ReqwestConnector};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Bytes of one answer; AWS gives at most a hundred findings of 240 kB.
const ANSWER: usize = 64 << 20;
/// Calls that are tried where AWS asks for patience.
const TRIES: u32 = 6;

/// What went wrong; no address and no key is told.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// What it was given is wrong.
    #[error("{0}")]
    Wrong(String),
    /// It refuses.
    #[error("AWS answers {0} {1}")]
    Refused(u16, String),
    /// It cannot be reached.
    #[error("{0} of AWS cannot be reached")]
    Away(&'static str),
}

/// Where and as whom a service is called.
#[derive(Clone, Debug, Default)]
pub struct Reach<'a> {
    /// Region.
    pub region: &'a str,
    /// Address, where it is not Amazon's.
    pub endpoint: &'a str,
    /// Access key and its secret; those of the machine, where none are given.
    pub keys: Option<(String, String)>,
}

/// A service of AWS, called in one region.
pub struct Service {
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
    /// A service at a path, with the headers of its protocol.
    ///
    /// # Errors
    /// [`AwsError::Wrong`] where it cannot be set up so.
    pub fn new(
        reach: Reach<'_>,
        service: &'static str,
        path: &str,
        headers: &'static [(&'static str, &'static str)],
    ) -> Result<Self, AwsError> {
        let wrong = |error: object_store::Error| AwsError::Wrong(error.to_string());
        let builder = match reach.keys {
            Some((key, secret)) => AmazonS3Builder::new()
                .with_access_key_id(key)
                .with_secret_access_key(secret),
            None => AmazonS3Builder::from_env(),
        };
        let builder = builder.with_bucket_name("none").with_region(reach.region);
        let options = ClientOptions::new()
            .with_connect_timeout(Duration::from_secs(10))
            .with_timeout(Duration::from_secs(60))
            .with_allow_http(reach.endpoint.starts_with("http://"));
        let host = match reach.endpoint {
            "" if reach.region.starts_with("cn-") => format!("https://{service}.{}.amazonaws.com.cn", reach.region),
            "" => format!("https://{service}.{}.amazonaws.com", reach.region),
            endpoint => endpoint.trim_end_matches('/').to_owned(),
        };
        Ok(Self {
            client: ReqwestConnector::default().connect(&options).map_err(wrong)?,
            credentials: builder.build().map_err(wrong)?.credentials().clone(),
            region: reach.region.to_owned(),
            service,
            url: format!("{host}{path}"),
            headers,
        })
    }

    /// Calls the service; waits and tries again where it asks for patience.
    ///
    /// # Errors
    /// [`AwsError`] where it refuses or cannot be reached.
    pub async fn call(&self, body: &Value) -> Result<Vec<u8>, AwsError> {
        let mut wait = Duration::from_millis(500);
        let mut tried = 1;
        loop {
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
                return Err(AwsError::Refused(status, kind));
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
            tried += 1;
        }
    }

    async fn once(&self, body: &Value) -> Result<(u16, Vec<u8>), AwsError> {
        let away = |error: &dyn std::error::Error| {
            tracing::warn!(error = %error, service = self.service, "AWS cannot be reached");
            AwsError::Away(self.service)
        };
        let wrong = |what: &str| AwsError::Wrong(what.to_owned());
        let credential = self.credentials.get_credential().await.map_err(|error| away(&error))?;
        let mut request = HttpRequest::new(body.to_string().into());
        *request.method_mut() = "POST".parse().map_err(|_| wrong("no method"))?;
        *request.uri_mut() = self.url.parse().map_err(|_| wrong("the endpoint is no address"))?;
        for (name, value) in self.headers {
            let value = value.parse().map_err(|_| wrong("no header"))?;
            request.headers_mut().insert(*name, value);
        }
        AwsAuthorizer::new(&credential, self.service, &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| away(&error))?;
        let answer = self.client.execute(request).await.map_err(|error| away(&error))?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().bytes().await.map_err(|error| away(&error))?;
        if bytes.len() > ANSWER {
            return Err(AwsError::Wrong(format!("an answer has more than {ANSWER} bytes")));
        }
        Ok((status, bytes.to_vec()))
    }
}
