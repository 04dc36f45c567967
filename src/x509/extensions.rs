//! What the extensions of a [`Certificate`] allow (RFC 5280, section 4.2.1).

use std::collections::HashSet;

use x509_parser::{
    asn1_rs::{FromDer, Oid},
    extensions::{BasicConstraints, ExtendedKeyUsage, KeyUsage, PolicyConstraints},
    objects::{oid_registry, oid2sn},
};

use super::{
    Certificate,
    constraints::NameConstraints,
    element::{self, Element, SEQUENCE},
    parts::Extension,
    text,
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
const CERTIFICATE_POLICIES: &[u8] = id_ce!(32);
const POLICY_MAPPINGS: &[u8] = id_ce!(33);
const POLICY_CONSTRAINTS: &[u8] = id_ce!(36);
const EXTENDED_KEY_USAGE: &[u8] = id_ce!(37);
const INHIBIT_ANY_POLICY: &[u8] = id_ce!(54);

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

/// The extensions about policies. Every policy is accepted, so they allow every path unless one requires a policy.
const POLICIES: [&[u8]; 4] = [CERTIFICATE_POLICIES, POLICY_MAPPINGS, POLICY_CONSTRAINTS, INHIBIT_ANY_POLICY];

impl<'a> Certificate<'a> {
    /// Whether the basic constraints are `CA:TRUE` (RFC 5280, section 4.2.1.9).
    pub fn is_ca(&self) -> bool {
        self.read::<BasicConstraints>(BASIC_CONSTRAINTS).is_some_and(|basic| basic.ca)
    }

    /// The purposes that the certificate is restricted to (RFC 5280, section 4.2.1.12); `None` if it is not restricted.
    pub fn extended_key_usage(&self) -> Option<ExtendedKeyUsage<'a>> {
        self.read(EXTENDED_KEY_USAGE)
    }

    /// What the key may be used for (RFC 5280, section 4.2.1.3); `None` without that extension.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.read(KEY_USAGE)
    }

    /// The most issuers that may lie between this certificate and the server's, those not counted that are self-issued
    /// (RFC 5280, section 4.2.1.9); `None` without a limit.
    pub fn path_length(&self) -> Option<u32> {
        self.read::<BasicConstraints>(BASIC_CONSTRAINTS).filter(|basic| basic.ca)?.path_len_constraint
    }

    /// The critical extensions that are not processed, by name. A certificate with one must be rejected (RFC 5280,
    /// section 4.2).
    pub fn unknown_critical_extensions(&self) -> Vec<String> {
        let is_unknown = |one: &&Extension<'a>| {
            one.is_critical && !PROCESSED.contains(&one.id) && !(POLICIES.contains(&one.id) && allows_every_policy(one))
        };
        self.parts.extensions.iter().filter(is_unknown).map(|one| name(one.id)).collect()
    }

    /// Whether there are critical extensions about policies that allow every policy.
    pub fn has_critical_policies(&self) -> bool {
        self.parts.extensions.iter().any(|one| one.is_critical && POLICIES.contains(&one.id))
    }

    /// The extensions that are there more than once, by name (RFC 5280, section 4.2, forbids that).
    pub fn repeated_extensions(&self) -> Vec<String> {
        let (mut known, mut repeated) = (HashSet::new(), HashSet::new());
        let extensions = self.parts.extensions.iter();
        extensions.filter(|one| !known.insert(one.id) && repeated.insert(one.id)).map(|one| name(one.id)).collect()
    }

    /// The extensions that are processed and cannot be read, by name.
    pub fn unreadable_extensions(&self) -> Vec<String> {
        let is_unreadable = |one: &&Extension<'a>| match one.id {
            KEY_USAGE => parse::<KeyUsage>(one).is_none(),
            SUBJECT_ALTERNATIVE_NAME => !general_names(one).1,
            BASIC_CONSTRAINTS => parse::<BasicConstraints>(one).is_none(),
            NAME_CONSTRAINTS => NameConstraints::from_extension(one.value).is_none(),
            EXTENDED_KEY_USAGE => parse::<ExtendedKeyUsage<'_>>(one).is_none(),
            _ => false,
        };
        self.parts.extensions.iter().filter(is_unreadable).map(|one| name(one.id)).collect()
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
    fn read<T: FromDer<'a, x509_parser::error::X509Error>>(&self, id: &'static [u8]) -> Option<T> {
        self.extensions(id).find_map(parse)
    }
}

fn parse<'a, T: FromDer<'a, x509_parser::error::X509Error>>(extension: &Extension<'a>) -> Option<T> {
    T::from_der(extension.value).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, value)| value)
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

/// Whether the extension about policies leaves a path valid for which no policy is required (RFC 5280, section 6.1.5,
/// step g): all do, unless one of them requires a policy itself.
fn allows_every_policy(extension: &Extension<'_>) -> bool {
    match extension.id {
        POLICY_CONSTRAINTS => {
            parse::<PolicyConstraints>(extension).is_some_and(|policy| policy.require_explicit_policy.is_none())
        }
        _ => true,
    }
}

fn name(id: &[u8]) -> String {
    match oid2sn(&Oid::new(id.into()), oid_registry()) {
        Ok(name) => format!("{name} ({})", text::oid(id)),
        Err(_) => text::oid(id),
    }
}
