//! Idempotency keys. A request claims its key with a lease; its answer is stored in the transaction of its work, and only while the claim
//! is still its own. So a request that died leaves a key that can be taken over, and one that was slow cannot store what another did.

use crate::connection::Transaction;
use crate::entity::idempotency::{Column, Entity};
use crate::sql::{column, row, run};
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use chrono::Duration;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// A key that a request has claimed.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Keyed hash of the key and of whose it is.
    pub id: String,
    /// How often it was claimed, this time included.
    attempt: i64,
}

/// An answer to keep for retries.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers and body, sealed.
    pub sealed: Vec<u8>,
    /// First instant at which it is purged.
    pub expires_at: Instant,
    /// Whether it may name a data subject, and is purged when one is erased.
    pub is_personal: bool,
}

/// What came of claiming a key.
#[derive(Debug)]
pub enum Claimed {
    /// It is this request's.
    Fresh(Claim),
    /// The first request is still at work.
    Running,
    /// Another request came with this key.
    Other,
    /// The first request was carried out; its answer named somebody who was erased since.
    Purged,
    /// The answer to the first request.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers and body, sealed.
        sealed: Vec<u8>,
    },
}

impl Store {
    /// Claims a key for a request until `now` and `lease` later. `id` is a keyed hash of the key and of whose it is, `request` a digest.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn claim(
        &self,
        id: &str,
        request: &str,
        (now, lease): (Instant, Duration),
    ) -> Result<Claimed, StoreError> {
        let now_at = micros(now);
        // A claim whose lease ran out is taken over; an answer past its end is as if it were not there.
        let sql = "INSERT INTO idempotency (id, request, attempt, lease_until, expires_at, status, is_personal) \
                   VALUES (?, ?, 1, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET \
                   attempt = idempotency.attempt + 1, request = excluded.request, lease_until = excluded.lease_until, \
                   expires_at = excluded.expires_at, status = 0, answer = NULL \
                   WHERE (idempotency.status = 0 AND idempotency.lease_until < ? AND idempotency.request = excluded.request) \
                   OR idempotency.expires_at < ? RETURNING attempt";
        let values = vec![
            id.into(),
            request.into(),
            micros(now + lease).into(),
            micros(now + Duration::days(1)).into(),
            false.into(),
            now_at.into(),
            now_at.into(),
        ];
        if let Some(claimed) = row(&self.write, sql, values).await? {
            return Ok(Claimed::Fresh(Claim {
                id: id.to_owned(),
                attempt: column(&claimed, "attempt")?,
            }));
        }
        let found = Entity::find_by_id(id.to_owned());
        Ok(match found.one(&self.write).await? {
            // Given back meanwhile: a retry will find it free.
            None => Claimed::Running,
            Some(kept) if kept.request != request => Claimed::Other,
            Some(kept) if kept.status == 0 => Claimed::Running,
            Some(kept) if kept.is_personal && kept.answer.is_none() => Claimed::Purged,
            Some(kept) => {
                let status = u16::try_from(kept.status).ok();
                let damaged = || StoreError::Damaged(format!("idempotency {id}: no status or answer"));
                let (status, sealed) = status.zip(kept.answer).ok_or_else(damaged)?;
                Claimed::Answer { status, sealed }
            }
        })
    }

    /// Prolongs a claim.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn renew_claim(&self, claim: &Claim, until: Instant) -> Result<(), StoreError> {
        let sql = "UPDATE idempotency SET lease_until = ? WHERE id = ? AND attempt = ? AND status = 0";
        run(&self.write, sql, of(claim, vec![micros(until).into()])).await?;
        Ok(())
    }

    /// Stores the answer of a request within [`Store::together`], with its work.
    ///
    /// # Errors
    /// [`StoreError::ClaimLost`] where another request has taken the claim over: then the work must not be committed.
    pub async fn settle_claim(&self, claim: &Claim, answer: &Answer) -> Result<(), StoreError> {
        settle(&self.write, claim, answer).await
    }

    /// Gives a key back, unless the request was carried out or another has taken it over.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn release_claim(&self, claim: &Claim) -> Result<(), StoreError> {
        let sql = "DELETE FROM idempotency WHERE id = ? AND attempt = ? AND status = 0";
        run(&self.write, sql, of(claim, Vec::new())).await?;
        Ok(())
    }

    /// Gives every claimed key back: on SQLite no request of another process can still be at work when a server starts.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn release_all_claims(&self) -> Result<u64, StoreError> {
        let claimed = Entity::delete_many().filter(Column::Status.eq(0));
        Ok(claimed.exec(&self.write).await?.rows_affected)
    }

    /// Takes away the answers that may name a data subject; that their requests were carried out is kept.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn purge_personal_answers(&self) -> Result<(), StoreError> {
        let sql = "UPDATE idempotency SET answer = NULL WHERE is_personal = ? AND status <> 0";
        run(&self.write, sql, vec![true.into()]).await?;
        Ok(())
    }

    /// Purges the answers whose time is over.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn purge_answers(&self, now: Instant) -> Result<u64, StoreError> {
        let over = Entity::delete_many().filter(Column::ExpiresAt.lt(micros(now)));
        Ok(over.exec(&self.write).await?.rows_affected)
    }
}

/// Stores the answer of a request in the transaction of its work.
pub(crate) async fn settle(
    db: &impl sea_orm::ConnectionTrait,
    claim: &Claim,
    answer: &Answer,
) -> Result<(), StoreError> {
    let sql = "UPDATE idempotency SET status = ?, answer = ?, expires_at = ?, is_personal = ? \
               WHERE id = ? AND attempt = ? AND status = 0";
    let values = vec![
        i32::from(answer.status).into(),
        answer.sealed.clone().into(),
        micros(answer.expires_at).into(),
        answer.is_personal.into(),
    ];
    if run(db, sql, of(claim, values)).await?.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::ClaimLost)
}

/// Stores the answers of requests in a transaction that several of them share; says of each whether it has its answer. One whose claim was
/// given back or taken over meanwhile is left out: what these requests do may be done again.
pub(crate) async fn settle_all(tx: &Transaction, answers: &[Option<(Claim, Answer)>]) -> Result<Vec<bool>, StoreError> {
    let mut answered = Vec::with_capacity(answers.len());
    for answer in answers {
        answered.push(match answer {
            None => true,
            Some((claim, answer)) => match settle(tx, claim, answer).await {
                Ok(()) => true,
                Err(StoreError::ClaimLost) => false,
                Err(error) => return Err(error),
            },
        });
    }
    Ok(answered)
}

fn of(claim: &Claim, mut values: Vec<sea_orm::Value>) -> Vec<sea_orm::Value> {
    values.extend([claim.id.clone().into(), claim.attempt.into()]);
    values
}
