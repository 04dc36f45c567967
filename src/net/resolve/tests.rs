use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Mutex,
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Record,
        rdata::{A, AAAA, CNAME},
    },
};
use hickory_resolver::Hosts;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::AbortHandle,
};

use super::*;

/// Long enough for any of these tests.
const AMPLE: Duration = Duration::from_secs(20);

enum Answer {
    Records(Vec<RData>),
    /// These, and nothing but a truncated answer by UDP.
    OnlyByTcp(Vec<RData>),
    Code(ResponseCode),
    Garbage,
    Silence,
}

use Answer::{Code, Garbage, OnlyByTcp, Records, Silence};

/// What was asked by UDP, in order: `A mx.example`.
type Questions = Arc<Mutex<Vec<String>>>;

/// A DNS server in a few lines: the answers are a function of the question.
struct Stub {
    address: SocketAddr,
    questions: Questions,
    tasks: [AbortHandle; 2],
}

impl Stub {
    async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let (udp, tcp) = same_port().await.expect("a free port");
        let address = udp.local_addr().expect("a bound socket");
        let questions = Questions::default();
        let answer = Arc::new(answer);
        let by_udp = serve_udp(udp, questions.clone(), answer.clone());
        let by_tcp = serve_tcp(tcp, answer);
        let tasks = [tokio::spawn(by_udp).abort_handle(), tokio::spawn(by_tcp).abort_handle()];
        Self { address, questions, tasks }
    }

    fn resolver(&self) -> Resolver {
        Resolver::with_servers(&[self.address]).expect("a resolver")
    }

    fn questions(&self) -> Vec<String> {
        self.questions.lock().expect("no test panics here").clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn same_port() -> io::Result<(UdpSocket, TcpListener)> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        if let Ok(tcp) = TcpListener::bind(udp.local_addr()?).await {
            return Ok((udp, tcp));
        }
    }
}

async fn serve_udp(socket: UdpSocket, questions: Questions, answer: Arc<impl Fn(&str) -> Answer>) -> io::Result<()> {
    let mut buffer = [0; 1500];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        let (query, question) = parse(&buffer[..length]);
        questions.lock().expect("no test panics here").push(question.clone());
        let reply = match answer(&question) {
            Silence => continue,
            Garbage => [&buffer[..2], &[0xff; 20]].concat(),
            OnlyByTcp(_) => encode(query, vec![], |reply| reply.metadata.truncation = true),
            Records(records) => encode(query, records, |_| ()),
            Code(code) => encode(query, vec![], |reply| reply.metadata.response_code = code),
        };
        socket.send_to(&reply, client).await?;
    }
}

async fn serve_tcp(listener: TcpListener, answer: Arc<impl Fn(&str) -> Answer>) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        while let Ok(length) = stream.read_u16().await {
            let mut buffer = vec![0; length.into()];
            stream.read_exact(&mut buffer).await?;
            let (query, question) = parse(&buffer);
            if let Records(records) | OnlyByTcp(records) = answer(&question) {
                let reply = encode(query, records, |_| ());
                let length = u16::try_from(reply.len()).expect("a DNS message");
                stream.write_u16(length).await?;
                stream.write_all(&reply).await?;
            }
        }
    }
}

fn parse(bytes: &[u8]) -> (Message, String) {
    let query = Message::from_vec(bytes).expect("a DNS query");
    let asked = &query.queries[0];
    let question = format!("{} {}", asked.query_type(), spelled(asked.name()));
    (query, question)
}

fn encode(query: Message, records: Vec<RData>, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut name = query.queries[0].name().clone();
    let mut reply = query.into_response();
    for record in records {
        let next = match &record {
            RData::CNAME(CNAME(next)) => next.clone(),
            _ => name.clone(),
        };
        reply.add_answers([Record::from_rdata(name, 60, record)]);
        name = next;
    }
    change(&mut reply);
    reply.to_vec().expect("a DNS message")
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a DNS name")
}

fn a(text: &str) -> RData {
    RData::A(A(text.parse::<Ipv4Addr>().expect("an IPv4 address")))
}

fn aaaa(text: &str) -> RData {
    RData::AAAA(AAAA(text.parse::<Ipv6Addr>().expect("an IPv6 address")))
}

fn mx(preference: u16, exchange: &str) -> RData {
    RData::MX(MX::new(preference, name(exchange)))
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an IP address")).collect()
}

fn host(text: &str) -> Target {
    text.parse().expect("a target")
}

fn mx_of(text: &str) -> Target {
    Target::of_mail_domain(text).expect("a domain")
}

fn found(host: &str, addresses: &[&str]) -> Candidate {
    Candidate { host: host.to_owned(), addresses: Ok(ips(addresses)) }
}

fn failed(host: &str, error: ResolveError) -> Candidate {
    Candidate { host: host.to_owned(), addresses: Err(error) }
}

fn no_such_domain(name: &str) -> ResolveError {
    ResolveError::NoSuchDomain { name: name.to_owned() }
}

fn no_address(name: &str, family: IpFamily) -> ResolveError {
    ResolveError::NoAddress { name: name.to_owned(), family }
}

fn timed_out(name: &str) -> ResolveError {
    ResolveError::Timeout { name: name.to_owned() }
}

fn server_failure(name: &str, rcode: &str) -> ResolveError {
    ResolveError::ServerFailure { name: name.to_owned(), rcode: rcode.to_owned() }
}

async fn resolve(resolver: &Resolver, target: Target, family: IpFamily) -> Result<Vec<Candidate>, ResolveError> {
    resolver.resolve(&target, family, Instant::now() + AMPLE).await
}

/// With so little patience that a silent server is soon noticed.
fn impatient(servers: &[SocketAddr]) -> Resolver {
    Resolver::with_patience(servers, Duration::from_millis(150)).expect("a resolver")
}

#[tokio::test]
async fn a_host_has_its_ipv4_addresses_and_then_its_ipv6_addresses() {
    let dns = Stub::start(|question| match question {
        "A mx.example" => Records(vec![a("192.0.2.2"), a("192.0.2.1"), a("192.0.2.2")]),
        "AAAA mx.example" => Records(vec![aaaa("2001:db8::1"), aaaa("::ffff:192.0.2.3")]),
        _ => Code(ResponseCode::NXDomain),
    })
    .await;
    let all = [
        (IpFamily::Any, &["192.0.2.2", "192.0.2.1", "192.0.2.3", "2001:db8::1"][..]),
        (IpFamily::Ipv4, &["192.0.2.2", "192.0.2.1"]),
        (IpFamily::Ipv6, &["2001:db8::1"]),
    ];
    for (family, addresses) in all {
        assert_eq!(
            resolve(&dns.resolver(), host("MX.example."), family).await,
            Ok(vec![found("mx.example", addresses)]),
            "{family}"
        );
    }
}

#[tokio::test]
async fn only_the_wanted_family_is_asked_for_and_each_time_anew() {
    let dns = Stub::start(|_| Records(vec![a("192.0.2.1")])).await;
    let resolver = dns.resolver();
    for _ in 0..2 {
        let found = resolve(&resolver, host("mx.example"), IpFamily::Ipv4).await;
        assert!(found.is_ok(), "{found:?}");
    }
    assert_eq!(dns.questions(), ["A mx.example", "A mx.example"]);
}

#[tokio::test]
async fn one_family_is_enough() {
    let dns = Stub::start(|question| match question {
        "A half.example" | "AAAA nodata.example" => Records(vec![]),
        "AAAA half.example" => Records(vec![aaaa("2001:db8::1")]),
        "A nodata.example" => Records(vec![a("192.0.2.4")]),
        "A servfail.example" => Records(vec![a("192.0.2.1")]),
        "AAAA servfail.example" => Code(ResponseCode::ServFail),
        "A nxdomain.example" => Code(ResponseCode::NXDomain),
        "AAAA nxdomain.example" => Records(vec![aaaa("2001:db8::3")]),
        "A silent.example" => Silence,
        "AAAA silent.example" => Records(vec![aaaa("2001:db8::2")]),
        _ => Code(ResponseCode::NXDomain),
    })
    .await;
    for (name, address) in [
        ("half.example", "2001:db8::1"),
        ("nodata.example", "192.0.2.4"),
        ("servfail.example", "192.0.2.1"),
        ("nxdomain.example", "2001:db8::3"),
        ("silent.example", "2001:db8::2"),
    ] {
        let deadline = Instant::now() + Duration::from_millis(400);
        let answer = dns.resolver().resolve(&host(name), IpFamily::Any, deadline).await;
        assert_eq!(answer, Ok(vec![found(name, &[address])]));
        assert!(Instant::now() < deadline, "{name}");
    }
}

#[tokio::test]
async fn each_failure_is_told_apart() {
    let dns = Stub::start(|question| match question {
        "A nodata.example" | "AAAA nodata.example" | "AAAA v4.example" => Records(vec![]),
        "A v4.example" => Records(vec![a("192.0.2.1")]),
        "A refused.example" | "AAAA refused.example" => Code(ResponseCode::Refused),
        "A mixed.example" => Records(vec![]),
        "AAAA mixed.example" => Code(ResponseCode::ServFail),
        "A odd.example" | "AAAA odd.example" => Code(ResponseCode::from(0, 14)),
        "A silent.example" | "AAAA silent.example" => Silence,
        _ => Code(ResponseCode::NXDomain),
    })
    .await;
    let resolver = impatient(&[dns.address]);
    for (name, family, error, temporary) in [
        ("none.example", IpFamily::Any, no_such_domain("none.example"), false),
        ("none.example", IpFamily::Ipv6, no_such_domain("none.example"), false),
        ("nodata.example", IpFamily::Any, no_address("nodata.example", IpFamily::Any), false),
        ("v4.example", IpFamily::Ipv6, no_address("v4.example", IpFamily::Ipv6), false),
        ("refused.example", IpFamily::Any, server_failure("refused.example", "REFUSED"), true),
        ("mixed.example", IpFamily::Any, server_failure("mixed.example", "SERVFAIL"), true),
        ("odd.example", IpFamily::Any, server_failure("odd.example", "RCODE 14"), true),
        ("silent.example", IpFamily::Any, timed_out("silent.example"), true),
    ] {
        assert_eq!(error.is_temporary(), temporary, "{name}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(resolve(&resolver, host(name), family).await, Err(error), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_dns_is_no_answer() {
    let dns = Stub::start(|_| Garbage).await;
    let error = resolve(&dns.resolver(), host("mx.example"), IpFamily::Any).await.expect_err("garbage is no address");
    assert!(matches!(&error, ResolveError::NoResolver { name, .. } if name == "mx.example"), "{error:?}");
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_lost_packet_is_sent_again() {
    let lost = Mutex::new(BTreeSet::new());
    let dns = Stub::start(move |question| {
        let first = lost.lock().expect("no test panics here").insert(question.to_owned());
        match question {
            _ if first => Silence,
            "A mx.example" => Records(vec![a("192.0.2.1")]),
            _ => Records(vec![]),
        }
    })
    .await;
    assert_eq!(
        resolve(&dns.resolver(), host("mx.example"), IpFamily::Any).await,
        Ok(vec![found("mx.example", &["192.0.2.1"])])
    );
}

#[tokio::test]
async fn a_long_answer_comes_by_tcp() {
    let dns = Stub::start(|question| match question {
        "A mx.example" => OnlyByTcp((1..=100).map(|n| a(&format!("192.0.2.{n}"))).collect()),
        _ => Records(vec![]),
    })
    .await;
    let candidates = resolve(&dns.resolver(), host("mx.example"), IpFamily::Any).await.expect("addresses");
    let addresses = candidates[0].addresses.as_ref().expect("addresses");
    assert_eq!(addresses.len(), MAX_ADDRESSES);
    assert_eq!(addresses[0], ips(&["192.0.2.1"])[0]);
}

#[tokio::test]
async fn aliases_are_followed() {
    let dns = Stub::start(|question| match question {
        "A alias.example" => Records(vec![RData::CNAME(CNAME(name("mx.example."))), a("192.0.2.1")]),
        "AAAA alias.example" => Records(vec![RData::CNAME(CNAME(name("mx.example.")))]),
        "AAAA mx.example" => Records(vec![aaaa("2001:db8::1")]),
        "A dangling.example" | "AAAA dangling.example" => Records(vec![RData::CNAME(CNAME(name("none.example.")))]),
        _ => Code(ResponseCode::NXDomain),
    })
    .await;
    assert_eq!(
        resolve(&dns.resolver(), host("alias.example"), IpFamily::Any).await,
        Ok(vec![found("alias.example", &["192.0.2.1", "2001:db8::1"])])
    );
    assert_eq!(
        resolve(&dns.resolver(), host("dangling.example"), IpFamily::Any).await,
        Err(no_such_domain("dangling.example"))
    );
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_fails() {
    let refusing = Stub::start(|_| Code(ResponseCode::Refused)).await;
    let silent = Stub::start(|_| Silence).await;
    let knowing = Stub::start(|question| match question {
        "A mx.example" => Records(vec![a("192.0.2.1")]),
        _ => Code(ResponseCode::NXDomain),
    })
    .await;
    let resolver = impatient(&[refusing.address, silent.address, knowing.address]);
    assert_eq!(
        resolve(&resolver, host("mx.example"), IpFamily::Any).await,
        Ok(vec![found("mx.example", &["192.0.2.1"])])
    );
    assert_eq!(resolve(&resolver, host("none.example"), IpFamily::Any).await, Err(no_such_domain("none.example")));
    let resolver = impatient(&[silent.address, refusing.address]);
    assert_eq!(
        resolve(&resolver, host("mx.example"), IpFamily::Any).await,
        Err(server_failure("mx.example", "REFUSED"))
    );
}

#[tokio::test]
async fn mail_exchangers_come_by_preference() {
    let dns = Stub::start(|question| match question {
        "MX example.org" => Records(vec![
            mx(30, "backup.example."),
            mx(10, "MX1.example."),
            mx(20, "gone.example."),
            mx(20, "."),
            mx(40, "mx1.example."),
            mx(25, "192.0.2.9."),
        ]),
        "A mx1.example" => Records(vec![a("192.0.2.1")]),
        "AAAA mx1.example" => Records(vec![aaaa("2001:db8::1")]),
        "A backup.example" => Records(vec![a("192.0.2.2")]),
        "AAAA backup.example" => Records(vec![]),
        _ => Code(ResponseCode::NXDomain),
    })
    .await;
    let candidates = resolve(&dns.resolver(), mx_of("example.org"), IpFamily::Any).await;
    assert_eq!(
        candidates,
        Ok(vec![
            found("mx1.example", &["192.0.2.1", "2001:db8::1"]),
            failed("gone.example", no_such_domain("gone.example")),
            failed("192.0.2.9", ResolveError::NotAHostName { exchange: "192.0.2.9".to_owned() }),
            found("backup.example", &["192.0.2.2"]),
        ])
    );
    assert_eq!(candidates.ok().as_deref().and_then(failure), None);
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_mail_exchanger() {
    let dns = Stub::start(|question| match question {
        "MX example.org" | "MX empty.example" => Records(vec![]),
        "A example.org" => Records(vec![a("192.0.2.1")]),
        "AAAA example.org" | "A empty.example" | "AAAA empty.example" => Records(vec![]),
        "A none.example" => Records(vec![a("192.0.2.3")]),
        "MX null.example" => Records(vec![mx(0, ".")]),
        "MX servfail.example" => Code(ResponseCode::ServFail),
        _ => Code(ResponseCode::NXDomain),
    })
    .await;
    for (domain, answer) in [
        ("example.org", Ok(vec![found("example.org", &["192.0.2.1"])])),
        ("empty.example", Err(no_address("empty.example", IpFamily::Any))),
        ("none.example", Err(no_such_domain("none.example"))),
        ("null.example", Err(ResolveError::NullMx { domain: "null.example".to_owned() })),
        ("servfail.example", Err(server_failure("servfail.example", "SERVFAIL"))),
    ] {
        assert_eq!(resolve(&dns.resolver(), mx_of(domain), IpFamily::Any).await, answer, "{domain}");
    }
}

#[tokio::test]
async fn a_silent_backup_does_not_eat_the_check() {
    let dns = Stub::start(|question| match question {
        "MX example.org" => Records(vec![mx(10, "silent.example."), mx(20, "mx.example.")]),
        "A mx.example" => Records(vec![a("192.0.2.1")]),
        "AAAA mx.example" => Records(vec![]),
        _ => Silence,
    })
    .await;
    let deadline = Instant::now() + Duration::from_millis(600);
    let candidates = dns.resolver().resolve(&mx_of("example.org"), IpFamily::Any, deadline).await;
    assert_eq!(
        candidates,
        Ok(vec![failed("silent.example", timed_out("silent.example")), found("mx.example", &["192.0.2.1"]),])
    );
    assert!(Instant::now() < deadline);
}

#[tokio::test]
async fn a_late_mx_answer_leaves_time_for_the_addresses() {
    let packets = Mutex::new(0);
    let dns = Stub::start(move |question| match question {
        "MX example.org" => {
            let mut packets = packets.lock().expect("no test panics here");
            *packets += 1;
            match *packets {
                1 | 2 => Silence,
                _ => Records(vec![mx(10, "mx1.example."), mx(20, "mx2.example.")]),
            }
        }
        "A mx1.example" => Records(vec![a("192.0.2.1")]),
        "A mx2.example" => Records(vec![a("192.0.2.2")]),
        _ => Records(vec![]),
    })
    .await;
    // The third packet leaves after 666 ms, in the second half of this time.
    let deadline = Instant::now() + Duration::from_millis(1300);
    assert_eq!(
        dns.resolver().resolve(&mx_of("example.org"), IpFamily::Any, deadline).await,
        Ok(vec![found("mx1.example", &["192.0.2.1"]), found("mx2.example", &["192.0.2.2"]),])
    );
}

#[tokio::test]
async fn hostile_answers_are_cut() {
    let dns = Stub::start(|question| match question.split_once(' ') {
        Some(("MX", _)) => Records((0..30).map(|n| mx(n, &format!("mx{n}."))).collect()),
        Some(("A", _)) => Records((0..30).map(|n| a(&format!("192.0.2.{n}"))).collect()),
        _ => Records(vec![]),
    })
    .await;
    let candidates = resolve(&dns.resolver(), mx_of("example.org"), IpFamily::Ipv4).await.expect("candidates");
    let sizes: Vec<_> = candidates.iter().map(|candidate| candidate.addresses.as_ref().map(Vec::len)).collect();
    assert_eq!(sizes, [Ok(30), Ok(30), Ok(4)]);
    let exchanges = dns.questions().iter().filter(|question| question.starts_with("A ")).count();
    assert_eq!(exchanges, MAX_EXCHANGES);
}

#[test]
fn equal_preferences_take_turns() {
    let records = || {
        [(10, "a."), (10, "b."), (5, "first."), (20, "last.")]
            .map(|(preference, exchange)| MX::new(preference, name(exchange)))
            .to_vec()
    };
    let orders: BTreeSet<_> = (0..200).map(|_| in_order_of_trial(records())).collect();
    assert_eq!(
        orders,
        BTreeSet::from([
            ["first", "a", "b", "last"].map(str::to_owned).to_vec(),
            ["first", "b", "a", "last"].map(str::to_owned).to_vec(),
        ])
    );
}

#[test]
fn odd_octets_of_an_exchange_are_escaped() {
    let odd = Name::from_labels([&b"a\r\n"[..], b"\xff.\\", b"example"]).expect("a DNS name");
    let spelled = spelled(&odd);
    assert!(spelled.bytes().all(|b| b.is_ascii_graphic()), "{spelled}");
    assert!(spelled.parse::<HostName>().is_err());
}

#[test]
fn the_failure_of_all_is_temporary_if_one_is() {
    let gone = failed("a", no_such_domain("a"));
    let silent = failed("b", timed_out("b"));
    let fine = found("c", &["192.0.2.1"]);
    for (candidates, error) in [
        (vec![gone.clone()], Some(no_such_domain("a"))),
        (vec![gone.clone(), silent.clone()], Some(timed_out("b"))),
        (vec![gone, silent, fine], None),
    ] {
        assert_eq!(failure(&candidates), error.as_ref());
    }
}

#[tokio::test]
async fn literals_and_localhost_need_no_server() {
    let resolver = Resolver::with_servers(&[]).expect("a resolver");
    for (target, family, answer) in [
        ("[2001:db8::1]", IpFamily::Any, Ok(vec![found("2001:db8::1", &["2001:db8::1"])])),
        ("192.0.2.1", IpFamily::Ipv6, Err(no_address("192.0.2.1", IpFamily::Ipv6))),
        ("localhost", IpFamily::Any, Ok(vec![found("localhost", &["127.0.0.1", "::1"])])),
    ] {
        let given = resolve(&resolver, host(target), family).await;
        assert_eq!(given, answer, "{target}");
    }
    let error = resolve(&resolver, host("mx.example"), IpFamily::Any).await;
    assert!(matches!(error, Err(ResolveError::NoResolver { .. })), "{error:?}");
}

#[tokio::test]
async fn the_hosts_file_is_for_host_targets() {
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf(&b"192.0.2.7 MX.example other.example\n"[..]).expect("a hosts file");
    let resolver = Resolver { servers: Arc::new(Servers::build(vec![], hosts, PATIENCE).expect("a resolver")) };
    assert_eq!(
        resolve(&resolver, host("mx.example"), IpFamily::Any).await,
        Ok(vec![found("mx.example", &["192.0.2.7"])])
    );
    for (target, family) in [(host("mx.example"), IpFamily::Ipv6), (mx_of("mx.example"), IpFamily::Any)] {
        let answer = resolve(&resolver, target, family).await;
        assert!(matches!(answer, Err(ResolveError::NoResolver { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn the_system_knows_localhost() {
    let resolver = Resolver::system().expect("a resolver");
    for target in [host("localhost"), mx_of("localhost")] {
        let candidates = resolve(&resolver, target, IpFamily::Ipv4).await;
        assert_eq!(candidates, Ok(vec![found("localhost", &["127.0.0.1"])]));
    }
}
