//! Checkpoints: the size and root of the tree at a moment, signed. C2SP `tlog-checkpoint` inside a C2SP `signed-note`, Ed25519.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, Verifier, VerifierList, new_ed25519_verifier_key};
use tlog_tiles::{Checkpoint, Hash};

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The log's name.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// The root.
    pub root: Hash,
    /// When it was signed, as the extension line `time` says: RFC 3339.
    pub time: String,
}

impl Head {
    fn text(&self) -> Option<Vec<u8>> {
        let extension = format!("time {}\n", self.time);
        Some(
            Checkpoint::new(&self.origin, self.size, self.root, &extension)
                .ok()?
                .to_bytes(),
        )
    }

    /// Reads a note without looking at its signatures; none where it is no checkpoint.
    #[must_use]
    pub fn parse(note: &str) -> Option<Self> {
        let note = Note::from_bytes(note.as_bytes()).ok()?;
        // The library wants the blank line that ends the text of a note.
        let text = [note.text(), b"\n"].concat();
        let checkpoint = Checkpoint::from_reader(&mut text.as_slice(), false).ok()?;
        let time = checkpoint
            .extension()
            .lines()
            .find_map(|line| line.strip_prefix("time "));
        Some(Self {
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            root: *checkpoint.hash(),
            time: time.unwrap_or_default().to_owned(),
        })
    }
}

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    signer: StandardSigner,
    public: PublicKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.0)
    }
}

impl SigningKey {
    /// The key of a log's name and 32 random bytes; none where the name has spaces or a plus.
    #[must_use]
    pub fn new(name: &str, seed: &[u8; 32]) -> Option<Self> {
        let secret = signed_note_secret(seed);
        let public = new_ed25519_verifier_key(name, &secret);
        // The key itself may hold a plus.
        let id = public.split('+').nth(1)?.to_owned();
        let bytes = [&[1_u8], seed.as_slice()].concat();
        let encoded = format!("PRIVATE+KEY+{name}+{id}+{}", STANDARD.encode(bytes));
        Some(Self {
            signer: StandardSigner::new(&encoded).ok()?,
            public: PublicKey::parse(&public)?,
        })
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }
}

fn signed_note_secret(seed: &[u8; 32]) -> ed25519_dalek::VerifyingKey {
    ed25519_dalek::SigningKey::from_bytes(seed).verifying_key()
}

/// Signs a head with each of these keys; none where the name of the log cannot stand in a note.
#[must_use]
pub fn signed_by(head: &Head, keys: &[&SigningKey]) -> Option<String> {
    let mut note = Note::new(&head.text()?, &[]).ok()?;
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| &key.signer as &dyn Signer).collect();
    note.add_sigs(&signers).ok()?;
    String::from_utf8(note.to_bytes()).ok()
}

/// Signs a text as a note: lines without control characters, the last one ended. None where it is not such a text.
#[must_use]
pub fn note(text: &str, key: &SigningKey) -> Option<String> {
    let mut note = Note::new(text.as_bytes(), &[]).ok()?;
    note.add_sigs(&[&key.signer as &dyn Signer]).ok()?;
    String::from_utf8(note.to_bytes()).ok()
}

/// A key that checks, as C2SP writes it: `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(String);

impl PublicKey {
    /// Reads one; none where it is malformed or its id is not its own.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        StandardVerifier::new(text).ok()?;
        Some(Self(text.to_owned()))
    }

    /// As C2SP writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of a note, where this key signed it.
    #[must_use]
    pub fn text(&self, note: &str) -> Option<String> {
        let own = StandardVerifier::new(&self.0).ok()?;
        let parsed = Note::from_bytes(note.as_bytes()).ok()?;
        parsed.verify(&VerifierList::new(vec![Box::new(own)])).ok()?;
        String::from_utf8(parsed.text().to_vec()).ok()
    }

    /// The head that a note says, where this key signed it.
    #[must_use]
    pub fn check(&self, note: &str) -> Option<Head> {
        let own = StandardVerifier::new(&self.0).ok()?;
        let (name, id) = (own.name().to_owned(), own.key_id());
        let parsed = Note::from_bytes(note.as_bytes()).ok()?;
        let (good, _) = parsed.verify(&VerifierList::new(vec![Box::new(own)])).ok()?;
        let signed = good
            .iter()
            .any(|signature| signature.name() == name && signature.id() == id);
        Head::parse(note).filter(|_| signed)
    }
}
