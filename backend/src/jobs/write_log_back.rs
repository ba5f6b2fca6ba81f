//! Keeps SQLite's log short.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    if let Err(error) = app.store.write_log_back().await {
        tracing::error!(%error, "the log of the database could not be written back");
    }
}
