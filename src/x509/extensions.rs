//! What the extensions of a [`Certificate`] allow (RFC 5280, section 4.2.1).

use std::collections::HashSet;

use x509_parser::{
    asn1_rs::Oid,
    objects::{oid_registry, oid2sn},
};

use super::{
    Certificate,
    constraints::{NameConstraints, kind},
    element::{self, BIT_STRING, BOOLEAN, Element, INTEGER, OBJECT_IDENTIFIER, SEQUENCE},
    parts::Extension,
    policies, text,
};

/// `id-ce`, 2.5.29, to which one octet is added (RFC 5280, section 4.2.1).
macro_rules! id_ce {
    ($number:literal) => {
        &[0x55, 0x1d, $number]
    };
}

const KEY_USAGE: &[u8] = id_ce!(15);
const SUBJECT_ALTERNATIVE_NAME: &[u8] = id_ce!(17);
const BASIC_CONSTRAINTS: &[u8] = id_ce!(19);
const NAME_CONSTRAINTS: &[u8] = id_ce!(30);
const CRL_DISTRIBUTION_POINTS: &[u8] = id_ce!(31);
const EXTENDED_KEY_USAGE: &[u8] = id_ce!(37);

/// The extensions that the verifier processes, critical or not. Of the CRL distribution points nothing is fetched, and
/// webpki takes them for processed.
const PROCESSED: [&[u8]; 6] = [
    KEY_USAGE,
    SUBJECT_ALTERNATIVE_NAME,
    BASIC_CONSTRAINTS,
    NAME_CONSTRAINTS,
    CRL_DISTRIBUTION_POINTS,
    EXTENDED_KEY_USAGE,
];

/// The purposes that allow TLS servers: serverAuth (RFC 5280, section 4.2.1.12), and those of Netscape's and
/// Microsoft's Server Gated Crypto, which OpenSSL takes for the same. Object identifiers without tag and length.
pub const SERVER_PURPOSES: [&[u8]; 3] = [
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
    &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x04, 0x01],
    &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x03, 0x03],
];
/// `anyExtendedKeyUsage`, 2.5.29.37.0.
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

/// The purposes that a certificate is restricted to (RFC 5280, section 4.2.1.12).
#[derive(Clone, Debug)]
pub struct ExtendedKeyUsage<'a>(Vec<&'a [u8]>);

impl<'a> ExtendedKeyUsage<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let purposes = element::sequence(value)?;
        let purposes: Vec<_> = purposes.into_iter().map(|id| id.of(OBJECT_IDENTIFIER)).collect::<Option<_>>()?;
        (!purposes.is_empty()).then_some(Self(purposes))
    }

    /// Whether one of them is in [`SERVER_PURPOSES`].
    pub fn allows_servers(&self) -> bool {
        self.0.iter().any(|purpose| SERVER_PURPOSES.contains(purpose))
    }

    /// Whether anyExtendedKeyUsage is among them.
    pub fn has_any_purpose(&self) -> bool {
        self.0.contains(&ANY_PURPOSE)
    }
}

/// What a key may be used for (RFC 5280, section 4.2.1.3).
#[derive(Clone, Copy, Debug)]
pub struct KeyUsage {
    /// The first eight bits, the first one the highest.
    bits: u8,
}

impl KeyUsage {
    fn read(mut value: &[u8]) -> Option<Self> {
        let content = element::take(&mut value)?.of(BIT_STRING).filter(|_| value.is_empty())?;
        match content {
            [0] => Some(Self { bits: 0 }),
            // The unused bits do not count.
            [unused @ 0..=7, bits] => Some(Self { bits: bits & (0xff << unused) }),
            [0..=7, bits, _, ..] => Some(Self { bits: *bits }),
            _ => None,
        }
    }

    /// digitalSignature.
    pub fn digital_signature(self) -> bool {
        self.bits & 0x80 != 0
    }

    /// keyEncipherment.
    pub fn key_encipherment(self) -> bool {
        self.bits & 0x20 != 0
    }

    /// keyAgreement.
    pub fn key_agreement(self) -> bool {
        self.bits & 0x08 != 0
    }

    /// keyCertSign.
    pub fn key_cert_sign(self) -> bool {
        self.bits & 0x04 != 0
    }
}

/// Whether a certificate is an authority's (RFC 5280, section 4.2.1.9).
#[derive(Clone, Copy, Debug)]
struct BasicConstraints {
    is_ca: bool,
    path_length: Option<u32>,
}

impl BasicConstraints {
    fn read(mut value: &[u8]) -> Option<Self> {
        let mut content = element::take(&mut value)?.of(SEQUENCE).filter(|_| value.is_empty())?;
        let is_ca = match element::take_if(&mut content, BOOLEAN) {
            Some(flag) if flag.content.len() == 1 => flag.content[0] != 0,
            Some(_) => return None,
            None => false,
        };
        let path_length = match element::take_if(&mut content, INTEGER) {
            Some(length) => Some(element::number(length.content)?),
            None => None,
        };
        content.is_empty().then_some(Self { is_ca, path_length })
    }
}

impl<'a> Certificate<'a> {
    /// Whether the basic constraints are `CA:TRUE` (RFC 5280, section 4.2.1.9).
    pub fn is_ca(&self) -> bool {
        self.read(BASIC_CONSTRAINTS, BasicConstraints::read).is_some_and(|basic| basic.is_ca)
    }

    /// Whether the basic constraints are `CA:FALSE`, or there are none. Those that cannot be read are neither this nor
    /// [`Self::is_ca`].
    pub fn is_end_entity(&self) -> bool {
        let all = self.extensions(BASIC_CONSTRAINTS).map(|one| BasicConstraints::read(one.value));
        all.into_iter().all(|basic| basic.is_some_and(|basic| !basic.is_ca))
    }

    /// The purposes that the certificate is restricted to (RFC 5280, section 4.2.1.12); `None` if it is not restricted.
    pub fn extended_key_usage(&self) -> Option<ExtendedKeyUsage<'a>> {
        self.read(EXTENDED_KEY_USAGE, ExtendedKeyUsage::read)
    }

    /// What the key may be used for (RFC 5280, section 4.2.1.3); `None` without that extension.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.read(KEY_USAGE, KeyUsage::read)
    }

    /// The most issuers that may lie between this certificate and the server's, those not counted that are self-issued
    /// (RFC 5280, section 4.2.1.9); `None` without a limit.
    pub fn path_length(&self) -> Option<u32> {
        self.read(BASIC_CONSTRAINTS, BasicConstraints::read).filter(|basic| basic.is_ca)?.path_length
    }

    /// The critical extensions that are not processed, by name. A certificate with one must be rejected (RFC 5280,
    /// section 4.2).
    pub fn unknown_critical_extensions(&self) -> Vec<String> {
        let is_unknown =
            |one: &&Extension<'a>| one.is_critical && !PROCESSED.contains(&one.id) && !policies::is_about(one.id);
        self.parts.extensions.iter().filter(is_unknown).map(|one| name(one.id)).collect()
    }

    /// Whether there are critical extensions about policies.
    pub fn has_critical_policies(&self) -> bool {
        self.parts.extensions.iter().any(|one| one.is_critical && policies::is_about(one.id))
    }

    /// How many certificates below this one may be without a policy, if a critical extension requires one, and the name
    /// of that extension (RFC 5280, section 4.2.1.11).
    pub fn requires_policy_after(&self) -> Option<(u32, String)> {
        let critical = self.parts.extensions.iter().filter(|one| one.is_critical);
        critical.filter_map(|one| Some((policies::required_after(one)?, name(one.id)))).min()
    }

    /// The critical extensions that can be read and have no content, by name, where RFC 5280 requires some.
    pub fn empty_extensions(&self) -> Vec<String> {
        let is_empty = |one: &&Extension<'a>| one.is_critical && policies::is_empty(one);
        self.parts.extensions.iter().filter(is_empty).map(|one| name(one.id)).collect()
    }

    /// The extensions that are there more than once, by name (RFC 5280, section 4.2, forbids that).
    pub fn repeated_extensions(&self) -> Vec<String> {
        let (mut known, mut repeated) = (HashSet::new(), HashSet::new());
        let extensions = self.parts.extensions.iter();
        extensions.filter(|one| !known.insert(one.id) && repeated.insert(one.id)).map(|one| name(one.id)).collect()
    }

    /// The extensions that are processed and cannot be read, by name. Those about policies and CRL distribution points
    /// are processed where they are critical.
    pub fn unreadable_extensions(&self) -> Vec<String> {
        let is_unreadable = |one: &&Extension<'a>| match one.id {
            KEY_USAGE => KeyUsage::read(one.value).is_none(),
            SUBJECT_ALTERNATIVE_NAME => !general_names(one).1,
            BASIC_CONSTRAINTS => BasicConstraints::read(one.value).is_none(),
            NAME_CONSTRAINTS => NameConstraints::from_extension(one.value).is_none(),
            EXTENDED_KEY_USAGE => ExtendedKeyUsage::read(one.value).is_none(),
            CRL_DISTRIBUTION_POINTS => one.is_critical && element::sequence(one.value).is_none(),
            _ => {
                let is_processed = one.is_critical && policies::is_about(one.id);
                is_processed && !policies::is_readable(one) && !policies::is_empty(one)
            }
        };
        self.parts.extensions.iter().filter(is_unreadable).map(|one| name(one.id)).collect()
    }

    /// The extensions that are processed and are in BER, not in DER, by name.
    pub(super) fn ber_extensions(&self) -> Vec<String> {
        let is_processed = |one: &Extension<'a>| PROCESSED.contains(&one.id) || policies::is_about(one.id);
        let extensions = self.parts.extensions.iter();
        extensions.filter(|one| is_processed(one) && element::is_ber(one.value)).map(|one| name(one.id)).collect()
    }

    /// The types of the subject alternative names that are written like this, such as `dNSName`.
    pub fn types_of_name(&self, written: &str) -> Vec<&'static str> {
        let names = self.alternative_names();
        let mut types: Vec<_> = names
            .filter(|one| text::general_name(*one).eq_ignore_ascii_case(written))
            .map(|one| kind(one.tag))
            .collect();
        types.dedup();
        types
    }

    /// The subject alternative name extension's value in DER; `None` if there is none, or more than one.
    pub fn alternative_names_der(&self) -> Option<&'a [u8]> {
        let mut all = self.extensions(SUBJECT_ALTERNATIVE_NAME);
        let first = all.next()?;
        all.next().is_none().then_some(first.value)
    }

    /// The subject alternative names that can be told apart.
    pub(super) fn alternative_names(&self) -> impl Iterator<Item = Element<'a>> {
        self.extensions(SUBJECT_ALTERNATIVE_NAME).flat_map(|one| general_names(one).0)
    }

    /// The names that the authority may issue certificates for (RFC 5280, section 4.2.1.10); `None` without a limit.
    pub fn name_constraints(&self) -> Option<NameConstraints<'a>> {
        self.extensions(NAME_CONSTRAINTS).find_map(|one| NameConstraints::from_extension(one.value))
    }

    fn extensions(&self, id: &'static [u8]) -> impl Iterator<Item = &Extension<'a>> {
        self.parts.extensions.iter().filter(move |one| one.id == id)
    }

    /// The first of these extensions that can be read.
    fn read<T>(&self, id: &'static [u8], read: impl Fn(&'a [u8]) -> Option<T>) -> Option<T> {
        self.extensions(id).find_map(|one| read(one.value))
    }
}

/// The names, and whether the extension is well-formed.
fn general_names<'a>(extension: &Extension<'a>) -> (Vec<Element<'a>>, bool) {
    let mut value = extension.value;
    let Some(list) = element::take(&mut value).and_then(|list| list.of(SEQUENCE)) else {
        return (Vec::new(), false);
    };
    let (names, rest) = element::all(list);
    (names, rest.is_empty() && value.is_empty())
}

fn name(id: &[u8]) -> String {
    match oid2sn(&Oid::new(id.into()), oid_registry()) {
        Ok(name) => format!("{name} ({})", text::oid(id)),
        Err(_) => text::oid(id),
    }
}
