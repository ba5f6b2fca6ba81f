//! A local administrator for the day on which no provider answers: a password of ours and a code of an authenticator. Off unless the operator
//! switches it on; each attempt is written down.

use super::{hash, random, session};
use crate::app::Context;
use affiant_store::{StoreError, entity, micros};
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Totp};

/// Its name in records.
pub const NAME: &str = "break-glass";
/// What the authenticator's secret is sealed for.
pub(crate) const SECRET: &str = "break-glass.totp";
/// Attempts before it is locked, and for how long, microseconds.
const ATTEMPTS: i64 = 5;
const LOCKED: i64 = 15 * 60 * 1_000_000;

fn totp(secret: &[u8]) -> Option<Totp> {
    let named = Builder::new()
        .with_secret(secret.to_vec())
        .with_account_name(NAME)
        .with_issuer(Some("Affiant"));
    named.build().ok()
}

/// What is shown once.
#[derive(Debug)]
pub struct Made {
    /// The password.
    pub password: String,
    /// For the authenticator.
    pub otpauth: String,
}

/// Why it could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BreakGlassError {
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A library refuses.
    #[error("it could not be made: {0}")]
    Made(String),
}

/// Makes the administrator; one that was there is replaced.
///
/// # Errors
/// [`BreakGlassError`] where it could not be made.
pub async fn set(app: &Context) -> Result<Made, BreakGlassError> {
    let wrong = |what: &dyn std::fmt::Display| BreakGlassError::Made(what.to_string());
    let password = random();
    // 256 random bits, as tokens are: nobody guesses them, however fast the hash is.
    let hashed = hash(&password);
    let secret: [u8; 20] = rand::random();
    let totp = totp(&secret).ok_or_else(|| wrong(&"the authenticator's secret"))?;
    let otpauth = totp.to_url().map_err(|error| wrong(&error))?;
    let sealed = app.key.seal(SECRET, &secret).map_err(|error| wrong(&error))?;
    let set = |app: Context| async move {
        app.store.set_break_glass(&hashed, sealed, app.clock.now()).await?;
        Ok::<_, StoreError>(((), serde_json::json!({})))
    };
    app.deed(("cli", "break-glass.set", None), set).await?;
    Ok(Made { password, otpauth })
}

/// Lets the administrator in; gives the session's secret, or none where password or code is wrong or it is locked.
///
/// Only who knows the password has attempts at the code: others cannot lock the administrator out.
///
/// # Errors
/// [`StoreError`] where the database fails.
pub async fn sign_in(app: &Context, password: &str, code: &str, browser: &str) -> Result<Option<String>, StoreError> {
    let now = app.clock.now();
    let knows = match app.store.break_glass().await? {
        Some(row) => bool::from(hash(password).as_bytes().ct_eq(row.password.as_bytes())),
        None => false,
    };
    if !knows {
        tracing::warn!("somebody tries the emergency access without its password");
        app.refusals.stranger("emergency", micros(now));
        return Ok(None);
    }
    let right = match app.store.try_break_glass(ATTEMPTS, LOCKED, now).await? {
        Some(row) => is_right(app, &row, code).await?,
        None => false,
    };
    let kind = if right {
        "break-glass.sign-in"
    } else {
        "break-glass.refused"
    };
    tracing::warn!(kind, "somebody uses the emergency access");
    app.store.record_action((NAME, kind, None), "{}", now).await?;
    if !right {
        return Ok(None);
    }
    let link = entity::sign_in_link::Model {
        hash: hash(&random()),
        name: NAME.to_owned(),
        role: "admin".to_owned(),
        expires_at: 0,
        used_at: None,
    };
    session::begin_by_link(app, &link, browser).await.map(Some)
}

async fn is_right(app: &Context, row: &entity::break_glass::Model, code: &str) -> Result<bool, StoreError> {
    let secret = app.key.open(SECRET, &row.secret).unwrap_or_default();
    let at = u64::try_from(app.clock.now().timestamp()).unwrap_or_default();
    match totp(&secret).and_then(|totp| totp.check(code.trim(), at)) {
        Some(step) => app.store.use_code(step.cast_signed()).await,
        None => Ok(false),
    }
}
