//! Signs, proves and exports the trail.

use super::FlowError;
use super::publish_checkpoint::{Signed, publish};
use crate::app::Context;
use crate::trail::PersonKeys;
use affiant_store::{Draft, Subject, ToldEntry, entity, instant, micros};
use affiant_trail::proof::{At, Claim, fold};
use affiant_trail::{
    Beside, Frontier, Hash, Head, Named, Node, PublicKey, ROTATED, Shown, SigningKey, Told, Writer, signed_by,
};
use chrono::SecondsFormat;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use uuid::Uuid;

/// What signing keys are sealed for.
pub(crate) const SIGNING: &str = "trail.signing";
/// A checkpoint is signed again after so many seconds without a new entry, so that silence is vouched for too.
const EMPTY: i64 = 3600;
/// Entries that are read at once.
const PAGE: u64 = 500;
/// What became of a payload, as a column says.
pub(crate) const PURGED: i16 = 2;
pub(crate) const ERASED: i16 = 3;

/// The keys of the trail, first first; the first one is made where there is none.
///
/// # Errors
/// [`FlowError`] where the database fails or a key cannot be opened.
pub async fn keys(app: &Context) -> Result<Vec<(u64, SigningKey)>, FlowError> {
    let mut rows = app.store.trail_keys().await?;
    if rows.is_empty() {
        let name = origin(app);
        let seed: [u8; 32] = rand::random();
        let (public, sealed) = sealed(app, &name, &seed)?;
        rows = app.store.first_trail_key(&public, &sealed, app.clock.now()).await?;
    }
    let open = |row: &entity::trail_key::Model| {
        let seed = app.key.open(SIGNING, &row.sealed).ok()?;
        let name = row.public.split('+').next()?;
        let key = SigningKey::new(name, &seed.try_into().ok()?)?;
        Some((row.from_size.unsigned_abs(), key))
    };
    let all: Option<Vec<_>> = rows.iter().map(open).collect();
    all.ok_or_else(|| {
        FlowError::Trail("a signing key cannot be opened: is this the installation's key file?".to_owned())
    })
}

/// The trail's name: where the installation is reached, and what sets it apart from another there.
fn origin(app: &Context) -> String {
    let url = &app.sign_in.public_url;
    let host = url.split("://").nth(1).unwrap_or("affiant.invalid");
    let host = host.split(['/', '+', ' ']).next().unwrap_or("affiant.invalid");
    format!("{host}/trail/{}", &Uuid::now_v7().simple().to_string()[..12])
}

fn sealed(app: &Context, name: &str, seed: &[u8; 32]) -> Result<(String, Vec<u8>), FlowError> {
    let key = SigningKey::new(name, seed).ok_or_else(|| FlowError::Trail("a key cannot be made".to_owned()))?;
    let sealed = app.key.seal(SIGNING, seed);
    let sealed = sealed.map_err(|error| FlowError::Trail(error.to_string()))?;
    Ok((key.public().as_str().to_owned(), sealed))
}

fn damaged(what: &str) -> FlowError {
    FlowError::Trail(what.to_owned())
}

/// Signs the tree as it is, where something was added since the last checkpoint or that is long ago; gives the latest checkpoint.
/// A tree that does not continue what was signed before is not signed.
///
/// # Errors
/// [`FlowError::Trail`] where the trail was changed behind our back.
pub async fn sign(app: &Context) -> Result<String, FlowError> {
    keys(app).await?;
    let now = app.clock.now();
    // In this order: what another server signs meanwhile is of a later tree than ours, never of an earlier one; and a key that an entry of
    // this tree takes into use is known.
    let last = app.store.latest_checkpoints(1).await?.pop();
    let bytes = app.store.trail_frontier().await?;
    let keys = keys(app).await?;
    let tree = Frontier::from_bytes(&bytes).ok_or_else(|| damaged("the head of the trail is damaged"))?;
    let mut signed = 0;
    if let Some(last) = &last {
        let head = keys.iter().rev().find_map(|(_, key)| key.public().check(&last.note));
        let head = head.ok_or_else(|| damaged("the last checkpoint is not one of ours"))?;
        signed = head.size;
        if head.size == tree.size() && micros(now) - last.at < EMPTY * 1_000_000 {
            return Ok(last.note.clone());
        }
        continues(app, &head, &tree).await?;
    }
    let Some((_, origin)) = keys.first() else {
        return Err(damaged("there is no key"));
    };
    let head = Head {
        origin: name_of(origin.public()),
        size: tree.size(),
        root: tree.root(),
        time: now.to_rfc3339_opts(SecondsFormat::Secs, true),
    };
    // The key in force, and the one before where it was changed since the last checkpoint.
    let at = |size: u64| keys.iter().rposition(|(from, _)| *from <= size).unwrap_or(0);
    let first = last.as_ref().map_or(0, |_| at(signed));
    let signers: Vec<&SigningKey> = keys[first..=at(tree.size())].iter().map(|(_, key)| key).collect();
    let note = signed_by(&head, &signers).ok_or_else(|| damaged("the checkpoint cannot be signed"))?;
    app.store.keep_checkpoint(tree.size(), &note, now).await?;
    let published = Signed {
        size: tree.size(),
        before: signed,
        note: note.clone(),
        at: now,
    };
    publish(app, published).await;
    Ok(note)
}

fn name_of(key: &PublicKey) -> String {
    key.as_str().split('+').next().unwrap_or_default().to_owned()
}

/// Whether a tree begins with what a head says, by the hashes that are stored.
async fn continues(app: &Context, head: &Head, tree: &Frontier) -> Result<(), FlowError> {
    if head.size == 0 {
        return Ok(());
    }
    let changed = || {
        tracing::error!(
            size = head.size,
            "the trail does not continue what was signed; it is not signed"
        );
        damaged("the trail does not continue what was signed before: it was changed")
    };
    let claim = Claim::Consistency {
        size: tree.size(),
        old: head.size,
    };
    let proof = prove(app, claim).await.map_err(|_| changed())?;
    if claim.holds(&proof, tree.root(), head.root) {
        Ok(())
    } else {
        Err(changed())
    }
}

/// A proof from the hashes that are stored.
///
/// # Errors
/// [`FlowError::NotFound`] where there can be no such proof.
pub async fn prove(app: &Context, claim: Claim) -> Result<Vec<Hash>, FlowError> {
    let none = || FlowError::NotFound("the trail is not that long".to_owned());
    let mut nodes: HashMap<At, Hash> = HashMap::new();
    for (level, index) in claim.needs().ok_or_else(none)? {
        let (tile, within) = (level / 8, level % 8);
        let hashes = app.store.trail_hashes(tile, index << within, 1 << within).await?;
        let hashes: Option<Vec<Hash>> = hashes.into_iter().map(|hash| hash.try_into().ok().map(Hash)).collect();
        let hash = hashes
            .filter(|all| all.len() == 1 << within)
            .and_then(fold)
            .ok_or_else(none)?;
        nodes.insert((level, index), hash);
    }
    claim.proof(&nodes).ok_or_else(none)
}

/// Takes a new signing key into use: an entry says so, and the next checkpoint is signed by both.
///
/// # Errors
/// [`FlowError::Conflict`] where another change came between.
pub async fn rotate(app: &Context, actor: &str) -> Result<PublicKey, FlowError> {
    // What was added so far is signed by the old key alone.
    sign(app).await?;
    let keys = keys(app).await?;
    let Some((_, last)) = keys.last() else {
        return Err(damaged("there is no key"));
    };
    let (public, sealed) = sealed(app, &name_of(last.public()), &rand::random())?;
    let draft = Draft {
        action: ROTATED.to_owned(),
        outcome: "success",
        actor: actor.to_owned(),
        concerns: Vec::new(),
        project: None,
        record: None,
        refs: vec![("from", last.public().as_str().to_owned()), ("to", public.clone())],
        content: String::new(),
        at: micros(app.clock.now()),
    };
    let now = app.clock.now();
    if !app
        .store
        .rotate_trail_key((&public, &sealed), &draft, (keys.len(), now))
        .await?
    {
        return Err(FlowError::Conflict(
            "another key was taken into use meanwhile".to_owned(),
        ));
    }
    sign(app).await?;
    PublicKey::parse(&public).ok_or_else(|| damaged("a key cannot be read"))
}

/// Writes the trail as a file that verifies by itself, up to a checkpoint that is signed now. For one project, the rest is hashes alone. A
/// trail that was changed is not signed any more, and is written as it is: whoever verifies the file sees where.
///
/// # Errors
/// [`FlowError`] where the database or the writer fails.
pub async fn export<W: Write + Send>(
    app: &Context,
    out: W,
    project: Option<Uuid>,
    with_payloads: bool,
) -> Result<W, FlowError> {
    let io = |error| FlowError::Io("the export".to_owned(), error);
    let mut writer = Writer::new(out);
    let wanted = Wanted {
        project,
        with_payloads,
        is_shown: true,
    };
    tell(app, &mut writer, io, &wanted).await?;
    writer.end().map_err(io)
}

/// What is told of a trail.
pub(crate) struct Wanted {
    /// The project whose entries are told; of others only the hashes. None for all.
    pub project: Option<Uuid>,
    /// With payloads, as far as they can be read.
    pub with_payloads: bool,
    /// Whether somebody reads it: then who is erased meanwhile is not shown from the next page on.
    pub is_shown: bool,
}

/// Tells the trail in the order of an export.
///
/// # Errors
/// [`FlowError`] where the database fails, or `failed` of what the one who is told says.
pub(crate) async fn tell<T: Told>(
    app: &Context,
    told: &mut T,
    failed: impl Fn(T::Error) -> FlowError,
    wanted: &Wanted,
) -> Result<(), FlowError> {
    let size = match sign(app).await {
        Ok(last) => Head::parse(&last).map_or(0, |head| head.size),
        Err(FlowError::Trail(_)) => {
            Frontier::from_bytes(&app.store.trail_frontier().await?).map_or(0, |tree| tree.size())
        }
        Err(other) => return Err(other),
    };
    let keys = keys(app).await?;
    let first = keys.first().ok_or_else(|| damaged("there is no key"))?;
    told.begin(&name_of(first.1.public()), size, first.1.public())
        .map_err(&failed)?;
    let mut notes = Notes::new(app).await?;
    notes.up_to(app, 0, told, &failed).await?;
    let mut people = People::default();
    if !wanted.is_shown {
        people.erased = app.store.erased_subjects().await?;
    }
    let mut next = 0;
    // Who checks signatures needs the entries that change keys, whatever else they may read.
    let only = wanted.project.map(|project| (project, ROTATED));
    while next < size {
        let entries = app.store.told_from(next, PAGE.min(size - next), only).await?;
        // The header says how many there should be.
        if entries.is_empty() {
            break;
        }
        if wanted.is_shown || people.are_many() {
            people = People {
                erased: people.erased,
                ..People::default()
            };
        }
        people.meet(app, &entries).await?;
        for entry in &entries {
            let hash: [u8; 32] = entry
                .hash
                .as_slice()
                .try_into()
                .map_err(|_| damaged(&format!("entry {}: its hash has not 32 bytes", entry.idx)))?;
            let index = entry.idx.unsigned_abs();
            if !entry.is_mine {
                told.entry(index, Hash(hash), None, &Shown::None, None)
                    .map_err(&failed)?;
            } else if wanted.is_shown {
                let shown = people.shown(app, entry, wanted);
                told.entry(index, Hash(hash), Some(&entry.leaf), &shown, None)
                    .map_err(&failed)?;
            } else {
                people.check(app, entry, wanted, told).await?.map_err(&failed)?;
            }
            next = index + 1;
            notes.up_to(app, next, told, &failed).await?;
        }
        for node in told.nodes() {
            if !app.store.has_node(node.level, node.index, &node.hash.0).await? {
                let Node { level, index, .. } = node;
                return Err(damaged(&format!(
                    "node {index} of level {level} of the tree was edited where it is kept"
                )));
            }
        }
    }
    // A checkpoint of more entries than there are shows that the tail was cut.
    let there = Frontier::from_bytes(&app.store.trail_frontier().await?).map_or(0, |tree| tree.size());
    for note in app.store.checkpoints(there + 1, 10).await? {
        told.checkpoint(&note.note).map_err(&failed)?;
    }
    Ok(())
}

/// The checkpoints of an export, in order, of each size two at most.
struct Notes {
    waiting: std::collections::VecDeque<entity::trail_checkpoint::Model>,
    next: u64,
}

impl Notes {
    async fn new(app: &Context) -> Result<Self, FlowError> {
        let mut own = Self {
            waiting: Default::default(),
            next: 0,
        };
        own.fetch(app).await?;
        Ok(own)
    }

    async fn fetch(&mut self, app: &Context) -> Result<(), FlowError> {
        let found = app.store.checkpoints(self.next, 1000).await?;
        if let Some(last) = found.last() {
            self.next = last.size.unsigned_abs() + 1;
        }
        for note in found {
            // Of one size the first, which both keys signed where one was changed, and the last, which says how long nothing came.
            let same = self
                .waiting
                .iter()
                .rev()
                .take_while(|waiting| waiting.size == note.size);
            if same.count() == 2 {
                self.waiting.pop_back();
            }
            self.waiting.push_back(note);
        }
        Ok(())
    }

    async fn up_to<T: Told>(
        &mut self,
        app: &Context,
        size: u64,
        told: &mut T,
        failed: &impl Fn(T::Error) -> FlowError,
    ) -> Result<(), FlowError> {
        while let Some(first) = self.waiting.front()
            && first.size.unsigned_abs() <= size
        {
            if first.size.unsigned_abs() == size {
                told.checkpoint(&first.note).map_err(failed)?;
            }
            self.waiting.pop_front();
            if self.waiting.is_empty() {
                self.fetch(app).await?;
            }
        }
        Ok(())
    }
}

/// The people of a trail that is told, with their keys.
#[derive(Default)]
struct People {
    known: HashMap<Uuid, Subject>,
    keys: PersonKeys,
    /// Those who were erased, for who checks.
    erased: HashSet<Uuid>,
}

impl People {
    /// Whether they are more than are to be held.
    fn are_many(&self) -> bool {
        self.known.len() > 10_000
    }

    /// Reads those of entries that are not known yet.
    async fn meet(&mut self, app: &Context, entries: &[ToldEntry]) -> Result<(), FlowError> {
        let named = entries.iter().filter_map(|entry| entry.subject);
        let mut new: Vec<Uuid> = named.filter(|id| !self.known.contains_key(id)).collect();
        new.sort_unstable();
        new.dedup();
        if !new.is_empty() {
            self.known.extend(app.store.subjects_by_id(&new).await?);
        }
        Ok(())
    }

    /// Tells an entry with what stands beside it. An erasure may come between two readings: what does not agree is read once more.
    async fn check<T: Told>(
        &mut self,
        app: &Context,
        entry: &ToldEntry,
        wanted: &Wanted,
        told: &mut T,
    ) -> Result<Result<(), T::Error>, FlowError> {
        if self.tell_with_columns(app, entry, wanted, told).is_ok() {
            return Ok(Ok(()));
        }
        let again = app.store.told_from(entry.idx.unsigned_abs(), 1, None).await?.pop();
        let again = again.filter(|again| again.idx == entry.idx);
        let again = again.ok_or_else(|| damaged(&format!("entry {} was removed while it was read", entry.idx)))?;
        *self = Self {
            erased: app.store.erased_subjects().await?,
            ..Self::default()
        };
        self.meet(app, std::slice::from_ref(&again)).await?;
        Ok(self.tell_with_columns(app, &again, wanted, told))
    }

    fn tell_with_columns<T: Told>(
        &mut self,
        app: &Context,
        entry: &ToldEntry,
        wanted: &Wanted,
        told: &mut T,
    ) -> Result<(), T::Error> {
        let shown = self.shown(app, entry, wanted);
        let hash: [u8; 32] = entry.hash.as_slice().try_into().unwrap_or_default();
        let named: Vec<[u8; 16]> = entry.named.iter().map(|id| *id.as_bytes()).collect();
        let named = Named {
            beside: &named,
            is_erased: &|id| self.erased.contains(&Uuid::from_bytes(*id)),
        };
        let beside = Beside {
            at: entry.at,
            action: &entry.action,
            outcome: &entry.outcome,
            project: entry.project.map(Uuid::into_bytes),
            record: entry.record.map(Uuid::into_bytes),
            subject: entry.subject.map(Uuid::into_bytes),
            state: entry.state,
            is_sealed: entry.sealed.is_some(),
            named: Some(&named),
        };
        told.entry(
            entry.idx.unsigned_abs(),
            Hash(hash),
            Some(&entry.leaf),
            &shown,
            Some(&beside),
        )
    }

    /// What is shown of the payload of an entry.
    fn shown(&mut self, app: &Context, entry: &ToldEntry, wanted: &Wanted) -> Shown {
        let subject = entry.subject.and_then(|id| self.known.get(&id));
        // What was sealed for a person is for nobody where the person is not there.
        let readable = entry.subject.is_none() || subject.is_some_and(|subject| subject.wrapped.is_some());
        match (entry.state, &entry.sealed) {
            (PURGED, _) => Shown::Purged,
            (ERASED, _) => Shown::Erased,
            (_, None) => Shown::None,
            // Who checks is told that it is missing: an erasure takes it away before the key.
            (_, Some(_)) if !readable => match wanted.is_shown {
                true => Shown::Erased,
                false => Shown::None,
            },
            (_, Some(_)) if !wanted.with_payloads => Shown::Sealed,
            (_, Some(_)) if wanted.is_shown && subject.is_some_and(|subject| subject.restricted) => Shown::Sealed,
            // What does not open and should is told as it is: the file will not verify.
            (_, Some(sealed)) => {
                let payload = app.trail.payload(entry.idx, sealed, subject, &mut self.keys);
                payload.map_or(Shown::None, Shown::Open)
            }
        }
    }
}

/// When a checkpoint was signed last.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn last_signed(app: &Context) -> Result<Option<affiant_domain::Instant>, FlowError> {
    Ok(app
        .store
        .latest_checkpoints(1)
        .await?
        .pop()
        .map(|last| instant(last.at)))
}
