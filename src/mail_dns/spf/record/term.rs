//! One term of an SPF record (RFC 7208, section 12).

use super::{
    super::macros::MacroString,
    Mechanism, Prefixes, Qualifier,
    SyntaxFaultKind::{self, Ip4, Ip6, Macro, NoDomain, Prefix, QualifierOfModifier, TopLabel},
    TermKind,
};

/// What is wrong, and how many octets of the term before it.
type Fault = (usize, SyntaxFaultKind);

const NO_PREFIXES: Prefixes = Prefixes { ip4: 32, ip6: 128 };

/// Reads one term of visible ASCII characters.
pub(super) fn parse(text: &str) -> Result<TermKind, Fault> {
    let (qualifier, unqualified) = match text.as_bytes().first() {
        Some(b'+') => (Some(Qualifier::Pass), &text[1..]),
        Some(b'-') => (Some(Qualifier::Fail), &text[1..]),
        Some(b'~') => (Some(Qualifier::SoftFail), &text[1..]),
        Some(b'?') => (Some(Qualifier::Neutral), &text[1..]),
        _ => (None, text),
    };
    let end = unqualified.bytes().position(|octet| !is_name_octet(octet)).unwrap_or(unqualified.len());
    let (name, rest) = unqualified.split_at(end);
    let start = text.len() - rest.len();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err((0, SyntaxFaultKind::UnknownMechanism));
    }
    match (rest.strip_prefix('='), qualifier) {
        (Some(value), None) => modifier(name, value, start + 1),
        (Some(_), Some(_)) => Err((0, QualifierOfModifier)),
        (None, qualifier) => {
            let mechanism = mechanism(&name.to_ascii_lowercase(), rest, start)?;
            Ok(TermKind::Directive(qualifier.unwrap_or(Qualifier::Pass), mechanism))
        }
    }
}

fn is_name_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.')
}

fn modifier(name: &str, value: &str, position: usize) -> Result<TermKind, Fault> {
    match name.to_ascii_lowercase().as_str() {
        "redirect" => domain_spec(value, position).map(TermKind::Redirect),
        "exp" => domain_spec(value, position).map(TermKind::Explanation),
        _ => {
            macro_string(value, position)?;
            Ok(TermKind::UnknownModifier(name.to_owned()))
        }
    }
}

fn mechanism(name: &str, rest: &str, position: usize) -> Result<Mechanism, Fault> {
    match name {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "all" => Err((position, SyntaxFaultKind::UnexpectedValue)),
        "include" => required_domain(rest, position).map(Mechanism::Include),
        "exists" => required_domain(rest, position).map(Mechanism::Exists),
        "a" => domain_and_prefixes(rest, position).map(|(domain, prefixes)| Mechanism::A { domain, prefixes }),
        "mx" => domain_and_prefixes(rest, position).map(|(domain, prefixes)| Mechanism::Mx { domain, prefixes }),
        "ptr" if rest.is_empty() => Ok(Mechanism::Ptr(None)),
        "ptr" => required_domain(rest, position).map(|domain| Mechanism::Ptr(Some(domain))),
        "ip4" => {
            let (network, prefix) = network(rest, position, Ip4)?;
            let prefix = prefix.map_or(Ok(32), |(at, text)| prefix_length(text, at, 32))?;
            Ok(Mechanism::Ip4 { network: network.parse().map_err(|_| (position + 1, Ip4))?, prefix })
        }
        "ip6" => {
            let (network, prefix) = network(rest, position, Ip6)?;
            let prefix = prefix.map_or(Ok(128), |(at, text)| prefix_length(text, at, 128))?;
            Ok(Mechanism::Ip6 { network: network.parse().map_err(|_| (position + 1, Ip6))?, prefix })
        }
        _ => Err((0, SyntaxFaultKind::UnknownMechanism)),
    }
}

/// The text of an address, and the length of its prefix with its position.
type Network<'t> = (&'t str, Option<(usize, &'t str)>);

fn network(rest: &str, position: usize, fault: SyntaxFaultKind) -> Result<Network<'_>, Fault> {
    let value = rest.strip_prefix(':').ok_or((position, fault))?;
    Ok(match value.split_once('/') {
        Some((network, prefix)) => (network, Some((position + 2 + network.len(), prefix))),
        None => (value, None),
    })
}

/// A number without leading zeros.
fn prefix_length(text: &str, position: usize, max: u8) -> Result<u8, Fault> {
    let is_number = text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let length = text.parse().ok().filter(|length| is_number && *length <= max);
    length.ok_or((position, Prefix))
}

fn required_domain(rest: &str, position: usize) -> Result<MacroString, Fault> {
    let value = rest.strip_prefix(':').ok_or((position, NoDomain))?;
    domain_spec(value, position + 1)
}

fn domain_and_prefixes(rest: &str, position: usize) -> Result<(Option<MacroString>, Prefixes), Fault> {
    let (domain, prefixes) = split_prefixes(rest);
    let prefixes = parse_prefixes(prefixes, position + domain.len())?;
    match domain {
        "" => Ok((None, prefixes)),
        domain => Ok((Some(required_domain(domain, position)?), prefixes)),
    }
}

/// Parts the lengths of prefixes from the end. A slash may belong to the domain, too: there it is not followed by
/// digits alone.
fn split_prefixes(rest: &str) -> (&str, &str) {
    let without_digits = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let Some(first) = without_digits.strip_suffix('/') else { return (rest, "") };
    let Some(second) = first.strip_suffix('/') else { return rest.split_at(first.len()) };
    let before = second.trim_end_matches(|c: char| c.is_ascii_digit());
    match before.strip_suffix('/') {
        Some(domain) if before.len() < second.len() => rest.split_at(domain.len()),
        _ => rest.split_at(second.len()),
    }
}

/// `/24`, `//64`, `/24//64`.
fn parse_prefixes(text: &str, position: usize) -> Result<Prefixes, Fault> {
    let Some(value) = text.strip_prefix('/') else { return Ok(NO_PREFIXES) };
    if let Some(ip6) = value.strip_prefix('/') {
        return Ok(Prefixes { ip6: prefix_length(ip6, position + 2, 128)?, ..NO_PREFIXES });
    }
    let (ip4, ip6) = value.split_once("//").map_or((value, None), |(ip4, ip6)| (ip4, Some(ip6)));
    Ok(Prefixes {
        ip4: prefix_length(ip4, position + 1, 32)?,
        ip6: ip6.map_or(Ok(128), |ip6| prefix_length(ip6, position + 3 + ip4.len(), 128))?,
    })
}

fn macro_string(text: &str, position: usize) -> Result<MacroString, Fault> {
    MacroString::parse(text).map_err(|(at, fault)| (position + at, Macro(fault)))
}

/// A name that ends in a dot and a top-level label, or in a macro (RFC 7208, section 7.1).
fn domain_spec(text: &str, position: usize) -> Result<MacroString, Fault> {
    if text.is_empty() {
        return Err((position, NoDomain));
    }
    let domain = macro_string(text, position)?;
    let label = text.strip_suffix('.').unwrap_or(text).rsplit_once('.').map(|(_, label)| label);
    match domain.ends_in_macro() || label.is_some_and(is_top_label) {
        true => Ok(domain),
        false => Err((position, TopLabel)),
    }
}

/// Letters, digits and inner hyphens, but not digits alone.
fn is_top_label(label: &str) -> bool {
    label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && label.bytes().any(|octet| !octet.is_ascii_digit())
        && !label.starts_with('-')
        && !label.ends_with('-')
}
