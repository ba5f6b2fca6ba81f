//! What is past its date, and what keeps it: legal holds.

use crate::connection::Transaction;
use crate::entity::{legal_hold, retention_rule};
use crate::sql::{column, marks, row, rows, run};
use crate::stored::{damaged, holds_are_whole, numbers_in, stored_json};
use crate::{Draft, Keeping, Scoped, Store, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::audit::COMPLIANCE_TAGS;
use affiant_domain::retention::{LONGEST, Rule, Rules};
use sea_orm::sea_query::Expr;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, Iterable, QueryFilter, QueryOrder, Set, Value,
};
use uuid::Uuid;

/// A hold to make.
#[derive(Debug)]
pub struct NewHold<'a> {
    /// Records of this person alone, by name; of all, where none is named.
    pub person: Option<&'a str>,
    /// Records from then on.
    pub from: Option<Instant>,
    /// Records before then.
    pub until: Option<Instant>,
    /// Why.
    pub reason: &'a str,
    /// Who makes it.
    pub actor: &'a str,
}

/// A stored event, as far as its date depends on it.
#[derive(Clone, Debug)]
pub struct Undated {
    /// Its id.
    pub id: Uuid,
    /// When it happened.
    pub at: i64,
    /// Its tags.
    pub tags: Vec<String>,
    /// How long it is kept now.
    pub keep: Keeping,
}

/// What is past its date in a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Records that may go now.
    pub due: u64,
    /// Records that stay, of which what is personal may go now.
    pub payloads: u64,
    /// Records past their date that a hold keeps.
    pub held: u64,
    /// Records in all.
    pub all: u64,
}

/// A batch that was purged.
#[derive(Clone, Debug, Default)]
pub struct Purged {
    /// Places in the trail, in order.
    pub indices: Vec<i64>,
    /// Records.
    pub records: u64,
}

/// A record `e` with its entry `t` is under a hold.
const HELD: &str = "EXISTS (SELECT 1 FROM legal_hold h WHERE h.project_id = e.project_id AND h.released_at IS NULL \
                    AND (h.subject_id IS NULL OR h.subject_id = t.subject_id \
                    OR EXISTS (SELECT 1 FROM trail_subject s WHERE s.idx = t.idx AND s.subject_id = h.subject_id)) \
                    AND (h.from_at IS NULL OR e.at >= h.from_at) AND (h.until_at IS NULL OR e.at < h.until_at))";

/// Something personal is still there of an entry `t`: its payload, or what others are found by in it.
const PERSONAL: &str = "(t.state = 1 OR EXISTS (SELECT 1 FROM trail_subject s WHERE s.idx = t.idx))";

impl Scoped<'_> {
    /// Whether what deletes by date can go by what is stored.
    async fn dates_are_whole(&self) -> Result<(), StoreError> {
        holds_are_whole(self.store).await?;
        numbers_in(self.store, Some(self.project), &["audit_event"]).await
    }

    /// Counts what is past its date.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn due(&self, now: Instant) -> Result<Due, StoreError> {
        self.dates_are_whole().await?;
        let sql = format!(
            "SELECT count(*) AS n, count(CASE WHEN {HELD} THEN 1 END) AS held FROM audit_event e \
             LEFT JOIN trail_entry t ON t.record_id = e.id WHERE e.project_id = ? AND e.keep_until <= ?"
        );
        let values = vec![self.project.0.into(), micros(now).into()];
        let found = row(&self.store.read, &sql, values).await?;
        let all = row(
            &self.store.read,
            "SELECT count(*) AS n FROM audit_event WHERE project_id = ?",
            vec![self.project.0.into()],
        )
        .await?;
        let sql = format!(
            "SELECT count(*) AS n FROM audit_event e JOIN trail_entry t ON t.record_id = e.id \
             WHERE e.project_id = ? AND e.payload_until <= ? AND e.keep_until > ? AND {PERSONAL} AND NOT {HELD}"
        );
        let values = vec![self.project.0.into(), micros(now).into(), micros(now).into()];
        let payloads = row(&self.store.read, &sql, values).await?;
        let (Some(found), Some(all)) = (found, all) else {
            return Ok(Due::default());
        };
        let (n, held): (i64, i64) = (column(&found, "n")?, column(&found, "held")?);
        Ok(Due {
            due: (n - held).unsigned_abs(),
            payloads: payloads.map_or(Ok(0), |row| column::<i64>(&row, "n"))?.unsigned_abs(),
            held: held.unsigned_abs(),
            all: column::<i64>(&all, "n")?.unsigned_abs(),
        })
    }

    /// Purges a batch of what a rule lets go: the records, and the payloads of their entries, together with the entry that the closure makes
    /// of it. The entries stay. None is left where nothing comes back.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then nothing was purged.
    pub async fn purge(
        &self,
        rule: &str,
        (batch, now): (u64, Instant),
        tell: impl FnOnce(&Purged) -> Draft,
    ) -> Result<Purged, StoreError> {
        holds_are_whole(self.store).await?;
        let tx = self.store.begin().await?;
        // Holds are made under the same lock: one that was acknowledged is seen.
        self.store.lock_head(&tx).await?;
        if is_pending(&tx).await? {
            return Ok(Purged::default());
        }
        let sql = format!(
            "SELECT e.id AS id, t.idx AS idx FROM audit_event e LEFT JOIN trail_entry t ON t.record_id = e.id \
             WHERE e.project_id = ? AND e.keep_until <= ? AND e.keep_rule = ? AND NOT {HELD} ORDER BY e.keep_until LIMIT {batch}"
        );
        let values = vec![self.project.0.into(), micros(now).into(), rule.into()];
        let found = rows(&tx, &sql, values).await?;
        if found.is_empty() {
            return Ok(Purged::default());
        }
        let ids: Vec<Uuid> = found.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
        let indices: Vec<Option<i64>> = found.iter().map(|row| column(row, "idx")).collect::<Result<_, _>>()?;
        let mut indices: Vec<i64> = indices.into_iter().flatten().collect();
        indices.sort_unstable();
        take_payloads(&tx, &indices).await?;
        for chunk in ids.chunks(500) {
            let sql = format!("DELETE FROM audit_event WHERE id IN ({})", marks(chunk.len()));
            run(&tx, &sql, chunk.iter().map(|id| Value::from(*id)).collect()).await?;
        }
        let purged = Purged {
            indices,
            records: ids.len() as u64,
        };
        let draft = tell(&purged);
        self.store.append(&tx, &[draft]).await?;
        tx.commit().await?;
        Ok(purged)
    }

    /// Purges a batch of payloads whose ceiling has come: the records stay without what is personal in them. None is left where nothing comes
    /// back.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then nothing was purged.
    pub async fn purge_payloads(
        &self,
        (batch, now): (u64, Instant),
        tell: impl FnOnce(&Purged) -> Draft,
    ) -> Result<Purged, StoreError> {
        holds_are_whole(self.store).await?;
        let tx = self.store.begin().await?;
        self.store.lock_head(&tx).await?;
        if is_pending(&tx).await? {
            return Ok(Purged::default());
        }
        let sql = format!(
            "SELECT e.id AS id, t.idx AS idx FROM audit_event e JOIN trail_entry t ON t.record_id = e.id \
             WHERE e.project_id = ? AND e.payload_until <= ? AND {PERSONAL} AND NOT {HELD} ORDER BY e.payload_until LIMIT {batch}"
        );
        let found = rows(&tx, &sql, vec![self.project.0.into(), micros(now).into()]).await?;
        if found.is_empty() {
            return Ok(Purged::default());
        }
        let mut indices: Vec<i64> = found.iter().map(|row| column(row, "idx")).collect::<Result<_, _>>()?;
        indices.sort_unstable();
        take_payloads(&tx, &indices).await?;
        let purged = Purged {
            records: indices.len() as u64,
            indices,
        };
        let draft = tell(&purged);
        self.store.append(&tx, &[draft]).await?;
        tx.commit().await?;
        Ok(purged)
    }

    /// The rules under which something is past its date.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn due_rules(&self, now: Instant) -> Result<Vec<String>, StoreError> {
        let sql =
            "SELECT DISTINCT keep_rule FROM audit_event WHERE project_id = ? AND keep_until <= ? ORDER BY keep_rule";
        let found = rows(&self.store.read, sql, vec![self.project.0.into(), micros(now).into()]).await?;
        found.iter().map(|row| column(row, "keep_rule")).collect()
    }

    /// Makes a hold.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn hold(&self, new: &NewHold<'_>, now: Instant) -> Result<legal_hold::Model, StoreError> {
        let tx = self.store.begin().await?;
        self.store.lock_head(&tx).await?;
        // One that names a person covers what was set aside of them before, too.
        let subjects: Vec<Option<Uuid>> = match new.person {
            None => vec![None],
            Some(name) => self
                .store
                .subjects_named(&tx, name, now)
                .await?
                .into_iter()
                .map(Some)
                .collect(),
        };
        let mut first = None;
        for subject in subjects {
            let row = legal_hold::ActiveModel {
                id: Set(Uuid::now_v7()),
                project_id: Set(self.project.0),
                subject_id: Set(subject),
                reason: Set(new.reason.to_owned()),
                actor: Set(new.actor.to_owned()),
                created_at: Set(micros(now)),
                from_at: Set(new.from.map(micros)),
                until_at: Set(new.until.map(micros)),
                released_at: Set(None),
            };
            let row = row.insert(&tx).await?;
            first.get_or_insert(row);
        }
        let first = first.ok_or_else(|| StoreError::Damaged("a hold on nobody".to_owned()))?;
        tx.commit().await?;
        Ok(first)
    }

    /// Releases a hold; false where it is not there or was released before.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn release_hold(&self, id: Uuid, now: Instant) -> Result<bool, StoreError> {
        let done = legal_hold::Entity::update_many()
            .col_expr(legal_hold::Column::ReleasedAt, Expr::value(micros(now)))
            .filter(legal_hold::Column::Id.eq(id))
            .filter(legal_hold::Column::ProjectId.eq(self.project.0))
            .filter(legal_hold::Column::ReleasedAt.is_null())
            .exec(&self.store.write)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Holds, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn holds(&self) -> Result<Vec<legal_hold::Model>, StoreError> {
        let query = legal_hold::Entity::find().filter(legal_hold::Column::ProjectId.eq(self.project.0));
        Ok(query
            .order_by_desc(legal_hold::Column::Id)
            .all(&self.store.read)
            .await?)
    }
}

/// Takes away what is personal in entries: their payloads, and what other people are found by in them.
async fn take_payloads(tx: &Transaction, indices: &[i64]) -> Result<(), StoreError> {
    for chunk in indices.chunks(500) {
        let those = marks(chunk.len());
        let values: Vec<Value> = chunk.iter().map(|index| Value::from(*index)).collect();
        let sql = format!("UPDATE trail_entry SET sealed = NULL, state = 2 WHERE state = 1 AND idx IN ({those})");
        run(tx, &sql, values.clone()).await?;
        let sql = format!("DELETE FROM trail_subject WHERE idx IN ({those})");
        run(tx, &sql, values).await?;
    }
    Ok(())
}

/// Whether stored events have not got their dates yet by a rule that was changed: until then nothing goes.
async fn is_pending(tx: &impl sea_orm::ConnectionTrait) -> Result<bool, StoreError> {
    let sql = "SELECT 1 AS one FROM retention_rule WHERE pending = ? LIMIT 1";
    Ok(row(tx, sql, vec![true.into()]).await?.is_some())
}

impl Store {
    /// The rules in force: the usual ones, and those that were changed.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn retention_rules(&self) -> Result<Rules, StoreError> {
        let months = |id: &str, months: Option<i64>| {
            let known = |months: i64| u32::try_from(months).ok().filter(|months| *months <= LONGEST);
            let unknown = |months| damaged("retention_rule", id, format_args!("{months} months"));
            months
                .map(|months| known(months).ok_or_else(|| unknown(months)))
                .transpose()
        };
        let usual = Rules::default();
        let rule = |row: retention_rule::Model| {
            if row.at_least.is_none() && row.at_most.is_none() {
                return Err(damaged("retention_rule", &row.id, "it has no period"));
            }
            // The tag of a rule that is there from the beginning is not changed.
            let own = usual.iter().find(|rule| rule.id == row.id);
            let is_known = own.map_or_else(
                || COMPLIANCE_TAGS.contains(&row.tag.as_str()),
                |rule| rule.tag == row.tag,
            );
            if !is_known {
                return Err(damaged(
                    "retention_rule",
                    &row.id,
                    format_args!("unknown tag \"{}\"", row.tag),
                ));
            }
            Ok::<_, StoreError>(Rule {
                at_least: months(&row.id, row.at_least)?,
                at_most: months(&row.id, row.at_most)?,
                id: row.id,
                tag: row.tag,
                reason: row.reason,
            })
        };
        let changes = self.changed_rules().await?.into_iter().map(rule);
        Ok(Rules::changed(changes.collect::<Result<_, _>>()?))
    }

    /// The rules that were changed, by id.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn changed_rules(&self) -> Result<Vec<retention_rule::Model>, StoreError> {
        let query = retention_rule::Entity::find().order_by_asc(retention_rule::Column::Id);
        Ok(query.all(&self.read).await?)
    }

    /// Changes a rule. Until the events that are stored have their new dates it is pending, and nothing is let go.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn change_rule(&self, row: retention_rule::Model) -> Result<(), StoreError> {
        let all = retention_rule::Column::iter().filter(|column| !matches!(column, retention_rule::Column::Id));
        retention_rule::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::column(retention_rule::Column::Id)
                    .update_columns(all)
                    .to_owned(),
            )
            .exec_without_returning(&self.write)
            .await?;
        Ok(())
    }

    /// Notes that the events that are stored have their dates by the rules as they were at a time.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn rules_applied(&self, as_of: i64) -> Result<(), StoreError> {
        let sql = "UPDATE retention_rule SET pending = ? WHERE changed_at <= ?";
        run(&self.write, sql, vec![false.into(), as_of.into()]).await?;
        Ok(())
    }

    /// Stored events behind the one that is named, by id.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn dated_events(&self, after: Option<Uuid>, limit: u64) -> Result<Vec<Undated>, StoreError> {
        let behind = after.map_or("", |_| "WHERE id > ?");
        let sql = format!(
            "SELECT id, at, tags, keep_until, keep_rule, payload_until, payload_rule FROM audit_event {behind} ORDER BY id LIMIT {limit}"
        );
        let found = rows(&self.read, &sql, after.into_iter().map(Value::from).collect()).await?;
        let one = |row: &sea_orm::QueryResult| {
            let until: Option<i64> = column(row, "payload_until")?;
            let rule: String = column(row, "payload_rule")?;
            let id: Uuid = column(row, "id")?;
            let tags: String = column(row, "tags")?;
            Ok(Undated {
                id,
                at: column(row, "at")?,
                tags: stored_json(("audit_event", id, "tags"), &tags)?,
                keep: Keeping {
                    until: column(row, "keep_until")?,
                    rule: column(row, "keep_rule")?,
                    payload: until.map(|until| (until, rule)),
                },
            })
        };
        found.iter().map(one).collect()
    }

    /// Gives events other dates, all together.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn date_events(&self, all: Vec<(Uuid, Keeping)>) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let sql =
            "UPDATE audit_event SET keep_until = ?, keep_rule = ?, payload_until = ?, payload_rule = ? WHERE id = ?";
        for (id, keep) in all {
            let (until, rule) = keep
                .payload
                .map_or((None, String::new()), |(until, rule)| (Some(until), rule));
            run(
                &tx,
                sql,
                vec![
                    keep.until.into(),
                    keep.rule.into(),
                    until.into(),
                    rule.into(),
                    id.into(),
                ],
            )
            .await?;
        }
        Ok(tx.commit().await?)
    }
}
