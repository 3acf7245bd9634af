//! How often a caller may ask, and how often an address may show tokens that nobody knows.
use super::Problem;
use crate::config::ServeConfig;
use crate::domain::access::{Actor, Role};
use crate::domain::time::{MINUTE, Timestamp};
use actix_web::http::StatusCode;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Checks between two rounds in which keys that are at rest are dropped.
const SWEEP: u64 = 4_096;
/// Addresses with failed attempts that are remembered; past that the oldest minute goes.
const ADDRESSES: usize = 50_000;

/// The house's time, in which governor counts.
#[derive(Clone, Default)]
struct HouseTime(Arc<AtomicU64>);

impl HouseTime {
    fn set(&self, at: Timestamp) {
        let ns = u64::try_from(at.0).unwrap_or(0).saturating_mul(1_000_000);
        self.0.fetch_max(ns, Ordering::Relaxed);
    }
}

impl Clock for HouseTime {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::from(self.0.load(Ordering::Relaxed))
    }
}

type Keyed = RateLimiter<(Option<i64>, String), HashMapStateStore<(Option<i64>, String)>, HouseTime, NoOpMiddleware<Nanos>>;

/// Requests of each token (or, without one of ours, each name).
pub(super) struct Limits {
    time: HouseTime,
    people: Keyed,
    systems: Keyed,
    checks: AtomicU64,
}

impl Limits {
    pub(super) fn new(serve: &ServeConfig, at: Timestamp) -> Self {
        let time = HouseTime::default();
        time.set(at);
        let keyed = |rate: u32, burst: u32| {
            let of = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
            RateLimiter::hashmap_with_clock(Quota::per_second(of(rate)).allow_burst(of(burst)), time.clone())
        };
        let people = keyed(serve.requests_per_second, serve.burst);
        let systems = keyed(serve.system_requests_per_second, serve.system_burst);
        Self { time, people, systems, checks: AtomicU64::new(0) }
    }

    /// Counts a request. 429 with the seconds to wait when it is one too many.
    pub(super) fn count(&self, actor: &Actor, at: Timestamp) -> Result<(), Problem> {
        self.time.set(at);
        let keyed = if actor.roles.has(Role::System) { &self.systems } else { &self.people };
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP) {
            keyed.retain_recent();
        }
        // A token of ours has its own count; people of an identity provider have one each, whatever JWT they show.
        let key = (actor.token, if actor.token.is_some() { String::new() } else { actor.name.clone() });
        keyed.check_key(&key).map_err(|no| too_many(no.wait_time_from(self.time.now()), "more requests than this token may make"))
    }
}

/// 429.
pub(super) fn too_many(wait: Duration, what: &str) -> Problem {
    let seconds = wait.as_millis().div_ceil(1_000).max(1);
    let seconds = u64::try_from(seconds).unwrap_or(60);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", format!("{what}; try again in {seconds} s")).after(seconds)
}

/// Failed attempts by address. (An IPv6 customer has a /64: it counts as one.)
pub(super) struct Failures {
    most: u32,
    by_address: Mutex<HashMap<IpAddr, (Timestamp, u32)>>,
}

impl Failures {
    pub(super) fn new(most: u32) -> Self {
        Self { most, by_address: Mutex::default() }
    }

    /// 429 when this address has shown too many unknown tokens within the minute.
    pub(super) fn check(&self, peer: Option<IpAddr>, at: Timestamp) -> Result<(), Problem> {
        let Some(peer) = peer.map(block) else { return Ok(()) };
        let by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        match by_address.get(&peer) {
            Some((since, count)) if at.since(*since) < MINUTE && *count >= self.most => {
                let wait = u64::try_from(MINUTE - at.since(*since)).unwrap_or(0);
                Err(too_many(Duration::from_millis(wait), "too many unknown tokens from this address"))
            }
            _ => Ok(()),
        }
    }

    /// Counts a failed attempt.
    pub(super) fn count(&self, peer: Option<IpAddr>, at: Timestamp) {
        let Some(peer) = peer.map(block) else { return };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.len() >= ADDRESSES {
            by_address.retain(|_, (since, _)| at.since(*since) < MINUTE);
            if by_address.len() >= ADDRESSES {
                by_address.clear();
            }
        }
        let (since, count) = by_address.entry(peer).or_insert((at, 0));
        if at.since(*since) >= MINUTE {
            (*since, *count) = (at, 0);
        }
        *count = count.saturating_add(1);
    }
}

fn block(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_478_400_000);

    #[test]
    fn each_token_has_its_own_count_and_systems_a_larger_one() {
        let serve = ServeConfig { requests_per_second: 2, burst: 3, system_requests_per_second: 100, system_burst: 100, ..ServeConfig::default() };
        let limits = Limits::new(&serve, NOW);
        let person = |token| Actor { token: Some(token), roles: crate::domain::access::Roles::of(&[Role::Rm]), ..Actor::local("x") };
        for _ in 0..3 {
            limits.count(&person(1), NOW).unwrap();
        }
        let refused = limits.count(&person(1), NOW).unwrap_err();
        assert_eq!((refused.status, refused.retry_after_s), (429, Some(1)));
        limits.count(&person(2), NOW).expect("another token");
        limits.count(&person(1), NOW.plus(500)).expect("half a second later there is room for one");
        assert!(limits.count(&person(1), NOW.plus(500)).is_err());
        let system = Actor { token: Some(3), ..Actor::local("gateway") };
        assert!((0..100).all(|_| limits.count(&system, NOW).is_ok()) && limits.count(&system, NOW).is_err());
    }

    #[test]
    fn failed_attempts_of_an_address_are_bounded_for_a_minute() {
        let failures = Failures::new(2);
        let peer = |text: &str| Some(text.parse().unwrap());
        failures.count(peer("2001:db8::1"), NOW);
        failures.count(peer("2001:db8::2"), NOW.plus(1_000));
        assert_eq!(failures.check(peer("2001:db8::3"), NOW.plus(2_000)).unwrap_err().status, 429);
        failures.check(peer("2001:db8:0:1::3"), NOW).expect("another network");
        failures.check(None, NOW).expect("an address that is not known has no count");
        failures.check(peer("2001:db8::1"), NOW.plus(MINUTE)).expect("a minute later");
        for n in 0..u32::try_from(ADDRESSES).unwrap() + 10 {
            failures.count(Some(IpAddr::V4(n.into())), NOW);
        }
        assert!(failures.by_address.lock().unwrap().len() <= ADDRESSES, "memory does not grow with the flood");
    }
}
