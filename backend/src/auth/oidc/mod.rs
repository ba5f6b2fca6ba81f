//! Single sign-on by OpenID Connect. The library checks what providers say; this says which providers there are, and what is kept of
//! an answer. A person is known by issuer and subject, never by an address.

mod identity;
mod jwt;
mod logout;
mod provider;
mod workload;

pub use identity::{Identity, shown};
pub use provider::{Provider, Renewal};
pub use workload::{Matched, Workload};

use crate::config::Config;
use affiant_domain::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider cannot be reached, or answers nothing that is understood.
    #[error("{0} cannot be reached at the moment; try again, or ask whoever runs it")]
    Away(String),
    /// The answer is not to be trusted: why, in a word or two.
    #[error("the provider's answer is refused: {0}")]
    Refused(String),
    /// The provider itself answered, and what it says does not prove who they are: why, in a word or two.
    #[error("the provider's answer is refused: {0}")]
    Unproved(String),
}

impl OidcError {
    /// What is refused is the word of a provider that answered, and no stranger's.
    fn of_provider(self) -> Self {
        match self {
            Self::Refused(why) => Self::Unproved(why),
            other => other,
        }
    }
}

/// A sign-in under way, kept sealed in the browser that began it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// The provider's name.
    pub provider: String,
    /// What the provider must give back.
    pub state: String,
    nonce: String,
    verifier: String,
    /// Where the browser wanted to go.
    pub back_to: String,
    /// From when on it is worth nothing, microseconds.
    pub expires_at: i64,
}

/// The providers of an installation.
#[derive(Debug, Default)]
pub struct Providers {
    sign_in: Vec<Arc<Provider>>,
    workloads: Vec<Workload>,
}

impl Providers {
    /// The providers of a configuration, with the secret of each; browsers come back to this address.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn new(config: &Config, secrets: Vec<String>, public_url: &str) -> Result<Self, String> {
        let own = config.providers.iter().zip(secrets);
        let is_alone = config.providers.len() == 1;
        let own = own.map(|(settings, secret)| Provider::new(settings, secret, public_url, is_alone).map(Arc::new));
        let workloads = config.workloads.iter().map(Workload::new);
        Ok(Self {
            sign_in: own.collect::<Result<_, _>>()?,
            workloads: workloads.collect::<Result<_, _>>()?,
        })
    }

    /// Checks the token of a workload against the issuer that it names.
    ///
    /// # Errors
    /// [`OidcError`] where it is not to be believed, or meets no rule.
    pub async fn workload(&self, token: &str, now: Instant) -> Result<Matched, OidcError> {
        let refused = || OidcError::Refused("of no issuer that is trusted here".to_owned());
        let claims = jwt::Jwt::<Value>::parse(token, "jwt").ok_or_else(refused)?.claims;
        let issuer = self.workloads.iter().find(|issuer| issuer.issued(&claims));
        issuer.ok_or_else(refused)?.check(token, now).await
    }

    /// Each, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.sign_in.iter()
    }

    /// The one of a name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<Provider>> {
        self.sign_in
            .iter()
            .find(|provider| provider.settings.name == name)
            .cloned()
    }

    /// The one of an issuer: the first of the configuration, where two name it.
    #[must_use]
    pub fn by_issuer(&self, issuer: &str) -> Option<Arc<Provider>> {
        self.sign_in
            .iter()
            .find(|provider| provider.issuer() == issuer)
            .cloned()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sign_in.is_empty()
    }
}
