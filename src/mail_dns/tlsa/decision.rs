//! The verdict of a sender that does DANE, on one address (RFC 7672, section 2.2).

use super::{Matching, Peer, TlsaOutcome};
use crate::mail_dns::{LookupFailure, Proof, Verdict};

/// What an address showed in this very session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The session ended before TLS could be judged: no connection, a refusal of this client, a temporary rejection,
    /// a limit of this program.
    Nothing,
    /// STARTTLS was not offered, or permanently rejected.
    NoTls,
    /// STARTTLS was accepted, and the handshake failed.
    BrokenTls,
    /// TLS was negotiated; see [`Matching::peer`].
    Tls(Peer),
}

/// The verdict, with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaneView {
    /// What the sender makes of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: DaneReason,
    /// DANE applies, but DNSSEC does not vouch for the MX records that led here: an active attacker can lead elsewhere
    /// (RFC 7672, section 2.2.1).
    pub is_weak: bool,
}

/// Why a verdict is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DaneReason {
    /// [`Peer::EndEntity`].
    #[error("the certificate matches a DANE-EE record")]
    EndEntity,
    /// [`Peer::Anchored`].
    #[error("the certificate has a path to an anchor of a DANE-TA record")]
    Anchored,
    /// [`Peer::Mismatch`].
    #[error("no usable TLSA record matches what the server sent")]
    Mismatch,
    /// [`Peer::PathInvalid`].
    #[error("a DANE-TA record matches, but the path to it, the name or a date is wrong")]
    PathInvalid,
    /// [`Shown::NoTls`].
    #[error("there are TLSA records, but no STARTTLS")]
    NoTls,
    /// [`Shown::BrokenTls`].
    #[error("there are TLSA records, but the TLS handshake failed")]
    BrokenTls,
    /// [`Shown::Nothing`].
    #[error("the session ended before TLS could be judged")]
    NotShown,
    /// [`TlsaOutcome::Bogus`].
    #[error("the TLSA records fail DNSSEC validation: mail is deferred")]
    Bogus,
    /// [`TlsaOutcome::Failed`].
    #[error("the lookup of the TLSA records failed ({0}): mail is deferred")]
    LookupFailed(LookupFailure),
    /// No proof of the addresses or of the TLSA records.
    #[error("DNSSEC could not be looked at")]
    Indeterminate,
    /// DANE does not apply (RFC 7672, section 2.2.2).
    #[error("the host's addresses are not secured by DNSSEC")]
    HostInsecure,
    /// A sender that validates finds no address.
    #[error("the host's addresses fail DNSSEC validation")]
    HostBogus,
    /// [`TlsaOutcome::Absent`].
    #[error("no TLSA records")]
    NoRecords,
    /// [`TlsaOutcome::Insecure`].
    #[error("the TLSA records are not secured by DNSSEC")]
    RecordsInsecure,
    /// TLS is required, and the certificate does not count (RFC 7672, section 2.2).
    #[error("no TLSA record is usable; TLS is required, and it is there")]
    OnlyUnusable,
}

/// Judges one address. `addresses` is the proof of the host's A and AAAA records, `matching` what the records match
/// and `mx` the proof of the domain's MX records.
///
/// Addresses that are not secure make DANE not applicable, whatever is published. An indeterminate proof says nothing
/// about the domain, only about the resolver.
pub fn judge(mx: Proof, addresses: Proof, tlsa: &TlsaOutcome, matching: &Matching, shown: Shown) -> DaneView {
    let reason = match (addresses, tlsa) {
        (Proof::Insecure, _) => DaneReason::HostInsecure,
        (Proof::Bogus, _) => DaneReason::HostBogus,
        (Proof::Indeterminate, _) | (_, TlsaOutcome::Indeterminate { .. } | TlsaOutcome::NotAsked) => {
            DaneReason::Indeterminate
        }
        (Proof::Secure, TlsaOutcome::Bogus { .. }) => DaneReason::Bogus,
        (Proof::Secure, TlsaOutcome::Failed { failure, .. }) => DaneReason::LookupFailed(*failure),
        (Proof::Secure, TlsaOutcome::Absent) => DaneReason::NoRecords,
        (Proof::Secure, TlsaOutcome::Insecure { .. }) => DaneReason::RecordsInsecure,
        (Proof::Secure, TlsaOutcome::Records { .. }) => match shown {
            Shown::Nothing => DaneReason::NotShown,
            Shown::NoTls => DaneReason::NoTls,
            Shown::BrokenTls => DaneReason::BrokenTls,
            Shown::Tls(_) if !matching.is_usable() => DaneReason::OnlyUnusable,
            Shown::Tls(Peer::EndEntity) => DaneReason::EndEntity,
            Shown::Tls(Peer::Anchored) => DaneReason::Anchored,
            Shown::Tls(Peer::Mismatch) => DaneReason::Mismatch,
            Shown::Tls(Peer::PathInvalid) => DaneReason::PathInvalid,
        },
    };
    let verdict = reason.verdict();
    DaneView { verdict, reason, is_weak: mx != Proof::Secure && matches!(verdict, Verdict::Ok | Verdict::Fail) }
}

impl DaneReason {
    /// The verdict that it leads to.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::EndEntity | Self::Anchored => Verdict::Ok,
            Self::Mismatch | Self::PathInvalid | Self::NoTls | Self::BrokenTls | Self::Bogus => Verdict::Fail,
            Self::NotShown | Self::LookupFailed(_) | Self::Indeterminate => Verdict::Inconclusive,
            Self::HostInsecure | Self::HostBogus | Self::NoRecords | Self::RecordsInsecure | Self::OnlyUnusable => {
                Verdict::NotApplicable
            }
        }
    }

    /// The word for a failure in reports about TLS (RFC 8460, section 4.3); `None` where nothing failed.
    pub fn result_type(self) -> Option<&'static str> {
        match self {
            Self::Mismatch | Self::PathInvalid => Some("validation-failure"),
            Self::NoTls => Some("starttls-not-supported"),
            Self::BrokenTls => Some("validation-failure"),
            Self::Bogus => Some("dnssec-invalid"),
            _ => None,
        }
    }
}
