//! One entry: its skeleton, canonical by RFC 8785 (JSON Canonicalization Scheme).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tlog_tiles::{Hash, record_hash};

/// Bytes of a skeleton at most.
pub const LONGEST: usize = 60_000;
/// The action of an entry that takes a new signing key into use: `refs` has `from` and `to`.
pub const ROTATED: &str = "trail.key-rotated";

/// What a leaf commits to. No field holds anything personal in clear: people are tokens, contents are commitments. Fields stand in the
/// order of their canonical form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What was done: `waiver.approved`, `event`, ….
    pub action: String,
    /// Token of who did it; none where nobody is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// When it was recorded: RFC 3339, UTC, microseconds.
    pub at: String,
    /// Its place in the trail, from 0, as decimal digits.
    pub index: String,
    /// How it ended: `success`, `failure` or `denied`.
    pub outcome: String,
    /// Commitment to its payload: SHA-256 over a random salt and the payload, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Identifier of the project, where it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Facts that are nobody's: identifiers, digests, counts. Keys are lower-case ASCII.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refs: BTreeMap<String, String>,
    /// Tokens of the people whom it concerns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Version of this form: 1.
    pub v: u8,
}

/// Why bytes are no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON of this form.
    #[error("it is not an entry: {0}")]
    Json(String),
    /// It is JSON of this form, and not its canonical one.
    #[error("it is not in canonical form")]
    NotCanonical,
    /// It is too long, or a key of `refs` or the version is not as it must be.
    #[error("{0}")]
    Form(String),
}

impl Entry {
    /// The canonical form.
    ///
    /// # Errors
    /// [`Malformed::Form`] where it is longer than [`LONGEST`] or has a key that is not lower-case ASCII.
    pub fn canonical(&self) -> Result<String, Malformed> {
        self.check()?;
        let text = serde_json_canonicalizer::to_string(self).map_err(|error| Malformed::Json(error.to_string()))?;
        if text.len() > LONGEST {
            return Err(Malformed::Form(format!("an entry has at most {LONGEST} bytes")));
        }
        Ok(text)
    }

    fn check(&self) -> Result<(), Malformed> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
        if let Some(key) = self.refs.keys().find(|key| key.is_empty() || !key.bytes().all(plain)) {
            return Err(Malformed::Form(format!("{key:?} is no key of refs")));
        }
        if self.v != 1 {
            return Err(Malformed::Form(format!("version {} is not known; 1 is", self.v)));
        }
        Ok(())
    }

    /// Reads a canonical form, and nothing else.
    ///
    /// # Errors
    /// [`Malformed`] where it is not one.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > LONGEST {
            return Err(Malformed::Form(format!("an entry has at most {LONGEST} bytes")));
        }
        let entry: Self = serde_json::from_str(text).map_err(|error| Malformed::Json(error.to_string()))?;
        entry.check()?;
        // Fields and keys are in canonical order, and both write texts alike: a test holds them to it.
        let same = serde_json::to_string(&entry).is_ok_and(|own| own == text);
        if same { Ok(entry) } else { Err(Malformed::NotCanonical) }
    }
}

/// The hash of a leaf: SHA-256 over a zero byte and the canonical form. RFC 6962 section 2.1.
#[must_use]
pub fn leaf_hash(canonical: &str) -> Hash {
    record_hash(canonical.as_bytes())
}
