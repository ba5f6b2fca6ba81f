//! Removes what servers left behind that never came back.

use crate::app::Context;
use crate::flow::FlowError;

pub(super) async fn run(app: Context) -> Result<(), FlowError> {
    let swept = crate::flow::sweep::daily(&app).await?;
    tracing::info!(swept, "originals without an import were removed");
    Ok(())
}
