//! [`DomainRequest`]: the parameters of the check of a domain as a caller gives them, and [`DomainCheck`], which is
//! valid by construction.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::{Check, CheckRequest, CheckSettings, Invalid, SourceAddresses, fields::Fields, request::StopAfter, rules};
use crate::{
    destination::{Exchange, HostName, IpFamily, Target},
    phase::Phase,
    smtp::StartTls,
};

/// The timeout of a domain check that is given none.
pub const DEFAULT_DOMAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Mail exchangers that a domain check converses with, unless another number is given, and at the most.
const MX_LIMIT: usize = 10;
const MAX_MX_LIMIT: u64 = 20;
/// Addresses of each of them.
const ADDRESSES_PER_HOST: usize = 4;
const MAX_ADDRESSES_PER_HOST: u64 = 8;
/// Most selectors, sending addresses and expected mail exchangers.
const MAX_LIST: usize = 20;

/// The parameters of the check of a domain. Numbers and booleans are also taken as strings (`"25"`, `"true"`); a field
/// that is not listed here is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainRequest {
    /// The domain whose mail is checked, such as the part of a mail address behind the `@` (IDN allowed).
    #[schema(required, value_type = String, example = "example.com")]
    pub domain: Option<String>,
    /// The recipient that each mail server is asked for. No mail is sent. Left out: `postmaster` of the domain.
    #[schema(example = "postmaster@example.com")]
    pub to: Option<String>,
    /// The envelope sender; empty is the null reverse-path `MAIL FROM:<>`.
    #[schema(default = "")]
    pub from: Option<String>,
    /// The name that EHLO gives: a domain or an address literal.
    #[schema(default = "noit.local")]
    pub ehlo: Option<String>,
    /// The TCP port of the mail servers.
    #[schema(minimum = 1, maximum = 65535, default = 25)]
    pub port: Option<u16>,
    /// How far each session goes: `tls` ends after STARTTLS and the second EHLO, `rcptto` asks for sender and recipient
    /// too, then RSET and QUIT.
    #[schema(value_type = Option<Depth>, default = "rcptto")]
    pub depth: Option<Depth>,
    /// The IP version to use.
    #[schema(value_type = Option<IpFamily>, default = "any")]
    pub ip_family: Option<IpFamily>,
    /// The IP address to connect from: one that the operator allows. Addresses of the other family are not tested then.
    /// Left out: the system's choice.
    #[schema(example = "192.0.2.25")]
    pub source_address: Option<String>,
    /// Selectors whose DKIM keys are looked up; at most 20.
    pub dkim_selectors: Option<Vec<String>>,
    /// Addresses that send mail of the domain: for each, its name and SPF's result; at most 20.
    #[schema(value_type = Option<Vec<String>>)]
    pub sending_ips: Option<Vec<String>>,
    /// Most mail exchangers to converse with, the most preferred ones.
    #[schema(minimum = 1, maximum = 20, default = 10)]
    pub mx_limit: Option<usize>,
    /// Most addresses of each mail exchanger to converse with.
    #[schema(minimum = 1, maximum = 8, default = 4)]
    pub addresses_per_host: Option<usize>,
    /// The time limit of the whole check in milliseconds. Left out: 30000, or the maximum if that is less. The operator
    /// sets the maximum (60000 by default).
    #[schema(minimum = 100, example = 30000)]
    pub timeout_ms: Option<u64>,
    /// Put the lines of each SMTP session into its report.
    #[schema(default = false)]
    pub transcript: Option<bool>,
    /// What the domain is to publish. A difference is a finding.
    pub expect: Option<DomainExpectations>,
}

/// How far the session with each address goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Depth {
    /// EHLO, STARTTLS where it is offered, EHLO, QUIT.
    Tls,
    /// MAIL, RCPT and RSET as well.
    #[default]
    RcptTo,
}

/// What the domain is to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainExpectations {
    /// The names of all mail exchangers, in any order; at most 20.
    pub mx: Option<Vec<String>>,
    /// The DMARC policy: `none`, `quarantine` or `reject`.
    #[schema(example = "reject")]
    pub dmarc_policy: Option<String>,
    /// The mode of the MTA-STS policy: `enforce`, `testing` or `none`.
    #[schema(example = "enforce")]
    pub mta_sts_mode: Option<String>,
    /// Whether senders can use DANE.
    pub dane: Option<bool>,
}

/// The check of a domain, ready to be run.
#[derive(Clone, Debug)]
pub struct DomainCheck {
    /// The domain.
    pub domain: HostName,
    /// How far each session goes.
    pub depth: Depth,
    /// Whether the caller named the recipient.
    pub has_recipient: bool,
    /// The IP version to use.
    pub ip_family: IpFamily,
    /// The selectors of DKIM keys, in lower case.
    pub dkim_selectors: Vec<String>,
    /// The addresses that send mail of the domain.
    pub sending_ips: Vec<IpAddr>,
    /// Most mail exchangers to converse with.
    pub mx_limit: usize,
    /// Most addresses of each of them.
    pub addresses_per_host: usize,
    /// The time limit of the whole check.
    pub timeout: Duration,
    /// What the domain is to publish.
    pub expect: DomainExpectations,
    /// The check of one address, but for host, address and timeout.
    of_address: Arc<Check>,
}

impl DomainCheck {
    /// Makes a check of the fields of a JSON object.
    ///
    /// # Errors
    /// Every violation of the rules that `openapi/openapi.json` has for the parameters, each with its JSON pointer.
    pub fn parse(fields: Vec<(String, Value)>, settings: &CheckSettings) -> Result<Self, Invalid> {
        let (request, mut invalid) = DomainRequest::read(fields, settings.max_timeout);
        let domain = domain(&request, &mut invalid);
        let dkim_selectors = request.dkim_selectors.as_deref().unwrap_or_default();
        let dkim_selectors = each("dkim_selectors", dkim_selectors, selector, &mut invalid);
        let sending_ips = request.sending_ips.as_deref().unwrap_or_default();
        let sending_ips = each("sending_ips", sending_ips, SourceAddresses::parse, &mut invalid);
        // The rules of a check hold for the parameters that both have.
        let of_address = match rules::check(request.of_address(domain.as_ref()), Invalid::default(), settings) {
            Ok(check) => Some(check),
            Err(violations) => {
                // `target` and `to` are made of the domain, which has its own violation.
                let of_caller = |name: &str| name != "target" && (name != "to" || request.to.is_some());
                invalid.add_all(violations, of_caller);
                None
            }
        };
        let (Some(domain), Some(check), true) = (domain, of_address, invalid.is_empty()) else { return Err(invalid) };
        Ok(Self {
            domain,
            depth: request.depth.unwrap_or_default(),
            has_recipient: request.to.is_some(),
            ip_family: check.ip_family,
            dkim_selectors,
            sending_ips,
            mx_limit: request.mx_limit.unwrap_or(MX_LIMIT),
            addresses_per_host: request.addresses_per_host.unwrap_or(ADDRESSES_PER_HOST),
            timeout: request.timeout_ms.map_or(DEFAULT_DOMAIN_TIMEOUT.min(settings.max_timeout), Duration::from_millis),
            expect: request.expect.unwrap_or_default(),
            of_address: Arc::new(check.for_domain(request.depth.unwrap_or_default())),
        })
    }

    /// The port of the mail servers.
    pub fn port(&self) -> u16 {
        self.of_address.port
    }

    /// Local part and domain of the envelope sender, for SPF, and the name that EHLO gives. The null sender stands for
    /// postmaster of the domain (RFC 7208, section 2.4).
    pub fn sender(&self) -> ((String, String), String) {
        let script = &self.of_address.script;
        let from = script.from.as_ref().map(ToString::to_string);
        let from = from.as_deref().and_then(|from| from.rsplit_once('@'));
        let from = from.map(|(local, domain)| (local.to_owned(), domain.to_owned()));
        (from.unwrap_or_else(|| ("postmaster".to_owned(), self.domain.to_string())), script.ehlo.to_string())
    }

    /// The check of one address of a mail exchanger.
    #[must_use]
    pub fn of_address(&self, host: &HostName, address: IpAddr, timeout: Duration) -> Check {
        let check = &*self.of_address;
        let given = check.given.with_address(host.as_str(), address, timeout);
        let exchange = Exchange { domain: self.domain.clone(), host: host.clone(), address };
        Check { target: Target::Exchange(Box::new(exchange)), timeout, given, ..check.clone() }
    }
}

impl Check {
    /// The check of one address as a part of the check of a domain.
    fn for_domain(mut self, depth: Depth) -> Self {
        if depth == Depth::Tls {
            self.script.stop_after = Some(Phase::StartTls);
        }
        self.script.resets = true;
        self.keeps_certificates = true;
        self
    }
}

impl DomainRequest {
    /// Reads the fields of a JSON object. A field that cannot be read is a violation, and absent in the request.
    fn read(given: Vec<(String, Value)>, max_timeout: Duration) -> (Self, Invalid) {
        let max_timeout_ms = u64::try_from(max_timeout.as_millis()).unwrap_or(u64::MAX);
        let mut fields = Fields::new(given);
        let request = Self {
            domain: fields.text("domain"),
            to: fields.text("to"),
            from: fields.text("from"),
            ehlo: fields.text("ehlo"),
            port: fields.number("port", 1..=65535),
            depth: fields.choice("depth"),
            ip_family: fields.choice("ip_family"),
            source_address: fields.text("source_address"),
            dkim_selectors: fields.texts("dkim_selectors"),
            sending_ips: fields.texts("sending_ips"),
            mx_limit: fields.number("mx_limit", 1..=MAX_MX_LIMIT),
            addresses_per_host: fields.number("addresses_per_host", 1..=MAX_ADDRESSES_PER_HOST),
            timeout_ms: fields.number("timeout_ms", 100..=max_timeout_ms),
            transcript: fields.flag("transcript"),
            expect: expectations(&mut fields),
        };
        (request, fields.finish())
    }

    /// The parameters of the check of one address, whose target is to be replaced.
    fn of_address(&self, domain: Option<&HostName>) -> CheckRequest {
        let domain = domain.map_or("domain.invalid", HostName::as_str);
        CheckRequest {
            to: self.to.clone().or_else(|| Some(format!("postmaster@{domain}"))),
            target: Some(domain.to_owned()),
            port: self.port,
            ehlo: self.ehlo.clone(),
            from: self.from.clone(),
            starttls: Some(StartTls::Opportunistic),
            ip_family: self.ip_family,
            source_address: self.source_address.clone(),
            stop_after: Some(StopAfter::RcptTo),
            transcript: self.transcript,
            ..CheckRequest::default()
        }
    }
}

fn domain(request: &DomainRequest, invalid: &mut Invalid) -> Option<HostName> {
    let Some(text) = &request.domain else {
        if !invalid.is_about("domain") {
            invalid.add("domain", "is required");
        }
        return None;
    };
    invalid.parsed("domain", text.parse())
}

/// Reads each element of a list.
fn each<T, E: std::fmt::Display>(
    name: &'static str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
    invalid: &mut Invalid,
) -> Vec<T> {
    if texts.len() > MAX_LIST {
        invalid.add(name, format_args!("must have at most {MAX_LIST} elements"));
        return Vec::new();
    }
    let mut elements = Invalid::default();
    let parsed = texts.iter().enumerate();
    let parsed = parsed.filter_map(|(index, text)| elements.parsed(&index.to_string(), parse(text))).collect();
    invalid.add_within(name, elements);
    parsed
}

/// A selector of DKIM: labels of a name (RFC 6376, section 3.1).
fn selector(text: &str) -> Result<String, &'static str> {
    let selector = text.parse::<HostName>().map_err(|_| "must be a selector: labels of letters, digits and hyphens")?;
    Ok(selector.to_string())
}

fn expectations(fields: &mut Fields) -> Option<DomainExpectations> {
    const POLICIES: [&str; 3] = ["none", "quarantine", "reject"];
    const MODES: [&str; 3] = ["enforce", "testing", "none"];
    let mut members = fields.object("expect")?;
    let mut invalid = Invalid::default();
    let mx = members.texts("mx").map(|names| {
        let names = each("mx", &names, str::parse::<HostName>, &mut invalid);
        names.iter().map(ToString::to_string).collect()
    });
    let mut one_of = |name: &'static str, words: [&str; 3]| {
        let word = members.text(name)?;
        if !words.contains(&word.as_str()) {
            invalid.add(name, format_args!("must be one of {}", words.join(", ")));
        }
        Some(word)
    };
    let dmarc_policy = one_of("dmarc_policy", POLICIES);
    let mta_sts_mode = one_of("mta_sts_mode", MODES);
    let dane = members.flag("dane");
    fields.close("expect", members);
    fields.refuse_within("expect", invalid);
    Some(DomainExpectations { mx, dmarc_policy, mta_sts_mode, dane })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(fields: &Value) -> Result<DomainCheck, Vec<String>> {
        let fields = fields.as_object().expect("an object").clone();
        DomainCheck::parse(fields.into_iter().collect(), &CheckSettings::new(Duration::from_secs(60)))
            .map_err(|invalid| invalid.violations().iter().map(|violation| violation.pointer.clone()).collect())
    }

    #[test]
    fn the_defaults_ask_for_postmaster() {
        let check = parse(&json!({"domain": "Bücher.example."})).expect("a check");
        assert_eq!(check.domain.as_str(), "xn--bcher-kva.example");
        assert_eq!((check.depth, check.mx_limit, check.addresses_per_host), (Depth::RcptTo, 10, 4));
        assert_eq!((check.port(), check.timeout), (25, DEFAULT_DOMAIN_TIMEOUT));
        let host: HostName = "mx.example".parse().expect("a name");
        let address = "192.0.2.1".parse().expect("an address");
        let of_address = check.of_address(&host, address, Duration::from_secs(3));
        assert_eq!(of_address.target.to_string(), "mx.example [192.0.2.1]");
        assert_eq!(of_address.timeout, Duration::from_secs(3));
        assert_eq!(of_address.script.start_tls, StartTls::Opportunistic);
        assert_eq!(
            of_address.script.to.as_ref().map(ToString::to_string).as_deref(),
            Some("postmaster@xn--bcher-kva.example")
        );
        assert!(of_address.script.resets && of_address.no_effect.is_empty(), "{:?}", of_address.no_effect);
        let given = of_address.given.request();
        assert_eq!((given.target.as_deref(), given.timeout_ms), (Some("192.0.2.1"), Some(3000)));
        assert_eq!(given.tls_server_name.as_deref(), Some("mx.example"));
    }

    #[test]
    fn each_rule_names_its_parameter() {
        for (fields, pointer) in [
            (json!({}), "/domain"),
            (json!({"domain": ""}), "/domain"),
            (json!({"domain": "192.0.2.1"}), "/domain"),
            (json!({"domain": "[192.0.2.1]"}), "/domain"),
            (json!({"domain": "a@example.com"}), "/domain"),
            (json!({"domain": "a".repeat(64) + ".test"}), "/domain"),
            (json!({"domain": "abcdefg.".repeat(32)}), "/domain"),
            (json!({"domain": 5}), "/domain"),
            (json!({"domain": "a.test", "to": "b c"}), "/to"),
            (json!({"domain": "a.test", "from": "x"}), "/from"),
            (json!({"domain": "a.test", "ehlo": "ü"}), "/ehlo"),
            (json!({"domain": "a.test", "port": 0}), "/port"),
            (json!({"domain": "a.test", "depth": "data"}), "/depth"),
            (json!({"domain": "a.test", "source_address": "192.0.2.1"}), "/source_address"),
            (json!({"domain": "a.test", "mx_limit": 21}), "/mx_limit"),
            (json!({"domain": "a.test", "addresses_per_host": 0}), "/addresses_per_host"),
            (json!({"domain": "a.test", "timeout_ms": 99}), "/timeout_ms"),
            (json!({"domain": "a.test", "dkim_selectors": ["s1", "s 2"]}), "/dkim_selectors/1"),
            (json!({"domain": "a.test", "dkim_selectors": vec!["s"; 21]}), "/dkim_selectors"),
            (json!({"domain": "a.test", "sending_ips": ["192.0.2.1", "mx.test"]}), "/sending_ips/1"),
            (json!({"domain": "a.test", "expect": {"mx": ["192.0.2.1"]}}), "/expect/mx/0"),
            (json!({"domain": "a.test", "expect": {"dmarc_policy": "deny"}}), "/expect/dmarc_policy"),
            (json!({"domain": "a.test", "expect": {"mta_sts": "x"}}), "/expect/mta_sts"),
            (json!({"domain": "a.test", "target": "mx.test"}), "/target"),
        ] {
            assert_eq!(parse(&fields).map(drop), Err(vec![pointer.to_owned()]), "{fields}");
        }
    }
}
