//! Writes refused access into the trail: of those who are known every few seconds, of strangers every minute.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    if let Err(error) = crate::flow::refusals::write(&app).await {
        tracing::error!(%error, "refused access could not be written into the trail");
    }
}

pub(super) async fn strangers(app: Context) {
    if let Err(error) = crate::flow::refusals::write_strangers(&app).await {
        tracing::error!(%error, "what strangers caused could not be written into the trail");
    }
}
