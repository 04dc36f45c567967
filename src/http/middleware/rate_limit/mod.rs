//! Rate limit: how many checks one caller may request in a period of time.
//!
//! A generic cell rate algorithm (governor) per token or, without tokens, per client address. The layer is on the
//! routes that start checks, and every request that reaches it counts, whatever its response. A 401 does not reach it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};

use super::{auth::Caller, client_ip::ClientIp};
use crate::http::{
    problem::{Problem, ProblemType},
    tokens::TokenName,
};
use budgets::Budgets;

mod budgets;

/// The header fields of draft-ietf-httpapi-ratelimit-headers-10: the limit, and what remains of it.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Requests after which budgets that are full again are removed.
const REQUESTS_PER_SWEEP: u32 = 1024;

/// The periods of a [`Rate`]: its letter, its name, its length in seconds.
const PERIODS: [(&str, &str, u32); 3] = [("s", "second", 1), ("m", "minute", 60), ("h", "hour", 60 * 60)];

/// A number of requests per second, minute or hour, all at once or spread out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    requests: NonZeroU32,
    period: &'static str,
    period_secs: u32,
}

/// The text is not a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to 1000000, a slash, and s, m or h, such as 10/s")]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (requests, letter) = text.split_once('/').ok_or(RateError)?;
        let (_, period, period_secs) = PERIODS.into_iter().find(|period| period.0 == letter).ok_or(RateError)?;
        // `u32::from_str` accepts a plus sign.
        let digits = requests.bytes().all(|byte| byte.is_ascii_digit());
        let requests = requests.parse().ok().filter(|requests: &NonZeroU32| digits && requests.get() <= 1_000_000);
        Ok(Self { requests: requests.ok_or(RateError)?, period, period_secs })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.requests, self.period)
    }
}

impl Rate {
    /// The time in which one request comes back.
    fn interval(self) -> Duration {
        Duration::from_secs(self.period_secs.into()) / self.requests.get()
    }

    fn quota(self) -> Quota {
        let quota = Quota::with_period(self.interval()).expect("a second in a million parts is more than 0 ns");
        quota.allow_burst(self.requests)
    }

    fn policy(self) -> HeaderValue {
        header_value(format!("\"checks\";q={};w={}", self.requests, self.period_secs))
    }
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Token(TokenName),
    /// An IPv4 address, or the first 64 bits of an IPv6 address: a customer gets a network of that size, and could take
    /// a new address for each request.
    Address(IpAddr),
    /// All callers beyond the number of budgets that are kept apart.
    Overflow,
}

impl Key {
    fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            v4 => v4,
        })
    }
}

/// What remains of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remaining {
    requests: u32,
    /// Time until the budget is full again or, if no request remains, until the next one.
    reset: Duration,
}

/// The budgets of all callers.
#[derive(Debug)]
pub(crate) struct RateLimit<C: Clock = DefaultClock> {
    rate: Rate,
    limiter: RateLimiter<Key, Budgets, C, StateInformationMiddleware>,
    until_sweep: AtomicU32,
}

impl RateLimit {
    /// Gives every caller this rate.
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_clock(rate, DefaultClock::default())
    }
}

impl<C: Clock> RateLimit<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        let limiter = RateLimiter::new(rate.quota(), Budgets::default(), clock);
        Self { rate, limiter, until_sweep: AtomicU32::new(REQUESTS_PER_SWEEP) }
    }

    /// Takes one request from the budget. Both results tell what remains; `Err`: there was no request to take.
    fn take(&self, key: &Key) -> Result<Remaining, Remaining> {
        // By the number of requests: that needs no task, and a flood cleans up after itself.
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.until_sweep.store(REQUESTS_PER_SWEEP, Ordering::Relaxed);
            self.limiter.retain_recent();
        }
        let Self { rate, limiter, .. } = self;
        match limiter.check_key(key) {
            Ok(state) => {
                let requests = state.remaining_burst_capacity();
                let until_full = rate.interval() * (rate.requests.get() - requests);
                Ok(Remaining { requests, reset: if requests == 0 { rate.interval() } else { until_full } })
            }
            Err(not_until) => Err(Remaining { requests: 0, reset: not_until.wait_time_from(limiter.clock().now()) }),
        }
    }
}

/// Refuses a request with 429 when its caller's budget is used up. Every response has the RateLimit headers.
pub(crate) async fn limit_rate(State(limit): State<Arc<RateLimit>>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let key = match (extensions.get::<Caller>(), extensions.get::<ClientIp>()) {
        (Some(caller), _) => Key::Token(caller.0.clone()),
        (None, Some(client)) => Key::of_address(client.0),
        (None, None) => Key::Overflow,
    };
    let (remaining, mut response) = match limit.take(&key) {
        Ok(remaining) => (remaining, next.run(request).await),
        Err(remaining) => (remaining, rate_limited(limit.rate, remaining).into_response()),
    };
    let (requests, reset) = (remaining.requests, whole_seconds(remaining.reset));
    let headers = response.headers_mut();
    headers.insert(RATELIMIT_POLICY, limit.rate.policy());
    headers.insert(RATELIMIT, header_value(format!("\"checks\";r={requests};t={reset}")));
    response
}

fn rate_limited(rate: Rate, remaining: Remaining) -> Problem {
    let problem = Problem::new(ProblemType::RateLimited, format!("the rate limit is {rate}"));
    problem.retry_after(whole_seconds(remaining.reset))
}

/// Rounds up, to at least 1, so that a caller who waits that long is not too early.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

fn header_value(text: String) -> HeaderValue {
    text.try_into().expect("digits and ASCII punctuation")
}

/// The 429 of the OpenAPI document.
pub(crate) fn example() -> Problem {
    let rate = "10/s".parse().expect("a rate");
    rate_limited(rate, Remaining { requests: 0, reset: Duration::from_secs(1) })
}

#[cfg(test)]
mod tests;
