//! What is revoked with a token, a person or a session: it is listed before.

use super::people::Membership;
use super::tokens::Token;
use crate::http::problem::Problem;
use affiant_store::{Made, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// What something made, and what that made in turn.
#[derive(Debug, Serialize, ToSchema)]
pub struct Lineage {
    /// Tokens that still hold.
    pub tokens: Vec<Token>,
    /// Memberships.
    pub memberships: Vec<Membership>,
}

impl Lineage {
    /// As the API writes it.
    ///
    /// # Errors
    /// [`StoreError`] where a membership cannot be read.
    pub fn new(made: Made, slugs: &HashMap<uuid::Uuid, String>) -> Result<Self, StoreError> {
        Ok(Self {
            tokens: made.tokens.into_iter().map(Token::from).collect(),
            memberships: made
                .memberships
                .into_iter()
                .map(|row| super::people::shown(row, slugs))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Whether it is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Confirmation {
    /// Revoke what was made, too.
    #[serde(default)]
    #[param(required = false)]
    pub confirm: bool,
}

impl Confirmation {
    /// Lets through what revokes nothing else, or is meant.
    pub(super) fn of(&self, made: &Made) -> Result<(), Problem> {
        if self.confirm || made.is_empty() {
            return Ok(());
        }
        let what = named(made, 10).join(", ");
        let why =
            format!("it would also revoke what was made by it: {what}; send it with confirm=true if that is meant");
        Err(Problem::new("conflict", why))
    }
}

/// What was made, in words; the first of it.
pub(crate) fn named(made: &Made, most: usize) -> Vec<String> {
    let tokens = made
        .tokens
        .iter()
        .map(|row| format!("the token {} ({})", row.name, row.role));
    let given = made.memberships.iter().map(|row| {
        let group = (!row.member_of.is_empty()).then(|| format!(" of the group {}", row.member_of));
        format!("a role {}{}", row.role, group.unwrap_or_default())
    });
    let mut all: Vec<String> = tokens.chain(given).take(most).collect();
    let rest = made.len() - all.len();
    if rest > 0 {
        all.push(format!("and {rest} more"));
    }
    all
}

/// What was revoked, as the trail tells it.
pub(crate) fn told(made: &Made) -> serde_json::Value {
    serde_json::json!({
        "tokens": made.tokens.iter().map(|row| row.id).collect::<Vec<_>>(),
        "memberships": made.memberships.iter().map(|row| row.id).collect::<Vec<_>>(),
    })
}
