//! [`Question`]: a query as octets, and what a response to it says.

use hickory_resolver::proto::{
    ProtoError,
    op::{Edns, Header, HeaderCounts, Message, MessageType, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
    serialize::binary::{BinDecodable, BinDecoder, DecodeError},
};

use crate::destination::HostName;

/// Aliases that are followed to the records of one name. No honest zone has as many.
pub(super) const MAX_ALIASES: usize = 16;

/// Octets of a response by UDP that fit into one packet on every path (the DNS flag day 2020).
const MAX_PAYLOAD_SIZE: u16 = 1232;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) record_type: RecordType,
    /// What a query for a whole message asks for; `None` where only the records are wanted.
    flags: Option<QueryFlags>,
}

/// What a query asks for beside the records (RFC 4035, section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct QueryFlags {
    /// Signatures (DO), and whether the server has validated them (AD).
    pub(crate) dnssec_ok: bool,
    /// What the server thinks is bogus, too (CD).
    pub(crate) checking_disabled: bool,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The records; none if the name has none of this type.
    Records(Vec<RData>),
    /// The name is an alias of this one, whose records are not in the response.
    Alias(Name),
    /// The name of the question, or the name that it is an alias of, does not exist; or the server failed.
    Code(ResponseCode),
    /// A referral to other servers, which is for a recursive server to follow: this one does not.
    Referral,
    /// Records, none of which is of the question's name, type and class.
    OtherRecords,
    /// The whole message, where that was asked for. Its code is NOERROR or NXDOMAIN.
    Message(Box<Message>),
}

/// What a message from the server is.
#[derive(Debug)]
pub(super) enum Reading {
    /// The response. It may say of itself that it is truncated.
    Response { answer: Answer, is_truncated: bool },
    /// A response whose octets end before its records do, or cannot be read.
    Cut,
    /// A message that is no response to this query.
    Unrelated,
}

impl Question {
    pub(super) fn new(name: &HostName, record_type: RecordType) -> Result<Self, ProtoError> {
        // Built from its labels: hickory's own parser would apply escapes and IDNA rules.
        let name = Name::from_labels(name.as_str().split('.').map(str::as_bytes))?;
        Ok(Self { name, record_type, flags: None })
    }

    /// The question that every recursive server can answer by itself: for the servers of the root.
    pub(super) fn root_servers() -> Self {
        Self { name: Name::root(), record_type: RecordType::NS, flags: None }
    }

    /// A question for the whole message.
    pub(super) fn of_message(name: Name, record_type: RecordType, flags: QueryFlags) -> Self {
        Self { name, record_type, flags: Some(flags) }
    }

    /// The same question for another name.
    pub(super) fn of_alias(&self, name: Name) -> Self {
        Self { name, ..self.clone() }
    }

    /// The query's octets. Without EDNS a server sends at most 512 octets by UDP (RFC 6891).
    pub(super) fn query(&self, id: u16, with_edns: bool) -> Result<Vec<u8>, ProtoError> {
        let mut message = Message::query();
        message.metadata.id = id;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.record_type));
        let flags = self.flags.unwrap_or_default();
        message.metadata.checking_disabled = flags.checking_disabled;
        if with_edns || flags.dnssec_ok {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_PAYLOAD_SIZE).set_version(0).set_dnssec_ok(flags.dnssec_ok);
            message.set_edns(edns);
        }
        message.to_vec()
    }

    /// Reads a message that came from the server.
    pub(super) fn read(&self, id: u16, message: &[u8]) -> Reading {
        if !message.starts_with(&id.to_be_bytes()) {
            return Reading::Unrelated;
        }
        self.try_read(message).unwrap_or(Reading::Cut)
    }

    fn try_read(&self, message: &[u8]) -> Result<Reading, DecodeError> {
        let mut decoder = BinDecoder::new(message);
        let Header { metadata, counts } = Header::read(&mut decoder)?;
        if metadata.message_type != MessageType::Response {
            return Ok(Reading::Unrelated);
        }
        let response = |answer| Reading::Response { answer, is_truncated: metadata.truncation };
        for _ in 0..counts.queries {
            if !self.is_asked_by(&Query::read(&mut decoder)?) {
                return Ok(Reading::Unrelated);
            }
        }
        let code = metadata.response_code;
        let HeaderCounts { queries, answers, authorities, additionals } = counts;
        if self.flags.is_some() && code == ResponseCode::NXDomain {
            return Ok(response(Answer::Message(Box::new(Message::from_vec(message)?))));
        }
        if code != ResponseCode::NoError {
            return Ok(response(Answer::Code(code)));
        }
        if queries == 0 {
            // Only a server that could not read the query may leave the question out.
            return Ok(Reading::Unrelated);
        }
        if self.flags.is_some() {
            let message = Message::from_vec(message)?;
            let is_answer = !message.answers.is_empty() || message.authoritative || has_soa(&message.authorities);
            let answer = if is_answer { Answer::Message(Box::new(message)) } else { Answer::Referral };
            return Ok(response(answer));
        }
        let answers = records(&mut decoder, answers)?;
        let (alias, found) = self.follow(&answers);
        if !found.is_empty() {
            return Ok(response(Answer::Records(found)));
        }
        let authorities = records(&mut decoder, authorities)?;
        let code = extended(&mut decoder, additionals)?;
        if code != ResponseCode::NoError {
            return Ok(response(Answer::Code(code)));
        }
        let has = |record_type| authorities.iter().any(|record| record.record_type() == record_type);
        // Such records are of another name or class, or have no data.
        let has_other = answers.iter().any(|record| record.record_type() == self.record_type);
        // RFC 2308, section 2.2: a response without records is a negative one if it has the zone's SOA record.
        let is_negative = has(RecordType::SOA) && !has_other;
        let is_lame = has(RecordType::NS) || !metadata.recursion_available;
        Ok(response(match alias {
            None if !answers.is_empty() => Answer::OtherRecords,
            _ if is_negative => Answer::Records(Vec::new()),
            Some(alias) => Answer::Alias(alias),
            None if is_lame && !metadata.authoritative => Answer::Referral,
            None => Answer::Records(Vec::new()),
        }))
    }

    fn is_asked_by(&self, query: &Query) -> bool {
        let is_same_type = query.query_type() == self.record_type && query.query_class() == DNSClass::IN;
        is_same_type && *query.name() == self.name
    }

    /// The records, with the aliases on the way followed. In place of the name the last alias, if there is one.
    fn follow(&self, answers: &[Record]) -> (Option<Name>, Vec<RData>) {
        let of = |name: &Name, record_type| {
            let of_name = answers.iter().filter(move |record| record.record_type() == record_type);
            let name = name.clone();
            of_name.filter(move |record| record.name == name && record.dns_class == DNSClass::IN)
        };
        let mut alias = None;
        for _ in 0..MAX_ALIASES {
            let name = alias.as_ref().unwrap_or(&self.name);
            let of_name = of(name, self.record_type).map(|record| &record.data);
            let found: Vec<_> = of_name.filter(|data| !matches!(data, RData::Update0(_))).cloned().collect();
            if !found.is_empty() {
                return (alias, found);
            }
            let next = of(name, RecordType::CNAME).find_map(|record| match &record.data {
                RData::CNAME(next) => Some(next.0.clone()),
                _ => None,
            });
            match next {
                Some(next) => alias = Some(next),
                None => break,
            }
        }
        (alias, Vec::new())
    }
}

fn has_soa(records: &[Record]) -> bool {
    records.iter().any(|record| record.record_type() == RecordType::SOA)
}

fn records(decoder: &mut BinDecoder<'_>, count: u16) -> Result<Vec<Record>, DecodeError> {
    (0..count).map(|_| Record::read(decoder)).collect()
}

/// The code of a response that has NOERROR in its header: the OPT record among these has the upper bits (RFC 6891,
/// section 6.1.3). A record that cannot be read does not spoil the response, but one that is cut may be the OPT record.
fn extended(decoder: &mut BinDecoder<'_>, count: u16) -> Result<ResponseCode, DecodeError> {
    for _ in 0..count {
        match Record::<RData>::read(decoder) {
            Ok(record) if record.record_type() == RecordType::OPT => {
                // The first octet of the field that is the TTL of other records.
                let [high, ..] = record.ttl.to_be_bytes();
                return Ok(ResponseCode::from(high, 0));
            }
            Ok(_) => {}
            Err(error @ (DecodeError::InsufficientBytes | DecodeError::IncorrectRDataLengthRead { .. })) => {
                return Err(error);
            }
            Err(_) => break,
        }
    }
    Ok(ResponseCode::NoError)
}

/// The answer of a response to the question for the IPv4 addresses of `name`; `None` where there is none, or only a
/// part of it. For the oracles of `tests/fuzz`.
#[doc(hidden)]
pub fn answer(name: &HostName, response: &[u8]) -> Option<String> {
    let id = response.first_chunk().copied().map(u16::from_be_bytes)?;
    match Question::new(name, RecordType::A).ok()?.read(id, response) {
        Reading::Response { answer, is_truncated: false } => Some(format!("{answer:?}")),
        _ => None,
    }
}
