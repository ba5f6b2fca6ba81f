//! Checks an exported file line by line, in flat memory: nothing else is needed, and nothing in the file is believed that is not signed.

use crate::beside::Beside;
use crate::export::{Line, LinePayload, Told};
use crate::places::{Places, places};
use crate::tree::Node;
use crate::{Entry, Frontier, Hash, Head, Payload, PublicKey, ROTATED, Shown, Witness, leaf_hash};
use std::io::{BufRead, Read};

/// Actions of entries that tell which payloads are gone.
const GONE: [&str; 2] = ["retention.purged", "subject.records-erased"];

/// Bytes of a line at most: a skeleton and a payload, with escapes.
const LINE: u64 = 64 << 20;

/// What the one who checks brings along.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Keys known from elsewhere. Where one is named, the file's first key, or one that it was changed for, must be among them.
    pub keys: Vec<PublicKey>,
    /// Checkpoints kept elsewhere: the file must agree with each.
    pub checkpoints: Vec<String>,
    /// Witnesses: each must vouch for a checkpoint of the file at least.
    pub witnesses: Vec<Witness>,
}

/// What a file that is intact holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// Name of the trail.
    pub origin: String,
    /// Entries.
    pub entries: u64,
    /// Of these, those of which only the hash is there.
    pub hidden: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Payloads that are there and are what the entry commits to.
    pub intact: u64,
    /// Payloads that are there and not shown in the file.
    pub sealed: u64,
    /// Payloads that nobody can read any more.
    pub erased: u64,
    /// Payloads that were purged.
    pub purged: u64,
    /// When the last checkpoint was signed.
    pub signed_at: String,
    /// The keys that signed, in order.
    pub keys: Vec<PublicKey>,
    /// Root over all entries.
    pub root: Hash,
    /// The named witnesses, each with how many entries it vouches for.
    pub witnessed: Vec<(String, u64)>,
}

/// Why a file is not intact: the first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An entry is not what its hash says.
    #[error("entry {index} was edited: {why}")]
    Edited {
        /// The entry.
        index: u64,
        /// How it shows.
        why: String,
    },
    /// What stands beside a leaf says something else.
    #[error("entry {index} was edited where it is kept: the column {column} says something else than the leaf")]
    Beside {
        /// The entry.
        index: u64,
        /// The column.
        column: &'static str,
    },
    /// A payload is gone, and no entry tells of it.
    #[error("the payload of entry {0} is said to be purged or erased, and no entry tells of that")]
    NotTold(u64),
    /// The head of the tree is not what the entries give.
    #[error("the head of the trail was edited: it does not follow from the entries")]
    Head,
    /// The payload of an entry is not what the entry commits to.
    #[error("the payload of entry {0} was edited")]
    PayloadEdited(u64),
    /// An entry commits to a payload, and the file says nothing of it.
    #[error("the payload of entry {0} is missing, and nothing says that it was erased or purged")]
    PayloadMissing(u64),
    /// Another entry stands where this one should.
    #[error("entry {expected} was removed or moved: entry {found} stands in its place")]
    Displaced {
        /// The entry that should stand there.
        expected: u64,
        /// The entry that does.
        found: u64,
    },
    /// An entry stands where another already stood.
    #[error("an entry was inserted or moved at {at}: it calls itself entry {found}")]
    Inserted {
        /// The place.
        at: u64,
        /// What it calls itself.
        found: u64,
    },
    /// A checkpoint does not agree with the entries, which agree with their own hashes: these were rewritten too.
    #[error(
        "between entry {from} and entry {until} something was edited, removed or inserted, and its hashes rewritten: the checkpoint of {size} entries does not agree"
    )]
    Rewritten {
        /// First entry behind the last good checkpoint.
        from: u64,
        /// First entry that the bad checkpoint does not cover.
        until: u64,
        /// The bad checkpoint's size.
        size: u64,
    },
    /// Entries are missing at the end.
    #[error("the tail was cut: there are {have} entries, and {want} were signed")]
    Cut {
        /// Entries there.
        have: u64,
        /// Entries that a checkpoint covers.
        want: u64,
    },
    /// Nobody vouches for the last entries.
    #[error("the entries from {0} on are under no checkpoint")]
    Unsigned(u64),
    /// A checkpoint is not signed by the key that was in force.
    #[error("the checkpoint of {0} entries is not signed by the key in force")]
    Signature(u64),
    /// A witness that was named vouches for nothing in the file.
    #[error("the witness {0} vouches for no checkpoint of the file")]
    Unwitnessed(String),
    /// None of the keys is one that is trusted.
    #[error("the file is signed by a key that you did not name as trusted: {0}")]
    Stranger(String),
    /// The file cannot be read, or is of another form.
    #[error("line {line}: {what}")]
    Broken {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

/// Checks a trail as it is told, from its beginning.
pub struct Verifier<'t> {
    found: Verified,
    tree: Frontier,
    line: u64,
    key: Option<PublicKey>,
    /// A key that an entry takes into use: the next checkpoint must bear both.
    next_key: Option<PublicKey>,
    /// Entries that the last good checkpoint covers.
    good: u64,
    size: u64,
    kept: Vec<Head>,
    trusted: &'t Trusted,
    /// Entries whose payload is gone, as what stands beside them says.
    gone: Places,
    /// Entries that others tell to be purged or erased.
    told_gone: Places,
    /// An entry tells of others that nobody can read any more.
    is_blind: bool,
    nodes: Vec<Node>,
}

/// Checks a file.
///
/// # Errors
/// [`Fault`]: the first thing that is wrong.
pub fn verify(mut file: impl BufRead, trusted: &Trusted) -> Result<Verified, Fault> {
    let mut verifier = Verifier::new(trusted)?;
    let mut line = Vec::new();
    loop {
        line.clear();
        verifier.line += 1;
        let read = (&mut file).take(LINE).read_until(b'\n', &mut line);
        let read = read.map_err(|error| verifier.broken(&format!("cannot be read: {error}")))?;
        if read == 0 {
            break;
        }
        if line.pop() != Some(b'\n') {
            return Err(verifier.broken("the file ends inside a line, or a line is too long"));
        }
        verifier.line(&line)?;
    }
    verifier.end()
}

impl Told for Verifier<'_> {
    type Error = Fault;

    fn begin(&mut self, origin: &str, size: u64, key: &PublicKey) -> Result<(), Fault> {
        if name_of(key) != origin {
            return Err(self.broken("the key has another name than the trail"));
        }
        self.size = size;
        origin.clone_into(&mut self.found.origin);
        self.found.keys = vec![key.clone()];
        self.key = Some(key.clone());
        self.agrees_with_kept()
    }

    fn entry(
        &mut self,
        index: u64,
        told: Hash,
        leaf: Option<&str>,
        payload: &Shown,
        beside: Option<&Beside<'_>>,
    ) -> Result<(), Fault> {
        let expected = self.tree.size();
        if index > expected {
            return Err(Fault::Displaced { expected, found: index });
        }
        if index < expected {
            return Err(Fault::Inserted {
                at: expected,
                found: index,
            });
        }
        match leaf {
            Some(leaf) => self.leaf(index, (told, leaf), payload, beside)?,
            None if *payload != Shown::None => return Err(self.broken("a payload without its entry")),
            None => self.found.hidden += 1,
        }
        let nodes = &mut self.nodes;
        self.tree.append(told, &mut |node| {
            if beside.is_some() {
                nodes.push(node);
            }
        });
        self.agrees_with_kept()
    }

    fn nodes(&mut self) -> Vec<Node> {
        std::mem::take(&mut self.nodes)
    }

    fn checkpoint(&mut self, note: &str) -> Result<(), Fault> {
        self.signed_state(note)
    }
}

impl<'t> Verifier<'t> {
    /// Begins, with what the one who checks brings along.
    ///
    /// # Errors
    /// [`Fault::Broken`] where a checkpoint that was named is none.
    pub fn new(trusted: &'t Trusted) -> Result<Self, Fault> {
        let witnessed = trusted.witnesses.iter().map(|witness| (witness.name().to_owned(), 0));
        let mut verifier = Self {
            found: Verified {
                witnessed: witnessed.collect(),
                ..Verified::default()
            },
            tree: Frontier::new(),
            line: 0,
            key: None,
            next_key: None,
            good: 0,
            size: 0,
            kept: Vec::new(),
            trusted,
            gone: Places::default(),
            told_gone: Places::default(),
            is_blind: false,
            nodes: Vec::new(),
        };
        for note in &trusted.checkpoints {
            let head = Head::parse(note).ok_or_else(|| verifier.broken("a checkpoint that you named is none"))?;
            verifier.kept.push(head);
        }
        Ok(verifier)
    }

    /// Entries so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    fn broken(&self, what: &str) -> Fault {
        Fault::Broken {
            line: self.line,
            what: what.to_owned(),
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let line: Line<'_> = serde_json::from_slice(bytes).map_err(|error| self.broken(&error.to_string()))?;
        if self.line == 1 {
            return self.header(&line);
        }
        match line {
            Line {
                checkpoint: Some(note),
                index: None,
                trail: None,
                ..
            } => self.checkpoint(&note),
            Line {
                checkpoint: None,
                trail: None,
                index: Some(index),
                hash: Some(hash),
                leaf,
                payload,
            } => {
                let index = number(&index).ok_or_else(|| self.broken("the index is no number"))?;
                let mut told = [0; 32];
                hex::decode_to_slice(hash.as_ref(), &mut told)
                    .map_err(|_| self.broken("the hash is not 64 hexadecimal digits"))?;
                let shown = payload.map_or(Ok(Shown::None), |payload| self.shown(index, payload))?;
                self.entry(index, Hash(told), leaf.as_deref(), &shown, None)
            }
            _ => Err(self.broken("neither an entry nor a checkpoint")),
        }
    }

    fn header(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let header = line.trail.as_ref().filter(|header| header.version == 1);
        let header = header.ok_or_else(|| self.broken("the file does not begin as an export of version 1 does"))?;
        let key = PublicKey::parse(&header.key).ok_or_else(|| self.broken("the key is malformed"))?;
        let size = number(&header.size).ok_or_else(|| self.broken("the size is no number"))?;
        self.begin(&header.origin, size, &key)
    }

    fn shown(&self, index: u64, payload: LinePayload<'_>) -> Result<Shown, Fault> {
        Ok(match payload.state.as_ref() {
            "open" => {
                let salt = payload.salt.as_deref().and_then(|salt| hex::decode(salt).ok());
                let salt = salt.and_then(|salt| salt.try_into().ok());
                let (Some(salt), Some(content)) = (salt, payload.content) else {
                    return Err(Fault::PayloadEdited(index));
                };
                Shown::Open(Payload {
                    salt,
                    content: content.into_owned(),
                })
            }
            "sealed" => Shown::Sealed,
            "erased" => Shown::Erased,
            "purged" => Shown::Purged,
            _ => return Err(self.broken("a payload is open, sealed, erased or purged")),
        })
    }

    fn leaf(
        &mut self,
        index: u64,
        (told, leaf): (Hash, &str),
        payload: &Shown,
        beside: Option<&Beside<'_>>,
    ) -> Result<(), Fault> {
        let edited = |why: String| Fault::Edited { index, why };
        if leaf_hash(leaf) != told {
            return Err(edited("its hash is another".to_owned()));
        }
        let entry = Entry::parse(leaf).map_err(|error| edited(error.to_string()))?;
        if number(&entry.index) != Some(index) {
            return match number(&entry.index) {
                Some(found) if found > index => Err(Fault::Displaced { expected: index, found }),
                Some(found) => Err(Fault::Inserted { at: index, found }),
                None => Err(edited("it has no index".to_owned())),
            };
        }
        if let Some(beside) = beside {
            if let Some(column) = entry.differs(beside) {
                return Err(Fault::Beside { index, column });
            }
            if matches!(payload, Shown::Purged | Shown::Erased) {
                self.gone.insert(index);
            }
        }
        self.payload(index, entry.payload.as_deref(), payload)?;
        self.tells_of(&entry, payload, index);
        if entry.action == ROTATED {
            let key = entry.refs.get("to").and_then(|to| PublicKey::parse(to));
            let key = key.filter(|key| name_of(key) == self.found.origin);
            let from = entry.refs.get("from").map(String::as_str);
            let now = self.key.as_ref().map(PublicKey::as_str);
            // Two changes between two checkpoints would leave one key unsigned.
            match key.filter(|_| from == now && self.next_key.is_none()) {
                Some(key) => self.next_key = Some(key),
                None => return Err(edited("it changes a key that is not in force".to_owned())),
            }
        }
        Ok(())
    }

    /// Takes in which entries this one tells to be purged or erased.
    fn tells_of(&mut self, entry: &Entry, payload: &Shown, below: u64) {
        if !GONE.contains(&entry.action.as_str()) {
            return;
        }
        let told = match (entry.refs.get("entries"), payload) {
            (Some(text), _) => places(text, below),
            // Before leaves named them, payloads did.
            (None, Shown::Open(payload)) => in_payload(&payload.content, below),
            (None, _) => None,
        };
        match told {
            Some(told) => told.into_iter().for_each(|place| self.told_gone.insert(place)),
            None => self.is_blind = true,
        }
    }

    /// Takes in an entry behind the last checkpoint, which tells of what happened while the trail was read; gives the head that follows.
    ///
    /// # Errors
    /// [`Fault::Edited`] where it is not what its hash says.
    pub fn tail<'a>(&mut self, tail: impl Iterator<Item = (Hash, &'a str)>) -> Result<Frontier, Fault> {
        let mut head = self.tree.clone();
        for (told, leaf) in tail {
            let index = head.size();
            let edited = |why: String| Fault::Edited { index, why };
            if leaf_hash(leaf) != told {
                return Err(edited("its hash is another".to_owned()));
            }
            let entry = Entry::parse(leaf).map_err(|error| edited(error.to_string()))?;
            self.tells_of(&entry, &Shown::Sealed, index);
            head.append(told, &mut |_| {});
        }
        match self.gone.first_not_in(&self.told_gone) {
            Some(index) if !self.is_blind => Err(Fault::NotTold(index)),
            _ => Ok(head),
        }
    }

    fn payload(&mut self, index: u64, committed: Option<&str>, shown: &Shown) -> Result<(), Fault> {
        let found = &mut self.found;
        match (committed, shown) {
            (None, Shown::None) => {}
            (None, _) => return Err(Fault::PayloadEdited(index)),
            (Some(_), Shown::None) => return Err(Fault::PayloadMissing(index)),
            (Some(committed), Shown::Open(payload)) => {
                if payload.commitment() != committed {
                    return Err(Fault::PayloadEdited(index));
                }
                found.intact += 1;
            }
            (Some(_), Shown::Sealed) => found.sealed += 1,
            (Some(_), Shown::Erased) => found.erased += 1,
            (Some(_), Shown::Purged) => found.purged += 1,
        }
        Ok(())
    }

    fn signed_state(&mut self, note: &str) -> Result<(), Fault> {
        let head = Head::parse(note).ok_or_else(|| self.broken("a checkpoint that is none"))?;
        let size = head.size;
        let signed = |key: &PublicKey| key.check(note).is_some_and(|head| head.origin == self.found.origin);
        let by_both = self.key.as_ref().is_some_and(signed) && self.next_key.as_ref().is_none_or(signed);
        if !by_both {
            return Err(Fault::Signature(size));
        }
        let have = self.tree.size();
        if size > have {
            return Err(Fault::Cut { have, want: size });
        }
        if size < have {
            return Err(self.broken("a checkpoint does not stand behind the last entry that it covers"));
        }
        if head.root != self.tree.root() {
            return Err(Fault::Rewritten {
                from: self.good,
                until: size,
                size,
            });
        }
        if let Some(next) = self.next_key.take() {
            self.found.keys.push(next.clone());
            self.key = Some(next);
        }
        let lines = note.split_once("\n\n").map_or("", |(_, lines)| lines);
        let vouches = self
            .trusted
            .witnesses
            .iter()
            .map(|witness| witness.line(note, lines).is_some());
        for ((_, entries), vouches) in self.found.witnessed.iter_mut().zip(vouches) {
            if vouches {
                *entries = size;
            }
        }
        self.good = size;
        self.found.checkpoints += 1;
        self.found.signed_at = head.time;
        Ok(())
    }

    /// Compares the tree with the checkpoints of this size that were kept elsewhere.
    fn agrees_with_kept(&mut self) -> Result<(), Fault> {
        let size = self.tree.size();
        let wrong = self
            .kept
            .iter()
            .any(|head| head.size == size && head.root != self.tree.root());
        if wrong {
            return Err(Fault::Rewritten {
                from: self.good,
                until: size,
                size,
            });
        }
        Ok(())
    }

    /// What the trail holds, once all of it was told.
    ///
    /// # Errors
    /// [`Fault`] where it is not whole.
    pub fn end(mut self) -> Result<Verified, Fault> {
        if self.key.is_none() {
            return Err(self.broken("the file is empty"));
        }
        let have = self.tree.size();
        let longest = self.kept.iter().map(|head| head.size).max().unwrap_or(0);
        if have < self.size.max(longest) {
            return Err(Fault::Cut {
                have,
                want: self.size.max(longest),
            });
        }
        if have > self.size {
            return Err(Fault::Inserted {
                at: self.size,
                found: self.size,
            });
        }
        if self.good < have || self.found.checkpoints == 0 {
            return Err(Fault::Unsigned(self.good));
        }
        // A key that was changed for vouches for the ones behind it; the latest vouches for all, since it signed the whole tree.
        let trusted = &self.trusted.keys;
        if !trusted.is_empty() && !self.found.keys.iter().any(|key| trusted.contains(key)) {
            let first = self.found.keys.first().map_or("", |key| key.as_str());
            return Err(Fault::Stranger(first.to_owned()));
        }
        for note in &self.trusted.checkpoints {
            let signed = |key: &PublicKey| key.check(note).is_some_and(|head| head.origin == self.found.origin);
            if !self.found.keys.iter().any(signed) {
                return Err(Fault::Signature(Head::parse(note).map_or(0, |head| head.size)));
            }
        }
        if let Some((name, _)) = self.found.witnessed.iter().find(|(_, entries)| *entries == 0) {
            return Err(Fault::Unwitnessed(name.clone()));
        }
        self.found.entries = have;
        self.found.root = self.tree.root();
        Ok(self.found)
    }
}

/// The places that the payload of an entry names; none where it names none.
fn in_payload(content: &str, below: u64) -> Option<Vec<u64>> {
    let content: serde_json::Value = serde_json::from_str(content).ok()?;
    let detail: serde_json::Value = serde_json::from_str(content["detail"].as_str()?).ok()?;
    match &detail["entries"] {
        serde_json::Value::String(text) => places(text, below),
        serde_json::Value::Array(all) => {
            let all: Option<Vec<u64>> = all.iter().map(serde_json::Value::as_u64).collect();
            all.filter(|all| all.iter().all(|place| *place < below))
        }
        _ => None,
    }
}

/// The name of a key.
fn name_of(key: &PublicKey) -> &str {
    key.as_str().split('+').next().unwrap_or_default()
}

/// A number as decimal digits without leading zeros.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (text.len() == 1 || !text.starts_with(['0', '+'])).then_some(number)
}
