//! Holds what is stored against the trail, once a day.

use crate::app::Context;
use crate::flow::FlowError;

pub(super) async fn run(app: Context) -> Result<(), FlowError> {
    let found = crate::flow::reconcile::reconcile(&app).await?;
    if found.differ > 0 {
        tracing::error!(differ = found.differ, first = ?found.first, "what is stored is not what the trail vouches for");
    }
    Ok(())
}
