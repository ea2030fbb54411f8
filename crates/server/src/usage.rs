//! The use that addresses and subjects make of the server, and its limits.
//!
//! An address of IPv6 stands for its /64: that is what one line or one machine has. An address and a
//! subject are remembered as numbers that only this process can make of them.

mod counts;
mod key;
mod rates;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::warn;

use self::counts::Counts;
use self::key::Key;
use self::rates::Rates;
use crate::config::Limits;
use crate::engine::subject::Subject;
use crate::http::problem::{Problem, ProblemKind};

/// The sender of a request, as far as limits apply to it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sender<'a> {
    /// `None` for loopback and for a trusted proxy that speaks for itself.
    pub(crate) address: Option<IpAddr>,
    /// `None` without a token that names one, and for keys of the configuration.
    pub(crate) subject: Option<&'a Subject>,
}

/// The use that addresses and subjects make of the server.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    keys: RandomState,
    requests: Rates,
    publishes: Rates,
    streams: Counts,
    /// The addresses whose refusal was warned of.
    warned: Mutex<HashSet<Key>>,
}

/// The places of one stream among those of its address and its subject; released when they are
/// dropped.
#[derive(Debug)]
pub(crate) struct Places {
    usage: Arc<Usage>,
    address: Option<Key>,
    subject: Option<Key>,
}

/// The most addresses that are warned of: an attacker has many. Later ones are counted by the metrics
/// alone.
const WARNED_MAX: usize = 100;
/// Advice about the limit on requests, which is made for browsers.
const BACKENDS: &str = "a backend publishes several events with one request (POST /events), or has an API \
                        key, to which no limit applies";
/// The time after which a refused stream may have found a place: some other one has ended.
const STREAM_RETRY: Duration = Duration::from_secs(30);

impl Usage {
    /// Counts a request.
    ///
    /// # Errors
    ///
    /// The problem says which limit is reached, and when to come back.
    pub(crate) fn request(
        &self,
        limits: &Limits,
        sender: Sender<'_>,
        now: Duration,
    ) -> Result<(), Problem> {
        if let (Some(address), Some(max)) = (sender.address, limits.address_requests) {
            self.requests.take(self.of_address(address), (1, max), now).map_err(|wait| {
                let kind = ProblemKind::TooManyRequestsOfAddress;
                self.warn(address, kind);
                let what = "requests from this address";
                too_often(kind, what, max, wait, Some(BACKENDS))
            })?;
        }
        if let (Some(subject), Some(max)) = (sender.subject, limits.subject_requests) {
            self.requests.take(self.of_subject(subject), (1, max), now).map_err(|wait| {
                let kind = ProblemKind::TooManyRequestsOfSubject;
                too_often(kind, "requests of this token's subject", max, wait, None)
            })?;
        }
        Ok(())
    }

    /// Counts events that a subject publishes.
    ///
    /// # Errors
    ///
    /// The time after which they may be published, if that is not now.
    pub(crate) fn publish(
        &self,
        limits: &Limits,
        subject: &Subject,
        events: usize,
        now: Duration,
    ) -> Result<(), Duration> {
        let Some(max) = limits.subject_events else { return Ok(()) };
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.publishes.take(self.of_subject(subject), (events, max), now)
    }

    /// Takes the places of a stream; `None` if no limit applies to it.
    ///
    /// # Errors
    ///
    /// The problem says which limit is reached, and when to come back.
    pub(crate) fn enter(
        self: &Arc<Self>,
        limits: &Limits,
        sender: Sender<'_>,
    ) -> Result<Option<Places>, Problem> {
        let address = sender.address.zip(limits.address_streams);
        let subject = sender.subject.zip(limits.subject_streams);
        if address.is_none() && subject.is_none() {
            return Ok(None);
        }
        let mut places = Places { usage: Arc::clone(self), address: None, subject: None };
        if let Some((address, max)) = address {
            let kind = ProblemKind::TooManyStreamsOfAddress;
            let refused = || {
                self.warn(address, kind);
                too_many(kind, "from this address", max)
            };
            places.address = Some(self.take(self.of_address(address), max).ok_or_else(refused)?);
        }
        if let Some((subject, max)) = subject {
            let kind = ProblemKind::TooManyStreamsOfSubject;
            let refused = || too_many(kind, "of this token's subject", max);
            places.subject = Some(self.take(self.of_subject(subject), max).ok_or_else(refused)?);
        }
        Ok(Some(places))
    }

    /// Warns of a refused address unless it was warned of before. It may be that of a proxy, which all
    /// clients share.
    fn warn(&self, address: IpAddr, limit: ProblemKind) {
        let key = self.of_address(address);
        let mut warned = self.warned.lock();
        if warned.len() < WARNED_MAX && warned.insert(key) {
            let own = match limit {
                ProblemKind::TooManyRequestsOfAddress => "--address-requests",
                _ => "--address-streams",
            };
            let option = format!(
                "--trusted-proxy {address}, if it is a proxy's; {own}, if it is a backend's"
            );
            warn!(%address, limit = limit.name(), option, "limit of an address reached");
        }
    }

    fn take(&self, key: Key, max: NonZeroU32) -> Option<Key> {
        self.streams.enter(key, max).then_some(key)
    }

    fn of_address(&self, address: IpAddr) -> Key {
        /// The bits of an address of IPv6 that do not count.
        const HOST_BITS: u32 = 64;
        Key(match address.to_canonical() {
            IpAddr::V4(address) => self.keys.hash_one((4, u32::from(address))),
            IpAddr::V6(address) => self.keys.hash_one((6, u128::from(address) >> HOST_BITS)),
        })
    }

    fn of_subject(&self, subject: &Subject) -> Key {
        Key(self.keys.hash_one(subject.as_str()))
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let keys = self.address.into_iter().chain(self.subject);
        keys.for_each(|key| self.usage.streams.leave(key));
    }
}

fn too_often(
    kind: ProblemKind,
    what: &str,
    max: NonZeroU32,
    wait: Duration,
    advice: Option<&str>,
) -> Problem {
    let mut detail = format!("there are too many {what}: {max} in a second at most");
    if let Some(advice) = advice {
        detail += &format!("; {advice}");
    }
    Problem::new(kind, detail).with("limit", max.get()).with_retry_after(wait)
}

fn too_many(kind: ProblemKind, whose: &str, max: NonZeroU32) -> Problem {
    let detail = format!("there are too many open streams {whose}: {max} at most");
    let spread = Duration::from_millis(fastrand::u64(0..=STREAM_RETRY.as_millis() as u64));
    Problem::new(kind, detail).with("limit", max.get()).with_retry_after(STREAM_RETRY + spread)
}

/// The problem of events that are published too fast.
pub(crate) fn too_many_events(limits: &Limits, wait: Duration) -> Problem {
    let max = limits.subject_events.unwrap_or(NonZeroU32::MAX);
    too_often(
        ProblemKind::TooManyEventsOfSubject,
        "events of this token's subject",
        max,
        wait,
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::rates::SAVED_SECONDS;
    use super::*;

    fn some(max: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(max)
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let usage = Usage::default();
        let key = |address: &str| usage.of_address(address.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:0:0:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
    }

    #[test]
    fn streams_are_counted_by_address_and_by_subject_until_they_end() {
        let usage = Arc::<Usage>::default();
        let limits =
            Limits { address_streams: some(2), subject_streams: some(1), ..Limits::default() };
        let [alpha, beta] = ["alpha", "beta"].map(|name| Subject::new(name).unwrap());
        let enter = |address: &str, subject| {
            let address = Some(address.parse().unwrap());
            usage.enter(&limits, Sender { address, subject })
        };
        let kind = |refused: Result<Option<Places>, Problem>| refused.unwrap_err().kind();
        let first = enter("192.0.2.1", Some(&alpha)).unwrap();
        assert_eq!(kind(enter("192.0.2.2", Some(&alpha))), ProblemKind::TooManyStreamsOfSubject);
        let second = enter("192.0.2.1", None).unwrap();
        assert_eq!(kind(enter("192.0.2.1", Some(&beta))), ProblemKind::TooManyStreamsOfAddress);
        let elsewhere = enter("192.0.2.2", Some(&beta)).unwrap();
        drop(first);
        assert!(enter("192.0.2.1", Some(&alpha)).unwrap().is_some());
        drop((second, elsewhere));
        assert!(usage.streams.is_empty());
        assert!(usage.enter(&limits, Sender::default()).unwrap().is_none());
    }

    #[test]
    fn addresses_are_warned_of_once_and_the_memory_is_bounded() {
        let usage = Usage::default();
        for number in 0..3 * WARNED_MAX as u32 {
            usage.warn(std::net::Ipv4Addr::from(number / 2).into(), ProblemKind::Draining);
        }
        assert_eq!(usage.warned.lock().len(), WARNED_MAX);
    }

    #[test]
    fn a_request_is_refused_by_the_limit_that_it_names() {
        let usage = Usage::default();
        let limits =
            Limits { address_requests: some(2), subject_requests: some(1), ..Limits::default() };
        let subject = Subject::new("alpha").unwrap();
        let (address, now) = (Some("192.0.2.1".parse().unwrap()), Duration::ZERO);
        let with = Sender { address, subject: Some(&subject) };
        for _ in 0..SAVED_SECONDS {
            usage.request(&limits, with, now).unwrap();
        }
        let refused = usage.request(&limits, with, now).unwrap_err();
        assert_eq!(refused.kind(), ProblemKind::TooManyRequestsOfSubject);
        assert_eq!(refused.retry_after(), Duration::from_secs(1));
        let without = Sender { address, subject: None };
        for _ in SAVED_SECONDS + 1..2 * SAVED_SECONDS {
            usage.request(&limits, without, now).unwrap();
        }
        let refused = usage.request(&limits, without, now).unwrap_err();
        assert_eq!(refused.kind(), ProblemKind::TooManyRequestsOfAddress);
        assert!(refused.detail().contains("2 in a second"), "{}", refused.detail());
        usage.request(&limits, without, Duration::from_secs(1)).unwrap();
        usage.request(&limits, Sender::default(), now).unwrap();
    }
}
