//! Assessments: stored once, never changed.

use crate::entity::{assessment, catalogue};
use crate::{Scoped, Store, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::score::FrameworkScore;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use std::io::{Read, Write};
use uuid::Uuid;

/// An assessment to store.
#[derive(Debug)]
pub struct NewAssessment<'a> {
    /// Its id.
    pub id: Uuid,
    /// The score.
    pub score: &'a FrameworkScore,
    /// Digest of the catalogue.
    pub catalogue_digest: &'a str,
    /// Digest of the evidence.
    pub evidence_digest: &'a str,
    /// `schedule`, `api`, `page` or `cli`.
    pub origin: &'a str,
    /// Who asked.
    pub actor: &'a str,
    /// The schedule and slot, where one asked.
    pub slot: Option<(Uuid, i64)>,
}

/// JSON, compressed, as it is stored.
///
/// # Errors
/// [`StoreError`] where it cannot be compressed.
pub fn pack(json: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(json)
        .and_then(|()| encoder.finish())
        .map_err(|e| StoreError::Damaged(e.to_string()))
}

pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut json = Vec::new();
    GzDecoder::new(bytes)
        .read_to_end(&mut json)
        .map_err(|e| StoreError::Damaged(e.to_string()))?;
    Ok(json)
}

impl Store {
    /// Keeps a catalogue under its digest.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn keep_catalogue(&self, digest: &str, sources: &[u8], now: Instant) -> Result<(), StoreError> {
        if catalogue::Entity::find_by_id(digest)
            .select_only()
            .column(catalogue::Column::Digest)
            .into_tuple::<String>()
            .one(&self.read)
            .await?
            .is_some()
        {
            return Ok(());
        }
        let row = catalogue::ActiveModel {
            digest: Set(digest.to_owned()),
            body: Set(pack(sources)?),
            recorded_at: Set(micros(now)),
        };
        let insert = catalogue::Entity::insert(row)
            .on_conflict(OnConflict::column(catalogue::Column::Digest).do_nothing().to_owned());
        insert.exec_without_returning(&self.write).await?;
        Ok(())
    }

    /// The sources of a kept catalogue, JSON.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn catalogue(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = catalogue::Entity::find_by_id(digest).one(&self.read).await?;
        row.map(|row| unpack(&row.body)).transpose()
    }
}

impl Scoped<'_> {
    /// Stores an assessment.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn store_assessment(
        &self,
        new: &NewAssessment<'_>,
        now: Instant,
    ) -> Result<assessment::Model, StoreError> {
        let score = new.score;
        let row = assessment::ActiveModel {
            id: Set(new.id),
            project_id: Set(self.project.0),
            schedule_id: Set(new.slot.map(|(schedule, _)| schedule)),
            slot: Set(new.slot.map(|(_, slot)| slot)),
            framework: Set(score.framework.clone()),
            version: Set(score.version.clone()),
            catalogue_digest: Set(new.catalogue_digest.to_owned()),
            evidence_digest: Set(new.evidence_digest.to_owned()),
            origin: Set(new.origin.to_owned()),
            actor: Set(new.actor.to_owned()),
            as_of: Set(micros(score.as_of)),
            recorded_at: Set(micros(now)),
            score: Set(score.compliance_score),
            score_raw: Set(score.compliance_score_raw),
            coverage: Set(score.audit_coverage),
            low: Set(score.bounds.low),
            high: Set(score.bounds.high),
            body: Set(pack(
                &serde_json::to_vec(score).map_err(|error| StoreError::Damaged(error.to_string()))?,
            )?),
        };
        Ok(row.insert(&self.store.write).await?)
    }

    /// One assessment with its score.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn assessment(&self, id: Uuid) -> Result<Option<(assessment::Model, FrameworkScore)>, StoreError> {
        let found = assessment::Entity::find_by_id(id)
            .filter(assessment::Column::ProjectId.eq(self.project.0))
            .one(&self.store.read)
            .await?;
        found.map(with_score).transpose()
    }

    /// The latest assessment of a framework at or before an instant, with its score.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn latest_assessment(
        &self,
        framework: &str,
        at: Instant,
    ) -> Result<Option<(assessment::Model, FrameworkScore)>, StoreError> {
        let found = assessment::Entity::find()
            .filter(assessment::Column::ProjectId.eq(self.project.0))
            .filter(assessment::Column::Framework.eq(framework))
            .filter(assessment::Column::AsOf.lte(micros(at)))
            .order_by_desc(assessment::Column::AsOf)
            .order_by_desc(assessment::Column::Id)
            .limit(1)
            .one(&self.store.read)
            .await?;
        found.map(with_score).transpose()
    }

    /// Assessments without their scores' detail, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn assessments(&self, framework: Option<&str>, limit: u64) -> Result<Vec<assessment::Model>, StoreError> {
        let mut query = assessment::Entity::find().filter(assessment::Column::ProjectId.eq(self.project.0));
        if let Some(framework) = framework {
            query = query.filter(assessment::Column::Framework.eq(framework));
        }
        let query = query
            .order_by_desc(assessment::Column::AsOf)
            .order_by_desc(assessment::Column::Id);
        Ok(query.limit(limit).all(&self.store.read).await?)
    }

    /// The course of a framework's score: instant, score, coverage, bounds; oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    #[allow(clippy::type_complexity, reason = "a row of numbers")]
    pub async fn trend(
        &self,
        framework: &str,
        since: Instant,
    ) -> Result<Vec<(i64, Option<f64>, f64, f64, f64)>, StoreError> {
        Ok(assessment::Entity::find()
            .filter(assessment::Column::ProjectId.eq(self.project.0))
            .filter(assessment::Column::Framework.eq(framework))
            .filter(assessment::Column::AsOf.gte(micros(since)))
            .order_by_asc(assessment::Column::AsOf)
            .select_only()
            .columns([
                assessment::Column::AsOf,
                assessment::Column::Score,
                assessment::Column::Coverage,
                assessment::Column::Low,
                assessment::Column::High,
            ])
            .into_tuple()
            .all(&self.store.read)
            .await?)
    }
}

fn with_score(row: assessment::Model) -> Result<(assessment::Model, FrameworkScore), StoreError> {
    let json = unpack(&row.body)?;
    let score =
        serde_json::from_slice(&json).map_err(|e| StoreError::Damaged(format!("assessment {}: {e}", row.id)))?;
    Ok((row, score))
}
