//! Workloads: a pipeline shows the token that its own platform gave it, and gets a push token of minutes, so that none is kept in it.

use super::jwt::{Jwt, is_for, is_of_now};
use super::{OidcError, provider};
use crate::config;
use affiant_domain::Instant;
use openidconnect::core::CoreJsonWebKeySet;
use openidconnect::reqwest;
use serde::Deserialize;
use serde_json::Value;

/// How long an issuer's keys are believed, seconds.
const BELIEVED: i64 = 3600;

/// An issuer of workloads' tokens.
#[derive(Debug)]
pub struct Workload {
    /// How it is set up.
    pub settings: config::Workload,
    http: reqwest::Client,
    known: tokio::sync::Mutex<Option<(CoreJsonWebKeySet, Instant)>>,
}

/// What a workload may push to.
#[derive(Debug, PartialEq, Eq)]
pub struct Matched {
    /// The issuer's name here.
    pub issuer: String,
    /// Slug of the project.
    pub project: String,
    /// The issuer's name for the workload.
    pub subject: String,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

fn refused(why: &str) -> OidcError {
    OidcError::Refused(why.to_owned())
}

impl Workload {
    pub(super) fn new(settings: &config::Workload) -> Result<Self, String> {
        Ok(Self {
            settings: settings.clone(),
            http: provider::client()?,
            known: tokio::sync::Mutex::default(),
        })
    }

    /// Checks a workload's token, and finds the rule that it meets.
    ///
    /// # Errors
    /// [`OidcError`] where it is not to be believed, or meets no rule.
    pub async fn check(&self, token: &str, now: Instant) -> Result<Matched, OidcError> {
        let jwt: Jwt<Value> = Jwt::parse(token, "jwt").ok_or_else(|| refused("no JWT"))?;
        let mut signed = jwt.is_signed_by(self.keys(now, false).await?.keys());
        if !signed {
            signed = jwt.is_signed_by(self.keys(now, true).await?.keys());
        }
        if !signed {
            return Err(refused("the signature is not the issuer's"));
        }
        let claims = &jwt.claims;
        let audience = claims.get("aud").unwrap_or(&Value::Null);
        if !is_for(audience, &self.settings.audience) || !self.issued(claims) {
            return Err(refused("for another audience, or of another issuer"));
        }
        if !is_of_now(claims, now) {
            return Err(refused("not of this time"));
        }
        let rule = self.settings.rules.iter().find(|rule| meets(&rule.claims, claims));
        let rule = rule.ok_or_else(|| refused("no rule is met by its claims"))?;
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        Ok(Matched {
            issuer: self.settings.name.clone(),
            project: rule.project.clone(),
            subject: subject.chars().filter(|c| !c.is_control()).take(200).collect(),
        })
    }

    /// Whether a token says that it is of this issuer.
    pub(super) fn issued(&self, claims: &Value) -> bool {
        claims.get("iss").and_then(Value::as_str) == Some(self.settings.issuer.as_str())
    }

    /// The issuer's keys. Platforms describe themselves with less than a provider of sign-ins does.
    async fn keys(&self, now: Instant, one_is_missing: bool) -> Result<CoreJsonWebKeySet, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((keys, at)) = known.as_ref() {
            let longest = if one_is_missing { 1 } else { BELIEVED };
            if (now - *at).num_seconds() < longest {
                return Ok(keys.clone());
            }
        }
        let base = self.settings.issuer.trim_end_matches('/');
        let found: Discovery = self.fetch(&format!("{base}/.well-known/openid-configuration")).await?;
        if found.issuer != self.settings.issuer {
            return Err(refused("the issuer calls itself by another name"));
        }
        let keys: CoreJsonWebKeySet = self.fetch(&found.jwks_uri).await?;
        *known = Some((keys.clone(), now));
        Ok(keys)
    }

    async fn fetch<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, OidcError> {
        let away = |error: &dyn std::error::Error| {
            tracing::warn!(error = %error, issuer = self.settings.name, "an issuer cannot be reached");
            OidcError::Away(self.settings.name.clone())
        };
        let answer = self.http.get(url).send().await.map_err(|error| away(&error))?;
        let answer = answer.error_for_status().map_err(|error| away(&error))?;
        answer.json().await.map_err(|error| away(&error))
    }
}

/// Whether claims meet a rule: each that it names is there and is as it says; `*` at the end stands for anything.
fn meets(wanted: &std::collections::BTreeMap<String, String>, claims: &Value) -> bool {
    let as_said = |said: &str, given: &str| match said.strip_suffix('*') {
        Some(beginning) => given.starts_with(beginning),
        None => given == said,
    };
    !wanted.is_empty()
        && wanted.iter().all(|(key, said)| match claims.get(key) {
            Some(Value::String(given)) => as_said(said, given),
            Some(Value::Bool(given)) => as_said(said, &given.to_string()),
            Some(Value::Number(given)) => as_said(said, &given.to_string()),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_claim_of_a_rule_is_met() {
        let rule = |all: &[(&str, &str)]| all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let claims =
            json!({"repository": "acme/pay", "ref": "refs/heads/main", "run": 7, "fork": false, "list": ["acme/pay"]});
        assert!(meets(
            &rule(&[
                ("repository", "acme/pay"),
                ("ref", "refs/heads/*"),
                ("run", "7"),
                ("fork", "false")
            ]),
            &claims
        ));
        for bad in [
            rule(&[]),
            rule(&[("repository", "acme/pay2")]),
            rule(&[("repository", "acme/pa")]),
            rule(&[("repository", "acme/pay"), ("environment", "*")]),
            rule(&[("list", "acme/pay")]),
            rule(&[("repository", "ACME/pay")]),
        ] {
            assert!(!meets(&bad, &claims), "{bad:?}");
        }
    }
}
