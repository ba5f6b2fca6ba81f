//! Makes the text of findings searchable, in small steps between which others write. Beside imports it rests, and does not stop: what is not
//! in the index yet is searched by reading.

use crate::app::Context;
use std::time::Duration;

/// How long it rests between two steps while an import is at work.
const REST: Duration = Duration::from_millis(200);

pub(super) async fn run(app: Context) {
    let mut last = None;
    loop {
        if crate::flow::ingest::is_at_work(&app) {
            tokio::time::sleep(REST).await;
        }
        match app.store.make_searchable(last).await {
            Ok(None) => return,
            Ok(batch) => last = batch,
            Err(error) => {
                tracing::error!(%error, "findings could not be made searchable");
                return;
            }
        }
    }
}
