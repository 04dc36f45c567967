//! The resolver, against scripted name servers and tables of answers.

mod mx;
mod odd_answers;
mod stub;
mod transport;

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Mutex,
};

use self::stub::{
    Answer::{Changed, Code, Garbage, OnlyByTcp, Records, Silence},
    Stub,
};
use super::{
    choice::{MAX_ADDRESSES, MAX_EXCHANGES},
    *,
};
use hickory_proto::{
    op::ResponseCode,
    rr::{
        Record,
        rdata::{A, AAAA, CNAME},
    },
};

/// Long enough for any of these tests.
const TIMEOUT: Duration = Duration::from_secs(20);

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
    let mut codes = (0..=u8::MAX).map(|number| ResponseCode::from(number >> 4, number & 15));
    let code = codes.find(|code| error::rcode(*code) == rcode).expect("a code");
    ResolveError::ServerFailure { name: name.to_owned(), code }
}

async fn resolve(resolver: &Resolver, target: Target, family: IpFamily) -> Result<Vec<Candidate>, ResolveError> {
    resolver.resolve(&target, family, Instant::now() + TIMEOUT).await
}

/// A resolver that soon turns from a silent server to the next.
fn with_short_timeout(servers: &[SocketAddr]) -> Resolver {
    Resolver::with_options(servers, Options { server_timeout: Duration::from_millis(300), ..Options::DEFAULT })
}

/// A server that has no address but this one, for all names.
async fn knowing(address: &'static str) -> Stub {
    Stub::start(move |question| match question.split_once(' ') {
        Some(("A", _)) => Records(vec![a(address)]),
        _ => Records(vec![]),
    })
    .await
}

async fn ipv4_of(resolver: &Resolver, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    let mut candidates = resolve(resolver, host(name), IpFamily::Ipv4).await?;
    candidates.remove(0).addresses
}

#[tokio::test]
async fn ipv4_addresses_come_first() {
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
async fn only_the_family_is_queried_and_nothing_is_cached() {
    let dns = Stub::start(|_| Records(vec![a("192.0.2.1")])).await;
    let resolver = dns.resolver();
    for _ in 0..2 {
        let found = resolve(&resolver, host("mx.example"), IpFamily::Ipv4).await;
        assert!(found.is_ok(), "{found:?}");
    }
    assert_eq!(dns.questions(), ["A mx.example", "A mx.example"]);
}

#[tokio::test]
async fn addresses_of_one_family_are_sufficient() {
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
        let deadline = Instant::now() + TIMEOUT;
        let answer = dns.resolver().resolve(&host(name), IpFamily::Any, deadline).await;
        assert_eq!(answer, Ok(vec![found(name, &[address])]));
        assert!(Instant::now() < deadline, "{name}");
    }
}

#[tokio::test]
async fn each_failure_has_its_own_error() {
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
    let resolver = with_short_timeout(&[dns.address]);
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
async fn an_answer_that_is_not_dns_is_an_error() {
    let dns = Stub::start(|_| Garbage).await;
    let error = resolve(&dns.resolver(), host("mx.example"), IpFamily::Any).await.expect_err("garbage is no address");
    assert!(error == ResolveError::Unreadable { name: "mx.example".to_owned() }, "{error:?}");
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_lost_query_is_repeated() {
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
async fn a_truncated_answer_is_queried_by_tcp() {
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
async fn the_next_server_is_queried_after_a_failure() {
    let refusing = Stub::start(|_| Code(ResponseCode::Refused)).await;
    let silent = Stub::start(|_| Silence).await;
    let knowing = Stub::start(|question| match question {
        "A mx.example" => Records(vec![a("192.0.2.1")]),
        _ => Code(ResponseCode::NXDomain),
    })
    .await;
    let resolver = with_short_timeout(&[refusing.address, silent.address, knowing.address]);
    assert_eq!(
        resolve(&resolver, host("mx.example"), IpFamily::Any).await,
        Ok(vec![found("mx.example", &["192.0.2.1"])])
    );
    assert_eq!(resolve(&resolver, host("none.example"), IpFamily::Any).await, Err(no_such_domain("none.example")));
    let resolver = with_short_timeout(&[silent.address, refusing.address]);
    assert_eq!(
        resolve(&resolver, host("mx.example"), IpFamily::Any).await,
        Err(server_failure("mx.example", "REFUSED"))
    );
}

#[tokio::test]
async fn the_number_of_hosts_and_addresses_is_limited() {
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
fn the_failure_is_temporary_if_one_error_is() {
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
    let resolver = Resolver::with_servers(&[]);
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
    let hosts = Arc::new(HostsFile::parse(b"192.0.2.7 MX.example other.example\n"));
    let resolver = Resolver::from_source(Source::Given(Arc::new(Configuration { hosts, ..Configuration::default() })));
    assert_eq!(
        resolve(&resolver, host("mx.example"), IpFamily::Any).await,
        Ok(vec![found("mx.example", &["192.0.2.7"])])
    );
    for (target, family) in [(host("mx.example"), IpFamily::Ipv6), (mx_of("mx.example"), IpFamily::Any)] {
        let answer = resolve(&resolver, target, family).await;
        assert!(matches!(answer, Err(ResolveError::NoResolver { .. })), "{answer:?}");
    }
}

/// The name exists: the file says so, and DNS need not.
#[tokio::test]
async fn a_name_of_the_hosts_file_exists_whatever_dns_says() {
    let dns = Stub::start(|_| Code(ResponseCode::NXDomain)).await;
    let hosts = Arc::new(HostsFile::parse(b"2001:db8::7 six.example\n"));
    let servers = Arc::new(NameServers::new(&[dns.address], Options::DEFAULT));
    let resolver = Resolver::from_source(Source::Given(Arc::new(Configuration { servers, hosts })));
    let answer = |name: &'static str| resolve(&resolver, host(name), IpFamily::Ipv4);
    assert_eq!(answer("six.example").await, Err(no_address("six.example", IpFamily::Ipv4)));
    assert_eq!(answer("other.example").await, Err(no_such_domain("other.example")));
}

#[tokio::test]
async fn localhost_resolves_with_the_systems_configuration() {
    let resolver = Resolver::system();
    for target in [host("localhost"), mx_of("localhost")] {
        let candidates = resolve(&resolver, target, IpFamily::Ipv4).await;
        assert_eq!(candidates, Ok(vec![found("localhost", &["127.0.0.1"])]));
    }
}
