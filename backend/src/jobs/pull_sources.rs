//! Pulls the audit stores that are due. Each is taken by one server; what a pull stores carries its checkpoint, so that a pull that is cut
//! off goes on where it was.

use crate::app::Context;
use crate::flow::sources::pull;

pub(super) async fn run(app: Context) {
    let now = app.clock.now();
    let due = match app.store.due_sources(now).await {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(%error, "sources could not be looked at");
            return;
        }
    };
    for source in due {
        match app.store.claim_source(&source, now).await {
            Ok(true) => match pull(&app, &source).await {
                Ok(pulled) => tracing::info!(source = source.name, ?pulled, "a source was pulled"),
                Err(error) => tracing::warn!(source = source.name, %error, "a source could not be pulled"),
            },
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "a source could not be claimed"),
        }
    }
}
