//! Destroys the keys of backups whose time is over.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    crate::flow::backup::sweep(&app);
    match crate::flow::backup::expire(&app).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "the keys of backups whose time is over are destroyed"),
        Err(error) => tracing::error!(%error, "keys of backups could not be destroyed"),
    }
}
