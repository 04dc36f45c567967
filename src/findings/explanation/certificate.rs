//! The explanation of certificates that failed the check.

use crate::{
    report::{Report, TlsReport},
    x509::CertificateFacts,
    x509::problem::CertificateErrorKind::{Expired, NotYetValid, SelfSigned, UnknownIssuer, WrongName},
};

/// Most names of a certificate that are shown.
const MAX_NAMES: usize = 3;

/// At most two sentences, one for each error: a certificate with more than two needs to be replaced anyway.
pub(super) fn explain(report: &Report) -> Option<String> {
    let tls = report.tls.as_ref()?;
    let leaf = tls.chain.first()?;
    let has = |kind| tls.errors.contains(&kind);
    let at_start = report.started_at;
    let expired = leaf.not_after.filter(|date| *date < at_start);
    let sentences = [
        has(WrongName).then(|| wrong_name(tls, leaf)),
        has(Expired).then(|| match expired {
            Some(date) => format!("The certificate expired on {}: renew it.", date.date()),
            None => "An issuer's certificate has expired: have the server send a chain that is valid.".to_owned(),
        }),
        has(NotYetValid).then(|| match leaf.not_before.filter(|date| *date > at_start) {
            Some(date) => format!("The certificate is valid only from {} on: check the clocks.", date.date()),
            None => "An issuer's certificate is not valid yet: check the clocks.".to_owned(),
        }),
        has(SelfSigned).then(|| {
            "The certificate is self-signed, so nobody vouches for it: use one of a public authority, or add it to the trust \
             anchors here."
                .to_owned()
        }),
        has(UnknownIssuer).then(|| {
            format!(
                "The certificate is issued by `{}`, which this machine does not trust: most likely the server does not send \
                 its intermediate certificates, or the authority is a private one.",
                leaf.issuer
            )
        }),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().take(2).collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

fn wrong_name(tls: &TlsReport, leaf: &CertificateFacts) -> String {
    let names = &leaf.names;
    let shown = names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>();
    let names = match (&shown[..], names.len().saturating_sub(MAX_NAMES)) {
        ([], _) => {
            return format!(
                "The certificate has no name among its subject alternative names, and the subject `{}` does not count: use one \
                 that has {} there.",
                leaf.subject, tls.server_name
            );
        }
        ([one], _) => format!("is for {one}"),
        ([first @ .., last], 0) => format!("is for {} and {last}", first.join(", ")),
        (all, more) => format!("is for {} and {more} more", all.join(", ")),
    };
    format!("The certificate {names}, not for {}: check the name, or give it as `tls_server_name`.", tls.server_name)
}
