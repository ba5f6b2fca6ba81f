//! Brings imports to their end whose servers were killed: what is visible is settled, what is not is taken away.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    crate::flow::sweep::discard_left(&app).await;
    match app
        .store
        .end_imports(&app.ended, crate::flow::ingest::now_of(&app))
        .await
    {
        Ok(0) => {}
        Ok(ended) => tracing::info!(ended, "imports that nobody was at work for were brought to their end"),
        Err(error) => tracing::error!(%error, "imports could not be brought to their end"),
    }
}
