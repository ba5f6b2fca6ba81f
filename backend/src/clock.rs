//! The clock, passed in. Between two looks at the system's or the database's clock it runs by monotonic time, so that a clock that leaps
//! is noticed before anything acts on it.

use affiant_domain::Instant;
use chrono::Duration;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells the time; in tests and while the demonstration is made, a time that is set.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// Runs from an instant, which was read when the monotonic clock stood there.
    Running(Mutex<(Instant, Uptime)>),
    /// Stands still; microseconds since 1970.
    Standing(AtomicI64),
}

impl Clock {
    /// A clock that runs from the system's time.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Kind::Running(Mutex::new((system_time(), Uptime::now())))))
    }

    /// A clock that stands still at an instant until it is set.
    #[must_use]
    pub fn standing(at: Instant) -> Self {
        Self(Arc::new(Kind::Standing(AtomicI64::new(at.timestamp_micros()))))
    }

    /// Sets the clock to an instant, from which it stands or runs.
    pub fn set(&self, at: Instant) {
        match &*self.0 {
            Kind::Standing(stands) => stands.store(at.timestamp_micros(), Ordering::SeqCst),
            Kind::Running(from) => {
                *from.lock().unwrap_or_else(PoisonError::into_inner) = (at, Uptime::now());
            }
        }
    }

    /// Now, to the microsecond.
    #[must_use]
    pub fn now(&self) -> Instant {
        let micros = match &*self.0 {
            Kind::Standing(stands) => stands.load(Ordering::SeqCst),
            Kind::Running(from) => {
                let (at, since) = *from.lock().unwrap_or_else(PoisonError::into_inner);
                (at + since.elapsed()).timestamp_micros()
            }
        };
        affiant_store::instant(micros)
    }
}

/// A reading of the monotonic clock that counts while the machine sleeps, unlike that of the standard library: waking up is no leap.
#[derive(Clone, Copy, Debug)]
pub struct Uptime(Duration);

impl Uptime {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let read = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self(Duration::seconds(read.tv_sec) + Duration::nanoseconds(read.tv_nsec))
    }

    /// What has passed since.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().0 - self.0
    }
}

/// What the system's clock says.
#[must_use]
pub fn system_time() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    let now = chrono::Utc::now();
    affiant_store::instant(now.timestamp_micros())
}
