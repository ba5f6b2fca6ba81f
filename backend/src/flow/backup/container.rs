//! A backup as a file: a head in clear, then the content, compressed and sealed in pieces, so that one that was cut or changed shows.

use aead_stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::aead::Payload;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Error, ErrorKind, Read, Write};
use uuid::Uuid;

/// How a backup begins.
const MAGIC: &[u8] = b"affiant-backup 1\n";
/// Bytes that are sealed together.
const PIECE: usize = 1 << 20;
/// Bytes that sealing adds to a piece.
const TAG: usize = 16;
/// Bytes of the nonce that all pieces share.
const NONCE: usize = 19;

/// What a backup says of itself without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its id, and that of its key.
    pub id: Uuid,
    /// `sqlite` or `postgresql`.
    pub database: String,
    /// The program that made it.
    pub version: String,
    /// The last step of the schema.
    pub schema: String,
    /// When it was made, RFC 3339.
    pub made_at: String,
}

/// Seals what is written to it.
pub(super) struct Sealer<W: Write> {
    out: W,
    stream: Option<EncryptorBE32<XChaCha20Poly1305>>,
    head: Vec<u8>,
    piece: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    pub(super) fn new(mut out: W, key: &[u8; 32], head: &Head) -> std::io::Result<Self> {
        let nonce: [u8; NONCE] = rand::random();
        let head = serde_json::to_vec(head)?;
        out.write_all(MAGIC)?;
        out.write_all(&head)?;
        out.write_all(b"\n")?;
        out.write_all(&nonce)?;
        Ok(Self {
            out,
            stream: Some(EncryptorBE32::from_aead(
                XChaCha20Poly1305::new(key.into()),
                &nonce.into(),
            )),
            head,
            piece: Vec::with_capacity(PIECE),
        })
    }

    fn seal(&mut self) -> std::io::Result<()> {
        let stream = self
            .stream
            .as_mut()
            .ok_or_else(|| Error::other("the backup has ended"))?;
        let payload = Payload {
            msg: &self.piece,
            aad: &self.head,
        };
        let sealed = stream
            .encrypt_next(payload)
            .map_err(|_| Error::other("a backup of this size cannot be sealed"))?;
        self.out.write_all(&sealed)?;
        self.piece.clear();
        Ok(())
    }

    /// Seals the last piece; without it the backup is known to be cut.
    pub(super) fn finish(mut self) -> std::io::Result<W> {
        let stream = self.stream.take().ok_or_else(|| Error::other("the backup has ended"))?;
        let payload = Payload {
            msg: &self.piece,
            aad: &self.head,
        };
        let sealed = stream
            .encrypt_last(payload)
            .map_err(|_| Error::other("a backup of this size cannot be sealed"))?;
        self.out.write_all(&sealed)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // A full piece is sealed when more comes, so that the last one is never empty but where nothing came at all.
        if self.piece.len() == PIECE {
            self.seal()?;
        }
        let n = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Opens what was sealed.
pub(super) struct Opener<R: BufRead> {
    from: R,
    stream: Option<DecryptorBE32<XChaCha20Poly1305>>,
    head: Vec<u8>,
    piece: Vec<u8>,
    at: usize,
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// Reads the head of a backup.
pub(super) fn head(from: &mut impl BufRead) -> std::io::Result<Head> {
    let mut magic = vec![0; MAGIC.len()];
    let is_ours = from.read_exact(&mut magic).is_ok() && magic == MAGIC;
    if !is_ours {
        return Err(wrong("the file is no backup of Affiant"));
    }
    let mut line = Vec::new();
    from.by_ref().take(10_000).read_until(b'\n', &mut line)?;
    serde_json::from_slice(&line).map_err(|_| wrong("the head of the backup is damaged"))
}

impl<R: BufRead> Opener<R> {
    /// Goes on behind the head.
    pub(super) fn new(mut from: R, key: &[u8; 32], head: &Head) -> std::io::Result<Self> {
        let mut nonce = [0; NONCE];
        from.read_exact(&mut nonce).map_err(|_| wrong("the backup is cut"))?;
        Ok(Self {
            from,
            stream: Some(DecryptorBE32::from_aead(
                XChaCha20Poly1305::new(key.into()),
                &nonce.into(),
            )),
            head: serde_json::to_vec(head)?,
            piece: Vec::new(),
            at: 0,
        })
    }

    fn open(&mut self) -> std::io::Result<()> {
        let mut sealed = Vec::with_capacity(PIECE + TAG);
        self.from.by_ref().take((PIECE + TAG) as u64).read_to_end(&mut sealed)?;
        let is_last = self.from.fill_buf()?.is_empty();
        let payload = Payload {
            msg: &sealed,
            aad: &self.head,
        };
        let damaged = |_| wrong("the backup is cut or was changed");
        self.at = 0;
        self.piece = match (&mut self.stream, is_last) {
            (Some(stream), false) => stream.decrypt_next(payload).map_err(damaged)?,
            (stream, _) => match stream.take() {
                Some(stream) => stream.decrypt_last(payload).map_err(damaged)?,
                None => Vec::new(),
            },
        };
        Ok(())
    }
}

impl<R: BufRead> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.piece.len() {
            if self.stream.is_none() {
                return Ok(0);
            }
            self.open()?;
        }
        let n = into.len().min(self.piece.len() - self.at);
        into[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Head {
        Head {
            id: Uuid::nil(),
            database: "sqlite".to_owned(),
            version: "1".to_owned(),
            schema: "m".to_owned(),
            made_at: "2026-11-01T00:00:00Z".to_owned(),
        }
    }

    fn sealed(content: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), &[7; 32], &sample()).unwrap();
        sealer.write_all(content).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(file: &[u8], key: u8) -> std::io::Result<Vec<u8>> {
        let mut from = file;
        let head = head(&mut from)?;
        let mut content = Vec::new();
        Opener::new(from, &[key; 32], &head)?.read_to_end(&mut content)?;
        Ok(content)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_sealed_comes_back_and_nothing_that_was_changed(size in prop_oneof![0..300_usize, Just(PIECE - 1), Just(PIECE), Just(PIECE + 1), Just(2 * PIECE)], at in 0.0..1.0_f64, cut in any::<bool>()) {
            let content: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
            let file = sealed(&content);
            prop_assert_eq!(opened(&file, 7).unwrap(), content);
            prop_assert!(opened(&file, 8).is_err());
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share")]
            let at = (file.len() as f64 * at) as usize;
            let mut changed = file.clone();
            if cut {
                changed.truncate(at);
            } else {
                changed[at] ^= 1;
            }
            prop_assert!(opened(&changed, 7).is_err());
        }
    }
}
