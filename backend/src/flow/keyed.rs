//! Requests with an idempotency key: the answer is stored in the transaction of the work, so that a retry finds either both or neither.

use super::FlowError;
use crate::app::Context;
use crate::keys::Key;
use affiant_domain::Instant;
use affiant_store::{Answer, Claim, Claimed};
use chrono::Duration;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What answers are sealed for.
pub const ANSWER: &str = "idempotency.answer";
/// How long a claim holds without being renewed.
const LEASE: Duration = Duration::seconds(10);
/// How often a claim is renewed while its work goes on.
const RENEWAL: std::time::Duration = std::time::Duration::from_secs(3);

/// The keys that requests of this server are at work for.
pub type AtWork = Arc<Mutex<HashSet<String>>>;

/// What an answer consists of beside its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Content {
    /// A JSON body.
    ///
    /// # Errors
    /// [`FlowError::Worker`] where the value cannot be written as JSON.
    pub fn json(value: &impl serde::Serialize) -> Result<Self, FlowError> {
        Ok(Self {
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: serde_json::to_vec(value).map_err(|_| FlowError::Worker)?,
        })
    }

    /// The length of the headers, the headers as JSON, the body.
    fn to_bytes(&self) -> Vec<u8> {
        let headers = serde_json::to_vec(&self.headers).unwrap_or_default();
        let length = u32::try_from(headers.len()).unwrap_or_default().to_be_bytes();
        [length.as_slice(), &headers, &self.body].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (headers, body) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        Some(Self {
            headers: serde_json::from_slice(headers).ok()?,
            body: body.to_vec(),
        })
    }
}

/// A request that has claimed its idempotency key. Dropped without an answer, it gives the key back.
#[derive(Debug)]
pub struct Keyed {
    claim: Claim,
    key: Key,
    store: affiant_store::Store,
    at_work: AtWork,
    expires_at: Instant,
    is_personal: bool,
    is_settled: AtomicBool,
}

/// What came of claiming a key.
pub enum Begun {
    /// The work is to be done.
    Fresh(Arc<Keyed>),
    /// It was done before: the status and the rest of its answer.
    Before(u16, Content),
}

impl Keyed {
    /// Claims a key for a request. `content` stands for all that makes the request what it is; its answer is kept so long, and may name a
    /// data subject or not.
    ///
    /// # Errors
    /// [`FlowError::KeyInUse`] where the first request is still at work, [`FlowError::KeyReused`] where another came with this key.
    pub async fn begin(
        app: &Context,
        (owner, key): (&str, &str),
        content: &str,
        (kept, is_personal): (Duration, bool),
    ) -> Result<Begun, FlowError> {
        let id = hex::encode(app.key.hash("idempotency key", format!("{owner}\0{key}").as_bytes()));
        // A claim of this server holds for as long as its request is at work, whether or not it could be renewed.
        if !at_work(&app.at_work).insert(id.clone()) {
            return Err(FlowError::KeyInUse);
        }
        let now = app.clock.now();
        let digest = affiant_domain::sha256_hex(content.as_bytes());
        let claimed = app.store.claim(&id, &digest, (now, LEASE)).await;
        if !matches!(claimed, Ok(Claimed::Fresh(_))) {
            at_work(&app.at_work).remove(&id);
        }
        match claimed? {
            Claimed::Fresh(claim) => Ok(Begun::Fresh(Arc::new(Self {
                claim,
                key: app.key.clone(),
                store: app.store.clone(),
                at_work: app.at_work.clone(),
                expires_at: now + kept,
                is_personal,
                is_settled: AtomicBool::new(false),
            }))),
            Claimed::Running => Err(FlowError::KeyInUse),
            Claimed::Other => Err(FlowError::KeyReused),
            Claimed::Purged => Err(FlowError::Conflict(
                "The request with this Idempotency-Key was carried out. Its answer was purged with the data subject that it named."
                    .to_owned(),
            )),
            Claimed::Answer { status, sealed } => {
                let opened = app.key.open(ANSWER, &sealed).ok();
                let content = opened.as_deref().and_then(Content::from_bytes);
                let damaged = || affiant_store::StoreError::Damaged(format!("idempotency {id}: the answer"));
                Ok(Begun::Before(status, content.ok_or_else(damaged)?))
            }
        }
    }

    /// The answer as it is stored, with the claim that it settles.
    ///
    /// # Errors
    /// [`FlowError::Worker`] where it is larger than can be sealed.
    pub fn settled(&self, status: u16, content: &Content) -> Result<(Claim, Answer), FlowError> {
        let sealed = self.key.seal(ANSWER, &content.to_bytes());
        let answer = Answer {
            status,
            sealed: sealed.map_err(|_| FlowError::Worker)?,
            expires_at: self.expires_at,
            is_personal: self.is_personal,
        };
        Ok((self.claim.clone(), answer))
    }

    /// Gives the key back, before it is told that nothing was done: the next request with it finds it free.
    pub async fn release(&self) {
        match self.store.release_claim(&self.claim).await {
            Ok(()) => self.finish(),
            Err(error) => tracing::warn!(%error, "an idempotency key could not be given back; its lease ends"),
        }
    }

    /// Keeps the claim: its answer is stored.
    pub fn finish(&self) {
        self.is_settled.store(true, Ordering::Release);
    }

    /// Does work that may take longer than a lease, and keeps the claim meanwhile.
    pub async fn renewed_while<T>(&self, app: &Context, work: impl Future<Output = T>) -> T {
        let renewing = async {
            loop {
                tokio::time::sleep(RENEWAL).await;
                if let Err(error) = app.store.renew_claim(&self.claim, app.clock.now() + LEASE).await {
                    tracing::warn!(%error, "the claim of an idempotency key could not be renewed");
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = renewing => never,
        }
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        at_work(&self.at_work).remove(&self.claim.id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !self.is_settled.load(Ordering::Acquire)
        {
            let (store, claim) = (self.store.clone(), self.claim.clone());
            runtime.spawn(async move {
                if let Err(error) = store.release_claim(&claim).await {
                    tracing::warn!(%error, "an idempotency key could not be given back; its lease ends");
                }
            });
        }
    }
}

fn at_work(keys: &AtWork) -> std::sync::MutexGuard<'_, HashSet<String>> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::Content;

    #[test]
    fn content_survives_as_bytes() {
        let content = Content {
            headers: vec![("etag".to_owned(), "\"é\"".to_owned())],
            body: vec![0, 255, 10],
        };
        assert_eq!(Content::from_bytes(&content.to_bytes()), Some(content));
        assert_eq!(Content::from_bytes(b"\xff\xff\xff\xff"), None);
    }
}
