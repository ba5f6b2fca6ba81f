//! Signed tokens that are no ID tokens: taken apart, and held against the keys of who should have signed them.

use super::provider::{ALGORITHMS, SKEW};
use affiant_domain::Instant;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey, JsonWebKeyId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Bytes of a token that are looked at.
const LARGEST: usize = 32 << 10;

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    kid: Option<String>,
    typ: Option<String>,
}

/// A token, taken apart and not yet believed.
pub(super) struct Jwt<C> {
    header: Header,
    /// What it says.
    pub(super) claims: C,
    signed: String,
    signature: Vec<u8>,
}

impl<C: DeserializeOwned> Jwt<C> {
    /// Takes a token apart that is of no other type than this, if it names one.
    pub(super) fn parse(token: &str, own_type: &str) -> Option<Self> {
        fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
        }
        let mut parts = token.split('.');
        let (head, body, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || token.len() > LARGEST {
            return None;
        }
        let header: Header = part(head)?;
        let typ = header
            .typ
            .as_deref()
            .map(|typ| typ.trim_start_matches("application/").to_lowercase());
        if typ.is_some_and(|typ| typ != "jwt" && typ != own_type) {
            return None;
        }
        Some(Self {
            header,
            claims: part(body)?,
            signed: format!("{head}.{body}"),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Whether one of the keys signed it, by an algorithm that is believed.
    pub(super) fn is_signed_by(&self, keys: &[CoreJsonWebKey]) -> bool {
        let kid = self.header.kid.clone().map(JsonWebKeyId::new);
        let mut named = keys.iter().filter(|key| kid.is_none() || key.key_id() == kid.as_ref());
        ALGORITHMS.contains(&self.header.alg)
            && named.any(|key| {
                let checked = key.verify_signature(&self.header.alg, self.signed.as_bytes(), &self.signature);
                checked.is_ok()
            })
    }
}

/// Whether an audience, one text or a list, holds this one.
pub(super) fn is_for(audience: &Value, wanted: &str) -> bool {
    match audience {
        Value::Array(all) => all.iter().any(|one| one == wanted),
        one => one == wanted,
    }
}

/// Whether a token is of this time: it has begun, and it ends.
pub(super) fn is_of_now(claims: &Value, now: Instant) -> bool {
    let at = |key: &str| claims.get(key).and_then(Value::as_i64);
    let now = now.timestamp();
    let begun = ["iat", "nbf"].into_iter().filter_map(at).all(|at| at <= now + SKEW);
    begun && at("exp").is_some_and(|exp| exp > now - SKEW)
}
