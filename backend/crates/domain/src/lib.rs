//! The words of Affiant and every decision it takes, as pure functions.
//!
//! Nothing here reads a clock, a file, a socket or a database: instants, identifiers and bytes are passed in.
//! Start with [`catalogue`] (what the law asks and which check speaks for which control), then [`observation`]
//! (what a scanner said), [`matching`] (what that changes) and [`score`] (what it means).

pub mod actor;
pub mod asset;
pub mod audit;
pub mod catalogue;
pub mod clock;
pub mod content;
pub mod fingerprint;
pub mod id;
pub mod matching;
pub mod observation;
pub mod period;
pub mod request;
pub mod retention;
pub mod schedule;
pub mod score;
pub mod screening;
pub mod severity;

pub use severity::Severity;

/// An instant in UTC. Stored and compared to the microsecond.
pub type Instant = chrono::DateTime<chrono::Utc>;

/// The SHA-256 of some bytes, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
