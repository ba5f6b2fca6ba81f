//! Takes away the originals that no import came to name: of imports that failed, and of processes that were killed.

use super::{FlowError, clock_watch};
use crate::app::Context;
use chrono::Duration;
use std::sync::PoisonError;
use uuid::Uuid;

/// How long an original may wait for its import where it is not known whether its process lives, as with another server's.
const PATIENCE: Duration = Duration::days(1);

/// Sweeps after the processes that were found to have ended. Every process does it that finds one, since the next will not.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn after_ended(app: &Context) -> Result<(), FlowError> {
    if app.ended.is_empty() {
        return Ok(());
    }
    let swept = drop_originals(app, app.store.unused_originals(&app.ended, None).await?).await?;
    if swept > 0 {
        tracing::info!(swept, "originals were removed whose imports never ended");
    }
    Ok(())
}

/// Removes an original that no import came to name. Where that fails, as on a disk that is full, it is tried again.
pub async fn discard(app: &Context, original: Uuid) {
    if let Err(error) = app.store.drop_original(original).await {
        tracing::warn!(%error, %original, "an original whose import failed is removed later");
        let mut left = app.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.push(original);
    }
}

/// Tries again to remove the originals that could not be removed.
pub async fn discard_left(app: &Context) {
    let left = std::mem::take(&mut *app.left.lock().unwrap_or_else(PoisonError::into_inner));
    for original in left {
        discard(app, original).await;
    }
}

/// Sweeps after servers that never came back; gives how many originals were removed.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn daily(app: &Context) -> Result<usize, FlowError> {
    let unused = app
        .store
        .unused_originals(&[], Some(app.clock.now() - PATIENCE))
        .await?;
    if unused.is_empty() || !clock_watch::may_delete(app).await? {
        return Ok(0);
    }
    drop_originals(app, unused).await
}

async fn drop_originals(app: &Context, all: Vec<Uuid>) -> Result<usize, FlowError> {
    for id in &all {
        app.store.drop_original(*id).await?;
    }
    Ok(all.len())
}
