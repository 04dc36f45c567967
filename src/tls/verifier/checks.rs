//! The checks of one certificate on the path, by which every problem names its certificate.
//!
//! webpki checks the same, except the key usage, and says only that some certificate failed. Where webpki stops at a
//! limit of its own, these checks decide ([`webpki_limits`]).

use webpki::EndEntityCert;

use super::{Kind, webpki_limits};
use crate::{
    tls::{
        chain_signature::SignatureCheck,
        path::{Path, PathEnd},
        problems::{Problems, describe},
    },
    x509::{Certificate, ConstraintCheck, NameConstraints},
};

/// What a sentence calls the certificate. Depth 0 is the server's own. It is short enough that the sentence is not cut.
pub(super) fn label(certificate: &Certificate<'_>, depth: usize) -> String {
    match depth {
        0 => "the certificate".to_owned(),
        _ => format!("the issuing certificate {}", certificate.subject_excerpt()),
    }
}

/// Whether the certificate can be processed (RFC 5280, sections 4.1 and 4.2; 6.1.4, step o).
pub(super) fn check_form(certificate: &Certificate<'_>, depth: usize, problems: &mut Problems) {
    let label = label(certificate, depth);
    let before = problems.len();
    if let Some(version) = certificate.version().filter(|version| *version != 3) {
        problems.add(Kind::Unsupported, format!("{label} is of X.509 version {version}; only version 3 is supported"));
    }
    for extension in certificate.unknown_critical_extensions() {
        let detail = format!("{label} has the critical extension {extension}, which this program does not process");
        problems.add(Kind::Unsupported, detail);
    }
    for extension in certificate.repeated_extensions() {
        problems.add(Kind::Malformed, format!("{label} has the extension {extension} more than once"));
    }
    for extension in certificate.unreadable_extensions() {
        problems.add(Kind::Malformed, format!("{label} has the extension {extension}, which cannot be read"));
    }
    for extension in certificate.empty_extensions() {
        let detail =
            format!("{label} has the extension {extension}, which is empty: RFC 5280, section 4.2.1.11, forbids that");
        problems.add(Kind::Malformed, detail);
    }
    if certificate.has_two_signature_algorithms() {
        problems.add(Kind::Malformed, format!("{label} names two signature algorithms that differ"));
    }
    let errors = [certificate.form_errors(), certificate.encoding_errors(), certificate.date_errors()];
    for error in errors.into_iter().flatten() {
        problems.add(Kind::Malformed, format!("{label}: {error}"));
    }
    if let Some(constraints) = certificate.name_constraints().filter(|_| depth > 0) {
        if constraints.has_odd_networks() {
            problems.add(Kind::Malformed, format!("{label} {ODD_NETWORK}"));
        }
        if constraints.has_written_default() {
            let detail = format!("{label} has name constraints with a minimum of 0, which DER leaves out");
            problems.add(Kind::Malformed, detail);
        }
    }
    if problems.len() == before
        && !webpki_limits::applies(certificate)
        && let Err(error) = EndEntityCert::try_from(&certificate.der().into())
    {
        let (kind, detail) = describe(&error);
        problems.add(kind, format!("{label}: {detail}"));
    }
}

/// What is wrong with name constraints for a network that is none.
pub(super) const ODD_NETWORK: &str = "has name constraints for addresses that are not a network and its mask (RFC 5280, \
    section 4.2.1.10)";

/// Whether the extensions of a certificate on the path allow its use there (RFC 5280, sections 4.2.1.3, 4.2.1.9 and
/// 4.2.1.12).
pub(super) fn check_purposes(certificate: &Certificate<'_>, depth: usize, problems: &mut Problems) {
    let label = label(certificate, depth);
    if let Some(usage) = certificate.extended_key_usage()
        && !usage.allows_servers()
    {
        let detail = match usage.has_any_purpose() {
            true => "is for any purpose (anyExtendedKeyUsage), but does not name that of TLS servers (serverAuth)",
            false => "is not for TLS servers (extended key usage)",
        };
        problems.add(Kind::WrongKeyUsage, format!("{label} {detail}"));
    }
    // Basic constraints that cannot be read are an error of the form.
    if depth > 0 && certificate.is_end_entity() {
        let detail = format!("{label} is not an authority's (CA:FALSE), yet it issued another");
        problems.add(Kind::WrongKeyUsage, detail);
    }
    check_key_usage(certificate, depth, problems);
}

/// A server signs the handshake or takes part in a key exchange, and its key has to be for one of the two. An issuer's
/// has to be for signing certificates (RFC 5280, section 6.1.4, step n).
pub(super) fn check_key_usage(certificate: &Certificate<'_>, depth: usize, problems: &mut Problems) {
    let Some(usage) = certificate.key_usage() else {
        return;
    };
    if depth > 0 && !usage.key_cert_sign() {
        let label = label(certificate, depth);
        let detail =
            format!("{label} may not sign certificates (key usage without keyCertSign), yet it issued another");
        problems.add(Kind::WrongKeyUsage, detail);
    }
    if depth == 0 && !(usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()) {
        problems.add(Kind::WrongKeyUsage, "the certificate's key may neither sign nor exchange keys (key usage)");
    }
}

/// Whether the path is better with this issuer of the `leaf` than with another of the same name.
pub(super) fn is_better_issuer(certificate: &Certificate<'_>, leaf: &Certificate<'_>) -> bool {
    let mut problems = Problems::default();
    check_purposes(certificate, 1, &mut problems);
    if let Some(constraints) = certificate.name_constraints() {
        check_names_below(&[leaf], &constraints, "the issuer", &mut problems);
    }
    problems.len() == 0 && is_fit_issuer(certificate)
}

/// Whether an issuer's certificate is good for what webpki does not check on the paths that it accepts.
pub(super) fn is_fit_issuer(certificate: &Certificate<'_>) -> bool {
    let mut problems = Problems::default();
    check_form(certificate, 1, &mut problems);
    check_key_usage(certificate, 1, &mut problems);
    problems.len() == 0 && certificate.requires_policy_after().is_none()
}

/// Whether a policy is required of the path (RFC 5280, section 6.1.3, step f; 6.1.4, steps h and i; 6.1.5, steps a, b
/// and g). This program does not process policies.
pub(super) fn check_policies(path: &[&Certificate<'_>], problems: &mut Problems) {
    // How many certificates may follow without a policy, and what says so.
    let mut required: Option<(u32, String)> = None;
    for (depth, certificate) in path.iter().enumerate().rev() {
        if matches!(required, Some((0, _))) {
            break;
        }
        let is_counted = depth == 0 || !certificate.is_self_issued();
        let inherited = required.map(|(left, by)| (left - u32::from(is_counted), by));
        // What the server's own certificate requires of those below it is of no account.
        let own = certificate.requires_policy_after().filter(|(left, _)| depth > 0 || *left == 0);
        let own = own.map(|(left, extension)| {
            (left, format!("{} has the critical extension {extension}", label(certificate, depth)))
        });
        required = inherited.into_iter().chain(own).min_by_key(|(left, _)| *left);
    }
    if let Some((0, by)) = required {
        let detail = format!("{by}, which requires policies: this program does not process them");
        problems.add(Kind::Unsupported, detail);
    }
}

/// The number of issuers below each one (RFC 5280, section 6.1.4, steps l and m).
pub(super) fn check_path_lengths(path: &[&Certificate<'_>], problems: &mut Problems) {
    let mut below = 0;
    for (depth, certificate) in path.iter().enumerate().skip(1) {
        if let Some(most) = certificate.path_length()
            && below > most
        {
            let label = label(certificate, depth);
            let detail = format!("{label} may have {most} authorities below it (path length), and {below} are there");
            problems.add(Kind::WrongKeyUsage, detail);
        }
        below += u32::from(!certificate.is_self_issued());
    }
}

/// The names that an issuer may not issue for (RFC 5280, section 6.1.3, steps b and c).
pub(super) fn check_name_constraints(path: &[&Certificate<'_>], problems: &mut Problems) {
    for (depth, certificate) in path.iter().enumerate().skip(1) {
        if let Some(constraints) = certificate.name_constraints() {
            check_names_below(&path[..depth], &constraints, &label(certificate, depth), problems);
        }
    }
}

/// Whether the authority with this `label` may issue for the names of the certificates below it. Issuers that are
/// self-issued are exempt.
pub(super) fn check_names_below(
    below: &[&Certificate<'_>],
    constraints: &NameConstraints<'_>,
    label: &str,
    problems: &mut Problems,
) {
    for (depth, certificate) in below.iter().enumerate() {
        if depth > 0 && certificate.is_self_issued() {
            continue;
        }
        let ConstraintCheck { forbidden, uncompared } = constraints.check(certificate);
        if let Some(first) = forbidden.first() {
            problems.add(Kind::NameConstraint, format!("{label} may not issue certificates for {first}"));
        }
        if !uncompared.is_empty() {
            let kinds = uncompared.join(", ");
            let detail = format!("{label} has name constraints for {kinds}, which this program does not compare");
            problems.add(Kind::Unsupported, detail);
        }
    }
}

pub(super) fn check_signatures(path: &Path, certificates: &[&Certificate<'_>], problems: &mut Problems) {
    for ((depth, certificate), signature) in certificates.iter().enumerate().zip(&path.signatures) {
        let label = label(certificate, depth);
        match signature {
            SignatureCheck::Valid => {}
            SignatureCheck::Invalid => {
                let issuer = certificate.issuer();
                problems.add(Kind::BadSignature, format!("{label} was not signed by the key of {issuer}"));
            }
            // A key that is its own issuer's proves nothing in any case.
            SignatureCheck::Unsupported { .. } if path.end == PathEnd::SelfSigned => {}
            SignatureCheck::Unsupported { key } => {
                let algorithm = certificate.signature_algorithm();
                let detail = format!(
                    "{label} is signed by {algorithm} with a key of {key}; this program does not verify such signatures"
                );
                problems.add(Kind::Unsupported, detail);
            }
        }
    }
}
