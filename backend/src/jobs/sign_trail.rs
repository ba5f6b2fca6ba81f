//! Signs the trail: what was added, and silence too.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    if let Err(error) = crate::flow::trail::sign(&app).await {
        tracing::error!(%error, "the trail was not signed");
    }
}
