//! Why a name has no address.

use hickory_resolver::{
    net::{DnsError, NetError, NoRecords},
    proto::op::ResponseCode,
};

use crate::destination::{HostName, IpFamily};

/// Why a name could not be resolved. Its text names the name and goes into reports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// NXDOMAIN: there is no such name.
    #[error("there is no domain {name}")]
    NoSuchDomain {
        /// The name that was asked.
        name: String,
    },
    /// The name exists and has no address of the family.
    #[error("{name} has {}", no_address(*.family))]
    NoAddress {
        /// The name that was asked, or the literal address.
        name: String,
        /// The family that was asked for.
        family: IpFamily,
    },
    /// The domain says that it takes no mail (RFC 7505).
    #[error("{domain} accepts no mail: its MX record is the null MX")]
    NullMx {
        /// The domain of the MX record.
        domain: String,
    },
    /// An MX record names something that is no host name, often an IP address.
    #[error("the MX record names {exchange}, which is not a host name")]
    NotAHostName {
        /// What the record names, odd octets escaped.
        exchange: String,
    },
    /// The server answered that it cannot or will not tell.
    #[error("the DNS server answered {rcode} when asked for {name}")]
    ServerFailure {
        /// The name that was asked.
        name: String,
        /// The response code by its name, as `SERVFAIL`.
        rcode: String,
    },
    /// No server answered in time.
    #[error("no DNS server answered in time when asked for {name}")]
    Timeout {
        /// The name that was asked.
        name: String,
    },
    /// There is no server to ask, it could not be reached, or it does not speak DNS.
    #[error("no DNS server could be asked for {name}: {reason}")]
    NoResolver {
        /// The name that was asked.
        name: String,
        /// What went wrong.
        reason: String,
    },
}

impl ResolveError {
    /// Whether another try may go better: not where DNS gave a definite answer.
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

/// The settings of the resolver cannot be used.
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

/// The code's name in the IANA registry of DNS RCODEs, as far as name servers send it to a resolver's client.
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
