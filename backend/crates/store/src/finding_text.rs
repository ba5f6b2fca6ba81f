//! Search in the text of findings. An index finds what is rare; what is common is found by reading in order, which ends as soon as a page is
//! full. Imports whose findings are not in the index yet are read.

use crate::entity::{finding, import};
use crate::import::VISIBLE;
use crate::sql::{clean, column, row, rows, run};
use crate::{Scoped, Store, StoreError};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value};
use uuid::Uuid;

/// Matches up to which the index answers; beyond, a page is full soon.
const FEW: usize = 2000;
/// Letters of the shortest text that the index knows.
const SHORTEST: usize = 3;
/// Findings that are made searchable in one transaction.
const BATCH: u64 = 300;

/// The last findings that were made searchable.
#[derive(Clone, Copy)]
pub struct Batch {
    import: Uuid,
    finding: Uuid,
}

/// Where a text stands.
pub(crate) enum Matches {
    /// In these, and in what is not in the index yet.
    Few(Vec<Uuid>),
    /// In more than the index is asked for.
    Many,
}

impl Scoped<'_> {
    /// The findings of the index that hold a text.
    pub(crate) async fn matches(&self, text: &str) -> Result<Matches, StoreError> {
        if text.chars().count() < SHORTEST {
            return Ok(Matches::Many);
        }
        let project = self.project.0;
        let sql = if !self.store.is_postgres() {
            "SELECT t.finding_id AS id FROM finding_search s JOIN finding_text t ON t.n = s.rowid \
             WHERE finding_search MATCH ? AND t.project_id = ? LIMIT 2001"
        } else if self.store.has_trigrams().await? {
            "SELECT finding_id AS id FROM finding_text WHERE body ILIKE ? AND project_id = ? LIMIT 2001"
        } else {
            "SELECT finding_id AS id FROM finding_text \
             WHERE to_tsvector('simple', body) @@ plainto_tsquery('simple', ?) AND project_id = ? LIMIT 2001"
        };
        let wanted = if !self.store.is_postgres() {
            // A phrase, taken literally.
            format!("\"{}\"", clean(text).replace('"', "\"\""))
        } else if sql.contains("ILIKE") {
            format!("%{}%", crate::finding::escape(text))
        } else {
            clean(text)
        };
        let found = rows(&self.store.read, sql, vec![wanted.into(), project.into()]).await?;
        if found.len() > FEW {
            return Ok(Matches::Many);
        }
        let ids = found.iter().map(|row| column(row, "id"));
        Ok(Matches::Few(ids.collect::<Result<_, _>>()?))
    }

    /// What restricts a query to findings that hold a text; `literally` compares a row with it.
    pub(crate) async fn holding(&self, text: &str, literally: Condition) -> Result<Condition, StoreError> {
        let Matches::Few(ids) = self.matches(text).await? else {
            return Ok(literally);
        };
        let known = finding::Column::Id.is_in(ids);
        let waiting: Vec<Uuid> = import::Entity::find()
            .filter(import::Column::IsSearchable.eq(false))
            .filter(import::Column::ProjectId.eq(self.project.0))
            .select_only()
            .column(import::Column::Id)
            .into_tuple()
            .all(&self.store.read)
            .await?;
        if waiting.is_empty() {
            return Ok(Condition::all().add(known));
        }
        let unknown = finding::Column::ImportId.is_in(waiting);
        Ok(Condition::any().add(known).add(literally.add(unknown)))
    }
}

impl Store {
    /// Whether text is searched literally. PostgreSQL without the extension `pg_trgm` searches for words.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn has_trigrams(&self) -> Result<bool, StoreError> {
        if !self.is_postgres() {
            return Ok(true);
        }
        let sql = "SELECT 1 AS one FROM pg_extension WHERE extname = 'pg_trgm'";
        Ok(row(&self.read, sql, Vec::new()).await?.is_some())
    }

    /// Makes the next batch of findings searchable; none where all are. What is behind the last batch is not read again.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn make_searchable(&self, last: Option<Batch>) -> Result<Option<Batch>, StoreError> {
        let waiting = import::Entity::find()
            .filter(import::Column::IsSearchable.eq(false))
            .filter(import::Column::State.lte(VISIBLE))
            .order_by_asc(import::Column::RecordedAt)
            .limit(1);
        let Some(import) = waiting.one(&self.read).await? else {
            return Ok(None);
        };
        let after = last
            .filter(|batch| batch.import == import.id)
            .map_or(Uuid::nil(), |batch| batch.finding);
        let sql = "SELECT f.id AS id, f.title AS title, f.location AS location, f.message AS message FROM finding f \
                   WHERE f.import_id = ? AND f.id > ? AND NOT EXISTS (SELECT 1 FROM finding_text t WHERE t.finding_id = f.id) \
                   ORDER BY f.id LIMIT ?";
        let next = async |after: Uuid| {
            let values = vec![import.id.into(), after.into(), BATCH.cast_signed().into()];
            rows(&self.read, sql, values).await
        };
        let mut found = next(after).await?;
        if found.is_empty() && !after.is_nil() {
            found = next(Uuid::nil()).await?;
        }
        let tx = self.begin().await?;
        if found.is_empty() {
            let sql = "UPDATE import SET is_searchable = ? WHERE id = ?";
            run(&tx, sql, vec![true.into(), import.id.into()]).await?;
        } else {
            let mut values: Vec<Value> = Vec::with_capacity(found.len() * 3);
            for one in &found {
                let text = |name: &str| column::<String>(one, name);
                let body = format!("{}\n{}\n{}", text("title")?, text("location")?, text("message")?);
                let id: Uuid = column(one, "id")?;
                values.extend([id.into(), import.project_id.into(), body.into()]);
            }
            let sql = format!(
                "INSERT INTO finding_text (finding_id, project_id, body) VALUES {} ON CONFLICT (finding_id) DO NOTHING",
                crate::sql::tuples(3, found.len())
            );
            run(&tx, &sql, values).await?;
        }
        tx.commit().await?;
        let finding = found.last().map_or(Ok(Uuid::nil()), |one| column(one, "id"))?;
        Ok(Some(Batch {
            import: import.id,
            finding,
        }))
    }
}
