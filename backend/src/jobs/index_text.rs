//! Makes the text of findings searchable, in small steps between which others write.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    loop {
        match app.store.make_searchable().await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => return,
            Err(error) => {
                tracing::error!(%error, "findings could not be made searchable");
                return;
            }
        }
    }
}
