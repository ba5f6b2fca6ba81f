//! Lets the database look at its tables, so that it knows which index serves which query.

use crate::app::Context;
use crate::flow::FlowError;

pub(super) async fn run(app: Context) -> Result<(), FlowError> {
    Ok(app.store.optimize().await?)
}
