//! Back-channel logout: a provider says that a session or a person is out. OpenID Connect Back-Channel Logout 1.0, section 2.6.

use super::jwt::{Jwt, is_for};
use super::provider::SKEW;
use super::{OidcError, Provider, Providers};
use affiant_domain::Instant;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token is to be used at once.
const OLDEST: i64 = 600;

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

impl Providers {
    /// Checks a logout token.
    ///
    /// # Errors
    /// [`OidcError::Refused`] says why it is not to be trusted.
    pub async fn logged_out(&self, token: &str, now: Instant) -> Result<LoggedOut, OidcError> {
        let jwt: Jwt<Claims> = Jwt::parse(token, "logout+jwt").ok_or_else(|| refused("no logout token"))?;
        let is_its = |provider: &&Arc<Provider>| {
            provider.issuer() == jwt.claims.iss && is_for(&jwt.claims.aud, &provider.settings.client_id)
        };
        let provider = self
            .sign_in
            .iter()
            .find(is_its)
            .ok_or_else(|| refused("of no provider here"))?;
        let mut known = jwt.is_signed_by(provider.metadata(now, false).await?.jwks().keys());
        if !known {
            known = jwt.is_signed_by(provider.metadata(now, true).await?.jwks().keys());
        }
        if !known {
            return Err(refused("the signature is not the provider's"));
        }
        let claims = jwt.claims;
        check(&claims, now)?;
        Ok(LoggedOut {
            provider: provider.settings.name.clone(),
            issuer: claims.iss,
            sid: claims.sid,
            subject: claims.sub,
        })
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
