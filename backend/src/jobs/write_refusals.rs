//! Writes refused access into the trail.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    if let Err(error) = crate::flow::refusals::write(&app).await {
        tracing::error!(%error, "refused access could not be written into the trail");
    }
}
