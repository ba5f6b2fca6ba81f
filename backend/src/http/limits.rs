//! Bounds on who asks too often and who sends too slowly. What a client writes into its headers changes nothing about who it is.

use super::problem::Problem;
use crate::config::Limits;
use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::HeaderMap;
use futures::StreamExt;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use ipnet::IpNet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How long a client may take for the next piece of a body.
const PIECE: Duration = Duration::from_secs(20);
/// After so long a body must have come at [`SLOWEST`] on the average.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a second.
const SLOWEST: u64 = 1024;
/// Keys that are remembered before those that are quiet are forgotten.
const REMEMBERED: usize = 100_000;

/// Counts requests by who asks.
pub struct Gate {
    identities: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

impl Gate {
    /// A gate with these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let quota = |rate: u32, at_once: u32| {
            let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
            Quota::per_second(rate)
                .allow_burst(rate.saturating_mul(NonZeroU32::new(at_once).unwrap_or(NonZeroU32::MIN)))
        };
        Self {
            identities: DefaultKeyedRateLimiter::keyed(quota(limits.identity_per_second, 2)),
            addresses: DefaultKeyedRateLimiter::keyed(quota(limits.anonymous_per_second, 10)),
        }
    }

    /// Lets a request of somebody through.
    ///
    /// # Errors
    /// [`Problem`] with how long to wait.
    pub fn admit(&self, identity: &str) -> Result<(), Problem> {
        if self.identities.len() > REMEMBERED {
            self.identities.retain_recent();
        }
        let checked = self.identities.check_key(&identity.to_owned());
        checked.map_err(|until| wait(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Lets a request of nobody through, by where it comes from.
    ///
    /// # Errors
    /// [`Problem`] with how long to wait.
    pub fn admit_from(&self, address: IpAddr) -> Result<(), Problem> {
        if self.addresses.len() > REMEMBERED {
            self.addresses.retain_recent();
        }
        let checked = self.addresses.check_key(&address);
        checked.map_err(|until| wait(until.wait_time_from(DefaultClock::default().now())))
    }
}

pub(crate) fn wait(time: Duration) -> Problem {
    Problem {
        wait: Some(time.as_secs() + 1),
        ..Problem::new("too-many-requests", "more requests than one may send")
    }
}

/// Where a request comes from: the peer, or whom the last trusted proxy says it speaks for.
#[must_use]
pub fn address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut at = peer.unwrap_or(IpAddr::from([0, 0, 0, 0])).to_canonical();
    let all: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    // From the nearest: the first that is no proxy of ours is the client.
    for said in all.iter().rev() {
        if !trusted.iter().any(|net| net.contains(&at)) {
            break;
        }
        match said.trim().parse::<IpAddr>() {
            Ok(next) => at = next.to_canonical(),
            Err(_) => break,
        }
    }
    // Whoever has one address of the newer kind has all of its network.
    match at {
        IpAddr::V6(six) => IpAddr::from(std::net::Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        four @ IpAddr::V4(_) => four,
    }
}

/// Lets a body come steadily, or not at all.
pub fn steady(request: &mut ServiceRequest) {
    let inner = request.take_payload();
    if matches!(inner, Payload::None) {
        return;
    }
    let begun = Instant::now();
    let stream = futures::stream::unfold((inner, 0_u64), move |(mut inner, mut had)| async move {
        let slow = || {
            PayloadError::Io(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "the body comes too slowly",
            ))
        };
        let next = match tokio::time::timeout(PIECE, inner.next()).await {
            Err(_) => Err(slow()),
            Ok(None) => return None,
            Ok(Some(Ok(bytes))) => {
                had += bytes.len() as u64;
                let late = begun.elapsed() > PATIENCE && had < begun.elapsed().as_secs() * SLOWEST;
                if late { Err(slow()) } else { Ok(bytes) }
            }
            Ok(Some(Err(error))) => Err(error),
        };
        Some((next, (inner, had)))
    });
    request.set_payload(Payload::Stream {
        // Readers of parts ask once more behind the end.
        payload: Box::pin(stream.fuse()),
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn from(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        address(Some(peer.parse().unwrap()), &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        assert_eq!(
            from("203.0.113.9", &["198.51.100.1"]),
            "203.0.113.9",
            "a client says nothing of itself"
        );
        assert_eq!(from("10.0.0.2", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            from("10.0.0.2", &["1.2.3.4, 198.51.100.1, 10.0.0.3"]),
            "198.51.100.1",
            "what it claims stands further left"
        );
        assert_eq!(from("10.0.0.2", &["1.2.3.4", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(from("10.0.0.2", &["nonsense"]), "10.0.0.2");
        assert_eq!(from("::ffff:203.0.113.9", &[]), "203.0.113.9");
        assert_eq!(from("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
    }

    #[test]
    fn a_gate_lets_so_many_through() {
        let gate = Gate::new(&Limits {
            identity_per_second: 1,
            anonymous_per_second: 1,
        });
        let through = (0..20)
            .filter(|_| gate.admit_from(IpAddr::from([1, 2, 3, 4])).is_ok())
            .count();
        assert_eq!(through, 10);
        assert!(gate.admit_from(IpAddr::from([1, 2, 3, 5])).is_ok());
        assert_eq!((0..5).filter(|_| gate.admit("person 1").is_ok()).count(), 2);
        assert!(gate.admit("person 1").is_err_and(|problem| problem.wait >= Some(1)));
    }
}
