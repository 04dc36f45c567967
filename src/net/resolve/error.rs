//! [`ResolveError`]: why a name has no address.

use hickory_resolver::{
    net::{DnsError, NetError, NoRecords},
    proto::op::ResponseCode,
};

use crate::destination::{HostName, IpFamily};

/// Why a name could not be resolved. Its text contains the name and goes into reports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// NXDOMAIN: there is no such name (RFC 8020).
    #[error("there is no domain {name}")]
    NoSuchDomain {
        /// The name of the query.
        name: String,
    },
    /// The name exists and has no address of the family (NODATA, RFC 2308, section 2.2).
    #[error("{name} has {}", no_address(*.family))]
    NoAddress {
        /// The name of the query, or the literal address.
        name: String,
        /// The family of the query.
        family: IpFamily,
    },
    /// The domain publishes that it accepts no mail (RFC 7505).
    #[error("{domain} accepts no mail: its MX record is the null MX")]
    NullMx {
        /// The domain of the MX record.
        domain: String,
    },
    /// An MX record does not contain a host name, but often an IP address.
    #[error("the MX record names {exchange}, which is not a host name")]
    NotAHostName {
        /// The record's exchange, unusual octets escaped.
        exchange: String,
    },
    /// The server answered with an error.
    #[error("the DNS server answered {rcode} when asked for {name}")]
    ServerFailure {
        /// The name of the query.
        name: String,
        /// The name of the response code, such as `SERVFAIL`.
        rcode: String,
    },
    /// No server answered in time.
    #[error("no DNS server answered in time when asked for {name}")]
    Timeout {
        /// The name of the query.
        name: String,
    },
    /// There is no server, it could not be reached, or its answer is not DNS.
    #[error("no DNS server could be asked for {name}: {reason}")]
    NoResolver {
        /// The name of the query.
        name: String,
        /// What went wrong.
        reason: String,
    },
}

impl ResolveError {
    /// Whether a later try may succeed: not where DNS gave a definite answer.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::ServerFailure { .. } | Self::Timeout { .. } | Self::NoResolver { .. } => true,
            Self::NoSuchDomain { .. } | Self::NoAddress { .. } | Self::NullMx { .. } | Self::NotAHostName { .. } => {
                false
            }
        }
    }

    pub(super) fn new(name: &HostName, error: &NetError) -> Self {
        let name = name.to_string();
        match error {
            NetError::Timeout => Self::Timeout { name },
            NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code: ResponseCode::NXDomain, .. })) => {
                Self::NoSuchDomain { name }
            }
            NetError::Dns(
                DnsError::ResponseCode(code) | DnsError::NoRecordsFound(NoRecords { response_code: code, .. }),
            ) => Self::ServerFailure { name, rcode: rcode(*code) },
            other => Self::NoResolver { name, reason: other.to_string() },
        }
    }
}

/// The resolver cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
#[error("no DNS resolver can be set up")]
pub struct UnusableConfiguration(#[from] NetError);

fn no_address(family: IpFamily) -> &'static str {
    match family {
        IpFamily::Any => "no address",
        IpFamily::Ipv4 => "no IPv4 address",
        IpFamily::Ipv6 => "no IPv6 address",
    }
}

/// The code's name in IANA's registry of DNS RCODEs, for those that a name server sends to a stub resolver.
fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        ResponseCode::BADVERS => "BADVERS".to_owned(),
        other => format!("RCODE {}", u16::from(other)),
    }
}
