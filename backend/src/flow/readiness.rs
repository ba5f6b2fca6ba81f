//! Whether the installation stores what is written: readiness writes as every request does, and says why where that fails.

use super::FlowError;
use crate::app::Context;
use affiant_store::{Outage, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a write may take before the installation is not ready.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a finding holds: whoever asks often causes no more writes than one who asks now and then.
const FRESH: Duration = Duration::from_secs(1);

/// Bytes that must be free where the spool lies.
const ROOM: u64 = 4 << 20;

/// What was found last, and when.
pub type Readiness = Arc<Mutex<Option<(Instant, Result<(), StoreError>)>>>;

/// Whether uploads have room, and SQLite, whose file lies beside them: a small write may still fit where the next request's does not.
fn has_room(folder: &std::path::Path) -> Result<(), StoreError> {
    let found = rustix::fs::statvfs(folder);
    let found = found.map_err(|error| StoreError::unavailable(Outage::DiskFault, &error.to_string()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < ROOM {
        let what = format!("{} has {free} bytes free, and {ROOM} are wanted", folder.display());
        return Err(StoreError::unavailable(Outage::DiskFull, &what));
    }
    Ok(())
}

/// Writes a sign of life.
///
/// # Errors
/// [`FlowError::Store`] where it could not be written in time.
pub async fn is_ready(app: &Context) -> Result<(), FlowError> {
    let mut found = app.readiness.lock().await;
    if let Some((at, outcome)) = found.as_ref()
        && at.elapsed() < FRESH
    {
        return outcome.clone().map_err(FlowError::from);
    }
    let written = async {
        has_room(&app.spool)?;
        app.store.write_heartbeat(app.clock.now()).await
    };
    let outcome = tokio::time::timeout(DEADLINE, written).await.unwrap_or_else(|_| {
        // SQLite has one writer: while it is at work, the next one waits, and that is no fault.
        if app.store.is_postgres() {
            Err(StoreError::unavailable(
                Outage::Unreachable,
                "no write ended within 2 s",
            ))
        } else {
            Ok(())
        }
    });
    if let Err(error) = &outcome {
        tracing::warn!(%error, "not ready");
    }
    *found = Some((Instant::now(), outcome.clone()));
    Ok(outcome?)
}
