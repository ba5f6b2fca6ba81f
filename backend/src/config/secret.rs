//! Secrets by reference: the configuration says where one is, never what it is.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where a secret is: `env:NAME` or `file:PATH`. In development it may be the secret itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_reference() { &self.0 } else { "Secret(…)" })
    }
}

impl Secret {
    /// Whether none is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it says where the secret is.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        matches!(self.0.split_once(':'), Some(("env" | "file", _)))
    }

    /// The secret itself.
    ///
    /// # Errors
    /// Why it cannot be had, without it.
    pub fn resolve(&self) -> Result<String, String> {
        match self.0.split_once(':') {
            Some(("env", name)) => std::env::var(name).map_err(|_| format!("the variable {name} is not set")),
            Some(("file", path)) => {
                let text = std::fs::read_to_string(Path::new(path));
                let text = text.map_err(|error| format!("{path} cannot be read: {error}"))?;
                Ok(text.trim_end().to_owned())
            }
            _ => Ok(self.0.clone()),
        }
    }
}
