//! Bounds on what is done at once: work that takes much memory or time waits for its turn, or is told to come again.

use super::FlowError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long work waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Turns for work of one kind.
pub type Turns = Arc<Semaphore>;

/// So many turns.
#[must_use]
pub fn turns(count: usize) -> Turns {
    Arc::new(Semaphore::new(count))
}

/// Takes a turn; it is given back when what is returned is dropped.
///
/// # Errors
/// [`FlowError::Busy`] where none came free in time.
pub async fn enter(turns: &Turns) -> Result<OwnedSemaphorePermit, FlowError> {
    enter_within(turns, PATIENCE).await
}

/// The same for work that may wait so long.
///
/// # Errors
/// [`FlowError::Busy`] where none came free in time.
pub async fn enter_within(turns: &Turns, patience: Duration) -> Result<OwnedSemaphorePermit, FlowError> {
    match tokio::time::timeout(patience, turns.clone().acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(FlowError::Busy),
    }
}
