//! The master key: what the installation's keys are wrapped by, where they do not lie in clear in their file. It stays in Vault or in a
//! key management service; only what it wrapped comes here.

use crate::aws::{Reach, Service};
use crate::config::{variable, vault};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

/// A key that never leaves its keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Master {
    /// A key of Vault's transit engine: its mount and name, at `VAULT_ADDR`.
    Vault {
        /// Where the engine is mounted.
        mount: String,
        /// The key's name.
        name: String,
    },
    /// A key of AWS KMS, by id, alias or ARN, in `AWS_REGION`.
    Kms(String),
}

/// What a wrapped ring is bound to, so that nothing else that the key wrapped is taken for one.
const CONTEXT: &str = "affiant installation keys";

impl Master {
    /// A master key by its reference: `vault:MOUNT/NAME` or `aws-kms:KEY`.
    ///
    /// # Errors
    /// How it is written.
    pub fn parse(reference: &str) -> Result<Self, String> {
        let form = || format!("\"{reference}\" names no master key: write vault:MOUNT/NAME or aws-kms:KEY");
        match reference.split_once(':').ok_or_else(form)? {
            ("vault", place) => {
                let (mount, name) = place.rsplit_once('/').ok_or_else(form)?;
                let plain = |text: &str| {
                    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
                    !text.is_empty() && text.chars().all(known) && !text.contains("..")
                };
                if !plain(mount) || !plain(name) {
                    return Err(form());
                }
                Ok(Self::Vault {
                    mount: mount.to_owned(),
                    name: name.to_owned(),
                })
            }
            ("aws-kms", key) if !key.is_empty() => Ok(Self::Kms(key.to_owned())),
            _ => Err(form()),
        }
    }

    /// Its reference.
    #[must_use]
    pub fn reference(&self) -> String {
        match self {
            Self::Vault { mount, name } => format!("vault:{mount}/{name}"),
            Self::Kms(key) => format!("aws-kms:{key}"),
        }
    }

    /// Wraps bytes.
    ///
    /// # Errors
    /// Why the keeper does not, without the bytes.
    pub async fn wrap(&self, bytes: &[u8]) -> Result<String, String> {
        let plain = BASE64_STANDARD.encode(bytes);
        let context = BASE64_STANDARD.encode(CONTEXT);
        match self {
            Self::Vault { mount, name } => {
                let body = json!({ "plaintext": plain, "associated_data": context });
                let answer = vault(&format!("{mount}/encrypt/{name}"), Some(&body)).await?;
                text(&answer, "/data/ciphertext")
            }
            Self::Kms(key) => {
                let body = json!({ "KeyId": key, "Plaintext": plain, "EncryptionContext": { "use": CONTEXT } });
                text(&kms("TrentService.Encrypt", &body).await?, "/CiphertextBlob")
            }
        }
    }

    /// Unwraps what it wrapped.
    ///
    /// # Errors
    /// Why the keeper does not.
    pub async fn unwrap(&self, wrapped: &str) -> Result<Vec<u8>, String> {
        let plain = match self {
            Self::Vault { mount, name } => {
                let context = BASE64_STANDARD.encode(CONTEXT);
                let body = json!({ "ciphertext": wrapped, "associated_data": context });
                let answer = vault(&format!("{mount}/decrypt/{name}"), Some(&body)).await?;
                text(&answer, "/data/plaintext")?
            }
            Self::Kms(key) => {
                let body = json!({ "KeyId": key, "CiphertextBlob": wrapped, "EncryptionContext": { "use": CONTEXT } });
                text(&kms("TrentService.Decrypt", &body).await?, "/Plaintext")?
            }
        };
        BASE64_STANDARD
            .decode(plain)
            .map_err(|_| "the keeper of the master key gives something that is no key".to_owned())
    }
}

fn text(answer: &Value, pointer: &str) -> Result<String, String> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .ok_or_else(|| "the keeper of the master key gives an answer that is not understood".to_owned())
}

async fn kms(target: &'static str, body: &Value) -> Result<Value, String> {
    const ENCRYPT: [(&str, &str); 2] = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "TrentService.Encrypt"),
    ];
    const DECRYPT: [(&str, &str); 2] = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "TrentService.Decrypt"),
    ];
    let region = variable("AWS_REGION").or_else(|_| variable("AWS_DEFAULT_REGION"))?;
    let endpoint = variable("AWS_ENDPOINT_URL_KMS").or_else(|_| variable("AWS_ENDPOINT_URL"));
    let reach = Reach {
        region: &region,
        endpoint: &endpoint.unwrap_or_default(),
        keys: None,
    };
    let headers = if target == ENCRYPT[1].1 { &ENCRYPT } else { &DECRYPT };
    let service = Service::new(reach, "kms", "/", headers).map_err(|error| error.to_string())?;
    let answer = service.call(body).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&answer).map_err(|_| "AWS KMS gives an answer that is not understood".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_keeper_and_a_key() {
        for known in [
            "vault:transit/affiant",
            "vault:team/transit/affiant",
            "aws-kms:alias/affiant",
        ] {
            assert_eq!(
                Master::parse(known).map(|master| master.reference()).as_deref(),
                Ok(known)
            );
        }
        for wrong in [
            "",
            "vault:",
            "vault:affiant",
            "vault:a/../b",
            "vault:a/b?c",
            "aws-kms:",
            "file:x",
        ] {
            assert!(Master::parse(wrong).is_err(), "{wrong}");
        }
    }
}
