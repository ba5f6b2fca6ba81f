//! Lets the registers of privacy speak for controls.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    if let Err(error) = crate::flow::register_evidence::tell(&app, "schedule").await {
        tracing::error!(%error, "what the registers say could not be taken in");
    }
}
