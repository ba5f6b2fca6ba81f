//! A local administrator for the day on which no provider answers: a password of ours and a code of an authenticator. Off unless the operator
//! switches it on; each attempt is written down.

use super::{hash, random, session};
use crate::app::Context;
use affiant_store::{StoreError, entity};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use totp_rs::{Builder, Totp};

/// Its name in records.
pub const NAME: &str = "break-glass";
/// What the authenticator's secret is sealed for.
pub(crate) const SECRET: &str = "break-glass.totp";
/// Attempts before it is locked, and for how long, microseconds.
const ATTEMPTS: i64 = 5;
const LOCKED: i64 = 15 * 60 * 1_000_000;

/// Argon2id with 64 MiB, three passes, one lane.
fn argon() -> Argon2<'static> {
    let params = Params::new(64 << 10, 3, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

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
    let hashed = argon()
        .hash_password(password.as_bytes())
        .map_err(|error| wrong(&error))?
        .to_string();
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
/// # Errors
/// [`StoreError`] where the database fails.
pub async fn sign_in(app: &Context, password: &str, code: &str, browser: &str) -> Result<Option<String>, StoreError> {
    let now = app.clock.now();
    let row = app.store.try_break_glass(ATTEMPTS, LOCKED, now).await?;
    let right = match row {
        Some(row) => is_right(app, row, password, code).await?,
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

async fn is_right(
    app: &Context,
    row: entity::break_glass::Model,
    password: &str,
    code: &str,
) -> Result<bool, StoreError> {
    let (given, kept) = (password.to_owned(), row.password.clone());
    let verified = tokio::task::spawn_blocking(move || {
        PasswordHash::new(&kept).is_ok_and(|kept| argon().verify_password(given.as_bytes(), &kept).is_ok())
    });
    let same = verified.await.unwrap_or(false);
    let secret = app.key.open(SECRET, &row.secret).unwrap_or_default();
    let at = u64::try_from(app.clock.now().timestamp()).unwrap_or_default();
    let step = totp(&secret).and_then(|totp| totp.check(code.trim(), at));
    // Both are looked at before anything is said: an answer tells not which of them was wrong.
    match (same, step) {
        (true, Some(step)) => app.store.use_code(step.cast_signed()).await,
        _ => Ok(false),
    }
}
