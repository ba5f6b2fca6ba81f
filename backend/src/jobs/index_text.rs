//! Makes the text of findings searchable, in small steps between which others write.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    let mut last = None;
    loop {
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
