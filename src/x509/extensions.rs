//! What the extensions of a [`Certificate`] allow (RFC 5280, section 4.2.1).

use x509_parser::{
    asn1_rs::{Oid, oid},
    extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, NameConstraints, ParsedExtension},
    objects::{oid_registry, oid2sn},
};

use super::{Certificate, text};

/// The extensions that the verifier processes, critical or not.
const PROCESSED: [Oid<'static>; 6] = [
    oid!(2.5.29.15),
    oid!(2.5.29.17),
    oid!(2.5.29.19),
    oid!(2.5.29.30),
    // CRL distribution points: nothing is fetched, and webpki takes them for processed.
    oid!(2.5.29.31),
    oid!(2.5.29.37),
];

impl<'a> Certificate<'a> {
    /// Whether the basic constraints are `CA:TRUE` (RFC 5280, section 4.2.1.9).
    pub fn is_ca(&self) -> bool {
        self.extensions().any(|extension| matches!(extension, ParsedExtension::BasicConstraints(basic) if basic.ca))
    }

    /// The purposes that the certificate is restricted to (RFC 5280, section 4.2.1.12); `None` if it is not restricted.
    pub fn extended_key_usage(&self) -> Option<&ExtendedKeyUsage<'a>> {
        self.extensions().find_map(|extension| match extension {
            ParsedExtension::ExtendedKeyUsage(usage) => Some(usage),
            _ => None,
        })
    }

    /// What the key may be used for (RFC 5280, section 4.2.1.3); `None` without that extension.
    pub fn key_usage(&self) -> Option<&KeyUsage> {
        self.extensions().find_map(|extension| match extension {
            ParsedExtension::KeyUsage(usage) => Some(usage),
            _ => None,
        })
    }

    /// The most issuers that may lie between this certificate and the server's, those not counted that are self-issued
    /// (RFC 5280, section 4.2.1.9); `None` without a limit.
    pub fn path_length(&self) -> Option<u32> {
        self.extensions().find_map(|extension| match extension {
            ParsedExtension::BasicConstraints(basic) if basic.ca => basic.path_len_constraint,
            _ => None,
        })
    }

    /// The critical extensions that the verifier does not process, by name. A certificate with one must be rejected
    /// (RFC 5280, section 4.2).
    pub fn unknown_critical_extensions(&self) -> Vec<String> {
        let extensions = self.parsed.extensions().iter();
        extensions.filter(|one| one.critical && !PROCESSED.contains(&one.oid)).map(|one| name(&one.oid)).collect()
    }

    /// The extensions that are there more than once, by name (RFC 5280, section 4.2, forbids that).
    pub fn repeated_extensions(&self) -> Vec<String> {
        let all = self.parsed.extensions();
        let is_repeated = |at: usize| all[..at].iter().filter(|other| other.oid == all[at].oid).count() == 1;
        (0..all.len()).filter(|at| is_repeated(*at)).map(|at| name(&all[at].oid)).collect()
    }

    /// The extensions that are processed and cannot be read, by name.
    pub fn unreadable_extensions(&self) -> Vec<String> {
        let is_unreadable = |parsed: &ParsedExtension<'_>| matches!(parsed, ParsedExtension::ParseError { .. });
        let extensions = self.parsed.extensions().iter();
        extensions
            .filter(|one| PROCESSED.contains(&one.oid) && is_unreadable(one.parsed_extension()))
            .map(|one| name(&one.oid))
            .collect()
    }

    /// The names of `below`, a certificate that this one may have issued, that the name constraints of this one do not
    /// allow (RFC 5280, section 4.2.1.10). Only host names and addresses are compared.
    pub fn forbidden_names(&self, below: &Certificate<'_>) -> Vec<String> {
        let Some(constraints) = self.name_constraints() else { return Vec::new() };
        below.alternative_names().filter(|name| is_forbidden(constraints, name)).map(text::general_name).collect()
    }

    /// The kinds of names in the name constraints that this program does not compare.
    pub fn uncompared_constraints(&self) -> Vec<&'static str> {
        let Some(constraints) = self.name_constraints() else { return Vec::new() };
        let subtrees =
            [&constraints.permitted_subtrees, &constraints.excluded_subtrees].into_iter().flatten().flatten();
        let mut kinds: Vec<_> = subtrees.filter_map(|subtree| uncompared_kind(&subtree.base)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The subject alternative names.
    pub(super) fn alternative_names(&self) -> impl Iterator<Item = &GeneralName<'a>> {
        self.extensions()
            .filter_map(|extension| match extension {
                ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                _ => None,
            })
            .flatten()
    }

    fn name_constraints(&self) -> Option<&NameConstraints<'a>> {
        self.extensions().find_map(|extension| match extension {
            ParsedExtension::NameConstraints(constraints) => Some(constraints),
            _ => None,
        })
    }

    fn extensions(&self) -> impl Iterator<Item = &ParsedExtension<'a>> {
        self.parsed.extensions().iter().map(|extension| extension.parsed_extension())
    }
}

fn name(id: &Oid<'_>) -> String {
    match oid2sn(id, oid_registry()) {
        Ok(name) => format!("{name} ({})", text::oid(id)),
        Err(_) => text::oid(id),
    }
}

fn uncompared_kind(name: &GeneralName<'_>) -> Option<&'static str> {
    match name {
        GeneralName::DNSName(_) | GeneralName::IPAddress(_) => None,
        GeneralName::DirectoryName(_) => Some("directoryName"),
        GeneralName::RFC822Name(_) => Some("rfc822Name"),
        GeneralName::URI(_) => Some("uniformResourceIdentifier"),
        _ => Some("other kinds"),
    }
}

fn is_forbidden(constraints: &NameConstraints<'_>, name: &GeneralName<'_>) -> bool {
    let is_excluded = |base: &GeneralName<'_>| is_within(name, base) == Some(true);
    let excluded = constraints.excluded_subtrees.iter().flatten().any(|subtree| is_excluded(&subtree.base));
    let mut same_kind = constraints.permitted_subtrees.iter().flatten().filter_map(|tree| is_within(name, &tree.base));
    let permitted = match same_kind.next() {
        Some(first) => first || same_kind.any(|within| within),
        None => true,
    };
    excluded || !permitted
}

/// Whether the name is within the subtree; `None` if the two are of different kinds, or of one that is not compared.
fn is_within(name: &GeneralName<'_>, base: &GeneralName<'_>) -> Option<bool> {
    match (name, base) {
        (GeneralName::DNSName(name), GeneralName::DNSName(base)) => {
            let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
            let parent = name.strip_suffix(&base);
            Some(match parent {
                Some(parent) => parent.is_empty() || base.is_empty() || base.starts_with('.') || parent.ends_with('.'),
                None => false,
            })
        }
        (GeneralName::IPAddress(name), GeneralName::IPAddress(base)) => {
            let (network, mask) = base.split_at_checked(base.len() / 2)?;
            let octets = name.iter().zip(network).zip(mask);
            Some(
                name.len() == network.len()
                    && octets.into_iter().all(|((one, other), mask)| one & mask == other & mask),
            )
        }
        _ => None,
    }
}
