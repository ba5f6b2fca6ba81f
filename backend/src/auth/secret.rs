//! Secrets: made at random, shown once, kept as hashes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 32 random bytes as text.
#[must_use]
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A new API token; it begins with `aff_`, so that secret scanners recognise it.
#[must_use]
pub fn token() -> String {
    format!("aff_{}", random())
}

/// What is kept of a secret. Secrets are random and long, so that one round of SHA-256 is enough.
#[must_use]
pub fn hash(secret: &str) -> String {
    affiant_domain::sha256_hex(secret.as_bytes())
}
