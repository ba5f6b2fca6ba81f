//! What is committed to and kept beside the trail: it can be purged, or become unreadable, without touching the leaf.

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload as Bound};
use sha2::{Digest, Sha256};

/// A payload with its salt. Who has only the commitment cannot guess a short payload, since the salt is random.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// 32 random bytes.
    pub salt: [u8; 32],
    /// The content.
    pub content: String,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payload(…)")
    }
}

impl Payload {
    /// What a skeleton says of it, in hexadecimal.
    #[must_use]
    pub fn commitment(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        hash.update(self.content.as_bytes());
        hex::encode(hash.finalize())
    }

    /// Salt and content as bytes, to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.salt.as_slice(), self.content.as_bytes()].concat()
    }

    /// Reads those bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (salt, content) = bytes.split_first_chunk::<32>()?;
        let content = String::from_utf8(content.to_vec()).ok()?;
        Some(Self { salt: *salt, content })
    }
}

/// Seals bytes with XChaCha20-Poly1305, bound to the identity of the record to which they belong. None where there are too many.
#[must_use]
pub fn seal(key: &[u8; 32], nonce: [u8; 24], identity: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let bound = Bound {
        msg: bytes,
        aad: identity.as_bytes(),
    };
    let sealed = XChaCha20Poly1305::new(&(*key).into())
        .encrypt(&nonce.into(), bound)
        .ok()?;
    Some([nonce.as_slice(), &sealed].concat())
}

/// Opens what was sealed. None where the key is another, the record is another, or it was changed.
#[must_use]
pub fn open(key: &[u8; 32], identity: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<24>()?;
    let bound = Bound {
        msg: rest,
        aad: identity.as_bytes(),
    };
    XChaCha20Poly1305::new(&(*key).into())
        .decrypt(&(*nonce).into(), bound)
        .ok()
}
