//! Name constraints (RFC 5280, section 4.2.1.10): the names that an authority may issue certificates for.

use super::{
    Certificate,
    element::{self, Element, OBJECT_IDENTIFIER, SEQUENCE, SET},
    name::{self, Part},
    text::{
        self,
        name_tag::{DIRECTORY_NAME, DNS_NAME, IP_ADDRESS, OTHER_NAME, RFC822_NAME, URI},
    },
};

const PERMITTED: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;
/// `minimum` and `maximum` of a subtree. RFC 5280 allows them only with their defaults: 0, and none.
const MINIMUM: u8 = 0x80;
const MAXIMUM: u8 = 0x81;
/// `emailAddress`, 1.2.840.113549.1.9.1.
const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
/// `id-on-SmtpUTF8Mailbox`, 1.3.6.1.5.5.7.8.9 (RFC 9598).
const SMTP_UTF8_MAILBOX: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x09];
/// Most comparisons of a name with a subtree, as in webpki: a chain can hold thousands of both.
const MAX_COMPARISONS: usize = 250_000;

/// The subtrees of names that an authority may or may not issue certificates for.
#[derive(Clone, Debug, Default)]
pub struct NameConstraints<'a> {
    permitted: Vec<Base<'a>>,
    excluded: Vec<Base<'a>>,
    /// Whether a minimum or maximum is written.
    has_distances: bool,
    /// Whether a minimum of 0 is written, which DER leaves out.
    has_written_default: bool,
}

/// The root of a subtree.
#[derive(Clone, Debug)]
struct Base<'a> {
    tag: u8,
    content: &'a [u8],
    /// A directoryName to compare, if it can be read.
    directory: Option<Vec<Part>>,
    /// Whether the subtree has a minimum other than 0, or a maximum.
    has_distance: bool,
}

impl<'a> Base<'a> {
    fn new(element: Element<'a>) -> Self {
        let Element { tag, content, .. } = element;
        let directory = (tag == DIRECTORY_NAME).then(|| name::comparable(text::directory_name(content)?)).flatten();
        Self { tag, content, directory, has_distance: false }
    }
}

/// What name constraints say of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConstraintCheck {
    /// The names that are not allowed.
    pub forbidden: Vec<String>,
    /// The kinds of names that are there, are constrained, and cannot be compared.
    pub uncompared: Vec<&'static str>,
}

impl<'a> NameConstraints<'a> {
    /// Reads the value of the extension.
    pub(super) fn from_extension(mut value: &'a [u8]) -> Option<Self> {
        let content = element::take(&mut value)?.of(SEQUENCE)?;
        Self::from_content(content).filter(|_| value.is_empty())
    }

    /// Reads the content of the extension's SEQUENCE; `None` if it is unreadable.
    pub fn from_content(mut content: &'a [u8]) -> Option<Self> {
        let mut constraints = Self::default();
        if let Some(permitted) = element::take_if(&mut content, PERMITTED) {
            constraints.permitted = constraints.subtrees(permitted)?;
        }
        if let Some(excluded) = element::take_if(&mut content, EXCLUDED) {
            constraints.excluded = constraints.subtrees(excluded)?;
        }
        content.is_empty().then_some(constraints)
    }

    fn subtrees(&mut self, list: Element<'a>) -> Option<Vec<Base<'a>>> {
        let (subtrees, rest) = element::all(list.content);
        let bases = subtrees.into_iter().map(|subtree| {
            let mut content = subtree.of(SEQUENCE)?;
            let base = element::take(&mut content)?;
            let (distances, rest) = element::all(content);
            let is_default = |distance: &Element<'_>| distance.tag == MINIMUM && *distance.content == [0];
            self.has_distances |= !distances.is_empty();
            self.has_written_default |= distances.iter().any(is_default);
            let has_distance = !distances.iter().all(is_default);
            let is_good = rest.is_empty() && distances.iter().all(|one| [MINIMUM, MAXIMUM].contains(&one.tag));
            is_good.then(|| Base { has_distance, ..Base::new(base) })
        });
        bases.collect::<Option<_>>().filter(|_| rest.is_empty())
    }

    /// Whether there are subtrees of other kinds than host names and addresses.
    pub fn has_rare_kinds(&self) -> bool {
        self.permitted.iter().chain(&self.excluded).any(|base| ![DNS_NAME, IP_ADDRESS].contains(&base.tag))
    }

    /// Whether a subtree has a minimum or a maximum, be it the default.
    pub fn has_distances(&self) -> bool {
        self.has_distances
    }

    /// Whether a subtree has a minimum of 0 that is written, where DER leaves it out.
    pub fn has_written_default(&self) -> bool {
        self.has_written_default
    }

    /// Whether there is a subtree of addresses that is not a network and its mask, the bits of which are one after
    /// another (RFC 5280, section 4.2.1.10, by RFC 4632).
    pub fn has_odd_networks(&self) -> bool {
        let addresses = self.permitted.iter().chain(&self.excluded).filter(|base| base.tag == IP_ADDRESS);
        addresses.into_iter().any(|base| !is_network(base.content))
    }

    /// Compares the names of a certificate below the authority.
    pub fn check(&self, certificate: &Certificate<'_>) -> ConstraintCheck {
        let mut check = ConstraintCheck::default();
        let names = names(certificate);
        if names.len().saturating_mul(self.permitted.len() + self.excluded.len()) > MAX_COMPARISONS {
            check.uncompared.push("so many names");
            return check;
        }
        for name in &names {
            match self.allows(name) {
                Some(true) => {}
                Some(false) => check.forbidden.push(name.text()),
                None => check.uncompared.push(kind(name.tag)),
            }
        }
        check.uncompared.sort_unstable();
        check.uncompared.dedup();
        check
    }

    /// Whether the name is allowed; `None` if that cannot be told.
    fn allows(&self, name: &Name<'_>) -> Option<bool> {
        // Whether the name is constructed does not count, as in webpki: it is of the kind, and may not be ignored.
        let of_kind = |base: &&Base<'a>| base.tag & !0x20 == name.tag & !0x20;
        let mut bases = self.permitted.iter().chain(&self.excluded).filter(of_kind).peekable();
        // RFC 5280, section 4.2.1.10: a URI without a host name must be rejected where URIs are constrained.
        if bases.peek().is_some() && matches!(name.value, Value::UriWithoutHost) {
            return Some(false);
        }
        if bases.any(|base| base.has_distance) {
            return None;
        }
        let permitted = self.permitted.iter().filter(of_kind).map(|base| name.is_within(base));
        let excluded =
            self.excluded.iter().filter(of_kind).map(|base| Some(name.is_within(base)? || name.may_be_within(base)));
        let (permitted, excluded) = (permitted.collect::<Option<Vec<_>>>()?, excluded.collect::<Option<Vec<_>>>()?);
        Some(!excluded.contains(&true) && (permitted.is_empty() || permitted.contains(&true)))
    }
}

/// A name that is compared: a subject alternative name, or one of the subject.
struct Name<'a> {
    tag: u8,
    value: Value<'a>,
    /// The content, for its text.
    content: &'a [u8],
}

/// What is compared.
enum Value<'a> {
    Host(&'a [u8]),
    Address(&'a [u8]),
    Directory(Vec<Part>),
    Mailbox(&'a [u8]),
    /// The host of a URI.
    Uri(String),
    /// A URI with an address in place of a host name, or with neither.
    UriWithoutHost,
    /// A name of a rare kind, or one that cannot be read.
    Unknown,
}

impl<'a> Name<'a> {
    fn new(tag: u8, content: &'a [u8]) -> Self {
        let directory = || name::comparable(text::directory_name(content)?).map(Value::Directory);
        let value = match tag {
            DNS_NAME => Some(Value::Host(content)),
            IP_ADDRESS => Some(Value::Address(content)),
            DIRECTORY_NAME => directory(),
            RFC822_NAME => Some(Value::Mailbox(content)),
            URI => Some(host_of(content).map_or(Value::UriWithoutHost, Value::Uri)),
            _ => None,
        };
        Self { tag, value: value.unwrap_or(Value::Unknown), content }
    }

    /// The whole subject. It has no explicit tag.
    fn subject(content: &'a [u8]) -> Self {
        let value = name::comparable(content).map_or(Value::Unknown, Value::Directory);
        Self { tag: DIRECTORY_NAME, value, content }
    }

    /// An emailAddress of the subject. In another string type than those of single octets it has no text to compare.
    fn email(value: Element<'a>) -> Self {
        let name = Self::new(RFC822_NAME, value.content);
        if text::has_octets_for_characters(value.tag) { name } else { Self { value: Value::Unknown, ..name } }
    }

    /// A mailbox with characters beyond ASCII, to which constraints for mailboxes apply (RFC 9598, section 6); `None`
    /// for other names. If its host is not in ASCII, it is not compared.
    fn smtp_utf8_mailbox(name: Element<'a>) -> Option<Self> {
        let mut content = name.of(OTHER_NAME)?;
        let id = element::take(&mut content)?.of(OBJECT_IDENTIFIER)?;
        let mut value = (id == SMTP_UTF8_MAILBOX).then_some(content)?;
        // The value has an explicit tag. Without the text in it there is nothing to compare.
        let text = element::take(&mut value).and_then(|mut value| element::take(&mut value.content));
        let mailbox = text.map_or(content, |text| text.content);
        let host = mailbox.rsplit(|octet| *octet == b'@').next().unwrap_or_default();
        let name = Self::new(RFC822_NAME, mailbox);
        Some(if host.is_ascii() { name } else { Self { value: Value::Unknown, ..name } })
    }

    fn text(&self) -> String {
        match (self.tag, text::directory_name(self.content)) {
            (DIRECTORY_NAME, Some(name)) => text::distinguished_name(name),
            (DIRECTORY_NAME, None) => text::distinguished_name(self.content),
            (tag, _) => text::general_name(Element { tag, raw: self.content, content: self.content }),
        }
    }

    /// Whether the name is within the subtree, which is of the same kind; `None` if that cannot be told.
    fn is_within(&self, base: &Base<'_>) -> Option<bool> {
        // A name that is constructed where it should not be, or the reverse, has no content to compare.
        if self.tag != base.tag {
            return None;
        }
        match &self.value {
            Value::Host(name) => Some(is_host_below(name, base.content)),
            Value::Address(address) => is_address_within(address, base.content),
            Value::Directory(name) => Some(name.starts_with(base.directory.as_ref()?)),
            Value::Mailbox(name) => is_mailbox_within(name, base.content),
            Value::Uri(host) => Some(is_host_within(host.as_bytes(), base.content)),
            Value::UriWithoutHost | Value::Unknown => None,
        }
    }

    /// Whether a wildcard stands for a host name that is the base: `*.test` for `mx.test`.
    fn may_be_within(&self, base: &Base<'_>) -> bool {
        let Value::Host([b'*', parent @ ..]) = self.value else { return false };
        let label = base.content.len().checked_sub(parent.len()).map(|size| base.content.split_at(size));
        label.is_some_and(|(label, end)| {
            parent.starts_with(b".") && end.eq_ignore_ascii_case(parent) && !label.is_empty() && !label.contains(&b'.')
        })
    }
}

fn names<'a>(certificate: &Certificate<'a>) -> Vec<Name<'a>> {
    let mut names: Vec<_> =
        certificate.alternative_names().map(|element| Name::new(element.tag, element.content)).collect();
    names.extend(certificate.alternative_names().filter_map(Name::smtp_utf8_mailbox));
    let subject = certificate.raw_subject();
    if !subject.is_empty() {
        names.push(Name::subject(subject));
    }
    // Mailboxes of old certificates are in the subject.
    names.extend(email_addresses(subject).map(Name::email));
    names
}

fn email_addresses(subject: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let sets = element::all(subject).0.into_iter().filter_map(|set| set.of(SET));
    let attributes = sets.flat_map(|set| element::all(set).0).filter_map(text::attribute);
    attributes.filter(|(id, _)| *id == EMAIL_ADDRESS).map(|(_, value)| value)
}

/// The type of a GeneralName with this tag.
pub(super) fn kind(tag: u8) -> &'static str {
    match tag {
        DNS_NAME => "dNSName",
        IP_ADDRESS => "iPAddress",
        DIRECTORY_NAME => "directoryName",
        RFC822_NAME => "rfc822Name",
        URI => "uniformResourceIdentifier",
        _ => "rare kinds",
    }
}

/// Whether a host name is the base or a name below it.
fn is_host_below(name: &[u8], base: &[u8]) -> bool {
    let Some(parent) = name.len().checked_sub(base.len()) else { return false };
    let (parent, end) = name.split_at(parent);
    let is_whole = parent.is_empty() || base.is_empty() || base.starts_with(b".") || parent.ends_with(b".");
    end.eq_ignore_ascii_case(base) && is_whole
}

/// The base is a network and its mask. `None` if either is not of a size that addresses have: outside of an excluded
/// subtree would be allowed.
fn is_address_within(name: &[u8], base: &[u8]) -> Option<bool> {
    if ![4, 16].contains(&name.len()) || ![8, 32].contains(&base.len()) {
        return None;
    }
    let (network, mask) = base.split_at(base.len() / 2);
    let mut octets = name.iter().zip(network).zip(mask);
    Some(name.len() == network.len() && octets.all(|((one, other), mask)| one & mask == other & mask))
}

/// Whether the octets are an address and a mask of the same size, whose bits are ones and then zeros.
fn is_network(content: &[u8]) -> bool {
    let (_, mask) = content.split_at(content.len() / 2);
    let mut bits = mask.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1));
    bits.by_ref().find(|bit| *bit == 0);
    [8, 32].contains(&content.len()) && bits.all(|bit| bit == 0)
}

/// Whether the host is the one of the base, or below it if the base begins with a dot.
fn is_host_within(host: &[u8], base: &[u8]) -> bool {
    if base.starts_with(b".") {
        return host.len() > base.len() && host[host.len() - base.len()..].eq_ignore_ascii_case(base);
    }
    host.eq_ignore_ascii_case(base)
}

/// The base is a mailbox, a host with or without an `@`, or a dot and a domain.
fn is_mailbox_within(name: &[u8], base: &[u8]) -> Option<bool> {
    let at = |text: &[u8]| text.iter().rposition(|octet| *octet == b'@');
    let (local, host) = name.split_at(at(name)?);
    Some(match at(base) {
        Some(end) => (end == 0 || local == &base[..end]) && host.eq_ignore_ascii_case(&base[end..]),
        None => is_host_within(&host[1..], base),
    })
}

/// The host of a URI; `None` if it has none or an address, for which RFC 5280 has no constraint.
fn host_of(uri: &[u8]) -> Option<String> {
    let uri = url::Url::parse(std::str::from_utf8(uri).ok()?).ok()?;
    match uri.host()? {
        url::Host::Domain(host) => Some(host.to_owned()),
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OpenSSL 3.0 decides of the same names and constraints; `None` is one of its errors about names that it does
    /// not support, or an address or a network of a size that neither has.
    #[test]
    fn names_are_within_subtrees_as_in_openssl() {
        let cases: [(u8, &str, &str, Option<bool>); 25] = [
            (DNS_NAME, "mx.test", "test", Some(true)),
            (DNS_NAME, "mx.test", "MX.Test", Some(true)),
            (DNS_NAME, "mx.test", ".test", Some(true)),
            (DNS_NAME, "mx.test", "", Some(true)),
            (DNS_NAME, "mx.test", "x.test", Some(false)),
            (DNS_NAME, "test", "mx.test", Some(false)),
            (IP_ADDRESS, "\x01\x02\x03\x04", "\x01\x02\0\0\x7f\x7f\0\0", Some(true)),
            (IP_ADDRESS, "\x01\x02\x03\x04", "\x01\x03\0\0\x7f\x7f\0\0", Some(false)),
            (IP_ADDRESS, "\x01\x02\x03\x04", "\x01\x02\0\0\x7f\x7f\0", None),
            (IP_ADDRESS, "\x01\x02\x03\x04\x05", "\x01\x02\0\0\x7f\x7f\0\0", None),
            (RFC822_NAME, "a@mx.test", "mx.test", Some(true)),
            (RFC822_NAME, "a@mx.test", "@mx.test", Some(true)),
            (RFC822_NAME, "a@MX.test", "a@mx.test", Some(true)),
            (RFC822_NAME, "a@mx.test", "A@mx.test", Some(false)),
            (RFC822_NAME, "a@mx.test", ".test", Some(true)),
            (RFC822_NAME, "a@mx.test", ".mx.test", Some(false)),
            (RFC822_NAME, "a@mx.test", "test", Some(false)),
            (RFC822_NAME, "mx.test", "test", None),
            (URI, "smtp://mx.test:25/x", "mx.test", Some(true)),
            (URI, "https://MX.test/x", ".test", Some(true)),
            (URI, "https://mx.test/x", "test", Some(false)),
            (URI, "https://mx.test/x", ".mx.test", Some(false)),
            (URI, "mailto:a@mx.test", ".test", None),
            (URI, "https://192.0.2.1/", "192.0.2.1", None),
            (0x88, "\x2a", "\x2a", None),
        ];
        for (tag, name, base, expected) in cases {
            let base = Base::new(Element { tag, raw: &[], content: base.as_bytes() });
            assert_eq!(Name::new(tag, name.as_bytes()).is_within(&base), expected, "{name} within {:?}", base.content);
        }
    }
    #[test]
    fn a_base_with_the_wrong_constructed_bit_is_not_ignored() {
        // excluded: [2] constructed { IA5String bad.test }
        let content = b"\xa1\x0e\x30\x0c\xa2\x0a\x16\x08bad.test";
        let constraints = NameConstraints::from_content(content).expect("a readable list");
        assert_eq!(constraints.allows(&Name::new(DNS_NAME, b"bad.test")), None);
    }
}
