//! Audit events. The same event of one source twice is one.

use crate::connection::Transaction;
use crate::entity::{audit_event, trail_entry};
use crate::idempotency::{Answer, Claim, settle_all};
use crate::import::intern_assets;
use crate::page::{Cursor, Page};
use crate::sql::{clean, column, marks, row, rows, statement, tuples};
use crate::stored::{RISKS, numbers_in, stored_word};
use crate::{Draft, Scoped, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::asset::AssetKey;
use affiant_domain::audit::AuditEvent;
use affiant_domain::retention::Kept;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Value};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// How long an event is kept: microseconds since 1970, and rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Until when.
    pub until: i64,
    /// The rule that says so.
    pub rule: String,
    /// Until when what is personal in it is, where that is shorter, and the rule that says so.
    pub payload: Option<(i64, String)>,
}

impl From<Kept> for Keeping {
    fn from(kept: Kept) -> Self {
        Self {
            until: micros(kept.until),
            rule: kept.rule,
            payload: kept.payload.map(|(until, rule)| (micros(until), rule)),
        }
    }
}

/// An event to store.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// As it was read.
    pub event: AuditEvent,
    /// Identity within the source.
    pub key: String,
    /// When it happened.
    pub at: i64,
    /// Our risk level.
    pub risk: &'static str,
    /// Why.
    pub reasons: Vec<String>,
    /// Frameworks, the sender's or the source's.
    pub tags: Vec<String>,
    /// Whether it works on data.
    pub is_processing: bool,
    /// How long it is kept.
    pub keep: Keeping,
    /// What is sealed in the trail: all that was said, as JSON.
    pub content: String,
}

/// A stored event with the person.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// The event.
    pub event: audit_event::Model,
    /// The person, where there is one.
    pub user: String,
    /// The address it came from.
    pub source_ip: String,
}

/// Counts over a period.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventSummary {
    /// Operations of agents.
    pub agent_operations: u64,
    /// High-risk and critical operations.
    pub high_risk: u64,
    /// Operations on data.
    pub processing: u64,
    /// All events.
    pub all: u64,
}

/// What of the sealed part of an event is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Person {
    user: String,
    source_ip: String,
}

impl Scoped<'_> {
    /// Stores events of a source in one transaction; says of each whether it was new, and of each answer whether it is stored. `asset` is what they are about, where that is
    /// not their agent; `answers` tells, of what was new, the answers that are stored with them.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn store_events(
        &self,
        source: &str,
        asset: Option<&AssetKey>,
        events: &[NewEvent],
        answers: impl FnOnce(&[bool]) -> Vec<Option<(Claim, Answer)>>,
        now: Instant,
    ) -> Result<(Vec<bool>, Vec<bool>), StoreError> {
        let tx = self.store.begin().await?;
        let created = self.write_events(&tx, source, asset, events, now).await?;
        let answered = settle_all(&tx, &answers(&created)).await?;
        tx.commit().await?;
        Ok((created, answered))
    }

    /// Writes events in a transaction; says of each whether it was new.
    pub(crate) async fn write_events(
        &self,
        tx: &Transaction,
        source: &str,
        asset: Option<&AssetKey>,
        events: &[NewEvent],
        now: Instant,
    ) -> Result<Vec<bool>, StoreError> {
        let mut wanted: BTreeMap<String, AssetKey> = BTreeMap::new();
        for event in events.iter().filter(|e| asset.is_none() && !e.event.agent.is_empty()) {
            let key = AssetKey::resource("agent", &event.event.agent);
            wanted.insert(clean(key.as_str()), key);
        }
        if let Some(asset) = asset {
            wanted.insert(clean(asset.as_str()), asset.clone());
        }
        let first = events.iter().map(|e| e.at).min().map_or(now, crate::instant);
        let keys: Vec<(AssetKey, bool)> = wanted.values().map(|key| (key.clone(), true)).collect();
        let ids = intern_assets(tx, self.project, &keys, None, first, now).await?;
        let asset_of = |event: &NewEvent| {
            let own = || (!event.event.agent.is_empty()).then(|| AssetKey::resource("agent", &event.event.agent));
            asset
                .cloned()
                .or_else(own)
                .and_then(|key| ids.get(&clean(key.as_str())).copied())
        };
        let mut drafts = Vec::with_capacity(events.len());
        let mut created = Vec::with_capacity(events.len());
        for chunk in events.chunks(100) {
            let stored = self.store_chunk(tx, source, chunk, &asset_of, now).await?;
            let new = chunk.iter().zip(&stored);
            drafts.extend(new.filter_map(|(event, id)| id.map(|id| self.draft(id, source, event, now))));
            created.extend(stored.iter().map(Option::is_some));
        }
        // At the end, since the trail is locked from here on.
        self.store.append(tx, &drafts).await?;
        Ok(created)
    }

    /// Gives the ids of those that were new.
    async fn store_chunk(
        &self,
        tx: &Transaction,
        source: &str,
        chunk: &[NewEvent],
        asset_of: &impl Fn(&NewEvent) -> Option<Uuid>,
        now: Instant,
    ) -> Result<Vec<Option<Uuid>>, StoreError> {
        const COLUMNS: usize = 23;
        let ids: Vec<Uuid> = chunk.iter().map(|_| Uuid::now_v7()).collect();
        let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * COLUMNS);
        let json = |value: &dyn erased::Json| clean(&value.json());
        for (new, id) in chunk.iter().zip(&ids) {
            let event = &new.event;
            values.extend([
                (*id).into(),
                self.project.0.into(),
                asset_of(new).into(),
                clean(source).into(),
                clean(&new.key).into(),
                clean(&event.agent).into(),
                clean(&event.action).into(),
                affiant_domain::audit::normalise_action(&event.action).into(),
                clean(&event.resource).into(),
                event.outcome.as_str().to_owned().into(),
                new.risk.to_owned().into(),
                json(&new.reasons).into(),
                json(&new.tags).into(),
                json(&event.data_categories).into(),
                json(&event.payloads).into(),
                "{}".into(),
                new.is_processing.into(),
                new.at.into(),
                micros(now).into(),
                new.keep.until.into(),
                new.keep.rule.clone().into(),
                new.keep.payload.as_ref().map(|(until, _)| *until).into(),
                new.keep.payload.as_ref().map_or("", |(_, rule)| rule).into(),
            ]);
        }
        let sql = format!(
            "INSERT INTO audit_event (id, project_id, asset_id, source, event_key, agent, action, action_key, resource, outcome, risk, \
             reasons, tags, categories, payloads, detail, is_processing, at, recorded_at, keep_until, keep_rule, payload_until, \
             payload_rule) VALUES {} \
             ON CONFLICT (project_id, source, event_key) DO NOTHING RETURNING id",
            tuples(COLUMNS, chunk.len())
        );
        let stored: HashSet<Uuid> = rows(tx, &sql, values)
            .await?
            .iter()
            .map(|row| column::<Uuid>(row, "id"))
            .collect::<Result<_, _>>()?;
        let new = |id: Uuid| stored.contains(&id).then_some(id);
        Ok(ids.into_iter().map(new).collect())
    }

    fn draft(&self, id: Uuid, source: &str, new: &NewEvent, now: Instant) -> Draft {
        let event = &new.event;
        let mut refs = vec![
            ("event", id.to_string()),
            ("did", affiant_domain::audit::normalise_action(&event.action)),
            (
                "happened",
                crate::instant(new.at).to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            ),
            ("risk", new.risk.to_owned()),
            ("source", clean(source)),
        ];
        if !event.agent.is_empty() {
            refs.push(("agent", clean(&event.agent)));
        }
        Draft {
            action: "event".to_owned(),
            outcome: event.outcome.as_str(),
            actor: clean(&event.user),
            concerns: event.subjects.iter().map(|name| clean(name)).collect(),
            project: Some(self.project.0),
            record: Some(id),
            refs,
            content: new.content.clone(),
            at: micros(now),
        }
    }

    async fn latest_of(
        &self,
        period: (i64, i64),
        risk: Option<&str>,
        cursor: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<audit_event::Model>, StoreError> {
        // Both indices give this order: SQLite would guess which of them it has to read less of.
        let (index, of_risk) = match risk {
            None => ("ix_audit_event_latest", ""),
            Some(_) => ("ix_audit_event_risk_latest", " AND risk = ?"),
        };
        let by_index = match self.store.is_postgres() {
            true => String::new(),
            false => format!(" INDEXED BY {index}"),
        };
        let behind = if cursor.is_some() { " AND (at, id) < (?, ?)" } else { "" };
        let sql = format!(
            "SELECT * FROM audit_event{by_index} WHERE project_id = ?{of_risk} AND at >= ? AND at < ?{behind} ORDER BY at DESC, id DESC LIMIT ?"
        );
        let mut values: Vec<Value> = vec![self.project.0.into()];
        values.extend(risk.map(Value::from));
        values.extend([period.0.into(), period.1.into()]);
        if let Some(cursor) = cursor {
            values.extend([cursor.sort.into(), cursor.id.into()]);
        }
        values.push(limit.cast_signed().into());
        let statement = statement(self.store.read.get_database_backend(), &sql, values);
        let found = audit_event::Entity::find().from_raw_sql(statement);
        Ok(found.all(&self.store.read).await?)
    }

    /// One page of events, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn events(
        &self,
        period: (i64, i64),
        risk: &[&str],
        cursor: Option<&Cursor>,
        limit: u64,
    ) -> Result<Page<EventRow>, StoreError> {
        numbers_in(self.store, Some(self.project), &["audit_event"]).await?;
        // Each risk is read in the order of its index; of several, the latest over all are kept.
        let mut found = Vec::new();
        let each: Vec<Option<&str>> = match risk {
            [] => vec![None],
            risks => risks.iter().copied().map(Some).collect(),
        };
        for risk in each {
            found.extend(self.latest_of(period, risk, cursor, limit + 1).await?);
        }
        found.sort_unstable_by_key(|event| std::cmp::Reverse((event.at, event.id)));
        found.truncate(usize::try_from(limit).map_or(usize::MAX, |limit| limit + 1));
        for event in &found {
            stored_word(("audit_event", event.id, "risk"), &event.risk, &RISKS)?;
        }
        let ids: Vec<Uuid> = found.iter().map(|event| event.id).collect();
        let mut persons: HashMap<Uuid, Person> = HashMap::new();
        for chunk in ids.chunks(1000) {
            let query = trail_entry::Entity::find().filter(trail_entry::Column::RecordId.is_in(chunk.iter().copied()));
            let entries = query.all(&self.store.read).await?;
            let contents = self.store.contents(&entries).await?;
            persons.extend(entries.iter().filter_map(|entry| {
                let person = serde_json::from_str(contents.get(&entry.idx)?).ok()?;
                Some((entry.record_id?, person))
            }));
        }
        let items = found
            .into_iter()
            .map(|event| {
                let person = persons.remove(&event.id).unwrap_or_default();
                let (user, source_ip) = (person.user, person.source_ip);
                EventRow { event, user, source_ip }
            })
            .collect();
        Ok(Page::cut(items, limit, |row| Cursor {
            sort: row.event.at,
            id: row.event.id,
        }))
    }

    /// Counts over a period.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn event_summary(&self, start: i64, end: i64) -> Result<EventSummary, StoreError> {
        // Each is counted in an index alone: the rows of a quarter may be gigabytes.
        let count = async |(index, which): (&str, &str)| {
            let by_index = match self.store.is_postgres() {
                true => String::new(),
                false => format!(" INDEXED BY ix_audit_event_{index}"),
            };
            let sql = format!(
                "SELECT count(*) AS n FROM audit_event{by_index} WHERE project_id = ? AND at >= ? AND at < ?{which}"
            );
            let values = vec![self.project.0.into(), start.into(), end.into()];
            let found = row(&self.store.read, &sql, values).await?;
            found
                .map_or(Ok(0), |row| column::<i64>(&row, "n"))
                .map(i64::unsigned_abs)
        };
        Ok(EventSummary {
            all: count(("latest", "")).await?,
            agent_operations: count(("project_id_agent_action_at", " AND agent > ''")).await?,
            high_risk: count(("risk_latest", " AND risk = 'HIGH'")).await?
                + count(("risk_latest", " AND risk = 'CRITICAL'")).await?,
            processing: count(("processing", " AND is_processing")).await?,
        })
    }

    /// The actions of a project's events, in the form that mappings name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn actions_of_events(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT min(action_key) AS action FROM audit_event WHERE project_id = ? AND action_key > ?";
        let mut all: Vec<String> = Vec::new();
        loop {
            // One look into the index for each: there are few actions, and millions of events.
            let behind = all.last().cloned().unwrap_or_default();
            let found = row(&self.store.read, sql, vec![self.project.0.into(), behind.into()]).await?;
            match found
                .map(|row| column::<Option<String>>(&row, "action"))
                .transpose()?
                .flatten()
            {
                Some(action) => all.push(action),
                None => return Ok(all),
            }
        }
    }

    /// The events of a period that are critical, or whose action ended as one of these did: how many, and the latest of them.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn events_like(
        &self,
        period: (i64, i64),
        kinds: &[(String, String)],
        limit: u64,
    ) -> Result<(u64, Vec<audit_event::Model>), StoreError> {
        let count =
            "SELECT count(*) AS n FROM audit_event WHERE project_id = ? AND risk = 'CRITICAL' AND at >= ? AND at < ?";
        let values = vec![self.project.0.into(), period.0.into(), period.1.into()];
        let found = row(&self.store.read, count, values).await?;
        let mut n = found.map_or(Ok(0), |row| column::<i64>(&row, "n"))?;
        let mut latest = self.latest_of(period, Some("CRITICAL"), None, limit).await?;
        for (action, outcome) in kinds {
            let by_index = match self.store.is_postgres() {
                true => "",
                false => " INDEXED BY ix_audit_event_project_id_action_key_at",
            };
            let which = format!(
                "FROM audit_event{by_index} WHERE project_id = ? AND action_key = ? AND at >= ? AND at < ? AND outcome = ? AND risk <> 'CRITICAL'"
            );
            let values: Vec<Value> = vec![
                self.project.0.into(),
                action.as_str().into(),
                period.0.into(),
                period.1.into(),
                outcome.as_str().into(),
            ];
            let found = row(
                &self.store.read,
                &format!("SELECT count(*) AS n {which}"),
                values.clone(),
            )
            .await?;
            let of_kind = found.map_or(Ok(0), |row| column::<i64>(&row, "n"))?;
            if of_kind == 0 {
                continue;
            }
            n += of_kind;
            let sql = format!("SELECT * {which} ORDER BY at DESC, id DESC LIMIT {limit}");
            let statement = statement(self.store.read.get_database_backend(), &sql, values);
            latest.extend(
                audit_event::Entity::find()
                    .from_raw_sql(statement)
                    .all(&self.store.read)
                    .await?,
            );
        }
        latest.sort_unstable_by_key(|event| std::cmp::Reverse((event.at, event.id)));
        latest.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((n.unsigned_abs(), latest))
    }

    /// The latest time of each kind of event on each asset, up to an instant as it was known: asset, action, outcome, time.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn latest_events(
        &self,
        actions: &[String],
        t: i64,
        k: i64,
    ) -> Result<Vec<(Uuid, String, String, i64)>, StoreError> {
        if actions.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT asset_id, action_key, outcome, max(at) AS at FROM audit_event WHERE project_id = ? AND at <= ? AND recorded_at <= ? \
             AND asset_id IS NOT NULL AND action_key IN ({}) GROUP BY asset_id, action_key, outcome ORDER BY asset_id, action_key, outcome",
            marks(actions.len())
        );
        let mut values: Vec<Value> = vec![self.project.0.into(), t.into(), k.into()];
        values.extend(actions.iter().map(|action| Value::from(action.clone())));
        let found = rows(&self.store.read, &sql, values).await?;
        found
            .iter()
            .map(|row| {
                Ok((
                    column(row, "asset_id")?,
                    column(row, "action_key")?,
                    column(row, "outcome")?,
                    column(row, "at")?,
                ))
            })
            .collect()
    }
}

/// JSON of things of several types.
mod erased {
    pub(super) trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap_or_default()
        }
    }
}
