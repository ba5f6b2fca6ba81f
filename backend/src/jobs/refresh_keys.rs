//! Reads the installation's keys again where another process changed them.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    if let Err(error) = app.key.refresh().await {
        tracing::error!(%error, "the installation's keys cannot be read again; those that are known stay in use");
    }
}
