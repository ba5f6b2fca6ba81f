//! The register of operations that agents are expected to record, from wherever their events come.

use super::invalid;
use crate::app::Context;
use crate::flow::FlowError;
use affiant_domain::id::ProjectId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An operation that is expected.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The agent, as its events name it.
    #[schema(example = "invoice-bot")]
    pub agent: String,
    /// The operation, as its events name it.
    #[schema(example = "post_journal")]
    pub action: String,
    /// It is expected within so many seconds, 60 at least.
    #[schema(example = 86400)]
    pub within_seconds: i64,
}

/// Expects an operation, or changes how often.
///
/// # Errors
/// [`FlowError::Invalid`] names what is wrong.
pub async fn expect(app: &Context, project: ProjectId, wanted: &Operation, actor: &str) -> Result<Uuid, FlowError> {
    for (key, text) in [("agent", &wanted.agent), ("action", &wanted.action)] {
        if text.trim().is_empty() || text.len() > 200 || text.contains('\0') {
            return Err(invalid(key, "a name of at most 200 bytes"));
        }
    }
    if !(60..=365 * 86_400).contains(&wanted.within_seconds) {
        return Err(invalid("within_seconds", "between 60 and 31536000"));
    }
    let scoped = app.store.project(project);
    let operation = (wanted.agent.trim(), wanted.action.trim());
    Ok(scoped
        .expect_operation(operation, wanted.within_seconds, actor, app.clock.now())
        .await?)
}
