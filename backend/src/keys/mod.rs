//! The installation's keys: what is kept of secrets and payloads is a hash under one, so that nobody without it can guess what they were;
//! data keys and other secrets are sealed under another, which can be changed.

mod master;
mod ring;

pub use master::Master;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::Aead;
use hmac::{Hmac, KeyInit, Mac};
use ring::Ring;
use sha2::{Digest, Sha256};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// What was sealed cannot be opened.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("what was sealed cannot be opened")]
pub struct Unsealed;

/// The keys. They are never printed.
#[derive(Clone)]
pub struct Key {
    root: [u8; 32],
    /// What seals and opens, the present one first.
    seals: Arc<RwLock<Vec<[u8; 32]>>>,
    file: Arc<KeyFile>,
}

/// Where they lie.
#[derive(Default)]
struct KeyFile {
    path: PathBuf,
    /// A hash of what it held when it was read last. Its time would not do: two changes can bear the same.
    seen: Mutex<[u8; 32]>,
}

impl KeyFile {
    fn text(&self) -> std::io::Result<String> {
        std::fs::read_to_string(&self.path)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What can be said of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The master key that wraps them; none where they lie in clear.
    pub wrapped_by: Option<String>,
    /// How many keys seal or open.
    pub seals: usize,
    /// Whether a change is under way.
    pub is_changing: bool,
    /// Whether a new key is there that does not seal yet.
    pub is_announced: bool,
}

/// A step of changing the sealing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new key is there, for opening.
    Announced,
    /// It seals from now on; the ones before it still open.
    Taken,
    /// The ones before it are gone.
    Dropped,
}

impl Key {
    /// Reads the keys from their file, which is made where it is not there yet, readable by its owner alone, wrapped by the master key where
    /// one is named. Several replicas share one file.
    ///
    /// # Errors
    /// What the file system or the keeper of the master key says, or that the file holds no keys.
    pub async fn load_or_create(path: &Path, master: Option<&Master>) -> std::io::Result<Self> {
        if !path.exists() {
            match Ring::new().write(path, master, true).await {
                // Another process was quicker.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made?,
            }
        }
        let text = std::fs::read_to_string(path)?;
        let (ring, wrapped_by) = Ring::read(&text).await?;
        if let Some(master) = master.filter(|master| Some(*master) != wrapped_by.as_ref()) {
            let what = format!(
                "the keys are not wrapped by {}: `affiant keys wrap` does it",
                master.reference()
            );
            return Err(Error::new(ErrorKind::InvalidData, what));
        }
        Ok(Self {
            root: ring.root,
            seals: Arc::new(RwLock::new([ring.seals, ring.next].concat())),
            file: Arc::new(KeyFile {
                path: path.to_owned(),
                seen: Mutex::new(Sha256::digest(text).into()),
            }),
        })
    }

    /// Reads the file again where it was changed, so that a key that another process made is known here.
    ///
    /// # Errors
    /// Those of reading; the keys stay as they were.
    pub async fn refresh(&self) -> std::io::Result<()> {
        let text = self.file.text()?;
        let seen = Sha256::digest(&text).into();
        if *self.file.seen.lock().unwrap_or_else(PoisonError::into_inner) == seen {
            return Ok(());
        }
        let (ring, _) = Ring::read(&text).await?;
        if ring.root != self.root {
            return Err(Error::new(
                ErrorKind::InvalidData,
                "the file holds the keys of another installation",
            ));
        }
        *self.seals.write().unwrap_or_else(PoisonError::into_inner) = [ring.seals, ring.next].concat();
        *self.file.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }

    /// What can be said of the keys.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn told(&self) -> std::io::Result<Told> {
        let (ring, master) = Ring::read(&self.file.text()?).await?;
        Ok(Told {
            wrapped_by: master.map(|master| master.reference()),
            seals: ring.seals.len() + ring.next.len(),
            is_changing: !ring.next.is_empty() || ring.seals.len() > 1,
            is_announced: !ring.next.is_empty(),
        })
    }

    /// Wraps the keys by another master key, by the newest version of the same one, or by none.
    ///
    /// # Errors
    /// What the file system or a keeper says; then the file is as it was.
    pub async fn wrap(&self, master: Option<&Master>) -> std::io::Result<()> {
        let _lock = self.lock()?;
        let (ring, _) = Ring::read(&self.file.text()?).await?;
        ring.write(&self.file.path, master, false).await
    }

    /// Keeps other processes from changing the file meanwhile.
    fn lock(&self) -> std::io::Result<std::fs::File> {
        let path = self.file.path.with_extension("lock");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.lock()?;
        Ok(file)
    }

    /// Makes the next step of changing the sealing key, from wherever the last one ended.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub async fn change(&self) -> std::io::Result<Change> {
        let lock = self.lock()?;
        let (mut ring, master) = Ring::read(&self.file.text()?).await?;
        let step = if !ring.next.is_empty() {
            ring.seals = [std::mem::take(&mut ring.next), ring.seals].concat();
            Change::Taken
        } else if ring.seals.len() > 1 {
            ring.seals.truncate(1);
            Change::Dropped
        } else {
            ring.next.push(rand::random());
            Change::Announced
        };
        ring.write(&self.file.path, master.as_ref(), false).await?;
        drop(lock);
        self.refresh().await?;
        Ok(step)
    }

    /// HMAC-SHA256 of a text for a purpose; different purposes give different hashes of one text.
    #[must_use]
    pub fn hash(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        hashed(&self.root, purpose, text)
    }

    /// Seals bytes for a purpose, so that nobody without the key can read or change them.
    ///
    /// # Errors
    /// [`Unsealed`] where there are more bytes than the cipher takes.
    pub fn seal(&self, purpose: &str, bytes: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let key = self
            .seals
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .first()
            .copied();
        let nonce: [u8; 24] = rand::random();
        let sealed = cipher(&key.ok_or(Unsealed)?, purpose).encrypt(&nonce.into(), bytes);
        Ok([nonce.as_slice(), &sealed.map_err(|_| Unsealed)?].concat())
    }

    /// Opens what was sealed for a purpose.
    ///
    /// # Errors
    /// [`Unsealed`] where it was sealed under another key or for another purpose, or was changed.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let (nonce, rest) = sealed.split_first_chunk::<24>().ok_or(Unsealed)?;
        let seals = self.seals.read().unwrap_or_else(PoisonError::into_inner);
        let opened = seals
            .iter()
            .find_map(|key| cipher(key, purpose).decrypt(&(*nonce).into(), rest).ok());
        opened.ok_or(Unsealed)
    }

    /// What was sealed, sealed anew under the present key; none where it is already, or cannot be opened.
    #[must_use]
    pub fn reseal(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_first_chunk::<24>()?;
        let present = *self.seals.read().unwrap_or_else(PoisonError::into_inner).first()?;
        if cipher(&present, purpose).decrypt(&(*nonce).into(), rest).is_ok() {
            return None;
        }
        self.seal(purpose, &self.open(purpose, sealed).ok()?).ok()
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

fn cipher(key: &[u8; 32], purpose: &str) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&hashed(key, "seal", purpose.as_bytes()).into())
}

fn hashed(key: &[u8; 32], purpose: &str, text: &[u8]) -> [u8; 32] {
    #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(purpose.as_bytes());
    mac.update(&[0]);
    mac.update(text);
    mac.finalize().into_bytes().into()
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

    async fn key(folder: &Path) -> Key {
        Key::load_or_create(&folder.join("installation.key"), None)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_stand_in_has_the_length_and_not_the_text() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (key, other) = (key(one.path()).await, self::key(other.path()).await);
        for secret in [
            "a",
            "zz9-plural-z-alpha",
            "ä\"quoted\" and long enough to need two blocks of hash, really long",
        ] {
            let stand_in = key.stand_in(secret);
            assert_eq!(stand_in.len(), secret.len());
            assert_eq!(stand_in, key.stand_in(secret));
            assert!(secret.len() == 1 || stand_in != other.stand_in(secret));
            assert!(!stand_in.contains("plural") && !stand_in.contains("quoted"));
        }
        assert!(key.describe("zz9-plural-z-alpha").starts_with("zz9…"));
    }

    #[tokio::test]
    async fn the_keys_are_made_once_and_for_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let first = key(folder.path()).await;
        let again = key(folder.path()).await;
        assert_eq!(first.root, again.root);
        assert_eq!(again.open("x", &first.seal("x", b"text").unwrap()).unwrap(), b"text");
        #[cfg(unix)]
        {
            let meta = folder.path().join("installation.key").metadata().unwrap();
            assert_eq!(
                std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777,
                0o600
            );
        }
    }

    #[tokio::test]
    async fn a_key_of_the_old_form_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("installation.key"), "07".repeat(32)).unwrap();
        let key = key(folder.path()).await;
        assert_eq!(key.root, [7; 32]);
        let sealed = key.seal("x", b"text").unwrap();
        assert_eq!(key.open("x", &sealed).unwrap(), b"text");
    }

    #[tokio::test]
    async fn what_was_sealed_opens_while_the_key_changes_and_not_with_the_old_one_after() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, reader) = (key(folder.path()).await, key(folder.path()).await);
        let old = writer.seal("x", b"text").unwrap();
        let lookup = writer.hash("subject", b"ann");
        assert_eq!(writer.change().await.unwrap(), Change::Announced);
        assert_eq!(
            writer.reseal("x", &old),
            None,
            "nothing is sealed by a key that others may not know"
        );
        reader.refresh().await.unwrap();
        assert_eq!(writer.change().await.unwrap(), Change::Taken);
        let new = writer.reseal("x", &old).unwrap();
        assert_eq!(reader.open("x", &new).unwrap(), b"text", "known before it is used");
        assert_eq!(writer.open("x", &old).unwrap(), b"text");
        assert_eq!(writer.reseal("x", &new), None);
        assert_eq!(writer.change().await.unwrap(), Change::Dropped);
        assert!(writer.open("x", &old).is_err());
        assert_eq!(writer.open("x", &new).unwrap(), b"text");
        assert_eq!(writer.hash("subject", b"ann"), lookup, "people are found as before");
    }
}
