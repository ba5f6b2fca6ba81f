//! Takes away, or finishes, what processes had in hand that were killed: originals that no import came to name, and requests of data
//! subjects that were being carried out.

use super::{FlowError, clock_watch};
use crate::app::Context;
use crate::flow::fulfil_request::resume;
use chrono::Duration;

/// How long an original may wait for its import where it is not known whether its process lives, as with another server's.
const PATIENCE: Duration = Duration::days(1);

/// Sweeps after the processes that were found to have ended, and goes on with what was being carried out.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn at_start(app: &Context) -> Result<(), FlowError> {
    let swept = drop_originals(app, app.store.unused_originals(&app.ended, None).await?).await?;
    if swept > 0 {
        tracing::info!(swept, "originals were removed whose imports never ended");
    }
    resume(app).await
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

async fn drop_originals(app: &Context, all: Vec<uuid::Uuid>) -> Result<usize, FlowError> {
    for id in &all {
        app.store.drop_original(*id).await?;
    }
    Ok(all.len())
}
