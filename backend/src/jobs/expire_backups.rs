//! Destroys the keys of backups whose time is over.

use crate::app::Context;
use crate::flow::FlowError;

pub(super) async fn run(app: Context) -> Result<(), FlowError> {
    let told = crate::flow::backup::expire(&app, false).await?;
    tracing::info!(
        due = told.due,
        destroyed = told.done,
        waits = told.waits,
        "keys of backups were looked at"
    );
    Ok(())
}
