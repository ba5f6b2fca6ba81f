//! The trail as rows. Entries are appended in the transaction of what they tell, under a lock on the tree's head: no change without its
//! entry, no entry without its change, and one order over all servers. How an entry looks is the business of a [`Log`].

use crate::connection::Transaction;
use crate::entity::{subject, trail_checkpoint, trail_entry, trail_head, trail_key, trail_node};
use crate::sql::{column, marks, rows, run, tuples};
use crate::stored::damaged;
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect, Set, TryGetable,
    Value,
};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What happened, before it has its place.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What was done.
    pub action: String,
    /// `success`, `failure` or `denied`.
    pub outcome: &'static str,
    /// Who did it, by name; empty where nobody is known.
    pub actor: String,
    /// Other people whom it concerns, by name.
    pub concerns: Vec<String>,
    /// The project.
    pub project: Option<Uuid>,
    /// The record that it tells of.
    pub record: Option<Uuid>,
    /// Facts that are nobody's.
    pub refs: Vec<(&'static str, String)>,
    /// The payload: JSON, to be sealed; empty where there is none.
    pub content: String,
    /// When it was recorded, microseconds.
    pub at: i64,
}

/// A person whom records concern.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Their token.
    pub id: Uuid,
    /// Their key, wrapped; none once it is destroyed.
    pub wrapped: Option<Vec<u8>>,
    /// Whether what is left of them is set aside.
    pub restricted: bool,
}

/// What happened, with the people in it.
#[derive(Debug)]
pub struct Peopled<'d> {
    /// What happened.
    pub draft: &'d Draft,
    /// Who did it, where it is a person.
    pub subject: Option<&'d Subject>,
    /// The tokens of others whom it concerns.
    pub concerns: Vec<Uuid>,
}

/// An entry with its place.
#[derive(Debug)]
pub struct Written {
    /// Its place.
    pub index: u64,
    /// Its canonical form.
    pub leaf: String,
    /// The hash of its leaf.
    pub hash: [u8; 32],
    /// Its payload, sealed.
    pub sealed: Option<Vec<u8>>,
}

/// What comes of appending.
#[derive(Debug)]
pub struct Extended {
    /// The tree's frontier.
    pub frontier: Vec<u8>,
    /// The entries, in order.
    pub entries: Vec<Written>,
    /// Nodes that became whole: level of the tile, place, hash.
    pub nodes: Vec<(u8, u64, [u8; 32])>,
}

/// Knows how entries look, how they are sealed, and how people are found.
pub trait Log: Send + Sync + std::fmt::Debug {
    /// What a person is found by: a keyed hash of their name. None where it is the name of a part of the installation.
    fn lookup(&self, name: &str) -> Option<String>;
    /// What a person is found by, whatever they are called: who sends an event does not choose to be a part of the installation.
    fn person(&self, name: &str) -> Option<String>;
    /// A keyed digest of what a record of a kind holds.
    fn digest(&self, kind: &str, bytes: &[u8]) -> String;
    /// A new key for a person, wrapped.
    fn new_key(&self, subject: Uuid) -> Vec<u8>;
    /// The payload of an entry; none where it is not there, or nobody can read it any more.
    fn open(&self, entry: &trail_entry::Model, subject: Option<&Subject>) -> Option<String>;
    /// Appends entries to a tree.
    ///
    /// # Errors
    /// Why an entry cannot be written.
    fn extend(&self, frontier: &[u8], entries: &[Peopled<'_>]) -> Result<Extended, String>;
}

/// Which entries.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter<'a> {
    /// Of these projects; of all and of none, where it is not said.
    pub only: Option<&'a [Uuid]>,
    /// Those that tell of no audit event.
    pub actions_only: bool,
    /// Before this place.
    pub before: Option<i64>,
    /// With this action.
    pub action: Option<&'a str>,
}

/// Rows that one statement writes.
const CHUNK: usize = 100;
/// Entries behind the last checkpoint that are read at once.
const CHECKED_AT_ONCE: u64 = 500;
/// Entries that are sealed between two statements: the database ends a transaction that idles while it holds the head.
const SEALED_AT_ONCE: usize = 500;

/// An entry as an export tells it.
#[derive(Debug)]
pub struct ToldEntry {
    /// Its place.
    pub idx: i64,
    /// The leaf's hash.
    pub hash: Vec<u8>,
    /// The leaf.
    pub leaf: String,
    /// Its sealed payload.
    pub sealed: Option<Vec<u8>>,
    /// What became of the payload.
    pub state: i16,
    /// The person under whose key the payload is.
    pub subject: Option<Uuid>,
    /// Whether it is for who asks.
    pub is_mine: bool,
    /// When it was recorded, microseconds.
    pub at: i64,
    /// What was done.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// The project.
    pub project: Option<Uuid>,
    /// The record that it tells of.
    pub record: Option<Uuid>,
    /// The others whom it concerns.
    pub named: Vec<Uuid>,
}

/// What stands behind the entries that a checkpoint covers, in one state of the database.
#[derive(Debug)]
pub struct TrailEnd {
    /// The tree's frontier.
    pub frontier: Vec<u8>,
    /// The entries behind: hash of the leaf, and leaf.
    pub tail: Vec<(Vec<u8>, String)>,
    /// A row that stands before the first or behind the last entry.
    pub stray: Option<i64>,
}

impl Store {
    /// Appends entries in a transaction; they are there when it is committed, and not before.
    pub(crate) async fn append(&self, tx: &Transaction, drafts: &[Draft]) -> Result<(), StoreError> {
        if drafts.is_empty() {
            return Ok(());
        }
        let Some(log) = &self.log else {
            return Err(StoreError::Damaged("there is no trail to write to".to_owned()));
        };
        // From here to the end of the transaction nobody else appends, purges, holds or forgets: keys are read after it.
        let mut frontier = self.lock_head(tx).await?;
        for drafts in drafts.chunks(SEALED_AT_ONCE) {
            frontier = self.append_some(tx, log.as_ref(), &frontier, drafts).await?;
        }
        let sql = "UPDATE trail_head SET frontier = ? WHERE id = 1";
        run(tx, sql, vec![frontier.into()]).await?;
        Ok(())
    }

    /// Appends entries to a tree whose head is locked; gives its new frontier.
    async fn append_some(
        &self,
        tx: &Transaction,
        log: &dyn Log,
        frontier: &[u8],
        drafts: &[Draft],
    ) -> Result<Vec<u8>, StoreError> {
        let subjects = self.subjects(tx, log, drafts).await?;
        // Never in clear because something went wrong.
        let lost = || StoreError::Damaged("a person of an entry cannot be found".to_owned());
        let find = |lookup: String| subjects.get(&lookup).ok_or_else(lost);
        let mut peopled: Vec<Peopled<'_>> = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let subject = found_by(log, draft).map(find).transpose()?;
            let others = others_in(log, draft).map(|lookup| find(lookup).map(|subject| subject.id));
            let mut concerns: Vec<Uuid> = others.collect::<Result<_, _>>()?;
            // Two names may be one person's, or that of who acts.
            concerns.sort_unstable();
            concerns.dedup();
            concerns.retain(|id| subject.is_none_or(|subject| subject.id != *id));
            peopled.push(Peopled {
                draft,
                subject,
                concerns,
            });
        }
        let extended = log.extend(frontier, &peopled).map_err(StoreError::Damaged)?;
        for (entries, people) in extended.entries.chunks(CHUNK).zip(peopled.chunks(CHUNK)) {
            write_entries(tx, entries, people).await?;
        }
        for (level, index, hash) in extended.nodes {
            let node = trail_node::ActiveModel {
                level: Set(level.into()),
                idx: Set(index.cast_signed()),
                hash: Set(hash.to_vec()),
            };
            trail_node::Entity::insert(node).exec_without_returning(tx).await?;
        }
        Ok(extended.frontier)
    }

    /// Takes the lock on the tree's head, which is held to the end of the transaction.
    pub(crate) async fn lock_head(&self, tx: &Transaction) -> Result<Vec<u8>, StoreError> {
        tx.bound_idle().await?;
        let head = trail_head::Entity::find_by_id(1_i16).lock_exclusive().one(tx).await?;
        head.map(|head| head.frontier)
            .ok_or_else(|| StoreError::Damaged("the trail has no head".to_owned()))
    }

    /// Takes that lock within [`Store::together`], so that what is read after it stays so.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn lock_trail(&self) -> Result<(), StoreError> {
        let query = trail_head::Entity::find_by_id(1_i16).lock_exclusive();
        query.one(&self.write).await?;
        Ok(())
    }

    /// The token of a person; made where they were never seen.
    pub(crate) async fn subject_of(
        &self,
        tx: &Transaction,
        name: &str,
        now: Instant,
    ) -> Result<Option<Uuid>, StoreError> {
        let Some(log) = &self.log else { return Ok(None) };
        let draft = Draft {
            action: String::new(),
            outcome: "success",
            actor: name.to_owned(),
            concerns: Vec::new(),
            project: None,
            // As an event names them.
            record: Some(Uuid::nil()),
            refs: Vec::new(),
            content: String::new(),
            at: micros(now),
        };
        let found = self.subjects(tx, log.as_ref(), &[draft]).await?;
        Ok(found.into_values().next().map(|subject| subject.id))
    }

    /// The tokens of a person: the one that they are found by, made where they were never seen, and those set aside.
    pub(crate) async fn subjects_named(
        &self,
        tx: &Transaction,
        name: &str,
        now: Instant,
    ) -> Result<Vec<Uuid>, StoreError> {
        let mut all: Vec<Uuid> = self.subject_of(tx, name, now).await?.into_iter().collect();
        if let Some(lookup) = self.log.as_ref().and_then(|log| log.person(name)) {
            let former = subject::Entity::find().filter(subject::Column::FormerLookup.eq(lookup));
            all.extend(former.all(tx).await?.into_iter().map(|row| row.id));
        }
        Ok(all)
    }

    /// Appends entries by themselves.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then what they tell must not be done.
    pub async fn append_alone(&self, drafts: &[Draft]) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        self.append(&tx, drafts).await?;
        Ok(tx.commit().await?)
    }

    /// The people who act in drafts, by what they are found by; made where they were never seen.
    async fn subjects(
        &self,
        tx: &Transaction,
        log: &dyn Log,
        drafts: &[Draft],
    ) -> Result<HashMap<String, Subject>, StoreError> {
        let people = |draft| found_by(log, draft).into_iter().chain(others_in(log, draft));
        let mut wanted: Vec<String> = drafts.iter().flat_map(people).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut found = known(tx, &wanted).await?;
        let missing: Vec<&String> = wanted.iter().filter(|lookup| !found.contains_key(*lookup)).collect();
        let created_at = drafts.first().map_or(0, |draft| draft.at);
        for chunk in missing.chunks(CHUNK) {
            let rows = chunk.iter().map(|lookup| {
                let id = Uuid::now_v7();
                subject::ActiveModel {
                    id: Set(id),
                    lookup: Set(Some((*lookup).clone())),
                    wrapped: Set(Some(log.new_key(id))),
                    created_at: Set(created_at),
                    erased_at: Set(None),
                    restricted_until: Set(None),
                    former_lookup: Set(None),
                }
            });
            // Another server may be as quick.
            let once = sea_orm::sea_query::OnConflict::column(subject::Column::Lookup)
                .do_nothing()
                .to_owned();
            subject::Entity::insert_many(rows)
                .on_conflict(once)
                .exec_without_returning(tx)
                .await?;
        }
        if found.len() < wanted.len() {
            found = known(tx, &wanted).await?;
        }
        Ok(found)
    }

    /// People by their tokens.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn subjects_by_id(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Subject>, StoreError> {
        let mut all = HashMap::new();
        for chunk in ids.chunks(500) {
            let query = subject::Entity::find().filter(subject::Column::Id.is_in(chunk.iter().copied()));
            let found = query.all(&self.read).await?;
            all.extend(found.into_iter().map(|row| {
                let one = Subject {
                    id: row.id,
                    wrapped: row.wrapped,
                    restricted: row.restricted_until.is_some(),
                };
                (row.id, one)
            }));
        }
        Ok(all)
    }

    /// The people whose key was destroyed.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn erased_subjects(&self) -> Result<HashSet<Uuid>, StoreError> {
        let found = rows(&self.read, "SELECT id FROM subject WHERE wrapped IS NULL", Vec::new()).await?;
        found.iter().map(|row| column(row, "id")).collect()
    }

    /// The payloads of entries, by place, as far as they can be read.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn contents(&self, entries: &[trail_entry::Model]) -> Result<HashMap<i64, String>, StoreError> {
        self.opened(entries, false).await
    }

    /// The payloads of entries, by place, those of people who are set aside among them. Whoever asks has a reason that is in the trail.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn contents_set_aside(&self, entries: &[trail_entry::Model]) -> Result<HashMap<i64, String>, StoreError> {
        self.opened(entries, true).await
    }

    async fn opened(
        &self,
        entries: &[trail_entry::Model],
        set_aside: bool,
    ) -> Result<HashMap<i64, String>, StoreError> {
        let Some(log) = &self.log else {
            return Ok(HashMap::new());
        };
        let mut ids: Vec<Uuid> = entries.iter().filter_map(|entry| entry.subject_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let subjects = self.subjects_by_id(&ids).await?;
        let open = |entry: &trail_entry::Model| {
            let subject = entry.subject_id.and_then(|id| subjects.get(&id));
            let readable = set_aside || subject.is_none_or(|subject| !subject.restricted);
            Some((entry.idx, log.open(entry, subject).filter(|_| readable)?))
        };
        Ok(entries.iter().filter_map(open).collect())
    }

    /// Entries, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn trail_entries(
        &self,
        filter: &EntryFilter<'_>,
        limit: u64,
    ) -> Result<Vec<trail_entry::Model>, StoreError> {
        let size = self.trail_size().await?;
        let mut query = trail_entry::Entity::find()
            .filter(trail_entry::Column::Idx.gte(0))
            .filter(trail_entry::Column::Idx.lt(size));
        if let Some(only) = filter.only {
            query = query.filter(trail_entry::Column::ProjectId.is_in(only.iter().copied()));
        }
        if filter.actions_only {
            query = query.filter(trail_entry::Column::RecordId.is_null());
        }
        if let Some(before) = filter.before {
            query = query.filter(trail_entry::Column::Idx.lt(before));
        }
        if let Some(action) = filter.action {
            query = query.filter(trail_entry::Column::Action.eq(action));
        }
        let query = query.order_by_desc(trail_entry::Column::Idx).limit(limit);
        Ok(query.all(&self.read).await?)
    }

    /// Entries from one place on, in order.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn trail_from(&self, from: u64, limit: u64) -> Result<Vec<trail_entry::Model>, StoreError> {
        let query = trail_entry::Entity::find().filter(trail_entry::Column::Idx.gte(from.cast_signed()));
        let query = query.order_by_asc(trail_entry::Column::Idx).limit(limit);
        Ok(query.all(&self.read).await?)
    }

    /// Entries from one place on, in order, as an export tells them: the leaf and what its payload is read by. Where a project is named, others'
    /// are not `mine`, but for those of an action that is everybody's.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn told_from(
        &self,
        from: u64,
        limit: u64,
        project: Option<(Uuid, &str)>,
    ) -> Result<Vec<ToldEntry>, StoreError> {
        let mut values: Vec<sea_orm::Value> = Vec::new();
        let mine = match project {
            None => "1",
            Some((project, action)) => {
                values.extend([project.into(), action.into()]);
                "CASE WHEN project_id = ? OR action = ? THEN 1 ELSE 0 END"
            }
        };
        let sql = format!(
            "SELECT idx, hash, leaf, sealed, state, subject_id, {mine} AS mine, at, action, outcome, project_id, record_id FROM trail_entry \
             WHERE idx >= ? ORDER BY idx LIMIT ?"
        );
        values.extend([from.cast_signed().into(), limit.cast_signed().into()]);
        let found = rows(&self.read, &sql, values).await?;
        let told = found.iter().map(|row| {
            let idx = place::<i64>(row, (0, 0), "idx")?;
            Ok(ToldEntry {
                idx,
                hash: place(row, (1, idx), "hash")?,
                leaf: place(row, (2, idx), "leaf")?,
                sealed: place(row, (3, idx), "sealed")?,
                state: place(row, (4, idx), "state")?,
                subject: place(row, (5, idx), "subject_id")?,
                is_mine: place::<i32>(row, (6, idx), "mine")? == 1,
                at: place(row, (7, idx), "at")?,
                action: place(row, (8, idx), "action")?,
                outcome: place(row, (9, idx), "outcome")?,
                project: place(row, (10, idx), "project_id")?,
                record: place(row, (11, idx), "record_id")?,
                named: Vec::new(),
            })
        });
        let mut told: Vec<ToldEntry> = told.collect::<Result<_, StoreError>>()?;
        let (Some(first), Some(last)) = (told.first(), told.last()) else {
            return Ok(told);
        };
        let sql = "SELECT idx, subject_id FROM trail_subject WHERE idx >= ? AND idx <= ?";
        for row in rows(&self.read, sql, vec![first.idx.into(), last.idx.into()]).await? {
            let idx = place::<i64>(&row, (0, 0), "idx")?;
            if let Ok(at) = told.binary_search_by_key(&idx, |entry| entry.idx) {
                told[at].named.push(place(&row, (1, idx), "subject_id")?);
            }
        }
        Ok(told)
    }

    /// What stands behind so many entries.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn trail_end(&self, size: u64) -> Result<TrailEnd, StoreError> {
        let within = self.snapshot().await?;
        let mut end = TrailEnd {
            frontier: within.trail_frontier().await?,
            tail: Vec::new(),
            stray: None,
        };
        let mut next = size;
        loop {
            let page = within.told_from(next, CHECKED_AT_ONCE, None).await?;
            // Behind a gap stands nothing that follows.
            let follows = page.into_iter().zip(next..);
            let follows = follows.take_while(|(entry, place)| entry.idx.unsigned_abs() == *place);
            let before = end.tail.len();
            end.tail.extend(follows.map(|(entry, _)| (entry.hash, entry.leaf)));
            next = size + end.tail.len() as u64;
            if (end.tail.len() - before) as u64 != CHECKED_AT_ONCE {
                break;
            }
        }
        let whole = end
            .frontier
            .first_chunk::<8>()
            .map_or(0, |size| u64::from_be_bytes(*size));
        let sql =
            "SELECT idx FROM trail_entry WHERE idx < 0 UNION ALL SELECT idx FROM trail_entry WHERE idx >= ? LIMIT 1";
        let stray = rows(&within.read, sql, vec![whole.cast_signed().into()]).await?;
        end.stray = stray.first().map(|row| column(row, "idx")).transpose()?;
        Ok(end)
    }

    /// Whether a node of the tree is stored as it is.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn has_node(&self, level: u8, index: u64, hash: &[u8]) -> Result<bool, StoreError> {
        Ok(self.trail_hashes(level, index, 1).await? == [hash])
    }

    /// How many entries the tree counts: a row at or behind that place is none.
    pub(crate) async fn trail_size(&self) -> Result<i64, StoreError> {
        let frontier = self.trail_frontier().await?;
        let size = frontier.first_chunk::<8>().map(|size| u64::from_be_bytes(*size));
        size.map(u64::cast_signed)
            .ok_or_else(|| StoreError::Damaged("the head of the trail is damaged".to_owned()))
    }

    /// The tree's frontier.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn trail_frontier(&self) -> Result<Vec<u8>, StoreError> {
        let head = trail_head::Entity::find_by_id(1_i16).one(&self.read).await?;
        head.map(|head| head.frontier)
            .ok_or_else(|| StoreError::Damaged("the trail has no head".to_owned()))
    }

    /// Hashes of the tree: of leaves at level 0, else of whole nodes of a level of tiles; in order, as many as there are.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn trail_hashes(&self, level: u8, from: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let (from, until) = (from.cast_signed(), (from + count).cast_signed());
        let (table, only) = if level == 0 {
            ("trail_entry", String::new())
        } else {
            ("trail_node", format!("level = {level} AND "))
        };
        let sql = format!("SELECT hash FROM {table} WHERE {only}idx >= ? AND idx < ? ORDER BY idx");
        let found = rows(&self.read, &sql, vec![from.into(), until.into()]).await?;
        found.iter().map(|row| column(row, "hash")).collect()
    }

    /// Keeps a checkpoint.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn keep_checkpoint(&self, size: u64, note: &str, now: Instant) -> Result<(), StoreError> {
        let sql = "INSERT INTO trail_checkpoint (size, at, note) VALUES (?, ?, ?) ON CONFLICT (size, at) DO NOTHING";
        let values = vec![size.cast_signed().into(), micros(now).into(), note.into()];
        run(&self.write, sql, values).await?;
        Ok(())
    }

    /// Keeps the line of a witness with a checkpoint that it vouches for.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn cosign_checkpoint(&self, size: u64, at: i64, line: &str) -> Result<(), StoreError> {
        let sql = "UPDATE trail_checkpoint SET note = note || ? WHERE size = ? AND at = ?";
        let values = vec![format!("{line}\n").into(), size.cast_signed().into(), at.into()];
        run(&self.write, sql, values).await?;
        Ok(())
    }

    /// The checkpoints from a size on, in order: of each size the latest.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn checkpoints(&self, from: u64, limit: u64) -> Result<Vec<trail_checkpoint::Model>, StoreError> {
        let query = trail_checkpoint::Entity::find().filter(trail_checkpoint::Column::Size.gte(from.cast_signed()));
        let query = query
            .order_by_asc(trail_checkpoint::Column::Size)
            .order_by_asc(trail_checkpoint::Column::At);
        Ok(query.limit(limit).all(&self.read).await?)
    }

    /// The latest checkpoints, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn latest_checkpoints(&self, limit: u64) -> Result<Vec<trail_checkpoint::Model>, StoreError> {
        let query = trail_checkpoint::Entity::find()
            .order_by_desc(trail_checkpoint::Column::Size)
            .order_by_desc(trail_checkpoint::Column::At);
        Ok(query.limit(limit).all(&self.read).await?)
    }

    /// The keys that signed, first first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn trail_keys(&self) -> Result<Vec<trail_key::Model>, StoreError> {
        Ok(trail_key::Entity::find()
            .order_by_asc(trail_key::Column::FromSize)
            .all(&self.read)
            .await?)
    }

    /// Keeps the first key, where there is none; gives the one that is there then.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn first_trail_key(
        &self,
        public: &str,
        sealed: &[u8],
        now: Instant,
    ) -> Result<Vec<trail_key::Model>, StoreError> {
        let sql = "INSERT INTO trail_key (from_size, created_at, public, sealed) VALUES (0, ?, ?, ?) ON CONFLICT (from_size) DO NOTHING";
        run(
            &self.write,
            sql,
            vec![micros(now).into(), public.into(), sealed.to_vec().into()],
        )
        .await?;
        Ok(trail_key::Entity::find()
            .order_by_asc(trail_key::Column::FromSize)
            .all(&self.write)
            .await?)
    }

    /// Takes a new key into use, together with the entry that says so; gives false where another change came between.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn rotate_trail_key(
        &self,
        (public, sealed): (&str, &[u8]),
        draft: &Draft,
        (keys, now): (usize, Instant),
    ) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        self.append(&tx, std::slice::from_ref(draft)).await?;
        // The head is locked, and counts the entry that was just written.
        let head = self.lock_head(&tx).await?;
        let size = head.first_chunk::<8>().map(|size| u64::from_be_bytes(*size));
        let known = trail_key::Entity::find().all(&tx).await?;
        // The key before this one must have been vouched for: one change lies between two checkpoints at most.
        let newest = known.iter().map(|key| key.from_size).max().unwrap_or(0);
        let vouched = trail_checkpoint::Entity::find()
            .filter(trail_checkpoint::Column::Size.gte(newest))
            .one(&tx)
            .await?;
        let (Some(size), true) = (size, known.len() == keys && vouched.is_some()) else {
            return Ok(false);
        };
        let row = trail_key::ActiveModel {
            from_size: Set(size.cast_signed()),
            created_at: Set(micros(now)),
            public: Set(public.to_owned()),
            sealed: Set(sealed.to_vec()),
        };
        row.insert(&tx).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// A column of an entry by its place in the statement, which takes less than by its name.
fn place<T: TryGetable>(row: &QueryResult, (at, idx): (usize, i64), name: &str) -> Result<T, StoreError> {
    row.try_get_by_index(at)
        .map_err(|_| damaged("trail_entry", idx, format_args!("{name} cannot be read")))
}

/// What the person of a draft is found by.
fn found_by(log: &dyn Log, draft: &Draft) -> Option<String> {
    if draft.record.is_some() {
        log.person(&draft.actor)
    } else {
        log.lookup(&draft.actor)
    }
}

/// What the others in a draft are found by.
fn others_in(log: &dyn Log, draft: &Draft) -> impl Iterator<Item = String> {
    draft.concerns.iter().filter_map(|name| log.person(name))
}

async fn known(tx: &Transaction, wanted: &[String]) -> Result<HashMap<String, Subject>, StoreError> {
    let mut found = HashMap::with_capacity(wanted.len());
    for chunk in wanted.chunks(500) {
        let sql = format!(
            "SELECT id, lookup, wrapped FROM subject WHERE lookup IN ({})",
            marks(chunk.len())
        );
        let values = chunk.iter().map(|lookup| lookup.as_str().into()).collect();
        for row in rows(tx, &sql, values).await? {
            let one = Subject {
                id: column(&row, "id")?,
                wrapped: column(&row, "wrapped")?,
                restricted: false,
            };
            found.insert(column(&row, "lookup")?, one);
        }
    }
    Ok(found)
}

async fn write_entries(tx: &Transaction, entries: &[Written], people: &[Peopled<'_>]) -> Result<(), StoreError> {
    const COLUMNS: usize = 11;
    let mut values: Vec<Value> = Vec::with_capacity(entries.len() * COLUMNS);
    let mut named: Vec<Value> = Vec::new();
    for (
        entry,
        Peopled {
            draft,
            subject,
            concerns,
        },
    ) in entries.iter().zip(people)
    {
        let index = entry.index.cast_signed();
        named.extend(concerns.iter().flat_map(|id| [Value::from(*id), index.into()]));
        let state = i16::from(entry.sealed.is_some());
        values.extend([
            index.into(),
            draft.at.into(),
            draft.project.into(),
            draft.record.into(),
            subject.map(|subject| subject.id).into(),
            draft.action.as_str().into(),
            draft.outcome.into(),
            entry.leaf.as_str().into(),
            entry.hash.to_vec().into(),
            entry.sealed.clone().into(),
            state.into(),
        ]);
    }
    let sql = format!(
        "INSERT INTO trail_entry (idx, at, project_id, record_id, subject_id, action, outcome, leaf, hash, sealed, state) VALUES {}",
        tuples(COLUMNS, entries.len())
    );
    run(tx, &sql, values).await?;
    for named in named.chunks(2 * CHUNK) {
        let count = named.len() / 2;
        let sql = format!(
            "INSERT INTO trail_subject (subject_id, idx) VALUES {}",
            tuples(2, count)
        );
        run(tx, &sql, named.to_vec()).await?;
    }
    Ok(())
}
