//! Lets the registers of privacy speak for controls.

use crate::app::Context;
use crate::flow::FlowError;

pub(super) async fn run(app: Context) -> Result<(), FlowError> {
    crate::flow::register_evidence::tell(&app, "schedule").await?;
    Ok(())
}
