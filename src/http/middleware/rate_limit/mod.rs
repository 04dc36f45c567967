//! How often one caller may ask for checks.
//!
//! A generic cell rate algorithm (governor) per token or, without tokens, per client address. It is a layer on the doors that start
//! checks: each request that gets there counts, whatever comes of it. What is refused with 401 never gets there.

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

use super::{auth::Caller, client_ip::ClientAddress};
use crate::http::{
    problem::{Problem, ProblemType},
    tokens::TokenName,
};
use budgets::Budgets;

mod budgets;

/// The fields of draft-ietf-httpapi-ratelimit-headers-10: what is allowed, and what is left of it.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Of so many requests, one sweeps out the budgets that are whole again.
const SWEEP: u32 = 1024;

/// So many requests per second, minute or hour: at once, or spread as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    requests: NonZeroU32,
    per: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Second,
    Minute,
    Hour,
}

/// The text is no [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to 1000000, a slash, and s, m or h, such as 10/s")]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (requests, per) = text.split_once('/').ok_or(RateError)?;
        let per = match per {
            "s" => Period::Second,
            "m" => Period::Minute,
            "h" => Period::Hour,
            _ => return Err(RateError),
        };
        // The number's own parser would take a plus sign.
        let digits = requests.bytes().all(|byte| byte.is_ascii_digit());
        let requests = requests.parse().ok().filter(|requests: &NonZeroU32| digits && requests.get() <= 1_000_000);
        Ok(Self { requests: requests.ok_or(RateError)?, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Period::Second => "second",
            Period::Minute => "minute",
            Period::Hour => "hour",
        };
        write!(f, "{} per {per}", self.requests)
    }
}

impl Rate {
    const fn window(self) -> Duration {
        Duration::from_secs(match self.per {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 60 * 60,
        })
    }

    /// In how much time one request may be made again.
    fn interval(self) -> Duration {
        self.window() / self.requests.get()
    }

    fn quota(self) -> Quota {
        match self.per {
            Period::Second => Quota::per_second(self.requests),
            Period::Minute => Quota::per_minute(self.requests),
            Period::Hour => Quota::per_hour(self.requests),
        }
    }

    fn policy(self) -> HeaderValue {
        header(format!("\"checks\";q={};w={}", self.requests, self.window().as_secs()))
    }
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Token(TokenName),
    /// For IPv6 the first 64 bits: a network of that size is what one customer gets, who could else take a new address, and with it
    /// a new budget, for each request.
    Address(IpAddr),
    /// All who came when there were too many to tell apart.
    Crowd,
}

impl Key {
    fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            v4 => v4,
        })
    }
}

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    requests: u32,
    /// Until the budget is whole again or, where nothing is left, until the next request may come.
    reset: Duration,
}

/// The budgets of all callers. A clone is the same.
#[derive(Debug)]
pub(crate) struct RateLimit<C: Clock = DefaultClock>(Arc<Inner<C>>);

#[derive(Debug)]
struct Inner<C: Clock> {
    rate: Rate,
    limiter: RateLimiter<Key, Budgets, C, StateInformationMiddleware>,
    until_sweep: AtomicU32,
}

impl<C: Clock> Clone for RateLimit<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl RateLimit {
    /// Everybody may ask at this rate.
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_clock(rate, DefaultClock::default())
    }
}

impl<C: Clock> RateLimit<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        let limiter = RateLimiter::new(rate.quota(), Budgets::default(), clock);
        Self(Arc::new(Inner { rate, limiter, until_sweep: AtomicU32::new(SWEEP) }))
    }

    /// Takes one request from the budget: what is left, as `Ok` if there was one to take.
    fn take(&self, key: &Key) -> Result<Left, Left> {
        let Inner { rate, limiter, until_sweep } = &*self.0;
        // By count, so that it needs no task of its own, and a flood pays for what it leaves behind.
        if until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            until_sweep.store(SWEEP, Ordering::Relaxed);
            limiter.retain_recent();
        }
        match limiter.check_key(key) {
            Ok(state) => {
                let requests = state.remaining_burst_capacity();
                let until_whole = rate.interval() * (rate.requests.get() - requests);
                Ok(Left { requests, reset: if requests == 0 { rate.interval() } else { until_whole } })
            }
            Err(not_until) => Err(Left { requests: 0, reset: not_until.wait_time_from(limiter.clock().now()) }),
        }
    }
}

/// Lets a request pass as long as its caller has some left; says how much that is either way.
pub(crate) async fn limit(State(limit): State<RateLimit>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let key = match (extensions.get::<Caller>(), extensions.get::<ClientAddress>()) {
        (Some(caller), _) => Key::Token(caller.0.clone()),
        (None, Some(client)) => Key::of_address(client.0),
        (None, None) => Key::Crowd,
    };
    let rate = limit.0.rate;
    let (left, mut response) = match limit.take(&key) {
        Ok(left) => (left, next.run(request).await),
        Err(left) => (left, refusal(rate, left).into_response()),
    };
    let headers = response.headers_mut();
    headers.insert(POLICY, rate.policy());
    headers.insert(LIMIT, header(format!("\"checks\";r={};t={}", left.requests, whole_seconds(left.reset))));
    response
}

fn refusal(rate: Rate, left: Left) -> Problem {
    let problem = Problem::new(ProblemType::RateLimited, format!("no more than {rate} are answered"));
    problem.retry_after(whole_seconds(left.reset))
}

/// Rounded up, and never zero: who comes back after that long is not too early.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

fn header(text: String) -> HeaderValue {
    text.try_into().expect("digits and punctuation of ASCII")
}

/// The refusal that the document shows.
pub(crate) fn example() -> Problem {
    let rate = Rate { requests: NonZeroU32::MIN.saturating_add(9), per: Period::Second };
    refusal(rate, Left { requests: 0, reset: Duration::from_secs(1) })
}

#[cfg(test)]
mod tests;
