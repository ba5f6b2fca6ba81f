//! One provider: found by discovery, asked for a person, and asked again while a session holds.

use super::{Attempt, Identity, OidcError};
use crate::config;
use affiant_domain::Instant;
use oauth2::{
    AccessToken, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _,
};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthenticationContextClass, AuthenticationFlow, Client, EmptyExtraTokenFields, IdTokenFields,
    IssuerUrl, Nonce, NonceVerifier, ProviderMetadataWithLogout, SubjectIdentifier, TokenResponse as _, UserInfoClaims,
    reqwest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// The claims that the library does not know itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Rest {
    #[serde(flatten)]
    claims: Map<String, Value>,
}
impl AdditionalClaims for Rest {}

type Fields = IdTokenFields<
    Rest,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type Party = Client<
    Rest,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// How long what a provider says of itself is believed.
const BELIEVED: i64 = 3600;
/// How soon it is asked once more because a key is not known, seconds: anybody may name unknown keys.
const AGAIN: i64 = 1;
/// How far clocks may be apart, seconds.
pub(super) const SKEW: i64 = 60;
/// Minutes in which a sign-in must be done.
const MINUTES: i64 = 10;

/// Signatures that are believed: none that is made with a shared secret, and never none at all.
pub(super) const ALGORITHMS: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
];

/// A provider of identities.
#[derive(Debug)]
pub struct Provider {
    /// How it is set up.
    pub settings: config::Provider,
    secret: Option<ClientSecret>,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    after_logout: String,
    http: reqwest::Client,
    known: tokio::sync::Mutex<Option<Known>>,
}

/// What a provider said of itself.
#[derive(Clone, Debug)]
struct Known {
    metadata: ProviderMetadataWithLogout,
    at: Instant,
    /// When a key was last missing.
    missed_at: Option<Instant>,
}

/// What came of asking a provider again.
pub enum Renewal {
    /// The person still is who they were; with what the next time needs.
    Holds(Box<Identity>, Option<String>),
    /// The provider ended it.
    Ended(String),
    /// The provider cannot be asked.
    Away,
}

impl Provider {
    pub(super) fn new(
        settings: &config::Provider,
        secret: String,
        public_url: &str,
        is_alone: bool,
    ) -> Result<Self, String> {
        let base = public_url.trim_end_matches('/');
        // Of several, each answers at an address of its own, so that none can pass off another's answer as its own. RFC 9700 section 4.4.
        let redirect = if is_alone {
            format!("{base}/auth/callback")
        } else {
            format!("{base}/auth/callback/{}", settings.name)
        };
        let http = client()?;
        Ok(Self {
            secret: (!secret.is_empty()).then(|| ClientSecret::new(secret)),
            issuer: IssuerUrl::new(settings.issuer.clone()).map_err(|error| error.to_string())?,
            redirect: RedirectUrl::new(redirect).map_err(|error| error.to_string())?,
            after_logout: format!("{base}/"),
            settings: settings.clone(),
            http,
            known: tokio::sync::Mutex::default(),
        })
    }

    /// Its issuer, as it writes it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// What the provider says of itself; asked for once an hour, or where a key is missing.
    pub(super) async fn metadata(
        &self,
        now: Instant,
        key_is_missing: bool,
    ) -> Result<ProviderMetadataWithLogout, OidcError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_mut() {
            let lately = known.missed_at.is_some_and(|at| (now - at).num_seconds() < AGAIN);
            let asks = key_is_missing && !lately;
            if !asks && (now - known.at).num_seconds() < BELIEVED {
                return Ok(known.metadata.clone());
            }
        }
        let found = ProviderMetadataWithLogout::discover_async(self.issuer.clone(), &self.http).await;
        match (found, known.as_ref()) {
            (Ok(metadata), _) => {
                *known = Some(Known {
                    metadata: metadata.clone(),
                    at: now,
                    missed_at: key_is_missing.then_some(now),
                });
                Ok(metadata)
            }
            // What was said an hour ago is better than nothing.
            (Err(error), Some(Known { metadata, .. })) => {
                tracing::warn!(%error, provider = self.settings.name, "a provider cannot be asked what it is");
                Ok(metadata.clone())
            }
            (Err(error), None) => Err(self.away(&error)),
        }
    }

    fn away(&self, error: &dyn std::error::Error) -> OidcError {
        let why = error.source().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%error, why, provider = self.settings.name, "a provider cannot be reached");
        OidcError::Away(self.settings.title_or_name().to_owned())
    }

    async fn party(&self, now: Instant, key_is_missing: bool) -> Result<Party, OidcError> {
        let metadata = self.metadata(now, key_is_missing).await?;
        let id = ClientId::new(self.settings.client_id.clone());
        let party = Client::from_provider_metadata(metadata, id, self.secret.clone());
        Ok(party.set_redirect_uri(self.redirect.clone()))
    }

    /// Begins a sign-in: where the browser is to go, and what it must bring back.
    ///
    /// # Errors
    /// [`OidcError::Away`] where the provider cannot be found.
    pub async fn begin(&self, back_to: &str, now: Instant) -> Result<(String, Attempt), OidcError> {
        let party = self.party(now, false).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = party
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge);
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for class in &self.settings.required_acr {
            request = request.add_auth_context_value(AuthenticationContextClass::new(class.clone()));
        }
        // Providers give what outlives the visit only where the person is asked.
        if self.settings.scopes.iter().any(|scope| scope == "offline_access") {
            request = request.add_prompt(CoreAuthPrompt::Consent);
        }
        let (url, state, nonce) = request.url();
        let attempt = Attempt {
            provider: self.settings.name.clone(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            back_to: back_to.to_owned(),
            expires_at: affiant_store::micros(now + chrono::Duration::minutes(MINUTES)),
        };
        Ok((url.into(), attempt))
    }

    /// Ends a sign-in: who it is, and what the next question needs.
    ///
    /// # Errors
    /// [`OidcError`] where the provider is away or its answer is not to be trusted.
    pub async fn finish(
        &self,
        attempt: Attempt,
        code: String,
        now: Instant,
    ) -> Result<(Identity, Option<String>), OidcError> {
        let party = self.party(now, false).await?;
        let request = party
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| self.away(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier));
        let tokens = request
            .request_async(&self.http)
            .await
            .map_err(|error| self.failed(&error))?;
        let nonce = Nonce::new(attempt.nonce);
        let identity = self.identity(party, &tokens, &nonce, now).await;
        let identity = identity.map_err(OidcError::of_provider)?;
        let wanted = &self.settings.required_acr;
        // What a provider was asked for is a wish to it: it must say that it was so.
        if !wanted.is_empty() && !wanted.contains(&identity.acr) {
            return Err(OidcError::Unproved(
                "the sign-in was not as strong as is required".to_owned(),
            ));
        }
        Ok((identity, tokens.refresh_token().map(|token| token.secret().clone())))
    }

    /// Asks whether a person still is who they were.
    pub async fn renew(&self, refresh: &str, subject: &str, now: Instant) -> Renewal {
        let Ok(party) = self.party(now, false).await else {
            return Renewal::Away;
        };
        let refresh = RefreshToken::new(refresh.to_owned());
        let Ok(request) = party.exchange_refresh_token(&refresh) else {
            return Renewal::Away;
        };
        let answer = request.request_async(&self.http).await;
        let tokens = match answer {
            Ok(tokens) => tokens,
            Err(RequestTokenError::ServerResponse(error)) => return Renewal::Ended(error.error().to_string()),
            Err(_) => return Renewal::Away,
        };
        let next = tokens.refresh_token().map(|token| token.secret().clone());
        // A renewed ID token bears no nonce, or that of the sign-in; the token that was exchanged binds it.
        let any = |_: Option<&Nonce>| Ok(());
        match self.identity(party, &tokens, any, now).await {
            Ok(identity) if identity.subject == subject => Renewal::Holds(Box::new(identity), next),
            Ok(_) => Renewal::Ended("another subject".to_owned()),
            Err(OidcError::Refused(why) | OidcError::Unproved(why)) => Renewal::Ended(why),
            Err(OidcError::Away(_)) => Renewal::Away,
        }
    }

    fn failed<E: std::error::Error + 'static>(
        &self,
        error: &RequestTokenError<E, StandardErrorResponse<CoreErrorResponseType>>,
    ) -> OidcError {
        match error {
            RequestTokenError::ServerResponse(told) => OidcError::Refused(told.error().to_string()),
            // It took the code, and so knows who asked.
            RequestTokenError::Parse(..) => OidcError::Unproved("an answer that is not understood".to_owned()),
            other => self.away(other),
        }
    }

    /// Checks the ID token, and that the user-info answer is about the same person.
    async fn identity<N: NonceVerifier + Copy>(
        &self,
        party: Party,
        tokens: &Tokens,
        nonce: N,
        now: Instant,
    ) -> Result<Identity, OidcError> {
        let Some(token) = tokens.id_token() else {
            return Err(OidcError::Refused("no ID token".to_owned()));
        };
        let mut party = party;
        let mut claims = verified(&party, token, nonce, now);
        if claims.is_err() {
            // The provider may have a new key.
            party = self.party(now, true).await?;
            claims = verified(&party, token, nonce, now);
        }
        let (subject, mut all) = claims.map_err(OidcError::Refused)?;
        if let Some(more) = self.user_info(&party, tokens.access_token(), &subject).await? {
            for (key, value) in more {
                all.entry(key).or_insert(value);
            }
        }
        let whose = (self.issuer.as_str(), subject.as_str());
        let names = super::identity::Claims {
            groups: &self.settings.groups_claim,
            directory: &self.settings.directory_claim,
        };
        Ok(Identity::of(whose, &all, names))
    }

    async fn user_info(
        &self,
        party: &Party,
        access: &AccessToken,
        subject: &str,
    ) -> Result<Option<Map<String, Value>>, OidcError> {
        use openidconnect::UserInfoError;
        let Ok(request) = party.user_info(access.clone(), Some(SubjectIdentifier::new(subject.to_owned()))) else {
            return Ok(None);
        };
        let answer: Result<UserInfoClaims<Rest, CoreGenderClaim>, _> = request.request_async(&self.http).await;
        match answer {
            Ok(claims) => Ok(Some(as_map(&claims))),
            Err(UserInfoError::ClaimsVerification(error)) => Err(OidcError::Refused(format!("user info: {error}"))),
            Err(UserInfoError::Request(error)) => Err(self.away(&error)),
            Err(error) => Err(OidcError::Refused(format!("user info: {error}"))),
        }
    }

    /// Where the browser is to go to leave the provider too; none where it has no such place.
    pub async fn farewell(&self, now: Instant) -> Option<String> {
        let metadata = self.metadata(now, false).await.ok()?;
        let end = metadata.additional_metadata().end_session_endpoint.as_ref()?;
        let mut url = end.url().clone();
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", &self.after_logout);
        Some(url.into())
    }
}

/// A client that follows nobody and waits for nobody long.
pub(super) fn client() -> Result<reqwest::Client, String> {
    let client = reqwest::ClientBuilder::new()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(10));
    client.build().map_err(|error| error.to_string())
}

/// Checks an ID token; gives its subject and all its claims.
fn verified<N: NonceVerifier>(
    party: &Party,
    token: &openidconnect::IdToken<Rest, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>,
    nonce: N,
    now: Instant,
) -> Result<(String, Map<String, Value>), String> {
    let verifier = party
        .id_token_verifier()
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(|| now)
        .set_issue_time_verifier_fn(|issued| {
            if (issued - now).num_seconds() > SKEW {
                return Err("issued in the future".to_owned());
            }
            Ok(())
        });
    let claims = token.claims(&verifier, nonce).map_err(|error| error.to_string())?;
    let all = as_map(claims);
    let begins = all.get("nbf").and_then(Value::as_i64);
    if begins.is_some_and(|at| at > now.timestamp() + SKEW) {
        return Err("it does not hold yet".to_owned());
    }
    Ok((claims.subject().to_string(), all))
}

fn as_map(claims: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
