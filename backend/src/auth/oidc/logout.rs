//! Back-channel logout: a provider says that a session or a person is out. OpenID Connect Back-Channel Logout 1.0, section 2.6.

use super::provider::{ALGORITHMS, SKEW};
use super::{OidcError, Provider, Providers};
use affiant_domain::Instant;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::CoreJwsSigningAlgorithm;
use openidconnect::{JsonWebKey, JsonWebKeyId};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token is to be used at once.
const OLDEST: i64 = 600;

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    iat: i64,
    exp: Option<i64>,
    sub: Option<String>,
    sid: Option<String>,
    nonce: Option<Value>,
    #[serde(default)]
    events: serde_json::Map<String, Value>,
}

/// Who is out.
#[derive(Debug, PartialEq, Eq)]
pub struct LoggedOut {
    /// The provider's name.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// The session.
    pub sid: Option<String>,
    /// The person.
    pub subject: Option<String>,
}

fn refused(why: &str) -> OidcError {
    OidcError::Refused(why.to_owned())
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

impl Providers {
    /// Checks a logout token.
    ///
    /// # Errors
    /// [`OidcError::Refused`] says why it is not to be trusted.
    pub async fn logged_out(&self, token: &str, now: Instant) -> Result<LoggedOut, OidcError> {
        let mut parts = token.split('.');
        let (Some(head), Some(body), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refused("no JWT"));
        };
        let header: Header = part(head).ok_or_else(|| refused("no JWT header"))?;
        let claims: Claims = part(body).ok_or_else(|| refused("no logout token"))?;
        let is_for = |provider: &&Arc<Provider>| {
            let audience = match &claims.aud {
                Value::Array(all) => all.iter().any(|one| *one == provider.settings.client_id.as_str()),
                one => *one == provider.settings.client_id.as_str(),
            };
            provider.issuer() == claims.iss && audience
        };
        let provider = self
            .0
            .iter()
            .find(is_for)
            .ok_or_else(|| refused("of no provider here"))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| refused("no signature"))?;
        let signed = format!("{head}.{body}");
        let mut known = provider
            .signs(&header, signed.as_bytes(), &signature, now, false)
            .await?;
        if !known {
            known = provider
                .signs(&header, signed.as_bytes(), &signature, now, true)
                .await?;
        }
        if !known {
            return Err(refused("the signature is not the provider's"));
        }
        check(&claims, now)?;
        Ok(LoggedOut {
            provider: provider.settings.name.clone(),
            issuer: claims.iss,
            sid: claims.sid,
            subject: claims.sub,
        })
    }
}

impl Provider {
    async fn signs(
        &self,
        header: &Header,
        signed: &[u8],
        signature: &[u8],
        now: Instant,
        key_is_missing: bool,
    ) -> Result<bool, OidcError> {
        if !ALGORITHMS.contains(&header.alg) {
            return Err(refused("an algorithm that is not believed"));
        }
        let metadata = self.metadata(now, key_is_missing).await?;
        let kid = header.kid.clone().map(JsonWebKeyId::new);
        let keys = metadata.jwks().keys().iter();
        let mut named = keys.filter(|key| kid.is_none() || key.key_id() == kid.as_ref());
        Ok(named.any(|key| key.verify_signature(&header.alg, signed, signature).is_ok()))
    }
}

fn check(claims: &Claims, now: Instant) -> Result<(), OidcError> {
    let now = now.timestamp();
    if claims.iat > now + SKEW || claims.iat < now - OLDEST || claims.exp.is_some_and(|exp| exp < now - SKEW) {
        return Err(refused("not of this time"));
    }
    if claims.nonce.is_some() || !claims.events.get(EVENT).is_some_and(Value::is_object) {
        return Err(refused("no logout token"));
    }
    if claims.sid.is_none() && claims.sub.is_none() {
        return Err(refused("it names neither session nor person"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_logout_token_is_no_other_token() {
        let now = chrono::DateTime::from_timestamp(1_000_000, 0).unwrap();
        let check = |value: Value| check(&serde_json::from_value(value).unwrap(), now).is_ok();
        let mut good = json!({"iss": "i", "aud": "a", "iat": 999_990, "sid": "s", "events": {EVENT: {}}});
        assert!(check(good.clone()));
        for (key, value) in [
            ("nonce", json!("n")),
            ("events", json!({})),
            ("iat", json!(900_000)),
            ("iat", json!(1_001_000)),
            ("exp", json!(999_000)),
            ("sid", Value::Null),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            assert!(!check(bad), "{key}");
        }
        good["sid"] = Value::Null;
        good["sub"] = json!("ann");
        assert!(check(good));
    }
}
