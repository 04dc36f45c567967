//! The catalogue: id, severity, scope, reference and texts of every finding. The manual, `/docs/findings` and the
//! OpenAPI document are made of it. Each topic has a file.

pub(crate) mod cert;
pub(crate) mod dane;
pub(crate) mod dkim;
pub(crate) mod dmarc;
pub(crate) mod dnssec;
pub(crate) mod domain;
pub(crate) mod mta_sts;
pub(crate) mod mx;
pub(crate) mod sasl;
pub(crate) mod sender;
pub(crate) mod smtp;
pub(crate) mod spf;
pub(crate) mod tls;

use crate::report::{Scope, Severity};

/// One kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name in reports: topic and name. It never changes.
    pub id: &'static str,
    /// The severity, unless [`Self::variants`] tells when it is another one.
    pub severity: Severity,
    /// When the severity is another one; empty when it never is.
    pub variants: &'static str,
    /// What it is about.
    pub scope: Scope,
    /// The standard with its section; `None` when there is none.
    pub reference: Option<&'static str>,
    /// A title of a few words.
    pub title: &'static str,
    /// When the finding is there, and what it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// The severity of a finding that matters to some senders only: to those that verify certificates, or require TLS.
const BY_VIEW: &str = "`error` where it failed the check, or where MTA-STS or DANE makes it count";

/// Every kind of finding, in the order of the manual.
pub const CATALOGUE: [Entry; 74] = [
    mx::NONE,
    mx::IMPLICIT,
    mx::NULL,
    mx::NULL_WITH_OTHERS,
    mx::IS_CNAME,
    mx::IS_ADDRESS,
    mx::NO_ADDRESS,
    mx::NOT_PUBLIC,
    mx::PRIMARY_DEAD,
    mx::INCONCLUSIVE,
    dnssec::UNSIGNED,
    dnssec::BOGUS,
    dnssec::HOST_UNSIGNED,
    dnssec::RESOLVER_UNFIT,
    smtp::UNREACHABLE,
    smtp::GREETING_REFUSED,
    smtp::TEMPORARY_REFUSAL,
    smtp::EHLO_REFUSED,
    smtp::NULL_SENDER_REFUSED,
    smtp::POSTMASTER_REFUSED,
    tls::NOT_OFFERED,
    tls::FAILED,
    tls::AUTH_IN_CLEAR,
    tls::OLD_PROTOCOL,
    cert::EXPIRED,
    cert::NOT_YET_VALID,
    cert::ENDS_SOON,
    cert::NAME_MISMATCH,
    cert::UNTRUSTED,
    cert::WEAK,
    sasl::FEW_ITERATIONS,
    sasl::REFUSED_BEFORE_CREDENTIALS,
    dane::ABSENT,
    dane::MISMATCH,
    dane::LOOKUP_FAILED,
    dane::UNUSABLE,
    dane::TA_NOT_IN_CHAIN,
    dane::PARTIAL,
    dane::INSECURE_TLSA,
    mta_sts::ABSENT,
    mta_sts::RECORD_INVALID,
    mta_sts::FETCH_FAILED,
    mta_sts::POLICY_INVALID,
    mta_sts::CONTENT_TYPE,
    mta_sts::MX_UNLISTED,
    mta_sts::PATTERN_UNUSED,
    mta_sts::WEAK_MODE,
    mta_sts::REPORTS_ABSENT,
    mta_sts::REPORTS_INVALID,
    spf::ABSENT,
    spf::MULTIPLE,
    spf::SYNTAX,
    spf::TOO_MANY_LOOKUPS,
    spf::TOO_MANY_VOIDS,
    spf::MX_TOO_MANY_NAMES,
    spf::INCLUDE_BROKEN,
    spf::PERMISSIVE,
    spf::DEAD_TERMS,
    dkim::SELECTOR_MISSING,
    dkim::KEY_INVALID,
    dkim::KEY_REVOKED,
    dkim::TESTING,
    dkim::KEY_WEAK,
    dkim::ED25519_ONLY,
    dmarc::ABSENT,
    dmarc::INVALID,
    dmarc::POLICY_NONE,
    dmarc::RETIRED_TAGS,
    dmarc::REPORT_UNAUTHORIZED,
    sender::RDNS,
    sender::SPF_RESULT,
    domain::DIFFERS,
    domain::EXPECTATION,
    domain::TRUNCATED,
];
