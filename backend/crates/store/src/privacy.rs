//! Requests of data subjects, what is held of a person, and forgetting them.

use crate::entity::{audit_event, privacy_request, subject, trail_entry};
use crate::outage::Outage;
use crate::sql::{column, marks, row, rows, run};
use crate::stored::{holds_are_whole, stored_json};
use crate::{Store, StoreError, Subject, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Value,
};
use std::collections::HashMap;
use uuid::Uuid;

/// One record of a person, as far as its fate depends on it.
#[derive(Clone, Debug)]
pub struct HeldRecord {
    /// Its place in the trail.
    pub index: i64,
    /// Whether it is an event of somebody else that names them: nothing of it is sealed for them, and they are found in it.
    pub is_named: bool,
    /// The rule that keeps it; empty where it is an action in Affiant.
    pub rule: String,
    /// Until when that keeps it.
    pub keep_until: i64,
    /// Whether a hold covers it.
    pub is_held: bool,
}

impl Store {
    /// Keeps a new request.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn add_request(&self, row: privacy_request::Model) -> Result<(), StoreError> {
        privacy_request::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.write)
            .await?;
        Ok(())
    }

    /// Keeps what became of a request; false where somebody else brought it further meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn change_request(
        &self,
        was: &privacy_request::Model,
        row: privacy_request::Model,
    ) -> Result<bool, StoreError> {
        let done = privacy_request::Entity::update_many()
            .set(row.into_active_model().reset_all())
            .filter(privacy_request::Column::Id.eq(was.id))
            .filter(privacy_request::Column::State.eq(was.state.as_str()))
            .filter(privacy_request::Column::Handlers.eq(was.handlers.as_str()))
            .filter(privacy_request::Column::Outcome.eq(was.outcome.as_str()))
            .exec(&self.write)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Keeps what was done for a request so far.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn keep_done(&self, id: Uuid, done: &str) -> Result<(), StoreError> {
        let sql = "UPDATE privacy_request SET done = ? WHERE id = ?";
        run(&self.write, sql, vec![done.into(), id.into()]).await?;
        Ok(())
    }

    /// Takes out of a request whose it was.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn anonymise_request(&self, id: Uuid) -> Result<(), StoreError> {
        let sql = "UPDATE privacy_request SET identifier = NULL, proof = '', reason = '' WHERE id = ?";
        run(&self.write, sql, vec![id.into()]).await?;
        Ok(())
    }

    /// A request.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn request(&self, id: Uuid) -> Result<Option<privacy_request::Model>, StoreError> {
        Ok(privacy_request::Entity::find_by_id(id).one(&self.read).await?)
    }

    /// Requests, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn requests(&self, limit: u64) -> Result<Vec<privacy_request::Model>, StoreError> {
        let query = privacy_request::Entity::find().order_by_desc(privacy_request::Column::Id);
        Ok(query.limit(limit).all(&self.read).await?)
    }

    /// Requests that are being carried out: this word stands in the place of their outcome.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn requests_under_way(&self, word: &str) -> Result<Vec<privacy_request::Model>, StoreError> {
        let query = privacy_request::Entity::find().filter(privacy_request::Column::Outcome.eq(word));
        Ok(query.all(&self.read).await?)
    }

    /// Requests that still say whose they are.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn named_requests(&self) -> Result<Vec<privacy_request::Model>, StoreError> {
        let query = privacy_request::Entity::find().filter(privacy_request::Column::Identifier.is_not_null());
        Ok(query.order_by_desc(privacy_request::Column::Id).all(&self.read).await?)
    }

    /// The person who is found by this, or whose records were set aside under it; none where nothing is known of them.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn find_subject(&self, lookup: &str) -> Result<Option<Subject>, StoreError> {
        for column in [subject::Column::Lookup, subject::Column::FormerLookup] {
            let query = subject::Entity::find().filter(column.eq(lookup));
            if let Some(row) = query.order_by_desc(subject::Column::Id).one(&self.read).await? {
                return Ok(Some(Subject {
                    id: row.id,
                    wrapped: row.wrapped,
                    restricted: row.restricted_until.is_some(),
                }));
            }
        }
        Ok(None)
    }

    /// Everything sealed of a person that is still there, and the events of others that name them, in order, from a place on.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn held_of(&self, subject: Uuid, from: i64, limit: u64) -> Result<Vec<HeldRecord>, StoreError> {
        holds_are_whole(self).await?;
        let sql = format!(
            "SELECT m.idx AS idx, m.named AS named, e.keep_rule AS rule, e.keep_until AS keep_until, e.at AS at, e.tags AS tags, \
             CASE WHEN EXISTS (SELECT 1 FROM legal_hold h WHERE h.released_at IS NULL AND h.project_id = m.project_id \
             AND (h.subject_id IS NULL OR h.subject_id = m.subject_id OR h.subject_id = m.actor_id \
             OR EXISTS (SELECT 1 FROM trail_subject n WHERE n.idx = m.idx AND n.subject_id = h.subject_id)) \
             AND (h.from_at IS NULL OR coalesce(e.at, m.at) >= h.from_at) AND (h.until_at IS NULL OR coalesce(e.at, m.at) < h.until_at)) \
             THEN 1 ELSE 0 END AS held \
             FROM (SELECT * FROM (SELECT idx, record_id, project_id, at, subject_id, subject_id AS actor_id, 0 AS named FROM trail_entry \
             WHERE subject_id = ? AND state = 1 AND idx >= ? ORDER BY idx LIMIT {limit}) own \
             UNION ALL SELECT * FROM (SELECT t.idx, t.record_id, t.project_id, t.at, s.subject_id, t.subject_id AS actor_id, 1 AS named \
             FROM trail_subject s JOIN trail_entry t ON t.idx = s.idx WHERE s.subject_id = ? AND s.idx >= ? \
             ORDER BY s.idx LIMIT {limit}) others) m \
             LEFT JOIN audit_event e ON e.id = m.record_id ORDER BY m.idx LIMIT {limit}"
        );
        let values = vec![subject.into(), from.into(), subject.into(), from.into()];
        let found = rows(&self.read, &sql, values).await?;
        let rules = self.retention_rules().await?;
        found
            .iter()
            .map(|row| {
                // A duty counts, whatever gave the date: the longest of several is not always one.
                let index: i64 = column(row, "idx")?;
                let tags: Vec<String> = match column::<Option<String>>(row, "tags")? {
                    Some(tags) => stored_json(("audit_event of trail_entry", index, "tags"), &tags)?,
                    // An action in Affiant is no event.
                    None => Vec::new(),
                };
                let at = column::<Option<i64>>(row, "at")?;
                let duty = at.and_then(|at| rules.keep(crate::instant(at), &tags, None).duty);
                let (rule, keep_until) = match duty {
                    Some((until, rule)) => (rule, micros(until)),
                    None => (
                        column::<Option<String>>(row, "rule")?.unwrap_or_default(),
                        column::<Option<i64>>(row, "keep_until")?.unwrap_or_default(),
                    ),
                };
                Ok(HeldRecord {
                    index,
                    is_named: column::<i32>(row, "named")? == 1,
                    rule,
                    keep_until,
                    is_held: i64::from(column::<i32>(row, "held")?) == 1,
                })
            })
            .collect()
    }

    /// Takes the payloads of these entries away for good.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn erase_payloads(&self, indices: &[i64]) -> Result<(), StoreError> {
        for chunk in indices.chunks(500) {
            let sql = format!(
                "UPDATE trail_entry SET sealed = NULL, state = 3 WHERE state = 1 AND idx IN ({})",
                marks(chunk.len())
            );
            run(&self.write, &sql, chunk.iter().map(|index| (*index).into()).collect()).await?;
        }
        Ok(())
    }

    /// Lets a person be found in these entries no more.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn forget_names(&self, subject: Uuid, indices: &[i64]) -> Result<(), StoreError> {
        for chunk in indices.chunks(500) {
            let sql = format!(
                "DELETE FROM trail_subject WHERE subject_id = ? AND idx IN ({})",
                marks(chunk.len())
            );
            let mut values: Vec<Value> = vec![subject.into()];
            values.extend(chunk.iter().map(|index| Value::from(*index)));
            run(&self.write, &sql, values).await?;
        }
        Ok(())
    }

    /// The events of others that name a person, with their entries, from a place on.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn events_naming(
        &self,
        subject: Uuid,
        from: i64,
        limit: u64,
    ) -> Result<Vec<(trail_entry::Model, Option<audit_event::Model>)>, StoreError> {
        let sql = format!("SELECT idx FROM trail_subject WHERE subject_id = ? AND idx >= ? ORDER BY idx LIMIT {limit}");
        let found = rows(&self.read, &sql, vec![subject.into(), from.into()]).await?;
        let indices: Vec<i64> = found.iter().map(|row| column(row, "idx")).collect::<Result<_, _>>()?;
        let entries = trail_entry::Entity::find().filter(trail_entry::Column::Idx.is_in(indices));
        let entries = entries.order_by_asc(trail_entry::Column::Idx).all(&self.read).await?;
        let ids = entries.iter().filter_map(|entry| entry.record_id);
        let events = audit_event::Entity::find().filter(audit_event::Column::Id.is_in(ids));
        let events = events.all(&self.read).await?.into_iter().map(|event| (event.id, event));
        let mut events: HashMap<Uuid, audit_event::Model> = events.collect();
        let with = |entry: trail_entry::Model| {
            let event = entry.record_id.and_then(|id| events.remove(&id));
            (entry, event)
        };
        Ok(entries.into_iter().map(with).collect())
    }

    /// Sets what is left of a person aside until a time.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn restrict(&self, subject: Uuid, until: i64) -> Result<(), StoreError> {
        // What comes from now on is somebody new's: it is not set aside with the rest. A hold still finds them.
        let sql = "UPDATE subject SET restricted_until = ?, former_lookup = coalesce(lookup, former_lookup), lookup = NULL WHERE id = ?";
        run(&self.write, sql, vec![until.into(), subject.into()]).await?;
        Ok(())
    }

    /// Destroys the key of a person and what they are found by. What is sealed under it can be read by nobody any more.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn destroy_key(&self, id: Uuid, now: Instant) -> Result<(), StoreError> {
        subject::Entity::update_many()
            .col_expr(subject::Column::Lookup, Expr::value(Option::<String>::None))
            .col_expr(subject::Column::FormerLookup, Expr::value(Option::<String>::None))
            .col_expr(subject::Column::Wrapped, Expr::value(Option::<Vec<u8>>::None))
            .col_expr(subject::Column::ErasedAt, Expr::value(micros(now)))
            .filter(subject::Column::Id.eq(id))
            .exec(&self.write)
            .await?;
        Ok(())
    }

    /// A person who is not forgotten yet: the keyed hash by which they are found, and whether they are set aside. None where they are
    /// forgotten, or were never here.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn still_known(&self, id: Uuid) -> Result<Option<(Option<String>, bool)>, StoreError> {
        let row = subject::Entity::find_by_id(id).one(&self.read).await?;
        let row = row.filter(|row| row.erased_at.is_none() && row.wrapped.is_some());
        Ok(row.map(|row| (row.lookup.or(row.former_lookup), row.restricted_until.is_some())))
    }

    /// Takes the proofs of a person's consents away; that and when they consented stays, under their token.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn drop_proofs(&self, subject: Uuid) -> Result<(), StoreError> {
        let sql = "UPDATE consent SET proof = NULL WHERE subject_id = ?";
        run(&self.write, sql, vec![subject.into()]).await?;
        Ok(())
    }

    /// Sees to it that what was overwritten is gone from the database's files too, as far as it can.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn scrub(&self) -> Result<(), StoreError> {
        if self.is_postgres() {
            for table in [
                "subject",
                "trail_entry",
                "trail_subject",
                "privacy_request",
                "consent",
                "processor_notice",
            ] {
                self.write.execute_unprepared(&format!("VACUUM {table}")).await?;
            }
            return Ok(());
        }
        // Readers keep the log from being cut: they are gone in a moment.
        for _ in 0..50 {
            let cut = row(&self.write, "PRAGMA wal_checkpoint(TRUNCATE)", Vec::new()).await?;
            let busy = cut.map_or(Ok(0), |cut| column::<i32>(&cut, "busy"))?;
            if busy == 0 {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        // Somebody reads all the time.
        Err(StoreError::unavailable(
            Outage::Busy,
            "the write-ahead log could not be truncated",
        ))
    }

    /// How many people's records are restricted.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn restricted_subjects(&self) -> Result<u64, StoreError> {
        let query = subject::Entity::find()
            // A range, which an index answers.
            .filter(subject::Column::RestrictedUntil.gt(i64::MIN))
            .filter(subject::Column::ErasedAt.is_null());
        Ok(query.count(&self.read).await?)
    }

    /// People whose restriction has ended and who are under no hold.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn restrictions_ended(&self, now: Instant) -> Result<Vec<Uuid>, StoreError> {
        let query = subject::Entity::find()
            .filter(subject::Column::RestrictedUntil.lte(micros(now)))
            .filter(subject::Column::ErasedAt.is_null());
        Ok(query
            .select_only()
            .column(subject::Column::Id)
            .into_tuple()
            .all(&self.read)
            .await?)
    }

    /// The entries in which a person acted or was acted on, with their leaves, from a place on.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn entries_of(
        &self,
        subject: Uuid,
        from: i64,
        limit: u64,
    ) -> Result<Vec<trail_entry::Model>, StoreError> {
        let query = trail_entry::Entity::find()
            .filter(trail_entry::Column::SubjectId.eq(subject))
            .filter(trail_entry::Column::Idx.gte(from));
        Ok(query
            .order_by_asc(trail_entry::Column::Idx)
            .limit(limit)
            .all(&self.read)
            .await?)
    }

    /// Whether a person's account is in use, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn has_account(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) AS n FROM person WHERE lower(name) = lower(?) OR lower(email) = lower(?)";
        let found = row(&self.read, sql, vec![name.into(), name.into()]).await?;
        Ok(match found {
            Some(found) => column::<i64>(&found, "n")? > 0,
            None => false,
        })
    }
}
