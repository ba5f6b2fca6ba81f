//! The installation's key: what is kept of secrets and payloads is a hash under it, so that nobody without it can guess what they were.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::Aead;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::Write;
use std::path::Path;

/// What was sealed cannot be opened.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("what was sealed cannot be opened")]
pub struct Unsealed;

/// A key of 32 bytes. It is never printed.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Reads the key from a file, which is made where it is not there yet, readable by its owner alone. Several replicas share one file.
    ///
    /// # Errors
    /// What the file system says, or that the file holds no key.
    pub fn load_or_create(path: &Path) -> std::io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> std::io::Result<Self> {
        let bytes = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            let what = "the file holds no key: 64 hexadecimal digits";
            std::io::Error::new(std::io::ErrorKind::InvalidData, what)
        })
    }

    fn create(path: &Path) -> std::io::Result<Self> {
        let key = Self(rand::random());
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(path) {
            Ok(mut file) => {
                writeln!(file, "{}", hex::encode(key.0))?;
                file.sync_all()?;
                Ok(key)
            }
            // Another process was quicker.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Self::parse(&std::fs::read_to_string(path)?)
            }
            Err(error) => Err(error),
        }
    }

    /// HMAC-SHA256 of a text for a purpose; different purposes give different hashes of one text.
    #[must_use]
    pub fn hash(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text);
        mac.finalize().into_bytes().into()
    }

    /// Seals bytes for a purpose, so that nobody without the key can read or change them.
    ///
    /// # Errors
    /// [`Unsealed`] where there are more bytes than the cipher takes.
    pub fn seal(&self, purpose: &str, bytes: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let nonce: [u8; 24] = rand::random();
        let sealed = self
            .cipher(purpose)
            .encrypt(&nonce.into(), bytes)
            .map_err(|_| Unsealed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for a purpose.
    ///
    /// # Errors
    /// [`Unsealed`] where it was sealed under another key or for another purpose, or was changed.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let (nonce, rest) = sealed.split_first_chunk::<24>().ok_or(Unsealed)?;
        self.cipher(purpose)
            .decrypt(&(*nonce).into(), rest)
            .map_err(|_| Unsealed)
    }

    fn cipher(&self, purpose: &str) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.hash("seal", purpose.as_bytes()).into())
    }

    /// A text of the same length that stands for a secret: its beginning where that gives little away, then characters of its keyed hash.
    #[must_use]
    pub fn stand_in(&self, secret: &str) -> String {
        let shown: String = shown(secret).to_owned();
        let mut out = shown;
        let mut block = 0_u32;
        while out.len() < secret.len() {
            let hash = self.hash(&format!("secret/{block}"), secret.as_bytes());
            out.push_str(&STANDARD_NO_PAD.encode(hash).replace(['+', '/'], "x"));
            block += 1;
        }
        out.truncate(secret.len());
        out
    }

    /// What is kept of a secret, given its stand-in: the beginning, the length, and a keyed hash by which equal ones are known.
    #[must_use]
    pub fn describe(&self, stand_in: &str) -> String {
        let hash = hex::encode(&self.hash("secret", stand_in.as_bytes())[..8]);
        format!(
            "{}… ({} characters), keyed hash {hash}",
            shown(stand_in),
            stand_in.chars().count()
        )
    }
}

/// The beginning of a secret that may be shown: a fifth of it, four characters at most, as its kind is often told by them.
fn shown(secret: &str) -> &str {
    let most = (secret.len() / 5).min(4);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let end = secret.find(|c| !plain(c)).unwrap_or(secret.len()).min(most);
    &secret[..end]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_has_the_length_and_not_the_text() {
        let key = Key([7; 32]);
        for secret in [
            "a",
            "zz9-plural-z-alpha",
            "ä\"quoted\" and long enough to need two blocks of hash, really long",
        ] {
            let stand_in = key.stand_in(secret);
            assert_eq!(stand_in.len(), secret.len());
            assert_eq!(stand_in, key.stand_in(secret));
            assert_ne!(stand_in, Key([8; 32]).stand_in(secret));
            assert!(!stand_in.contains("plural") && !stand_in.contains("quoted"));
        }
        assert!(key.describe("zz9-plural-z-alpha").starts_with("zz9…"));
    }

    #[test]
    fn the_key_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("installation.key");
        let first = Key::load_or_create(&path).unwrap();
        let again = Key::load_or_create(&path).unwrap();
        assert_eq!(first.0, again.0);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777,
            0o600
        );
    }
}
