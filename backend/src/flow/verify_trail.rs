//! Verifies the trail as it is stored: the verifier of exports is told it entry by entry, and nothing is kept.

use super::reconcile::{Reconciliation, reconcile};
use super::{FlowError, trail};
use crate::app::Context;
use affiant_store::{Draft, StoreError, micros};
use affiant_trail::{Fault, Hash, Trusted, Verified, Verifier};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The action of the entry that tells what came of it.
pub const VERIFIED: &str = "trail.verified";
/// The kind of its job.
pub const KIND: &str = "verify_trail";

/// What came of verifying the trail.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TrailVerdict {
    /// Whether it is intact.
    pub intact: bool,
    /// The first thing that is wrong, where it is not.
    pub fault: Option<String>,
    /// Entries.
    pub entries: u64,
    /// Checkpoints that agree.
    pub checkpoints: u64,
    /// Payloads that are there and are what their entries commit to.
    pub payloads: u64,
    /// Payloads that nobody can read any more.
    pub erased: u64,
    /// Payloads that were purged.
    pub purged: u64,
    /// What the trail vouches for, held against what is stored.
    #[serde(default)]
    pub records: Reconciliation,
}

/// Verifies all of the trail, payloads too.
///
/// # Errors
/// [`FlowError`] where the database fails; a trail that is not intact is a verdict.
pub async fn verify(app: &Context) -> Result<TrailVerdict, FlowError> {
    let mut verdict = verdict(app).await?;
    match reconcile(app).await {
        Ok(records) => verdict.records = records,
        // Where the trail is broken, nothing may be told to it.
        Err(error) if !verdict.intact => tracing::error!(%error, "what is stored was not held against the trail"),
        Err(error) => return Err(error),
    }
    if verdict.intact && verdict.records.differ > 0 {
        verdict.intact = false;
        verdict.fault = verdict.records.first.first().cloned();
    }
    // Whoever looks later sees what the trail says, and not what a row of a job does.
    let draft = Draft {
        action: VERIFIED.to_owned(),
        outcome: if verdict.intact { "success" } else { "failure" },
        actor: "system".to_owned(),
        concerns: Vec::new(),
        project: None,
        record: None,
        refs: vec![
            ("intact", verdict.intact.to_string()),
            ("entries", verdict.entries.to_string()),
            ("fault", verdict.fault.clone().unwrap_or_default()),
        ],
        content: String::new(),
        at: micros(app.clock.now()),
    };
    match app.store.append_alone(&[draft]).await {
        Err(error) if verdict.intact => Err(error.into()),
        Err(error) => {
            tracing::error!(%error, "the trail is not intact, and cannot be told so");
            Ok(verdict)
        }
        Ok(()) => Ok(verdict),
    }
}

async fn verdict(app: &Context) -> Result<TrailVerdict, FlowError> {
    let not_intact = |fault| TrailVerdict {
        fault: Some(fault),
        ..TrailVerdict::default()
    };
    match check(app).await {
        Ok(found) => Ok(TrailVerdict {
            intact: true,
            fault: None,
            entries: found.entries,
            checkpoints: found.checkpoints,
            payloads: found.intact,
            erased: found.erased,
            purged: found.purged,
            records: Reconciliation::default(),
        }),
        // What cannot even be told is not intact.
        Err(FlowError::Trail(fault) | FlowError::Store(StoreError::Damaged(fault))) => Ok(not_intact(fault)),
        Err(error) => Err(error),
    }
}

/// Checks the trail as it is stored, payloads and all.
///
/// # Errors
/// [`FlowError::Trail`] with the first fault, [`FlowError`] where the database fails.
pub async fn check(app: &Context) -> Result<Verified, FlowError> {
    let (app, runtime) = (app.clone(), tokio::runtime::Handle::current());
    // On a thread of its own: most of it is hashing.
    let checked = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let fault = |fault: Fault| FlowError::Trail(fault.to_string());
            let trusted = Trusted::default();
            let mut verifier = Verifier::new(&trusted).map_err(fault)?;
            let wanted = trail::Wanted {
                project: None,
                with_payloads: true,
                is_shown: false,
            };
            trail::tell(&app, &mut verifier, fault, &wanted).await?;
            let end = app.store.trail_end(verifier.size()).await?;
            let hashed = |hash: &Vec<u8>| hash.as_slice().try_into().map(Hash).unwrap_or(Hash([0; 32]));
            let tail = end.tail.iter().map(|(hash, leaf)| (hashed(hash), leaf.as_str()));
            let head = verifier.tail(tail).map_err(fault)?;
            if head.to_bytes() != end.frontier {
                return Err(fault(Fault::Head));
            }
            if let Some(stray) = end.stray {
                return Err(FlowError::Trail(format!(
                    "a row was planted at place {stray}, where the trail has no entry"
                )));
            }
            verifier.end().map_err(fault)
        })
    });
    checked.await.map_err(|_| FlowError::Worker)?
}
