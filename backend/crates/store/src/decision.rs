//! Waivers and attestations.

use crate::entity::{attestation, person, waiver};
use crate::stored::{ATTESTED, WAIVER_STATES, stored_word};
use crate::{Scoped, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

/// A waiver to request.
#[derive(Debug)]
pub struct NewWaiver<'a> {
    /// The finding.
    pub finding: Uuid,
    /// `accepted_risk`, `false_positive` or `out_of_scope`.
    pub kind: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Who asks.
    pub actor: &'a str,
    /// First instant inside.
    pub from: Instant,
    /// First instant outside.
    pub until: Instant,
}

/// An attestation to record.
#[derive(Debug)]
pub struct NewAttestation<'a> {
    /// The control.
    pub control: &'a str,
    /// `effective`, `partially_effective` or `ineffective`.
    pub outcome: &'a str,
    /// What is stated.
    pub statement: &'a str,
    /// What it rests on.
    pub evidence: &'a str,
    /// Who states it.
    pub actor: &'a str,
    /// First instant of validity.
    pub from: Instant,
    /// First instant after it.
    pub until: Instant,
}

impl Scoped<'_> {
    /// Requests a waiver. None where the finding is not in this project.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn request_waiver(&self, new: &NewWaiver<'_>, now: Instant) -> Result<Option<waiver::Model>, StoreError> {
        let known = self.findings_by_id(&[new.finding]).await?;
        if known.is_empty() {
            return Ok(None);
        }
        let row = waiver::ActiveModel {
            id: Set(Uuid::now_v7()),
            project_id: Set(self.project.0),
            finding_id: Set(new.finding),
            kind: Set(new.kind.to_owned()),
            reason: Set(new.reason.to_owned()),
            requested_by: Set(new.actor.to_owned()),
            state: Set("requested".to_owned()),
            decided_by: Set(None),
            revoked_by: Set(None),
            from_at: Set(micros(new.from)),
            until_at: Set(micros(new.until)),
            requested_at: Set(micros(now)),
            decided_at: Set(None),
            revoked_at: Set(None),
            owner: Set(new.actor.to_owned()),
        };
        Ok(Some(row.insert(&self.store.write).await?))
    }

    /// Approves or refuses a requested waiver. False where it is not there or not requested.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn decide_waiver(&self, id: Uuid, approve: bool, actor: &str, now: Instant) -> Result<bool, StoreError> {
        let done = waiver::Entity::update_many()
            .col_expr(
                waiver::Column::State,
                Expr::value(if approve { "approved" } else { "refused" }),
            )
            .col_expr(waiver::Column::DecidedBy, Expr::value(actor))
            .col_expr(waiver::Column::DecidedAt, Expr::value(micros(now)))
            .filter(waiver::Column::Id.eq(id))
            .filter(waiver::Column::ProjectId.eq(self.project.0))
            .filter(waiver::Column::State.eq("requested"))
            .exec(&self.store.write)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Ends an approved waiver. False where it is not there or not approved.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn revoke_waiver(&self, id: Uuid, actor: &str, now: Instant) -> Result<bool, StoreError> {
        let done = waiver::Entity::update_many()
            .col_expr(waiver::Column::State, Expr::value("revoked"))
            .col_expr(waiver::Column::RevokedBy, Expr::value(actor))
            .col_expr(waiver::Column::RevokedAt, Expr::value(micros(now)))
            .filter(waiver::Column::Id.eq(id))
            .filter(waiver::Column::ProjectId.eq(self.project.0))
            .filter(waiver::Column::State.eq("approved"))
            .exec(&self.store.write)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Gives a waiver that is asked for or holds to somebody to look after. False where it is not there or has ended.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn give_waiver(&self, id: Uuid, owner: &str) -> Result<bool, StoreError> {
        let done = waiver::Entity::update_many()
            .col_expr(waiver::Column::Owner, Expr::value(owner))
            .filter(waiver::Column::Id.eq(id))
            .filter(waiver::Column::ProjectId.eq(self.project.0))
            .filter(waiver::Column::State.is_in(["requested", "approved"]))
            .exec(&self.store.write)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Of these names, those of people who have left.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn have_left(&self, names: &[&str]) -> Result<Vec<String>, StoreError> {
        let query = person::Entity::find()
            .filter(person::Column::Name.is_in(names.iter().copied()))
            .filter(person::Column::LeftAt.is_not_null());
        let query = query.select_only().column(person::Column::Name);
        Ok(query.into_tuple().all(&self.store.read).await?)
    }

    /// Waivers, latest first; of one finding, or all.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn waivers(&self, finding: Option<Uuid>, limit: u64) -> Result<Vec<waiver::Model>, StoreError> {
        let mut query = waiver::Entity::find().filter(waiver::Column::ProjectId.eq(self.project.0));
        if let Some(finding) = finding {
            query = query.filter(waiver::Column::FindingId.eq(finding));
        }
        let found = query
            .order_by_desc(waiver::Column::Id)
            .limit(limit)
            .all(&self.store.read)
            .await?;
        for waiver in &found {
            stored_word(("waiver", waiver.id, "state"), &waiver.state, &WAIVER_STATES)?;
        }
        Ok(found)
    }

    /// One waiver.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn waiver(&self, id: Uuid) -> Result<Option<waiver::Model>, StoreError> {
        Ok(waiver::Entity::find_by_id(id)
            .filter(waiver::Column::ProjectId.eq(self.project.0))
            .one(&self.store.read)
            .await?)
    }

    /// Records an attestation.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn attest(&self, new: &NewAttestation<'_>, now: Instant) -> Result<attestation::Model, StoreError> {
        let row = attestation::ActiveModel {
            id: Set(Uuid::now_v7()),
            project_id: Set(self.project.0),
            control: Set(new.control.to_owned()),
            outcome: Set(new.outcome.to_owned()),
            statement: Set(new.statement.to_owned()),
            evidence: Set(new.evidence.to_owned()),
            actor: Set(new.actor.to_owned()),
            from_at: Set(micros(new.from)),
            until_at: Set(micros(new.until)),
            recorded_at: Set(micros(now)),
            revoked_at: Set(None),
        };
        Ok(row.insert(&self.store.write).await?)
    }

    /// Attestations, latest first; of one control, or all.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn attestations(&self, control: Option<&str>, limit: u64) -> Result<Vec<attestation::Model>, StoreError> {
        let mut query = attestation::Entity::find().filter(attestation::Column::ProjectId.eq(self.project.0));
        if let Some(control) = control {
            query = query.filter(attestation::Column::Control.eq(control));
        }
        let found = query
            .order_by_desc(attestation::Column::Id)
            .limit(limit)
            .all(&self.store.read)
            .await?;
        for attestation in &found {
            stored_word(
                ("attestation", attestation.id, "outcome"),
                &attestation.outcome,
                &ATTESTED,
            )?;
        }
        Ok(found)
    }

    /// Withdraws an attestation from now on. False where it is not there.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn revoke_attestation(&self, id: Uuid, now: Instant) -> Result<bool, StoreError> {
        let done = attestation::Entity::update_many()
            .col_expr(attestation::Column::RevokedAt, Expr::value(micros(now)))
            .filter(attestation::Column::Id.eq(id))
            .filter(attestation::Column::ProjectId.eq(self.project.0))
            .filter(attestation::Column::RevokedAt.is_null())
            .exec(&self.store.write)
            .await?;
        Ok(done.rows_affected == 1)
    }
}
