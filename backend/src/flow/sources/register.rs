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
    let expect = |app: Context| async move {
        let scoped = app.store.project(project);
        let (agent, action) = (wanted.agent.trim(), wanted.action.trim());
        let within = wanted.within_seconds;
        let id = scoped
            .expect_operation((agent, action), within, actor, app.clock.now())
            .await?;
        let detail = serde_json::json!({ "agent": agent, "action": action, "within_seconds": within });
        Ok((id, detail))
    };
    app.deed((actor, "operation.expected", Some(project.0)), expect).await
}

/// Expects an operation no longer.
///
/// # Errors
/// [`FlowError::NotFound`] where it was not expected.
pub async fn forget(app: &Context, project: ProjectId, id: Uuid, actor: &str) -> Result<(), FlowError> {
    let forget = |app: Context| async move {
        if !app.store.project(project).forget_operation(id).await? {
            return Err(FlowError::NotFound("there is no such expected operation".to_owned()));
        }
        Ok(((), serde_json::json!({ "operation": id })))
    };
    app.deed((actor, "operation.forgotten", Some(project.0)), forget).await
}
