//! Lets go of what is past its date, daily.

use crate::app::Context;
use crate::flow::enforce_retention::{Wish, run_all};

pub(super) async fn run(app: Context) {
    match run_all(&app, Wish::default(), "schedule").await {
        Ok(told) => {
            let purged: u64 = told.iter().map(|run| run.purged).sum();
            tracing::info!(purged, "retention was enforced");
        }
        Err(error) => tracing::error!(%error, "retention could not be enforced"),
    }
}
