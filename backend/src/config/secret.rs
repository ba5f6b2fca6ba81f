//! Secrets by reference: the configuration says where one is, never what it is.

use crate::aws::{Reach, Service};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Where a secret is. In development it may be the secret itself.
///
/// | written | is |
/// |---|---|
/// | `env:NAME` | a variable |
/// | `file:PATH` | a file, without the newline at its end |
/// | `vault:MOUNT/PATH#KEY` | a key of HashiCorp Vault's KV version 2, at `VAULT_ADDR` with `VAULT_TOKEN` or `VAULT_TOKEN_FILE` |
/// | `aws:NAME` or `aws:NAME#KEY` | a secret of AWS Secrets Manager, or a key of one that is JSON, in `AWS_REGION`, as the machine |
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_reference() { &self.0 } else { "Secret(…)" })
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Secret {
    /// Whether none is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it says where the secret is.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        matches!(self.0.split_once(':'), Some(("env" | "file" | "vault" | "aws", _)))
    }

    /// The secret itself.
    ///
    /// # Errors
    /// Why it cannot be had, without it.
    pub async fn resolve(&self) -> Result<String, String> {
        let secret = match self.0.split_once(':') {
            Some(("env", name)) => variable(name)?,
            Some(("file", path)) => file(path)?,
            Some(("vault", place)) => kept_in_vault(place).await?,
            Some(("aws", place)) => aws(place).await?,
            _ => return Ok(self.0.clone()),
        };
        if secret.is_empty() {
            return Err(format!("{} is empty", self.0));
        }
        Ok(secret)
    }
}

/// A variable of the environment.
pub(crate) fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the variable {name} is not set"))
}

fn file(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(Path::new(path));
    let text = text.map_err(|error| format!("{path} cannot be read: {error}"))?;
    Ok(text.trim_end().to_owned())
}

/// Asks Vault at `VAULT_ADDR` with `VAULT_TOKEN` or `VAULT_TOKEN_FILE`; posts where there is a body.
pub(crate) async fn vault(path: &str, body: Option<&Value>) -> Result<Value, String> {
    let address = variable("VAULT_ADDR")?;
    let token = match variable("VAULT_TOKEN") {
        Ok(token) => token,
        Err(_) => file(&variable("VAULT_TOKEN_FILE").map_err(|_| "neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set")?)?,
    };
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let client = client.map_err(|error| error.to_string())?;
    let url = format!("{}/v1/{path}", address.trim_end_matches('/'));
    let request = match body {
        Some(body) => client.post(url).json(body),
        None => client.get(url),
    };
    let request = request.header("X-Vault-Token", token).header("X-Vault-Request", "true");
    let answer = request
        .send()
        .await
        .map_err(|_| "Vault cannot be reached at VAULT_ADDR".to_owned())?;
    if !answer.status().is_success() {
        return Err(format!("Vault answers {} for {path}", answer.status().as_u16()));
    }
    let answer = answer.json().await;
    answer.map_err(|_| "Vault's answer is not understood".to_owned())
}

async fn kept_in_vault(place: &str) -> Result<String, String> {
    let form = "vault:MOUNT/PATH#KEY";
    let (path, key) = place
        .split_once('#')
        .ok_or_else(|| format!("{form}: the key is missing"))?;
    let (mount, path) = path
        .split_once('/')
        .ok_or_else(|| format!("{form}: the path is missing"))?;
    let answer = vault(&format!("{mount}/data/{path}"), None).await?;
    let found = answer
        .pointer("/data/data")
        .and_then(|data| data.get(key))
        .and_then(Value::as_str);
    found
        .map(str::to_owned)
        .ok_or_else(|| format!("{mount}/{path} of Vault has no text under {key}"))
}

async fn aws(place: &str) -> Result<String, String> {
    const HEADERS: [(&str, &str); 2] = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.GetSecretValue"),
    ];
    let (name, key) = place
        .split_once('#')
        .map_or((place, None), |(name, key)| (name, Some(key)));
    let region = variable("AWS_REGION").or_else(|_| variable("AWS_DEFAULT_REGION"))?;
    let endpoint = variable("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|_| variable("AWS_ENDPOINT_URL"));
    let reach = Reach {
        region: &region,
        endpoint: &endpoint.unwrap_or_default(),
        keys: None,
    };
    let service = Service::new(reach, "secretsmanager", "/", &HEADERS).map_err(|error| error.to_string())?;
    let answer = service.call(&json!({ "SecretId": name })).await;
    let answer = answer.map_err(|error| format!("{name}: {error}"))?;
    let answer: Value =
        serde_json::from_slice(&answer).map_err(|_| format!("{name}: an answer that is not understood"))?;
    let text = answer.get("SecretString").and_then(Value::as_str);
    let text = text.ok_or_else(|| format!("{name} holds no text"))?;
    let Some(key) = key else {
        return Ok(text.to_owned());
    };
    let parsed: Value = serde_json::from_str(text).unwrap_or_default();
    let found = parsed.get(key).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .ok_or_else(|| format!("{name} has no text under {key}"))
}
