//! The result of the check of a domain: [`DomainReport`], the public contract.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Finding, Report, Severity, in_micros};
use crate::mail_dns::{Proof, State, Verdict, mx::MxStatus};

/// Bytes of a report of a domain as JSON. What is left out of a longer one is told by the finding `limits.truncated`.
pub const MAX_DOMAIN_REPORT_SIZE: usize = 2 * 1024 * 1024;

/// The result of the check of a domain.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DomainReport {
    /// The check's own id (UUID version 7).
    pub id: Uuid,
    /// When the check began, to the microsecond.
    #[serde(serialize_with = "in_micros")]
    pub started_at: OffsetDateTime,
    /// The domain, in ASCII.
    #[schema(example = "example.com")]
    pub domain: String,
    /// How long the check took, in milliseconds.
    #[schema(example = 812.4)]
    pub duration_ms: f64,
    /// What each kind of sender makes of the domain.
    pub verdict: Views,
    /// What the MX records say.
    pub mx_status: MxStatus,
    /// What the domain publishes.
    pub dns: DnsReport,
    /// The mail exchangers, by preference.
    pub hosts: Vec<HostReport>,
    /// The addresses of `sending_ips`. Left out when none was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub senders: Vec<SenderReport>,
    /// In what the addresses differ from each other.
    pub differences: Vec<Difference>,
    /// What an operator should know, the severest first.
    pub findings: Vec<Finding>,
    /// How many findings there are of each severity.
    #[schema(value_type = BTreeMap<String, usize>, example = json!({"error": 0, "warning": 1, "notice": 2, "info": 0, "inconclusive": 0}))]
    pub counts: BTreeMap<&'static str, usize>,
}

impl DomainReport {
    /// How many findings there are of each severity, zero included.
    pub fn count(findings: &[Finding]) -> BTreeMap<&'static str, usize> {
        use strum::VariantArray;
        let of = |severity: &Severity| findings.iter().filter(|finding| finding.severity == *severity).count();
        Severity::VARIANTS.iter().map(|severity| (severity.name(), of(severity))).collect()
    }
}

/// What each kind of sender makes of an address, a host or a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Views {
    /// A sender that uses TLS where it is offered, and looks at no certificate (RFC 7435).
    pub opportunistic: Verdict,
    /// A sender that keeps to the MTA-STS policy (RFC 8461).
    pub mta_sts: Verdict,
    /// A sender that uses DANE (RFC 7672).
    pub dane: Verdict,
}

impl Views {
    /// Where nothing is known.
    pub const INCONCLUSIVE: Self = Self::all(Verdict::Inconclusive);

    /// The same for all kinds of sender.
    pub const fn all(verdict: Verdict) -> Self {
        Self { opportunistic: verdict, mta_sts: verdict, dane: verdict }
    }

    /// Those of a whole from those of its parts.
    pub fn of_all(parts: &[Self]) -> Self {
        let of = |view: fn(&Self) -> Verdict| Verdict::of_all(parts.iter().map(view));
        Self { opportunistic: of(|it| it.opportunistic), mta_sts: of(|it| it.mta_sts), dane: of(|it| it.dane) }
    }
}

/// What the domain publishes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DnsReport {
    /// MX records (RFC 5321, section 5.1).
    pub mx: RecordReport,
    /// SPF (RFC 7208).
    pub spf: SpfReport,
    /// DMARC (RFC 9989).
    pub dmarc: DmarcReport,
    /// The DKIM keys of the given selectors (RFC 6376).
    pub dkim: Vec<DkimKeyReport>,
    /// MTA-STS (RFC 8461).
    pub mta_sts: MtaStsReport,
    /// TLS-RPT (RFC 8460).
    pub tls_rpt: RecordReport,
}

/// The records of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecordReport {
    /// What is known of them.
    pub state: State,
    /// Why the state is `inconclusive` or `invalid`; `null` otherwise.
    #[schema(required, example = "SERVFAIL")]
    pub reason: Option<String>,
    /// Whether DNSSEC vouches for the answer.
    pub proof: Proof,
    /// The records, as text.
    pub records: Vec<String>,
    /// The questions that were asked, such as `example.com. MX`.
    pub looked_up: Vec<String>,
}

impl RecordReport {
    /// Records that were not looked at.
    pub fn not_tested(reason: &str) -> Self {
        Self {
            state: State::NotTested,
            reason: Some(reason.to_owned()),
            proof: Proof::Indeterminate,
            records: Vec::new(),
            looked_up: Vec::new(),
        }
    }
}

/// SPF, with its whole tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpfReport {
    /// The record of the domain.
    #[serde(flatten)]
    pub record: RecordReport,
    /// Terms of the whole tree that cost a lookup; at most 10 are allowed.
    pub lookups: usize,
    /// Lookups of the whole tree that found nothing; at most 2 are allowed.
    pub void_lookups: usize,
    /// The terms that cost lookups.
    #[schema(no_recursion)]
    pub tree: Vec<SpfTermReport>,
}

/// A term of an SPF record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpfTermReport {
    /// As it is written.
    #[schema(example = "include:_spf.example.net")]
    pub term: String,
    /// Lookups that it costs, its own included.
    pub lookups: usize,
    /// The terms of the record that it includes.
    #[schema(no_recursion)]
    pub children: Vec<Self>,
}

/// DMARC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DmarcReport {
    /// The record that applies.
    #[serde(flatten)]
    pub record: RecordReport,
    /// Where it was found; `null` when there is none.
    #[schema(required, example = "_dmarc.example.com.")]
    pub found_at: Option<String>,
    /// The policy that applies to the domain; `null` when there is none.
    #[schema(required, example = "reject")]
    pub policy: Option<String>,
}

/// A DKIM key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DkimKeyReport {
    /// The selector.
    pub selector: String,
    /// The record.
    #[serde(flatten)]
    pub record: RecordReport,
    /// The key's algorithm and size; `null` when there is none that can be read.
    #[schema(required, example = "RSA 2048")]
    pub key: Option<String>,
}

/// MTA-STS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MtaStsReport {
    /// The TXT record.
    #[serde(flatten)]
    pub record: RecordReport,
    /// The policy; `null` when there is none that can be read.
    #[schema(required)]
    pub policy: Option<MtaStsPolicyReport>,
    /// Where it is served; `null` when it was not fetched.
    #[schema(required, example = "https://mta-sts.example.com/.well-known/mta-sts.txt")]
    pub policy_url: Option<String>,
}

/// A policy of MTA-STS (RFC 8461, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MtaStsPolicyReport {
    /// `enforce`, `testing` or `none`.
    #[schema(example = "enforce")]
    pub mode: String,
    /// Patterns of the names of mail exchangers.
    pub mx: Vec<String>,
    /// How long it may be kept, in seconds.
    pub max_age: u64,
}

/// A mail exchanger.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HostReport {
    /// Its name.
    #[schema(example = "mx1.example.com")]
    pub name: String,
    /// The preference of its MX record, 0 for the domain itself.
    pub preference: u16,
    /// Whether DNSSEC vouches for its addresses.
    pub proof: Proof,
    /// Why it has no addresses here; `null` when it has some.
    #[schema(required)]
    pub reason: Option<String>,
    /// Its TLSA records.
    pub tlsa: TlsaReport,
    /// Its addresses.
    pub addresses: Vec<AddressReport>,
    /// What each kind of sender makes of it.
    pub views: Views,
}

/// TLSA records of a host (RFC 7672).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TlsaReport {
    /// What is known of them.
    pub state: State,
    /// Why the state is `inconclusive` or `not_tested`; `null` otherwise.
    #[schema(required)]
    pub reason: Option<String>,
    /// Whether DNSSEC vouches for them.
    pub proof: Proof,
    /// The name that they were found at; `null` when none was asked for.
    #[schema(required, example = "_25._tcp.mx1.example.com.")]
    pub base: Option<String>,
    /// The records, as text.
    #[schema(example = json!(["3 1 1 ab01"]))]
    pub records: Vec<String>,
    /// Which of them match what some address showed, by index.
    pub matched: Vec<usize>,
}

impl TlsaReport {
    /// Records that were not asked for.
    pub fn not_tested(reason: &str) -> Self {
        Self {
            state: State::NotTested,
            reason: Some(reason.to_owned()),
            proof: Proof::Indeterminate,
            base: None,
            records: Vec::new(),
            matched: Vec::new(),
        }
    }
}

/// An address of a mail exchanger.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AddressReport {
    /// The address.
    #[schema(value_type = String, example = "203.0.113.7")]
    pub address: IpAddr,
    /// The report of its check; `null` when it was not checked.
    #[schema(required)]
    pub report: Option<Box<Report>>,
    /// Why it was not checked; `null` when it was.
    #[schema(required, example = "busy")]
    pub refusal: Option<String>,
    /// What each kind of sender makes of it.
    pub views: Views,
}

/// An address that sends mail of the domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SenderReport {
    /// The address.
    #[schema(value_type = String, example = "203.0.113.9")]
    pub ip: IpAddr,
    /// Its name; `null` when it has none.
    #[schema(required, example = "out.example.com")]
    pub ptr: Option<String>,
    /// Whether the name has the address; `null` where that could not be told.
    #[schema(required)]
    pub forward_confirmed: Option<bool>,
    /// The result of SPF, such as `pass`.
    #[schema(example = "pass")]
    pub spf: String,
}

/// Something in which the addresses differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Difference {
    /// In what: `certificate`, `capabilities`, `size`, `tls_version`, `outcome`.
    #[schema(example = "certificate")]
    pub of: &'static str,
    /// The values.
    pub values: Vec<DifferentValue>,
}

/// One value, and the addresses that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DifferentValue {
    /// The value.
    #[schema(example = "sha256:ab01")]
    pub value: String,
    /// The addresses that have it.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
}
