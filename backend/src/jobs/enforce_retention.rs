//! Purges what is past its date.

use crate::app::Context;
use crate::flow::FlowError;
use crate::flow::enforce_retention::{Wish, run_all};

pub(super) async fn run(app: Context) -> Result<(), FlowError> {
    let told = run_all(&app, Wish::default(), "schedule").await?;
    let purged: u64 = told.iter().map(|run| run.purged).sum();
    let waits = told.iter().filter(|run| run.waits).count();
    tracing::info!(purged, waits, "retention was enforced");
    Ok(())
}
