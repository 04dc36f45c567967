//! Budgets on a fake clock.

use std::net::Ipv4Addr;

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;

fn rate(text: &str) -> Rate {
    text.parse().expect("a rate")
}

fn token(name: &str) -> Key {
    Key::Token(name.parse().expect("a name"))
}

fn address(text: &str) -> Key {
    Key::of_address(text.parse().expect("an address"))
}

#[test]
fn a_rate_is_a_number_and_a_unit() {
    for (text, words, window) in [
        ("10/s", "10 per second", 1),
        ("100/m", "100 per minute", 60),
        ("1000/h", "1000 per hour", 3600),
        ("1/h", "1 per hour", 3600),
        ("1000000/s", "1000000 per second", 1),
    ] {
        assert_eq!((rate(text).to_string().as_str(), rate(text).period_secs), (words, window));
    }
    for bad in [
        "",
        "10",
        "/s",
        "0/s",
        "10/x",
        "abc",
        "-1/s",
        "+1/s",
        "1.5/s",
        "10 /s",
        "10/S",
        "10/sec",
        "1000001/s",
        "10/s/s",
    ] {
        assert_eq!(bad.parse::<Rate>(), Err(RateError), "{bad}");
    }
}

#[test]
fn a_budget_may_be_used_at_once_and_comes_back_one_by_one() {
    let clock = FakeRelativeClock::default();
    let limit = RateLimit::with_clock(rate("10/s"), clock.clone());
    let ms = Duration::from_millis;
    for spent in 1..=10 {
        // With none left, `reset` is about the next one.
        let remaining = Remaining { requests: 10 - spent, reset: ms(100) * if spent == 10 { 1 } else { spent } };
        assert_eq!(limit.take(&token("one")), Ok(remaining));
    }
    assert_eq!(limit.take(&token("one")), Err(Remaining { requests: 0, reset: ms(100) }));
    clock.advance(ms(99));
    assert_eq!(limit.take(&token("one")), Err(Remaining { requests: 0, reset: ms(1) }));
    clock.advance(ms(1));
    assert_eq!(limit.take(&token("one")).map(|left| left.requests), Ok(0));
    assert!(limit.take(&token("one")).is_err(), "only one came back");
    clock.advance(Duration::from_secs(60));
    assert_eq!(limit.take(&token("one")).map(|left| left.requests), Ok(9), "never more than the full budget");
}

#[test]
fn each_caller_has_a_budget_of_its_own() {
    let limit = RateLimit::with_clock(rate("1/h"), FakeRelativeClock::default());
    for key in [token("one"), token("two"), address("192.0.2.1"), address("192.0.2.2"), address("2001:db8::1")] {
        assert!(limit.take(&key).is_ok(), "{key:?}");
        assert_eq!(limit.take(&key).map_err(|left| left.reset), Err(Duration::from_secs(3600)), "{key:?}");
    }
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_caller() {
    assert_eq!(address("2001:db8:0:1::1"), address("2001:db8:0:1:ffff:ffff:ffff:ffff"));
    assert_ne!(address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));
    assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    assert_ne!(address("::ffff:192.0.2.1"), address("::ffff:192.0.2.2"));
}

#[test]
fn full_budgets_are_removed() {
    let clock = FakeRelativeClock::default();
    let limit = RateLimit::with_clock(rate("10/s"), clock.clone());
    for number in 0..20 * REQUESTS_PER_SWEEP {
        limit.take(&Key::of_address(Ipv4Addr::from_bits(number).into())).expect("a new caller");
        clock.advance(Duration::from_millis(1));
        assert!(limit.limiter.len() <= REQUESTS_PER_SWEEP as usize + 200, "{} are kept", limit.limiter.len());
    }
}

#[test]
fn seconds_are_rounded_up_and_never_zero() {
    for (ms, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (3_600_000, 3600)] {
        assert_eq!(whole_seconds(Duration::from_millis(ms)), seconds, "{ms} ms");
    }
}

proptest! {
    /// In any stretch of time: no more than the burst plus what came back.
    #[test]
    fn no_more_than_the_rate_ever_passes(
        requests in 1..50u32,
        unit in prop::sample::select(vec!["s", "m", "h"]),
        pauses in prop::collection::vec(0..3000u64, 1..200),
    ) {
        let rate = rate(&format!("{requests}/{unit}"));
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::with_clock(rate, clock.clone());
        let (mut passed, mut elapsed) = (0u32, Duration::ZERO);
        for pause in pauses {
            clock.advance(Duration::from_millis(pause));
            elapsed += Duration::from_millis(pause);
            match limit.take(&token("one")) {
                Ok(left) => {
                    passed += 1;
                    prop_assert!(left.requests < requests);
                    prop_assert!(left.reset <= Duration::from_secs(rate.period_secs.into()));
                }
                Err(left) => prop_assert!(left.requests == 0 && left.reset <= rate.interval()),
            }
            let allowed = f64::from(requests) + elapsed.as_secs_f64() / rate.interval().as_secs_f64();
            prop_assert!(f64::from(passed) <= allowed + 0.001, "{} of {}", passed, allowed);
        }
    }

    /// A caller that waits for `Retry-After` passes.
    #[test]
    fn retry_after_is_long_enough(requests in 1..2000u32, unit in prop::sample::select(vec!["s", "m", "h"])) {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::with_clock(rate(&format!("{requests}/{unit}")), clock.clone());
        let refused = (0..=requests).find_map(|_| limit.take(&token("one")).err()).expect("the budget ends");
        clock.advance(Duration::from_secs(whole_seconds(refused.reset).into()));
        prop_assert!(limit.take(&token("one")).is_ok());
    }
}
