//! Figures that are shown often and cost much: worked out by one at a time, and kept for as long as is in proportion.

use affiant_domain::id::ProjectId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as Turn;

/// How often as long as it took to work it out something is kept: what takes a millisecond is never old, what takes a second is for a while.
const KEPT: u32 = 20;
/// How long at most.
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Known<T> {
    value: T,
    at: Instant,
    took: Duration,
}

type Slot<T> = Arc<Turn<Option<Known<T>>>>;

/// What was worked out for each project.
#[derive(Debug)]
pub struct Recent<T>(Mutex<HashMap<ProjectId, Slot<T>>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Copy> Recent<T> {
    /// What is known of a project, worked out where it is too old. Whoever asks meanwhile waits for it.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn of<E, F: Future<Output = Result<T, E>>>(
        &self,
        project: ProjectId,
        work: impl FnOnce() -> F,
    ) -> Result<T, E> {
        let slot = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(project)
            .or_default()
            .clone();
        let mut known = slot.lock().await;
        if let Some(known) = known.filter(|known| known.at.elapsed() < (known.took * KEPT).min(LONGEST)) {
            return Ok(known.value);
        }
        let begun = Instant::now();
        let value = work().await?;
        *known = Some(Known {
            value,
            at: Instant::now(),
            took: begun.elapsed(),
        });
        Ok(value)
    }
}
