//! [`HostRules`]: the names that are denied and allowed.

use std::{fmt, str::FromStr};

use super::{
    super::{HostName, InvalidTarget},
    Forbidden,
};

/// A name and all names below it: `example.com` covers itself and `mx.example.com`, but not `badexample.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule(HostName);

impl HostRule {
    /// How specific the rule is for this name: the length of the rule in octets. `None` if it does not cover the name.
    fn specificity(&self, name: &HostName) -> Option<usize> {
        let rest = name.as_str().strip_suffix(self.0.as_str())?;
        (rest.is_empty() || rest.ends_with('.')).then(|| self.0.as_str().len())
    }
}

impl FromStr for HostRule {
    type Err = InvalidHostRule;

    /// Parses a name in any form of [`HostName`]: in Unicode or ASCII, in either case, with or without the final dot.
    fn from_str(text: &str) -> Result<Self, InvalidHostRule> {
        if text.starts_with("*.") || text.starts_with('.') {
            return Err(InvalidHostRule::Wildcard);
        }
        match text.parse() {
            Ok(name) => Ok(Self(name)),
            Err(InvalidTarget::AddressForName) => Err(InvalidHostRule::Address),
            Err(error) => Err(InvalidHostRule::Name(error)),
        }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is wrong with a rule about names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostRule {
    /// A wildcard. For some it means only the names below, for others the name itself too.
    #[error("must not begin with `*.` or a dot: `example.com` alone is itself and every name below it")]
    Wildcard,
    /// An address, for which there are other rules.
    #[error("must be a name, not an IP address: there are other rules for networks")]
    Address,
    /// The text is not a host name.
    #[error(transparent)]
    Name(InvalidTarget),
}

/// Names that are denied, and names that are allowed.
///
/// Of the rules that cover a name the longest one decides; if both kinds are equally long, the name is allowed. Without
/// any allow rule every name is allowed that is not denied; with one, only names that an allow rule covers.
#[derive(Clone, Debug, Default)]
pub struct HostRules {
    deny: Vec<HostRule>,
    allow: Vec<HostRule>,
}

impl HostRules {
    /// The rules that deny names, and those that allow them.
    pub fn new(deny: impl IntoIterator<Item = HostRule>, allow: impl IntoIterator<Item = HostRule>) -> Self {
        Self { deny: deny.into_iter().collect(), allow: allow.into_iter().collect() }
    }

    /// Whether there are allow rules, so that other names are denied.
    pub(super) fn has_allow_list(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Whether the host of this name may be connected to.
    pub(super) fn check(&self, name: &HostName) -> Result<(), Forbidden> {
        match (most_specific(&self.deny, name), most_specific(&self.allow, name)) {
            (Some((denied, rule)), Some((allowed, _))) if denied > allowed => {
                Err(Forbidden::Host { rule: rule.clone() })
            }
            (_, Some(_)) => Ok(()),
            (Some((_, rule)), None) => Err(Forbidden::Host { rule: rule.clone() }),
            (None, None) if self.has_allow_list() => Err(Forbidden::Unlisted),
            (None, None) => Ok(()),
        }
    }

    /// Whether the mail exchangers of this domain may be targets. A domain that no allow rule covers may have mail
    /// exchangers that are covered.
    pub(super) fn check_domain(&self, domain: &HostName) -> Result<(), Forbidden> {
        match self.check(domain) {
            Err(Forbidden::Unlisted) => Ok(()),
            other => other,
        }
    }

    /// Whether this mail exchanger of the domain may be connected to. To allow a domain allows its mail exchangers,
    /// except those that are denied by their own names.
    pub(super) fn check_exchange(&self, domain: &HostName, exchange: &HostName) -> Result<(), Forbidden> {
        match self.check(exchange) {
            Err(Forbidden::Unlisted) => self.check(domain),
            other => other,
        }
    }
}

fn most_specific<'r>(rules: &'r [HostRule], name: &HostName) -> Option<(usize, &'r HostRule)> {
    rules.iter().filter_map(|rule| Some((rule.specificity(name)?, rule))).max_by_key(|(specificity, _)| *specificity)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(deny: &[&str], allow: &[&str]) -> HostRules {
        let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a rule")).collect::<Vec<_>>();
        HostRules::new(parsed(deny), parsed(allow))
    }

    fn name(text: &str) -> HostName {
        text.parse().expect("a host name")
    }

    fn denied_by(rule: &str) -> Result<(), Forbidden> {
        Err(Forbidden::Host { rule: rule.parse().expect("a rule") })
    }

    #[test]
    fn a_rule_covers_a_name_and_all_below_it() {
        let rules = rules(&["example.com", "BÜCHER.example.", "internal"], &[]);
        for (given, expected) in [
            ("example.com", denied_by("example.com")),
            ("EXAMPLE.com.", denied_by("example.com")),
            ("mx.example.com", denied_by("example.com")),
            ("a.b.c.example.com", denied_by("example.com")),
            ("ｅｘａｍｐｌｅ。com", denied_by("example.com")),
            ("xn--bcher-kva.example", denied_by("xn--bcher-kva.example")),
            ("mx.bücher.example", denied_by("xn--bcher-kva.example")),
            ("db.internal", denied_by("internal")),
            ("badexample.com", Ok(())),
            ("example.com.evil.test", Ok(())),
            ("example-com", Ok(())),
            ("com", Ok(())),
            ("example.co", Ok(())),
        ] {
            assert_eq!(rules.check(&name(given)), expected, "{given}");
        }
    }

    #[test]
    fn with_an_allow_rule_no_other_name_is_allowed() {
        let rules = rules(&[], &["example.com", "example.net"]);
        for (given, expected) in [
            ("example.com", Ok(())),
            ("mx.example.net", Ok(())),
            ("badexample.com", Err(Forbidden::Unlisted)),
            ("localhost", Err(Forbidden::Unlisted)),
            ("com", Err(Forbidden::Unlisted)),
        ] {
            assert_eq!(rules.check(&name(given)), expected, "{given}");
        }
    }

    #[test]
    fn the_longest_rule_decides_and_allow_wins_among_equals() {
        let rules = rules(
            &["example.com", "secret.mx.example.com", "same.test", "test"],
            &["mx.example.com", "same.test", "example.org"],
        );
        for (given, expected) in [
            ("example.com", denied_by("example.com")),
            ("www.example.com", denied_by("example.com")),
            ("mx.example.com", Ok(())),
            ("a.mx.example.com", Ok(())),
            ("secret.mx.example.com", denied_by("secret.mx.example.com")),
            ("a.secret.mx.example.com", denied_by("secret.mx.example.com")),
            ("same.test", Ok(())),
            ("a.same.test", Ok(())),
            ("other.test", denied_by("test")),
            ("example.net", Err(Forbidden::Unlisted)),
        ] {
            assert_eq!(rules.check(&name(given)), expected, "{given}");
        }
    }

    #[test]
    fn to_allow_a_domain_allows_its_mail_exchangers() {
        let rules = rules(&["bad.test", "down.good.test"], &["good.test", "mx.host.test"]);
        for (domain, exchange, expected) in [
            ("good.test", "mx.good.test", Ok(())),
            ("good.test", "mx.elsewhere.test", Ok(())),
            ("good.test", "mx.bad.test", denied_by("bad.test")),
            ("good.test", "down.good.test", denied_by("down.good.test")),
            ("other.test", "mx.host.test", Ok(())),
            ("other.test", "mx.elsewhere.test", Err(Forbidden::Unlisted)),
            ("other.test", "other.test", Err(Forbidden::Unlisted)),
        ] {
            let seen = rules.check_exchange(&name(domain), &name(exchange));
            assert_eq!(seen, expected, "{exchange} of {domain}");
        }
        for (domain, expected) in [
            ("good.test", Ok(())),
            ("other.test", Ok(())),
            ("bad.test", denied_by("bad.test")),
            ("a.bad.test", denied_by("bad.test")),
        ] {
            assert_eq!(rules.check_domain(&name(domain)), expected, "{domain}");
        }
    }

    #[test]
    fn invalid_rules() {
        for (given, expected) in [
            ("*.example.com", InvalidHostRule::Wildcard),
            (".example.com", InvalidHostRule::Wildcard),
            ("192.0.2.1", InvalidHostRule::Address),
            ("[::1]", InvalidHostRule::Address),
            ("0x7f.1", InvalidHostRule::Address),
            ("", InvalidHostRule::Name(InvalidTarget::Empty)),
            ("*", InvalidHostRule::Name(InvalidTarget::Characters)),
            ("mx.*.example.com", InvalidHostRule::Name(InvalidTarget::Characters)),
            ("10.0.0.0/8", InvalidHostRule::Name(InvalidTarget::NotAlone)),
            ("example.com:25", InvalidHostRule::Name(InvalidTarget::Port)),
            ("a@example.com", InvalidHostRule::Name(InvalidTarget::NotAlone)),
        ] {
            assert_eq!(given.parse::<HostRule>(), Err(expected), "{given}");
        }
    }

    proptest! {
        #[test]
        fn a_rule_covers_whole_labels_only(rule in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}", before in "[a-z]{1,5}") {
            let rules = rules(&[&rule], &[]);
            prop_assert!(rules.check(&name(&rule)).is_err());
            let (below, beside) = (format!("{before}.{rule}"), format!("{before}{rule}"));
            prop_assert!(rules.check(&name(&below)).is_err());
            prop_assert!(rules.check(&name(&beside)).is_ok());
        }
    }
}
