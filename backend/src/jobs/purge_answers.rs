//! Purges answers kept for retries whose time is over.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    if let Err(error) = app.store.purge_answers(app.clock.now()).await {
        tracing::error!(%error, "answers kept for retries could not be purged");
    }
}
