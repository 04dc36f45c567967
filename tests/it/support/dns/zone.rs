//! The records of a DNS server, and its errors, for each name.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, MX, SOA, TXT},
    },
};

/// Maximum length of a CNAME chain.
const MAX_ALIASES: usize = 8;

/// The names of a test. A name that is not in the zone does not exist (NXDOMAIN); a name without records of the
/// requested type has no data (NODATA). Names are given without the last dot, in any case.
#[derive(Debug, Default)]
pub(crate) struct Zone {
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    records: Vec<RData>,
    /// The first answer has the first address, every later one the second.
    rebinding: Option<(RData, RData, AtomicUsize)>,
    mode: ResponseMode,
    delay: Duration,
    truncated: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum ResponseMode {
    #[default]
    Answers,
    Fails(ResponseCode),
    Silent,
}

/// The parts of a DNS response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response_code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) truncated: bool,
    pub(super) delay: Duration,
}

impl Zone {
    /// An empty zone.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An MX record; several for one name are returned in the order given, whatever their preference.
    pub(crate) fn mx(self, name: &str, preference: u16, exchange: &str) -> Self {
        self.record(name, RData::MX(MX::new(preference, absolute(exchange))))
    }

    /// The null MX record of a domain without mail (RFC 7505).
    pub(crate) fn null_mx(self, name: &str) -> Self {
        self.record(name, RData::MX(MX::new(0, Name::root())))
    }

    /// An IPv4 address.
    pub(crate) fn a(self, name: &str, address: Ipv4Addr) -> Self {
        self.record(name, RData::A(A(address)))
    }

    /// An IPv6 address.
    pub(crate) fn aaaa(self, name: &str, address: Ipv6Addr) -> Self {
        self.record(name, RData::AAAA(AAAA(address)))
    }

    /// An alias. The answer has the records of its target too, if they are in this zone.
    pub(crate) fn cname(self, name: &str, target: &str) -> Self {
        self.record(name, RData::CNAME(CNAME(absolute(target))))
    }

    /// A text, in as many strings as it needs (RFC 1035, section 3.3.14).
    pub(crate) fn txt(self, name: &str, text: &str) -> Self {
        let strings = text.as_bytes().chunks(255).map(|octets| String::from_utf8_lossy(octets).into_owned());
        self.record(name, RData::TXT(TXT::new(strings.collect())))
    }

    /// A name without any record: NODATA for every type.
    pub(crate) fn empty(mut self, name: &str) -> Self {
        self.entry(name);
        self
    }

    /// Answers NXDOMAIN, as all names do that are not in the zone; here a test states it.
    pub(crate) fn nxdomain(self, name: &str) -> Self {
        self.mode(name, ResponseMode::Fails(ResponseCode::NXDomain))
    }

    /// Answers SERVFAIL.
    pub(crate) fn servfail(self, name: &str) -> Self {
        self.mode(name, ResponseMode::Fails(ResponseCode::ServFail))
    }

    /// Answers REFUSED.
    pub(crate) fn refused(self, name: &str) -> Self {
        self.mode(name, ResponseMode::Fails(ResponseCode::Refused))
    }

    /// Never answers.
    pub(crate) fn silent(self, name: &str) -> Self {
        self.mode(name, ResponseMode::Silent)
    }

    /// One address for the first query, another for every later one (DNS rebinding), both of one family.
    pub(crate) fn rebind(mut self, name: &str, first: IpAddr, then: IpAddr) -> Self {
        self.entry(name).rebinding = Some((address(first), address(then), AtomicUsize::new(0)));
        self
    }

    /// Answers after a delay.
    pub(crate) fn delayed(mut self, name: &str, delay: Duration) -> Self {
        self.entry(name).delay = delay;
        self
    }

    /// Over UDP the answer is empty and truncated, so that the client repeats the query over TCP.
    pub(crate) fn truncated(mut self, name: &str) -> Self {
        self.entry(name).truncated = true;
        self
    }

    /// The answer to a query; `None` if the zone is silent about the name.
    pub(super) fn answer(&self, question: &Query) -> Option<Answer> {
        let entry = self.entries.get(&normal(&question.name().to_ascii()));
        let mut answer = Answer {
            response_code: ResponseCode::NXDomain,
            answers: Vec::new(),
            authorities: Vec::new(),
            truncated: entry.is_some_and(|entry| entry.truncated),
            delay: entry.map_or(Duration::ZERO, |entry| entry.delay),
        };
        match entry.map(|entry| entry.mode) {
            Some(ResponseMode::Silent) => return None,
            Some(ResponseMode::Fails(code)) => answer.response_code = code,
            Some(ResponseMode::Answers) => {
                answer.response_code = ResponseCode::NoError;
                answer.answers = self.records(question.name(), question.query_type());
            }
            None => {}
        }
        let negative = matches!(answer.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
        if negative && answer.answers.is_empty() {
            answer.authorities.push(soa(question.name()));
        }
        Some(answer)
    }

    /// The records of a name, with the aliases on the way.
    fn records(&self, name: &Name, record_type: RecordType) -> Vec<Record> {
        let mut found = Vec::new();
        let mut owner = name.clone();
        for _ in 0..MAX_ALIASES {
            let Some(entry) = self.entries.get(&normal(&owner.to_ascii())) else {
                break;
            };
            let data = entry.records_of(record_type);
            let is_final = !data.is_empty();
            found.extend(data.into_iter().map(|data| Record::from_rdata(owner.clone(), 0, data)));
            let alias = entry
                .records
                .iter()
                .find_map(|data| if let RData::CNAME(alias) = data { Some(alias.0.clone()) } else { None });
            let Some(target) = alias.filter(|_| !is_final) else {
                break;
            };
            found.push(Record::from_rdata(owner, 0, RData::CNAME(CNAME(target.clone()))));
            owner = target;
        }
        found
    }

    fn record(mut self, name: &str, data: RData) -> Self {
        self.entry(name).records.push(data);
        self
    }

    fn mode(mut self, name: &str, mode: ResponseMode) -> Self {
        self.entry(name).mode = mode;
        self
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        self.entries.entry(normal(name)).or_default()
    }
}

impl Entry {
    fn records_of(&self, record_type: RecordType) -> Vec<RData> {
        let mut data: Vec<_> = self.records.iter().filter(|data| data.record_type() == record_type).cloned().collect();
        if let Some((first, then, asked)) =
            self.rebinding.as_ref().filter(|(first, ..)| first.record_type() == record_type)
        {
            let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            data.push(if is_first { first.clone() } else { then.clone() });
        }
        data
    }
}

/// A name as the zone keeps it: lower case, without the last dot.
pub(super) fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a name of a test is well-formed");
    name.set_fqdn(true);
    name
}

fn address(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// The SOA record of a negative answer: that of the last label.
fn soa(name: &Name) -> Record {
    let origin = name.trim_to(1);
    let contact = absolute("hostmaster.test");
    Record::from_rdata(origin, 0, RData::SOA(SOA::new(absolute("ns.test"), contact, 1, 3600, 600, 86400, 0)))
}
