//! The DNS server of the tests: answers, errors, delays and recorded queries.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::ResponseCode,
    rr::{RData, RecordType},
};
use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
};

use crate::support::dns::{DnsServer, Zone};

/// A resolver that asks only this server, without a cache.
fn resolver(dns: &DnsServer) -> TokioResolver {
    let mut server = NameServerConfig::udp_and_tcp(dns.addr().ip());
    for connection in &mut server.connections {
        connection.port = dns.addr().port();
    }
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    (options.cache_size, options.attempts, options.use_hosts_file) = (0, 0, ResolveHosts::Never);
    options.timeout = Duration::from_millis(500);
    builder.build().expect("the configuration is complete")
}

async fn ask(resolver: &TokioResolver, name: &str, record_type: RecordType) -> Result<Vec<RData>, DnsError> {
    match resolver.lookup(format!("{name}."), record_type).await {
        Ok(found) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
        Err(NetError::Dns(error)) => Err(error),
        Err(other) => panic!("{name}: {other}"),
    }
}

fn texts(data: &[RData]) -> BTreeSet<String> {
    data.iter().map(RData::to_string).collect()
}

#[tokio::test]
async fn records_are_found_and_questions_remembered() {
    let zone = Zone::new()
        .mx("example.test", 10, "mx1.example.test")
        .mx("Example.Test", 20, "mx2.example.test")
        .null_mx("nomail.test")
        .a("mx1.example.test", Ipv4Addr::new(127, 0, 0, 1))
        .aaaa("mx1.example.test", Ipv6Addr::LOCALHOST)
        .cname("alias.test", "mx1.example.test");
    let dns = DnsServer::serve(zone);
    let resolver = resolver(&dns);
    let mx = ask(&resolver, "EXAMPLE.test", RecordType::MX).await.expect("there are two");
    assert_eq!(texts(&mx), texts_of(&["10 mx1.example.test.", "20 mx2.example.test."]));
    let null = ask(&resolver, "nomail.test", RecordType::MX).await.expect("there is one");
    assert_eq!(texts(&null), texts_of(&["0 ."]));
    let six = ask(&resolver, "mx1.example.test", RecordType::AAAA).await.expect("there is one");
    assert_eq!(texts(&six), texts_of(&["::1"]));
    let alias = ask(&resolver, "alias.test", RecordType::A).await.expect("its target has one");
    assert_eq!(texts(&alias), texts_of(&["mx1.example.test.", "127.0.0.1"]));
    let asked = [
        ("example.test", RecordType::MX),
        ("nomail.test", RecordType::MX),
        ("mx1.example.test", RecordType::AAAA),
        ("alias.test", RecordType::A),
    ];
    assert_eq!(dns.queries(), asked.map(|(name, record_type)| (name.to_owned(), record_type)));
    assert_eq!(dns.queries_over_tcp(), 0);
}

#[tokio::test]
async fn negative_answers_differ() {
    let zone = Zone::new()
        .a("four.test", Ipv4Addr::LOCALHOST)
        .empty("empty.test")
        .nxdomain("none.test")
        .servfail("fails.test")
        .refused("refuses.test");
    let dns = DnsServer::serve(zone);
    let resolver = resolver(&dns);
    for (name, code) in [
        ("four.test", ResponseCode::NoError),
        ("empty.test", ResponseCode::NoError),
        ("none.test", ResponseCode::NXDomain),
        ("unheard.of", ResponseCode::NXDomain),
    ] {
        let Err(DnsError::NoRecordsFound(none)) = ask(&resolver, name, RecordType::AAAA).await else {
            panic!("{name} has records")
        };
        assert_eq!(none.response_code, code, "{name}");
        assert!(none.soa.is_some(), "{name}");
    }
    for (name, code) in [("fails.test", ResponseCode::ServFail), ("refuses.test", ResponseCode::Refused)] {
        let Err(DnsError::ResponseCode(given)) = ask(&resolver, name, RecordType::A).await else {
            panic!("{name} answers")
        };
        assert_eq!(given, code, "{name}");
    }
}

#[tokio::test]
async fn a_silent_name_gets_no_answer() {
    let dns = DnsServer::serve(Zone::new().silent("silent.test"));
    let error = resolver(&dns).lookup("silent.test.", RecordType::A).await.expect_err("nobody answers");
    assert!(matches!(error, NetError::Timeout), "{error:?}");
    assert!(dns.queries().contains(&("silent.test".to_owned(), RecordType::A)));
}

#[tokio::test]
async fn a_rebinding_name_changes_its_address_after_the_first_question() {
    let [first, then]: [IpAddr; 2] = [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into()];
    let dns = DnsServer::serve(Zone::new().rebind("rebind.test", first, then));
    let resolver = resolver(&dns);
    for expected in ["192.0.2.1", "127.0.0.1", "127.0.0.1"] {
        let found = ask(&resolver, "rebind.test", RecordType::A).await.expect("there is one");
        assert_eq!(texts(&found), texts_of(&[expected]));
        assert!(ask(&resolver, "rebind.test", RecordType::AAAA).await.is_err(), "it has one family");
    }
}

#[tokio::test]
async fn a_truncated_answer_is_complete_over_tcp() {
    let dns = DnsServer::serve(Zone::new().a("long.test", Ipv4Addr::LOCALHOST).truncated("long.test"));
    let found = ask(&resolver(&dns), "long.test", RecordType::A).await.expect("there is one");
    assert_eq!(texts(&found), texts_of(&["127.0.0.1"]));
    assert_eq!((dns.queries().len(), dns.queries_over_tcp()), (2, 1));
}

#[tokio::test]
async fn a_delayed_answer_takes_its_time() {
    let delay = Duration::from_millis(120);
    let dns = DnsServer::serve(Zone::new().a("slow.test", Ipv4Addr::LOCALHOST).delayed("slow.test", delay));
    let start = Instant::now();
    ask(&resolver(&dns), "slow.test", RecordType::A).await.expect("there is one");
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
}

fn texts_of(expected: &[&str]) -> BTreeSet<String> {
    expected.iter().map(|&text| text.to_owned()).collect()
}
