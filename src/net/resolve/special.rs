//! Names that no server is asked for (RFC 6761, RFC 7686).

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{
        Name, RData, RecordType,
        rdata::{A, AAAA},
    },
};

use super::message::Answer;

/// The answer for `localhost` and for names that never exist in DNS; `None` for all others.
pub(super) fn answer(name: &Name, record_type: RecordType) -> Option<Answer> {
    let top = name.iter().next_back()?.to_ascii_lowercase();
    match (top.as_slice(), record_type) {
        (b"localhost", RecordType::A) => Some(Answer::Records(vec![RData::A(A(Ipv4Addr::LOCALHOST))])),
        (b"localhost", RecordType::AAAA) => Some(Answer::Records(vec![RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))])),
        (b"localhost", _) => Some(Answer::Records(Vec::new())),
        (b"invalid" | b"onion", _) => Some(Answer::Code(ResponseCode::NXDomain)),
        _ => None,
    }
}
