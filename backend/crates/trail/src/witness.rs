//! Witnesses: others who sign that a checkpoint continues what they saw before. C2SP `tlog-witness` and `tlog-cosignature`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use signed_note::key_id;
use tlog_tiles::Hash;

/// The kind of key that signs a checkpoint together with when it was seen.
const COSIGNATURE: u8 = 4;

/// The key of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl Witness {
    /// Reads a key as C2SP writes it, `name+id+base64(0x04 || public key)`; none where it is malformed or its id is not its own.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = STANDARD.decode(key).ok()?;
        let (kind, public) = bytes.split_first()?;
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        let own = key_id(name, &bytes);
        (*kind == COSIGNATURE && is_name && id.eq_ignore_ascii_case(&format!("{own:08x}"))).then_some(Self {
            name: name.to_owned(),
            id: own,
            key: VerifyingKey::from_bytes(public.try_into().ok()?).ok()?,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line, without its end, of a note or an answer by which it vouches for a checkpoint; none where it does not.
    #[must_use]
    pub fn line<'l>(&self, checkpoint: &str, lines: &'l str) -> Option<&'l str> {
        let (text, _) = checkpoint.split_once("\n\n")?;
        lines.lines().find(|line| self.signed(text, line).is_some())
    }

    fn signed(&self, text: &str, line: &str) -> Option<()> {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = STANDARD.decode(signature).ok()?;
        let (id, rest) = bytes.split_first_chunk::<4>()?;
        let (time, signature) = rest.split_first_chunk::<8>()?;
        if name != self.name || u32::from_be_bytes(*id) != self.id {
            return None;
        }
        let message = format!("cosignature/v1\ntime {}\n{text}\n", u64::from_be_bytes(*time));
        let signature = Signature::from_slice(signature).ok()?;
        self.key.verify_strict(message.as_bytes(), &signature).ok()
    }
}

/// What a witness is asked: that a checkpoint continues the tree of `old` leaves which it saw last, with the proof.
#[must_use]
pub fn question(old: u64, proof: &[Hash], checkpoint: &str) -> String {
    let proof: String = proof
        .iter()
        .map(|hash| format!("{}\n", STANDARD.encode(hash.0)))
        .collect();
    format!("old {old}\n{proof}\n{checkpoint}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    const CHECKPOINT: &str = "log.example/trail\n7\nroot\ntime 2026-11-20T18:00:00Z\n\n\u{2014} log.example/trail x\n";

    fn witness(name: &str) -> (Witness, SigningKey, u32) {
        let secret = SigningKey::from_bytes(&[9; 32]);
        let bytes = [&[COSIGNATURE], secret.verifying_key().as_bytes().as_slice()].concat();
        let id = key_id(name, &bytes);
        let text = format!("{name}+{id:08x}+{}", STANDARD.encode(bytes));
        (Witness::parse(&text).unwrap(), secret, id)
    }

    fn line(secret: &SigningKey, id: u32, name: &str, text: &str) -> String {
        let time = 1_700_000_000_u64;
        let signature = secret.sign(format!("cosignature/v1\ntime {time}\n{text}\n").as_bytes());
        let bytes = [id.to_be_bytes().as_slice(), &time.to_be_bytes(), &signature.to_bytes()].concat();
        format!("\u{2014} {name} {}", STANDARD.encode(bytes))
    }

    #[test]
    fn a_witness_vouches_for_what_it_signed_and_for_nothing_else() {
        let (witness, secret, id) = witness("w.example");
        let text = CHECKPOINT.split_once("\n\n").unwrap().0;
        let good = line(&secret, id, "w.example", text);
        let answer = format!("\u{2014} other.example AAAA\n{good}\n");
        assert_eq!(witness.line(CHECKPOINT, &answer), Some(good.as_str()));
        assert_eq!(witness.line(&CHECKPOINT.replace("\n7\n", "\n8\n"), &answer), None);
        assert_eq!(witness.line(CHECKPOINT, &line(&secret, id, "v.example", text)), None);
        assert_eq!(
            witness.line(CHECKPOINT, &line(&secret, id ^ 1, "w.example", text)),
            None
        );
        assert_eq!(witness.line(CHECKPOINT, &good.replace('A', "B")), None);
    }

    #[test]
    fn a_key_of_another_kind_or_id_is_none() {
        let bytes = [&[COSIGNATURE], [5; 32].as_slice()].concat();
        let key = |id: u32, bytes: &[u8]| format!("w.example+{id:08x}+{}", STANDARD.encode(bytes));
        assert!(Witness::parse(&key(key_id("w.example", &bytes) ^ 1, &bytes)).is_none());
        let signs = [&[1], &bytes[1..]].concat();
        assert!(Witness::parse(&key(key_id("w.example", &signs), &signs)).is_none());
        assert!(Witness::parse("w.example").is_none());
    }

    #[test]
    fn a_question_is_the_old_size_the_proof_and_the_checkpoint() {
        let asked = question(3, &[Hash([1; 32])], CHECKPOINT);
        let proof = STANDARD.encode([1; 32]);
        assert_eq!(asked, format!("old 3\n{proof}\n\n{CHECKPOINT}"));
        assert_eq!(question(0, &[], CHECKPOINT), format!("old 0\n\n{CHECKPOINT}"));
    }
}
