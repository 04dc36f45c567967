//! The rule about what the caller expects.

use super::found;
use crate::{
    findings::catalogue::domain::EXPECTATION,
    report::{Finding, Severity},
};

/// Something that is expected. `seen` is `None` where it could not be told.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The member of `expect`, and what it is about.
    pub(crate) of: &'static str,
    pub(crate) expected: String,
    pub(crate) seen: Option<String>,
}

pub(crate) fn rule(domain: &str, expectation: Expected) -> Option<Finding> {
    let Expected { of, expected, seen } = expectation;
    if seen.as_ref() == Some(&expected) {
        return None;
    }
    let seen_text = seen.as_deref().map_or("not known", |seen| if seen.is_empty() { "not there" } else { seen });
    let message = format!("{of} is {seen_text}; expected is {expected}.");
    Some(found(&EXPECTATION, domain, message).with_severity(Severity::Inconclusive, seen.is_none()))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn what_is_seen_differs_or_is_not_known() {
        let of = |seen: Option<&str>| {
            let (expected, seen) = ("reject".to_owned(), seen.map(str::to_owned));
            let found = rule("example.test", Expected { of: "The DMARC policy", expected, seen });
            ids(&found.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(of(Some("reject")), [""; 0]);
        assert_eq!(of(Some("none")), ["expect.differs error example.test"]);
        assert_eq!(of(Some("")), ["expect.differs error example.test"]);
        assert_eq!(of(None), ["expect.differs inconclusive example.test"]);
    }
}
