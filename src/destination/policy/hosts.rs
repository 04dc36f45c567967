//! The rules about names.

use std::{fmt, str::FromStr};

use super::{
    super::{HostName, InvalidTarget},
    Forbidden,
};

/// A name, and with it all names below: `example.com` covers itself and `mx.example.com`, never `badexample.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule(HostName);

impl HostRule {
    /// The number of octets by which the rule tells this name from others; `None` if it is not covered.
    fn grip(&self, name: &HostName) -> Option<usize> {
        let rest = name.as_str().strip_suffix(self.0.as_str())?;
        (rest.is_empty() || rest.ends_with('.')).then(|| self.0.as_str().len())
    }
}

impl FromStr for HostRule {
    type Err = InvalidHostRule;

    /// Reads a name in any spelling of [`HostName`]: in Unicode or ASCII, in either case, with or without the last dot.
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
    /// Some take this for the names below alone, others for the name itself too.
    #[error("must not begin with `*.` or a dot: `example.com` alone is itself and every name below it")]
    Wildcard,
    /// Addresses have rules of their own.
    #[error("must be a name, not an IP address: networks have rules of their own")]
    Address,
    /// It is no host name.
    #[error(transparent)]
    Name(InvalidTarget),
}

/// Which names may be asked for.
///
/// Of the rules that cover a name the longest counts, and an allowing one where both kinds are as long. With no allowing rule at
/// all, any name is allowed that is not denied; with one, no other name is.
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

    /// Whether only certain names are allowed.
    pub(super) fn are_listed(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Whether the host of this name may be connected to.
    pub(super) fn judge(&self, name: &HostName) -> Result<(), Forbidden> {
        match (longest(&self.deny, name), longest(&self.allow, name)) {
            (Some((denied, rule)), Some((allowed, _))) if denied > allowed => {
                Err(Forbidden::Host { rule: rule.clone() })
            }
            (_, Some(_)) => Ok(()),
            (Some((_, rule)), None) => Err(Forbidden::Host { rule: rule.clone() }),
            (None, None) if self.are_listed() => Err(Forbidden::Unlisted),
            (None, None) => Ok(()),
        }
    }

    /// Whether the mail exchangers of this domain may be asked for. Where only certain names are allowed and the domain's is none of
    /// them, those of its exchangers can still be.
    pub(super) fn judge_domain(&self, domain: &HostName) -> Result<(), Forbidden> {
        match self.judge(domain) {
            Err(Forbidden::Unlisted) => Ok(()),
            verdict => verdict,
        }
    }

    /// Whether this mail exchanger of the domain may be connected to. To allow a domain is to allow the hosts that it names for its
    /// mail, but for those that are denied by their own names.
    pub(super) fn judge_exchange(&self, domain: &HostName, exchange: &HostName) -> Result<(), Forbidden> {
        match self.judge(exchange) {
            Err(Forbidden::Unlisted) => self.judge(domain),
            verdict => verdict,
        }
    }
}

fn longest<'r>(rules: &'r [HostRule], name: &HostName) -> Option<(usize, &'r HostRule)> {
    rules.iter().filter_map(|rule| Some((rule.grip(name)?, rule))).max_by_key(|(grip, _)| *grip)
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
        for (given, verdict) in [
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
            assert_eq!(rules.judge(&name(given)), verdict, "{given}");
        }
    }

    #[test]
    fn with_an_allowing_rule_no_other_name_is_allowed() {
        let rules = rules(&[], &["example.com", "example.net"]);
        for (given, verdict) in [
            ("example.com", Ok(())),
            ("mx.example.net", Ok(())),
            ("badexample.com", Err(Forbidden::Unlisted)),
            ("localhost", Err(Forbidden::Unlisted)),
            ("com", Err(Forbidden::Unlisted)),
        ] {
            assert_eq!(rules.judge(&name(given)), verdict, "{given}");
        }
    }

    #[test]
    fn the_longest_rule_counts_and_allow_wins_among_equals() {
        let rules = rules(
            &["example.com", "secret.mx.example.com", "same.test", "test"],
            &["mx.example.com", "same.test", "example.org"],
        );
        for (given, verdict) in [
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
            assert_eq!(rules.judge(&name(given)), verdict, "{given}");
        }
    }

    #[test]
    fn a_domain_speaks_for_its_mail_exchangers() {
        let rules = rules(&["bad.test", "down.good.test"], &["good.test", "mx.host.test"]);
        for (domain, exchange, verdict) in [
            ("good.test", "mx.good.test", Ok(())),
            ("good.test", "mx.elsewhere.test", Ok(())),
            ("good.test", "mx.bad.test", denied_by("bad.test")),
            ("good.test", "down.good.test", denied_by("down.good.test")),
            ("other.test", "mx.host.test", Ok(())),
            ("other.test", "mx.elsewhere.test", Err(Forbidden::Unlisted)),
            ("other.test", "other.test", Err(Forbidden::Unlisted)),
        ] {
            let seen = rules.judge_exchange(&name(domain), &name(exchange));
            assert_eq!(seen, verdict, "{exchange} of {domain}");
        }
        for (domain, verdict) in [
            ("good.test", Ok(())),
            ("other.test", Ok(())),
            ("bad.test", denied_by("bad.test")),
            ("a.bad.test", denied_by("bad.test")),
        ] {
            assert_eq!(rules.judge_domain(&name(domain)), verdict, "{domain}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
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
            prop_assert!(rules.judge(&name(&rule)).is_err());
            let (below, beside) = (format!("{before}.{rule}"), format!("{before}{rule}"));
            prop_assert!(rules.judge(&name(&below)).is_err());
            prop_assert!(rules.judge(&name(&beside)).is_ok());
        }
    }
}
