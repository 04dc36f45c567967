//! [`ResolveError`]: why a name has no address.

use std::io::ErrorKind;

use hickory_resolver::proto::op::ResponseCode;

use super::exchange::ExchangeError;
use crate::{destination::IpFamily, os_error};

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
    #[error("the DNS server answered {} when asked for {name}", rcode(*.code))]
    ServerFailure {
        /// The name of the query.
        name: String,
        /// The response code, such as SERVFAIL.
        code: ResponseCode,
    },
    /// No server answered in time.
    #[error("no DNS server answered in time when asked for {name}")]
    Timeout {
        /// The name of the query.
        name: String,
    },
    /// The server answered with a referral to other servers: it does not resolve this name for others.
    #[error("the DNS server gave a referral instead of an answer when asked for {name}")]
    Lame {
        /// The name of the query.
        name: String,
    },
    /// The server answered with records that are not of the question's name, type and class.
    #[error("the DNS server answered with other records when asked for {name}")]
    OtherRecords {
        /// The name of the query.
        name: String,
    },
    /// The response is not DNS, or cannot be read.
    #[error("the response of the DNS server cannot be read when asked for {name}")]
    Unreadable {
        /// The name of the query.
        name: String,
    },
    /// Aliases that lead to each other, or too many of them.
    #[error("{name} is an alias (CNAME) that leads to no end")]
    AliasLoop {
        /// The name of the query.
        name: String,
    },
    /// The answer is truncated by TCP too, where it cannot be too long.
    #[error("the DNS server gave only a part of the answer when asked for {name}, also by TCP")]
    Truncated {
        /// The name of the query.
        name: String,
    },
    /// The server took the question by TCP, and closed the connection instead of an answer.
    #[error("the DNS server closed the connection when asked for {name}")]
    Closed {
        /// The name of the query.
        name: String,
    },
    /// The server could not be asked.
    #[error("the DNS server could not be asked for {name}: {reason}")]
    NotAsked {
        /// The name of the query.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// There is no server.
    #[error("no DNS server could be asked for {name}: there is none")]
    NoResolver {
        /// The name of the query.
        name: String,
    },
}

impl ResolveError {
    /// Whether a later try may succeed: not where DNS gave a definite answer.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::ServerFailure { .. }
            | Self::Timeout { .. }
            | Self::Lame { .. }
            | Self::OtherRecords { .. }
            | Self::Unreadable { .. }
            | Self::AliasLoop { .. }
            | Self::Truncated { .. }
            | Self::Closed { .. }
            | Self::NotAsked { .. }
            | Self::NoResolver { .. } => true,
            Self::NoSuchDomain { .. } | Self::NoAddress { .. } | Self::NullMx { .. } | Self::NotAHostName { .. } => {
                false
            }
        }
    }

    pub(super) fn of_code(name: &str, code: ResponseCode) -> Self {
        let name = name.to_owned();
        match code {
            ResponseCode::NXDomain => Self::NoSuchDomain { name },
            code => Self::ServerFailure { name, code },
        }
    }

    pub(super) fn of_exchange(name: &str, error: &ExchangeError) -> Self {
        let name = name.to_owned();
        match error {
            ExchangeError::Unreadable => Self::Unreadable { name },
            ExchangeError::Truncated => Self::Truncated { name },
            ExchangeError::Query(_) => Self::NotAsked { name, reason: error.to_string() },
            ExchangeError::Io(error) => match error.kind() {
                ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe => Self::Closed { name },
                ErrorKind::TimedOut => Self::Timeout { name },
                _ => Self::NotAsked { name, reason: os_error::of_network(error).into_owned() },
            },
        }
    }

    pub(super) fn no_answer(name: &str, is_without_servers: bool) -> Self {
        let name = name.to_owned();
        if is_without_servers { Self::NoResolver { name } } else { Self::Timeout { name } }
    }
}

fn no_address(family: IpFamily) -> &'static str {
    match family {
        IpFamily::Any => "no address",
        IpFamily::Ipv4 => "no IPv4 address",
        IpFamily::Ipv6 => "no IPv6 address",
    }
}

/// The code's name in IANA's registry of DNS RCODEs, for those that a name server sends to a stub resolver.
pub(super) fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::YXDomain => "YXDOMAIN".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        // hickory reads 16 as the code of another kind of message.
        ResponseCode::BADVERS | ResponseCode::BADSIG => "BADVERS".to_owned(),
        other => format!("RCODE {}", u16::from(other)),
    }
}
