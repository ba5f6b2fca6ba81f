//! Records that the trail vouches for: a digest of each stands in an entry, so that one that was altered, planted or taken away shows.

use crate::entity::{assessment, attestation, audit_event, report, trail_entry, waiver};
use crate::people::action;
use crate::sql::{column, marks, rows};
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::{ColumnTrait, EntityTrait, Iterable, ModelTrait, QueryFilter, QueryOrder, QuerySelect, Value};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The action of an entry that vouches for a record: `refs` has `kind`, `record` and `row`.
pub const KEPT: &str = "record.kept";

/// What is vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Assessments, with their scores.
    Assessment,
    /// Reports.
    Report,
    /// Waivers, after each decision on them.
    Waiver,
    /// Attestations.
    Attestation,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Assessment, Self::Report, Self::Waiver, Self::Attestation];

    /// Its word in entries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Assessment => "assessment",
            Self::Report => "report",
            Self::Waiver => "waiver",
            Self::Attestation => "attestation",
        }
    }
}

/// A record as it is stored.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project: Option<Uuid>,
    /// A keyed digest of all of its columns.
    pub row: String,
}

/// All columns of a row, one after the other with their lengths: no two rows give the same bytes.
fn bytes_of<M: ModelTrait>(model: &M) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::new();
    let mut write = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend(bytes);
    };
    for column in <<M::Entity as EntityTrait>::Column as Iterable>::iter() {
        match model.get(column) {
            Value::Uuid(Some(id)) => write(1, id.as_bytes()),
            Value::String(Some(text)) => write(2, text.as_bytes()),
            Value::BigInt(Some(number)) => write(3, &number.to_be_bytes()),
            Value::Double(Some(number)) => write(4, &number.to_bits().to_be_bytes()),
            Value::Bytes(Some(bytes)) => write(5, &Sha256::digest(&bytes)),
            Value::Uuid(None)
            | Value::String(None)
            | Value::BigInt(None)
            | Value::Double(None)
            | Value::Bytes(None) => write(0, &[]),
            other => {
                let what = format!("a record has a column of another kind: {other:?}");
                return Err(StoreError::Damaged(what));
            }
        }
    }
    Ok(out)
}

impl Store {
    fn record<M: ModelTrait>(
        &self,
        kind: RecordKind,
        (id, project): (Uuid, Option<Uuid>),
        model: &M,
    ) -> Result<Record, StoreError> {
        let log = self.log.as_ref();
        let log = log.ok_or_else(|| StoreError::Damaged("there is no trail to vouch for records".to_owned()))?;
        Ok(Record {
            id,
            project,
            row: log.digest(kind.as_str(), &bytes_of(model)?),
        })
    }

    /// Records of a kind in order of their ids, after one.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn records(&self, kind: RecordKind, after: Uuid, limit: u64) -> Result<Vec<Record>, StoreError> {
        macro_rules! page {
            ($entity:ident, $project:expr) => {{
                let query = $entity::Entity::find().filter($entity::Column::Id.gt(after));
                let found = query
                    .order_by_asc($entity::Column::Id)
                    .limit(limit)
                    .all(&self.read)
                    .await?;
                let project = $project;
                found
                    .iter()
                    .map(|row| self.record(kind, (row.id, project(row)), row))
                    .collect()
            }};
        }
        match kind {
            RecordKind::Assessment => page!(assessment, |row: &assessment::Model| Some(row.project_id)),
            RecordKind::Report => page!(report, |row: &report::Model| row.project_id),
            RecordKind::Waiver => page!(waiver, |row: &waiver::Model| Some(row.project_id)),
            RecordKind::Attestation => page!(attestation, |row: &attestation::Model| Some(row.project_id)),
        }
    }

    /// One record.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn record_of(&self, kind: RecordKind, id: Uuid) -> Result<Option<Record>, StoreError> {
        macro_rules! one {
            ($entity:ident, $project:expr) => {{
                let found = $entity::Entity::find_by_id(id).one(&self.read).await?;
                let project = $project;
                found
                    .map(|row| self.record(kind, (row.id, project(&row)), &row))
                    .transpose()
            }};
        }
        match kind {
            RecordKind::Assessment => one!(assessment, |row: &assessment::Model| Some(row.project_id)),
            RecordKind::Report => one!(report, |row: &report::Model| row.project_id),
            RecordKind::Waiver => one!(waiver, |row: &waiver::Model| Some(row.project_id)),
            RecordKind::Attestation => one!(attestation, |row: &attestation::Model| Some(row.project_id)),
        }
    }

    /// Vouches for records as they are now, in the transaction that wrote them.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails or one is not there.
    pub async fn vouch(&self, kind: RecordKind, ids: &[Uuid], now: Instant) -> Result<(), StoreError> {
        let mut drafts = Vec::with_capacity(ids.len());
        for id in ids {
            let record = self.record_of(kind, *id).await?;
            let record = record.ok_or_else(|| crate::damaged(kind.as_str(), id, "the row is missing"))?;
            let mut draft = action(("", KEPT, record.project), "", now);
            draft.content = String::new();
            draft.at = micros(now);
            draft.record = Some(*id);
            draft.refs = vec![
                ("kind", kind.as_str().to_owned()),
                ("record", id.to_string()),
                ("row", record.row),
            ];
            drafts.push(draft);
        }
        self.append_alone(&drafts).await
    }

    /// The latest entries that vouch for records, by record.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn vouched(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, trail_entry::Model>, StoreError> {
        let mut found = HashMap::new();
        let size = self.trail_size().await?;
        for chunk in ids.chunks(500) {
            let query = trail_entry::Entity::find()
                .filter(trail_entry::Column::Idx.between(0, size - 1))
                .filter(trail_entry::Column::RecordId.is_in(chunk.iter().copied()))
                .filter(trail_entry::Column::Action.eq(KEPT))
                .order_by_asc(trail_entry::Column::Idx);
            for entry in query.all(&self.read).await? {
                if let Some(record) = entry.record_id {
                    found.insert(record, entry);
                }
            }
        }
        Ok(found)
    }

    /// Of these records, those that are not there.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn records_gone(&self, kind: RecordKind, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let mut gone: HashSet<Uuid> = ids.iter().copied().collect();
        for chunk in ids.chunks(500) {
            let sql = format!("SELECT id FROM {} WHERE id IN ({})", kind.as_str(), marks(chunk.len()));
            let values = chunk.iter().map(|id| (*id).into()).collect();
            for row in rows(&self.read, &sql, values).await? {
                gone.remove(&column::<Uuid>(&row, "id")?);
            }
        }
        Ok(gone.into_iter().collect())
    }

    /// Whether there is an entry with an action.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn has_entry(&self, action: &str) -> Result<bool, StoreError> {
        let query = trail_entry::Entity::find().filter(trail_entry::Column::Action.eq(action));
        Ok(query.one(&self.read).await?.is_some())
    }

    /// Audit events of all projects in order of their ids, after one.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn events_after(&self, after: Uuid, limit: u64) -> Result<Vec<audit_event::Model>, StoreError> {
        let query = audit_event::Entity::find().filter(audit_event::Column::Id.gt(after));
        let query = query.order_by_asc(audit_event::Column::Id).limit(limit);
        Ok(query.all(&self.read).await?)
    }

    /// The entries of audit events.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn entries_of_events(&self, ids: &[Uuid]) -> Result<Vec<trail_entry::Model>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(500) {
            let query = trail_entry::Entity::find().filter(trail_entry::Column::RecordId.is_in(chunk.iter().copied()));
            found.extend(query.all(&self.read).await?);
        }
        Ok(found)
    }

    /// Entries that vouch for records, in order, from a place on.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn vouching_from(&self, from: i64, limit: u64) -> Result<Vec<trail_entry::Model>, StoreError> {
        let query = trail_entry::Entity::find()
            .filter(trail_entry::Column::Action.eq(KEPT))
            .filter(trail_entry::Column::Idx.between(from, self.trail_size().await? - 1));
        Ok(query
            .order_by_asc(trail_entry::Column::Idx)
            .limit(limit)
            .all(&self.read)
            .await?)
    }
}
