//! Tells processors of requests of data subjects.

use crate::app::Context;

pub(super) async fn run(app: Context) {
    if let Err(error) = crate::flow::tell_processors::send_due(&app).await {
        tracing::error!(%error, "processors could not be told");
    }
}
