//! UDP, TCP, and which server is asked.

use super::{
    stub::Answer::{
        ClosedByTcp, Cut, OddAdditional, OnlyByLaterTcp, OnlyWithoutEdns, SilentByTcp, SilentToEdns, TruncatedByTcp,
    },
    *,
};

/// Less than the first wait for a silent TCP connection.
const SOON: Duration = Duration::from_secs(2);

fn many(count: usize) -> Vec<RData> {
    (0..count).map(|n| a(&format!("192.0.{}.{}", 2 + n / 256, n % 256))).collect()
}

#[tokio::test]
async fn a_datagram_that_is_cut_is_a_truncated_answer() {
    // In the header, in the question, in a record, behind a record; or just too long.
    for (octets, count) in [(2, 90), (11, 90), (20, 90), (100, 90), (28 + 10 * 16, 90), (usize::MAX, 300)] {
        let dns = Stub::start(move |_| Cut(octets, many(count))).await;
        let found = ipv4_of(&dns.resolver(), "mx.example").await.expect("addresses");
        assert_eq!(found.len(), MAX_ADDRESSES, "{octets}");
        assert_eq!(dns.connections(), 1, "{octets}");
    }
}

#[tokio::test]
async fn an_answer_that_tcp_truncates_is_none() {
    let knowing = knowing("192.0.2.1").await;
    // Without records, and with some of them.
    for records in [vec![], vec![a("192.0.2.9")]] {
        let truncating = Stub::start(move |_| TruncatedByTcp(records.clone())).await;
        let resolver = Resolver::with_servers(&[truncating.address, knowing.address]);
        assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])));
        let error = ResolveError::Truncated { name: "mx.example".to_owned() };
        assert!(error.is_temporary());
        assert_eq!(ipv4_of(&truncating.resolver(), "mx.example").await, Err(error));
    }
}

/// A port on loopback where no program answers by UDP.
async fn closed_port() -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
    socket.local_addr().expect("a bound socket")
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_is_an_error_in_our_words() {
    let closing = Stub::start(|_| ClosedByTcp).await;
    for (server, text) in [
        (closing.address, "the DNS server closed the connection when asked for mx.example"),
        (closed_port().await, "the DNS server could not be asked for mx.example: connection refused"),
    ] {
        let error = ipv4_of(&Resolver::with_servers(&[server]), "mx.example").await.expect_err("no answer");
        assert_eq!(error.to_string(), text);
        assert!(error.is_temporary());
        let knowing = knowing("192.0.2.1").await;
        let resolver = Resolver::with_servers(&[server, knowing.address]);
        assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])), "{text}");
    }
}

#[tokio::test]
async fn a_datagram_that_is_longer_than_advertised_is_read() {
    let dns = Stub::start(|_| Records(many(90))).await;
    assert_eq!(ipv4_of(&dns.resolver(), "mx.example").await.map(|found| found.len()), Ok(MAX_ADDRESSES));
    assert_eq!(dns.connections(), 0);
}

#[tokio::test]
async fn an_odd_additional_record_does_not_spoil_the_answer() {
    let dns = Stub::start(|_| OddAdditional(vec![a("192.0.2.1")])).await;
    assert_eq!(ipv4_of(&dns.resolver(), "mx.example").await, Ok(ips(&["192.0.2.1"])));
    assert_eq!(dns.connections(), 0);
}

fn with_edns(servers: &[SocketAddr]) -> Resolver {
    Resolver::with_options(servers, Options { edns: true, ..Options::DEFAULT })
}

/// Without the option `edns0` no query has EDNS, so no server can fail to understand it.
#[tokio::test]
async fn queries_have_no_edns_by_default() {
    let dns = Stub::start(|_| SilentToEdns(vec![a("192.0.2.1")])).await;
    let began = Instant::now();
    assert_eq!(ipv4_of(&dns.resolver(), "mx.example").await, Ok(ips(&["192.0.2.1"])));
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    assert_eq!(dns.questions().len(), 1);
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without_it() {
    let dns = Stub::start(|_| OnlyWithoutEdns(vec![a("192.0.2.1")])).await;
    let resolver = with_edns(&[dns.address]);
    for packets in [2, 3] {
        assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])));
        assert_eq!(dns.questions().len(), packets, "only the first question is sent twice");
    }
}

#[tokio::test]
async fn a_server_that_drops_edns_costs_only_the_first_question() {
    let first = Stub::start(|_| SilentToEdns(vec![a("192.0.2.1")])).await;
    let second = Stub::start(|_| Silence).await;
    let resolver = with_edns(&[first.address, second.address]);
    for packets in [3, 4, 5] {
        assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])));
        let questions = first.questions().into_iter().filter(|question| question == "A mx.example").count();
        assert_eq!(questions, packets, "two packets with EDNS are lost");
    }
    assert!(second.questions().is_empty(), "the first server is not dead");
}

#[tokio::test]
async fn with_edns_an_answer_of_more_than_512_octets_needs_no_tcp() {
    let dns = Stub::start(|_| Changed(many(60), |reply| reply.metadata.truncation = reply.edns.is_none())).await;
    for (resolver, connections) in [(with_edns(&[dns.address]), 0), (dns.resolver(), 1)] {
        assert_eq!(ipv4_of(&resolver, "mx.example").await.map(|found| found.len()), Ok(60));
        assert_eq!(dns.connections(), connections);
    }
}

#[tokio::test]
async fn a_silent_connection_is_given_up() {
    let dns = Stub::start(|_| OnlyByLaterTcp(vec![a("192.0.2.1")])).await;
    assert_eq!(ipv4_of(&dns.resolver(), "mx.example").await, Ok(ips(&["192.0.2.1"])));
    assert_eq!(dns.connections(), 2);
}

#[tokio::test]
async fn a_stalled_question_does_not_hold_up_the_others() {
    let dns = Stub::start(|question| match question {
        "A stalled.example" => OnlyByLaterTcp(vec![a("192.0.2.1")]),
        "A silent.example" => Silence,
        "A garbled.example" => Garbage,
        "A long.example" => OnlyByTcp(vec![a("192.0.2.2")]),
        _ => Records(vec![a("192.0.2.3")]),
    })
    .await;
    let resolver = dns.resolver();
    let slow: Vec<_> = ["stalled.example", "silent.example"]
        .map(|name| {
            let resolver = resolver.clone();
            tokio::spawn(async move { ipv4_of(&resolver, name).await })
        })
        .into();
    let is_stalled = async {
        while dns.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, is_stalled).await.expect("a connection");
    assert!(ipv4_of(&resolver, "garbled.example").await.is_err());
    for (name, address) in [("long.example", "192.0.2.2"), ("mx.example", "192.0.2.3"), ("other.example", "192.0.2.3")]
    {
        let began = Instant::now();
        assert_eq!(ipv4_of(&resolver, name).await, Ok(ips(&[address])));
        assert!(began.elapsed() < SOON, "{name}: {:?}", began.elapsed());
        assert!(dns.questions().contains(&format!("A {name}")), "{name} is asked by UDP first");
    }
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_dead_server_is_asked_last() {
    let dead = Stub::start(|_| Silence).await;
    let knowing = knowing("192.0.2.1").await;
    // Found to be dead, and not passed over after the server timeout, which is as long as the resolution may take.
    let resolver = Resolver::with_options(
        &[dead.address, knowing.address],
        Options { server_timeout: TIMEOUT, ..Options::DEFAULT },
    );
    for name in ["mx.example", "mx1.example", "mx2.example"] {
        assert_eq!(ipv4_of(&resolver, name).await, Ok(ips(&["192.0.2.1"])), "{name}");
    }
    let asked = |name: &str| dead.questions().contains(&format!("A {name}"));
    assert_eq!(["mx.example", "mx1.example", "mx2.example"].map(asked), [true, false, false]);
}

#[tokio::test]
async fn a_server_without_tcp_is_asked_last_for_truncated_answers() {
    let without_tcp = Stub::start(|question| match question {
        "A short.example" => Records(vec![a("192.0.2.9")]),
        _ => SilentByTcp,
    })
    .await;
    let knowing = knowing("192.0.2.1").await;
    // As long as the resolution may take: the server is passed over because it is known to be silent.
    let options = Options { server_timeout: TIMEOUT, ..Options::DEFAULT };
    let resolver = Resolver::with_options(&[without_tcp.address, knowing.address], options);
    for name in ["long.example", "long1.example", "long2.example"] {
        assert_eq!(ipv4_of(&resolver, name).await, Ok(ips(&["192.0.2.1"])), "{name}");
    }
    // Its short answers still count, and none of these questions went to the other server.
    assert_eq!(ipv4_of(&resolver, "short.example").await, Ok(ips(&["192.0.2.9"])));
    assert!(!knowing.questions().contains(&"A short.example".to_owned()));
}

#[tokio::test]
async fn a_caller_that_gives_up_early_helps_to_find_a_dead_server() {
    let dead = Stub::start(|_| Silence).await;
    let knowing = knowing("192.0.2.1").await;
    let resolver = Resolver::with_servers(&[dead.address, knowing.address]);
    let deadline = Instant::now() + Duration::from_millis(500);
    let found = resolver.resolve(&host("mx.example"), IpFamily::Ipv4, deadline).await;
    assert_eq!(found, Err(timed_out("mx.example")));
    // The probe ends in the meantime.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ipv4_of(&resolver, "other.example").await, Ok(ips(&["192.0.2.1"])));
    assert!(!dead.questions().contains(&"A other.example".to_owned()), "{:?}", dead.questions());
}

#[tokio::test]
async fn a_silent_name_does_not_make_its_server_a_dead_one() {
    let first = Stub::start(|question| match question {
        "A silent.example" => Silence,
        _ => Records(vec![a("192.0.2.1")]),
    })
    .await;
    let second = knowing("192.0.2.2").await;
    let resolver = Resolver::with_servers(&[first.address, second.address]);
    assert_eq!(ipv4_of(&resolver, "silent.example").await, Ok(ips(&["192.0.2.2"])));
    assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])));
}

#[tokio::test]
async fn names_that_are_not_in_dns_are_not_asked_for() {
    let dns = knowing("192.0.2.1").await;
    let resolver = dns.resolver();
    for name in ["mx.invalid", "mx.ONION"] {
        assert_eq!(ipv4_of(&resolver, name).await, Err(no_such_domain(&name.to_ascii_lowercase())));
    }
    assert_eq!(ipv4_of(&resolver, "mx.localhost").await, Ok(ips(&["127.0.0.1"])));
    assert!(dns.questions().is_empty());
}

#[tokio::test]
async fn one_resolution_asks_few_questions_at_a_time() {
    let exchanges = || (0..16).map(|n| mx(n, &format!("mx{n}.example."))).collect();
    let dns =
        Stub::start(move |question| if question.starts_with("MX") { Records(exchanges()) } else { Silence }).await;
    let asked_at_a_time = async |resolver: Resolver, domain: &str| {
        let deadline = Instant::now() + Duration::from_millis(200);
        let _ = timeout_at(deadline, resolver.resolve(&mx_of(domain), IpFamily::Any, deadline)).await;
        let questions = dns.questions().into_iter();
        questions.filter(|question| !question.starts_with("MX")).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(asked_at_a_time(dns.resolver(), "example").await, MAX_SOCKETS);
}

#[tokio::test]
async fn resolutions_share_the_spare_sockets() {
    let dns = Stub::start(|question| match question {
        "MX one.example" => Records((0..16).map(|n| mx(n, &format!("mx{n}.one.example."))).collect()),
        "MX other.example" => Records((0..16).map(|n| mx(n, &format!("mx{n}.other.example."))).collect()),
        _ => Silence,
    })
    .await;
    let resolver = dns.resolver().with_spare_sockets(3);
    let deadline = Instant::now() + Duration::from_millis(300);
    let resolve = async |domain| timeout_at(deadline, resolver.resolve(&mx_of(domain), IpFamily::Any, deadline)).await;
    let _ = tokio::join!(resolve("one.example"), resolve("other.example"));
    let questions: BTreeSet<_> = dns.questions().into_iter().filter(|question| !question.starts_with("MX")).collect();
    let asked = |domain: &str| questions.iter().filter(|question| question.ends_with(domain)).count();
    assert_eq!([asked(".one.example"), asked(".other.example")], [OWN_SOCKETS + 3, OWN_SOCKETS], "{questions:?}");
}

#[tokio::test]
async fn a_question_that_needs_a_socket_gives_up_its_slow_server() {
    let slow = Stub::start(|question| {
        if question.starts_with("MX") {
            Records((0..5).map(|n| mx(n, &format!("mx{n}.example."))).collect())
        } else {
            Silence
        }
    })
    .await;
    let knowing = knowing("192.0.2.1").await;
    let options = Options { server_timeout: Duration::from_millis(100), ..Options::DEFAULT };
    let resolver = Resolver::with_options(&[slow.address, knowing.address], options);
    let found = resolve(&resolver, mx_of("example"), IpFamily::Any).await.expect("exchangers");
    assert!(found.iter().all(|candidate| candidate.addresses == Ok(ips(&["192.0.2.1"]))), "{found:?}");
}

#[tokio::test]
async fn with_rotate_each_question_begins_with_the_next_server() {
    let servers = [knowing("192.0.2.1").await, knowing("192.0.2.2").await];
    let options = Options { rotate: true, ..Options::DEFAULT };
    let resolver = Resolver::with_options(&servers.each_ref().map(|server| server.address), options);
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.1"] {
        assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&[address])));
    }
}

#[tokio::test]
async fn with_use_vc_servers_are_asked_by_tcp_only() {
    let dns = knowing("192.0.2.1").await;
    let resolver = Resolver::with_options(&[dns.address], Options { tcp_only: true, ..Options::DEFAULT });
    assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])));
    assert_eq!((dns.questions(), dns.connections()), (vec![], 1));
}

#[tokio::test]
async fn with_no_aaaa_there_are_only_ipv4_addresses() {
    let dns = Stub::start(|question| {
        if question.starts_with("AAAA") { Records(vec![aaaa("2001:db8::1")]) } else { Records(vec![a("192.0.2.1")]) }
    })
    .await;
    let resolver = Resolver::with_options(&[dns.address], Options { no_aaaa: true, ..Options::DEFAULT });
    assert_eq!(
        resolve(&resolver, host("mx.example"), IpFamily::Any).await,
        Ok(vec![found("mx.example", &["192.0.2.1"])])
    );
    assert_eq!(dns.questions(), ["A mx.example"]);
}

#[tokio::test]
async fn attempts_bound_the_wait_for_all_servers() {
    let dns = Stub::start(|_| Silence).await;
    let options = Options { server_timeout: Duration::from_millis(50), attempts: 2, ..Options::DEFAULT };
    let began = Instant::now();
    assert!(ipv4_of(&Resolver::with_options(&[dns.address], options), "mx.example").await.is_err());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
