//! DMARC Policy Record (RFC 9989, sections 4.7 and 4.8).

use std::fmt;

use serde::Serialize;

use super::uri::{ReportUri, UriFault};
use crate::mail_dns::tag_list::{Syntax, Tag, TagFault, TagFaultKind, TagList};

/// Faults that are kept of one record.
const MAX_FAULTS: usize = 64;
/// Addresses for reports that are kept of one tag.
const MAX_URIS: usize = 32;
/// Unknown tags that are kept of one record.
const MAX_UNKNOWN: usize = 16;

/// One record `v=DMARC1; …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As it is published. Octets that are no UTF-8 are replaced.
    pub text: String,
    /// `p`; `None` where it is not there, or not valid.
    pub policy: Option<Policy>,
    /// `sp`: for subdomains.
    pub subdomain_policy: Option<Policy>,
    /// `np`: for subdomains that do not exist.
    pub nonexistent_policy: Option<Policy>,
    /// `t=y`: receivers are asked to apply the policy one level below.
    pub is_testing: bool,
    /// `psd`.
    pub psd: Psd,
    /// `adkim=s`, `aspf=s`.
    pub is_dkim_strict: bool,
    /// `aspf=s`.
    pub is_spf_strict: bool,
    /// Letters of `fo`.
    pub failure_options: Vec<char>,
    /// Addresses for aggregate reports, those that can be read.
    pub rua: Vec<ReportUri>,
    /// Addresses for failure reports, those that can be read.
    pub ruf: Vec<ReportUri>,
    /// Tags of RFC 7489 that are ignored now.
    pub retired: Vec<Retired>,
    /// Names of tags that are not known, and are ignored.
    pub unknown: Vec<String>,
    /// What is wrong in it, in the order of the record where it has a position.
    pub faults: Vec<RecordFault>,
}

/// What is asked for a message that fails (RFC 9989, section 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Nothing is asked for.
    None,
    /// Take it for suspicious.
    Quarantine,
    /// Take it for forged.
    Reject,
}

/// Whether a domain is a public suffix domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Psd {
    /// `psd=y`: it is one.
    Yes,
    /// `psd=n`: it is none, but an organizational domain.
    No,
    /// `psd=u`, the default.
    #[default]
    Unknown,
}

/// What RFC 7489 had and RFC 9989 has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retired {
    /// `pct`, `rf`, `ri`.
    Tag {
        /// Name of the tag.
        name: String,
        /// Its value.
        value: String,
    },
    /// `!10m` behind an address for reports.
    Size {
        /// The tag.
        tag: ReportTag,
        /// The size with its unit.
        size: String,
    },
}

/// A tag that holds addresses for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportTag {
    /// `rua`: aggregate reports.
    Rua,
    /// `ruf`: failure reports.
    Ruf,
}

/// Something that is wrong in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// Against the grammar of the list.
    Tag(TagFault),
    /// A value that the tag does not have. The default applies (RFC 9989, section 4.8).
    Value {
        /// The tag.
        tag: String,
        /// Its value.
        value: String,
        /// Octets before it, from the start of the record.
        position: usize,
    },
    /// An address for reports that cannot be read; it is left out.
    Uri {
        /// The tag.
        tag: ReportTag,
        /// What is wrong.
        fault: UriFault,
        /// Octets before it, from the start of the record.
        position: usize,
    },
    /// More than [`MAX_URIS`] addresses: the rest was not read.
    TooManyUris(ReportTag),
    /// `p` is not there. With an address for reports it is taken for `p=none`, else the record for none (RFC 9989,
    /// section 4.10.1).
    NoPolicy,
}

/// What a record comes to (RFC 9989, section 4.10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Its policies apply.
    Policies,
    /// Its policies cannot be read, but it has an address for reports: `none` applies to all.
    ReportsOnly,
    /// As if it were not there.
    Nothing,
}

/// Whether a TXT record is a DMARC record: its first tag is `v=DMARC1`, in this case (RFC 9989, section 4.7).
pub(super) fn is_record(octets: &[u8]) -> bool {
    // Before the whole is read: a name may have thousands of other records.
    let head = octets[..octets.len().min(64)].split(|&octet| octet == b';').next().unwrap_or_default();
    let Some(equals) = head.iter().position(|&octet| octet == b'=') else { return false };
    head.first() == Some(&b'v') && head[..equals].trim_ascii() == b"v" && head[equals + 1..].trim_ascii() == b"DMARC1"
}

impl Record {
    /// Reads a TXT record for which [`is_record`] holds.
    pub fn parse(octets: &[u8]) -> Self {
        let list = TagList::parse(octets, Syntax::Dmarc);
        let mut record = Self {
            text: String::from_utf8_lossy(octets).into_owned(),
            policy: None,
            subdomain_policy: None,
            nonexistent_policy: None,
            is_testing: false,
            psd: Psd::Unknown,
            is_dkim_strict: false,
            is_spf_strict: false,
            failure_options: Vec::new(),
            rua: Vec::new(),
            ruf: Vec::new(),
            retired: Vec::new(),
            unknown: Vec::new(),
            faults: list.faults.iter().cloned().map(RecordFault::Tag).collect(),
        };
        for (index, tag) in list.tags.iter().enumerate().skip(1) {
            // Of a tag that is there twice, the first counts.
            if !list.tags[..index].iter().any(|earlier| earlier.name == tag.name) {
                record.read(tag);
            }
        }
        if list.get("p").is_none() {
            record.fault(RecordFault::NoPolicy);
        }
        record
    }

    fn read(&mut self, tag: &Tag) {
        match tag.name.as_str() {
            "p" => self.policy = self.value(tag, policy),
            "sp" => self.subdomain_policy = self.value(tag, policy),
            "np" => self.nonexistent_policy = self.value(tag, policy),
            "t" => self.is_testing = self.value(tag, |value| choice(value, &[("y", true), ("n", false)])) == Some(true),
            "psd" => {
                let values = [("y", Psd::Yes), ("n", Psd::No), ("u", Psd::Unknown)];
                self.psd = self.value(tag, |value| choice(value, &values)).unwrap_or_default();
            }
            "adkim" => self.is_dkim_strict = self.value(tag, is_strict) == Some(true),
            "aspf" => self.is_spf_strict = self.value(tag, is_strict) == Some(true),
            "fo" => self.failure_options = self.value(tag, failure_options).unwrap_or_default(),
            "rua" => self.rua = self.uris(tag, ReportTag::Rua),
            "ruf" => self.ruf = self.uris(tag, ReportTag::Ruf),
            "pct" | "rf" | "ri" => {
                self.retired.push(Retired::Tag { name: tag.name.clone(), value: shortened(&tag.value) });
            }
            _ if self.unknown.len() < MAX_UNKNOWN => self.unknown.push(shortened(&tag.name)),
            _ => {}
        }
    }

    fn value<T>(&mut self, tag: &Tag, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = parse(&tag.value);
        if value.is_none() {
            let (name, value) = (tag.name.clone(), shortened(&tag.value));
            self.fault(RecordFault::Value { tag: name, value, position: tag.value_position });
        }
        value
    }

    fn uris(&mut self, tag: &Tag, kind: ReportTag) -> Vec<ReportUri> {
        let (mut uris, mut position) = (Vec::new(), tag.value_position);
        for (index, part) in tag.value.split(',').enumerate() {
            let start = position + (part.len() - part.trim_start().len());
            position += part.len() + 1;
            if index == MAX_URIS {
                self.fault(RecordFault::TooManyUris(kind));
                break;
            }
            match ReportUri::parse(part.trim()) {
                Ok(uri) => {
                    self.retired.extend(uri.size.clone().map(|size| Retired::Size { tag: kind, size }));
                    uris.push(uri);
                }
                Err(fault) => self.fault(RecordFault::Uri { tag: kind, fault, position: start }),
            }
        }
        uris
    }

    fn fault(&mut self, fault: RecordFault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    /// What the record comes to.
    pub fn effect(&self) -> Effect {
        let is_invalid = |fault: &RecordFault| match fault {
            RecordFault::Value { tag, .. } => matches!(tag.as_str(), "p" | "sp" | "np"),
            RecordFault::NoPolicy => true,
            _ => false,
        };
        match self.faults.iter().any(is_invalid) {
            false => Effect::Policies,
            true if !self.rua.is_empty() => Effect::ReportsOnly,
            true => Effect::Nothing,
        }
    }
}

impl RecordFault {
    /// Whether the record, or the policy it asks for, is lost by it. By others, a default applies.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Tag(fault) => matches!(&fault.kind, TagFaultKind::Duplicate(name) if is_known(name)),
            Self::Value { tag, .. } => matches!(tag.as_str(), "p" | "sp" | "np"),
            Self::NoPolicy | Self::Uri { .. } | Self::TooManyUris(_) => false,
        }
    }
}

/// Tags of RFC 9989, section 4.7.
fn is_known(name: &str) -> bool {
    ["v", "p", "sp", "np", "t", "psd", "adkim", "aspf", "fo", "rua", "ruf"].contains(&name)
}

/// The values of section 4.8 are strings of ABNF, which are not case-sensitive (RFC 5234, section 2.3).
fn choice<T: Copy>(value: &str, values: &[(&str, T)]) -> Option<T> {
    values.iter().find(|(name, _)| name.eq_ignore_ascii_case(value)).map(|(_, value)| *value)
}

fn policy(value: &str) -> Option<Policy> {
    choice(value, &[("none", Policy::None), ("quarantine", Policy::Quarantine), ("reject", Policy::Reject)])
}

fn is_strict(value: &str) -> Option<bool> {
    choice(value, &[("r", false), ("s", true)])
}

/// `0`, `1`, `d`, `s`, each at most once, and not both numbers.
fn failure_options(value: &str) -> Option<Vec<char>> {
    let mut options = Vec::new();
    for option in value.split(':') {
        let option = choice(option.trim(), &[("0", '0'), ("1", '1'), ("d", 'd'), ("s", 's')])?;
        if options.contains(&option) {
            return None;
        }
        options.push(option);
    }
    let has_both = options.contains(&'0') && options.contains(&'1');
    (!has_both).then_some(options)
}

/// At most 256 characters of a text.
fn shortened(text: &str) -> String {
    text.chars().take(256).collect()
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=DMARC1")?;
        let policies = [("p", self.policy), ("sp", self.subdomain_policy), ("np", self.nonexistent_policy)];
        for (name, policy) in policies {
            policy.map_or(Ok(()), |policy| write!(f, "; {name}={policy}"))?;
        }
        for (text, is_there) in [
            ("; t=y", self.is_testing),
            ("; psd=y", self.psd == Psd::Yes),
            ("; psd=n", self.psd == Psd::No),
            ("; adkim=s", self.is_dkim_strict),
            ("; aspf=s", self.is_spf_strict),
        ] {
            f.write_str(if is_there { text } else { "" })?;
        }
        for (name, uris) in [("rua", &self.rua), ("ruf", &self.ruf)] {
            for (index, uri) in uris.iter().enumerate() {
                if index == 0 { write!(f, "; {name}={}", uri.uri) } else { write!(f, ",{}", uri.uri) }?;
            }
        }
        for (index, option) in self.failure_options.iter().enumerate() {
            if index == 0 { write!(f, "; fo={option}") } else { write!(f, ":{option}") }?;
        }
        Ok(())
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        })
    }
}

impl fmt::Display for ReportTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rua => "rua",
            Self::Ruf => "ruf",
        })
    }
}

impl fmt::Display for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { name, value } => write!(f, "{name}={value}"),
            Self::Size { tag, size } => write!(f, "!{size} in {tag}"),
        }
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(fault) => fault.fmt(f),
            Self::Value { tag, value, position } => write!(f, "{tag} has the value \"{value}\" at octet {position}"),
            Self::Uri { tag, fault, position } => write!(f, "{fault} in {tag} at octet {position}"),
            Self::TooManyUris(tag) => write!(f, "more than {MAX_URIS} addresses in {tag}"),
            Self::NoPolicy => f.write_str("no policy (p)"),
        }
    }
}
