//! The clock, passed in.

use affiant_domain::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the time; in tests and while the demonstration is made, a time that is set.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at an instant until it is set.
    #[must_use]
    pub fn standing(at: Instant) -> Self {
        Self(Some(Arc::new(AtomicI64::new(at.timestamp_micros()))))
    }

    /// Sets a standing clock; the system's clock cannot be set.
    pub fn set(&self, at: Instant) {
        if let Some(stands) = &self.0 {
            stands.store(at.timestamp_micros(), Ordering::SeqCst);
        }
    }

    /// Now, to the microsecond.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Some(stands) => affiant_store::instant(stands.load(Ordering::SeqCst)),
            #[allow(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
            None => affiant_store::instant(chrono::Utc::now().timestamp_micros()),
        }
    }
}
