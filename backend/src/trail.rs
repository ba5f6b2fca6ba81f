//! How the trail's entries look and are sealed: each person's under a key of their own, the rest under the installation's.

use crate::keys::Key;
use affiant_domain::actor::person_behind;
use affiant_store::{Extended, Log, Peopled, Subject, Written, entity, instant};
use affiant_trail::{Beside, Entry, Frontier, Payload, leaf_hash, open, seal};
use chrono::SecondsFormat;
use std::collections::HashMap;
use uuid::Uuid;

/// Names that the installation acts under itself; all others are people, or may tell of one.
const OWN: [&str; 8] = [
    "operator",
    "cli",
    "schedule",
    "system",
    "demo",
    "break-glass",
    "intake",
    "restore",
];
/// Characters of a fact in an entry.
pub const FACT: usize = 1000;
/// The facts that name other entries by their places. They are told whole.
pub const PLACES: &str = "entries";

/// The trail of an installation.
#[derive(Debug)]
pub struct Trail {
    key: Key,
}

impl Trail {
    /// The trail that is sealed under this key.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self { key }
    }

    /// The key that payloads of a person are sealed under, or those of nobody; none where it was destroyed. Unwrapping it takes longer than
    /// opening a payload: whoever opens many keeps it meanwhile.
    #[must_use]
    pub fn key_of(&self, subject: Option<&Subject>) -> Option<[u8; 32]> {
        match subject {
            None => Some(self.key.hash("trail/payload", b"")),
            Some(subject) => {
                let wrapped = subject.wrapped.as_ref()?;
                let key = self.key.open(&purpose(subject.id), wrapped).ok()?;
                key.try_into().ok()
            }
        }
    }

    fn entry(&self, index: u64, people: &Peopled<'_>, keys: &mut PersonKeys) -> Result<Written, String> {
        let Peopled {
            draft,
            subject,
            concerns,
        } = people;
        let payload = (!draft.content.is_empty()).then(|| Payload {
            salt: rand::random(),
            content: draft.content.clone(),
        });
        let token = match subject {
            Some(subject) => Some(subject.id.simple().to_string()),
            None => Some(draft.actor.clone()).filter(|actor| !actor.is_empty()),
        };
        let fact = |text: &str| text.chars().take(FACT).collect::<String>();
        let entry = Entry {
            action: fact(&draft.action),
            subjects: {
                let own = subject.map(|subject| subject.id);
                own.iter().chain(concerns).map(|id| id.simple().to_string()).collect()
            },
            actor: token,
            at: instant(draft.at).to_rfc3339_opts(SecondsFormat::Micros, true),
            index: index.to_string(),
            outcome: draft.outcome.to_owned(),
            payload: payload.as_ref().map(Payload::commitment),
            project: draft.project.map(|project| project.to_string()),
            refs: draft
                .refs
                .iter()
                .map(|(key, text)| {
                    let is_whole = matches!(*key, PLACES | "named");
                    ((*key).to_owned(), if is_whole { text.clone() } else { fact(text) })
                })
                .collect(),
            v: 1,
        };
        let leaf = entry.canonical().map_err(|error| error.to_string())?;
        let sealed = match payload {
            None => None,
            Some(payload) => {
                let key = keys
                    .of(self, *subject)
                    .ok_or("the key of a person cannot be unwrapped")?;
                let sealed = seal(&key, rand::random(), &identity(index), &payload.to_bytes());
                Some(sealed.ok_or("a payload is too long")?)
            }
        };
        Ok(Written {
            index,
            hash: leaf_hash(&leaf).0,
            leaf,
            sealed,
        })
    }

    /// What an entry says, by its leaf; and what stands beside the leaf and says something else, by name. None where the leaf cannot be read.
    #[must_use]
    pub fn told(row: &entity::trail_entry::Model) -> (Option<Entry>, Option<&'static str>) {
        let Ok(entry) = Entry::parse(&row.leaf) else {
            return (None, Some("leaf"));
        };
        let differs = if leaf_hash(&row.leaf).0.as_slice() != row.hash {
            Some("hash")
        } else if entry.index != row.idx.to_string() {
            Some("idx")
        } else {
            entry.differs(&Beside {
                at: row.at,
                action: &row.action,
                outcome: &row.outcome,
                project: row.project_id.map(Uuid::into_bytes),
                record: row.record_id.map(Uuid::into_bytes),
                subject: row.subject_id.map(Uuid::into_bytes),
                state: row.state,
                is_sealed: row.sealed.is_some(),
                named: None,
            })
        };
        (Some(entry), differs)
    }

    /// A payload with its salt, that is sealed at a place under the key of its subject, or of nobody; none where nobody can read it.
    #[must_use]
    pub fn payload(
        &self,
        idx: i64,
        sealed: &[u8],
        subject: Option<&Subject>,
        keys: &mut PersonKeys,
    ) -> Option<Payload> {
        let key = keys.of(self, subject)?;
        let bytes = open(&key, &identity(idx.unsigned_abs()), sealed)?;
        Payload::from_bytes(&bytes)
    }
}

/// Keys of people that were unwrapped.
#[derive(Default)]
pub struct PersonKeys(HashMap<Option<Uuid>, Option<[u8; 32]>>);

impl PersonKeys {
    fn of(&mut self, trail: &Trail, subject: Option<&Subject>) -> Option<[u8; 32]> {
        *self
            .0
            .entry(subject.map(|subject| subject.id))
            .or_insert_with(|| trail.key_of(subject))
    }
}

/// What a payload is bound to.
fn identity(index: u64) -> String {
    format!("trail/{index}")
}

/// What the key of a person is sealed for.
pub(crate) fn purpose(subject: Uuid) -> String {
    format!("subject {subject}")
}

impl Log for Trail {
    fn lookup(&self, name: &str) -> Option<String> {
        let name = person_behind(name).trim();
        let own = OWN.contains(&name) || name.starts_with("workload:") || name.starts_with("source:");
        if own { None } else { self.person(name) }
    }

    fn person(&self, name: &str) -> Option<String> {
        let name = person_behind(name).trim();
        (!name.is_empty()).then(|| hex::encode(self.key.hash("subject", name.to_lowercase().as_bytes())))
    }

    fn digest(&self, kind: &str, bytes: &[u8]) -> String {
        hex::encode(self.key.hash(&format!("record {kind}"), bytes))
    }

    fn new_key(&self, subject: Uuid) -> Vec<u8> {
        let key: [u8; 32] = rand::random();
        // A key of 32 bytes always fits the cipher; an empty one would never open again.
        self.key.seal(&purpose(subject), &key).unwrap_or_default()
    }

    fn open(&self, entry: &entity::trail_entry::Model, subject: Option<&Subject>) -> Option<String> {
        // What was sealed for a person is for nobody where the person is not there.
        if entry.subject_id.is_some() && subject.is_none() {
            return None;
        }
        let payload = self.payload(entry.idx, entry.sealed.as_ref()?, subject, &mut PersonKeys::default());
        payload.map(|payload| payload.content)
    }

    fn extend(&self, frontier: &[u8], peopled: &[Peopled<'_>]) -> Result<Extended, String> {
        let mut tree = Frontier::from_bytes(frontier).ok_or("the head of the trail is damaged")?;
        let (mut entries, mut nodes) = (Vec::with_capacity(peopled.len()), Vec::new());
        let mut keys = PersonKeys::default();
        for people in peopled {
            let entry = self.entry(tree.size(), people, &mut keys)?;
            tree.append(affiant_trail::Hash(entry.hash), &mut |node| {
                nodes.push((node.level, node.index, node.hash.0));
            });
            entries.push(entry);
        }
        Ok(Extended {
            frontier: tree.to_bytes(),
            entries,
            nodes,
        })
    }
}
