//! Forgets those whose records were set aside until now.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    match crate::flow::fulfil_request::end_restrictions(&app).await {
        Ok(0) => {}
        Ok(ended) => tracing::info!(ended, "restrictions ended"),
        Err(error) => tracing::error!(%error, "restrictions could not be ended"),
    }
}
