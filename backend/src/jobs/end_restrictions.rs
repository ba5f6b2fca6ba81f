//! Erases those whose records were restricted until now.

use crate::app::Context;
use crate::flow::FlowError;
use crate::flow::fulfil_request::end_restrictions;

pub(super) async fn run(app: Context) -> Result<(), FlowError> {
    let told = end_restrictions(&app, false).await?;
    tracing::info!(
        due = told.due,
        ended = told.done,
        waits = told.waits,
        "restrictions were ended"
    );
    Ok(())
}
