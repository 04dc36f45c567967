//! Responses that do not answer the question.

use hickory_proto::{
    op::{Message, MessageType, Query},
    rr::{
        DNSClass,
        rdata::{NS, SOA},
    },
};

use super::{stub::Answer::Referral, *};

/// What is done to a response.
type Change = fn(&mut Message);

/// The name of a case, the records of the response, and what is done to it.
type Case = (&'static str, Vec<RData>, Change);

fn alias(to: &str) -> RData {
    RData::CNAME(CNAME(name(to)))
}

fn soa() -> Record {
    let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 60, 60, 60, 60);
    Record::from_rdata(name("example."), 60, RData::SOA(soa))
}

/// Each is the fault of the server: the name may have an address.
#[tokio::test]
async fn records_that_do_not_belong_to_the_question_are_no_answer() {
    let knowing = knowing("192.0.2.1").await;
    let cases: [Case; 7] = [
        ("of another class", vec![a("192.0.2.9")], |reply| reply.answers[0].dns_class = DNSClass::CH),
        ("of another name", vec![a("192.0.2.9")], |reply| reply.answers[0].name = name("other.example.")),
        ("of another name, with the SOA record", vec![a("192.0.2.9")], |reply| {
            reply.answers[0].name = name("other.example.");
            reply.add_authority(soa());
        }),
        ("of another type", vec![aaaa("2001:db8::9"), mx(1, "mx.example.")], |_| ()),
        ("an alias of another class", vec![alias("c.example."), a("192.0.2.9")], |reply| {
            reply.answers[0].dns_class = DNSClass::CH;
        }),
        ("an alias of another name", vec![alias("c.example."), a("192.0.2.9")], |reply| {
            reply.answers[0].name = name("other.example.");
        }),
        ("without data", vec![a("192.0.2.9")], |reply| {
            reply.answers[0] = Record::update0(name("mx.example."), 60, RecordType::A);
        }),
    ];
    for (case, records, change) in cases {
        let odd = Stub::start(move |_| Changed(records.clone(), change)).await;
        let error = ResolveError::OtherRecords { name: "mx.example".to_owned() };
        assert!(error.is_temporary());
        assert_eq!(ipv4_of(&odd.resolver(), "mx.example").await, Err(error), "{case}");
        let resolver = Resolver::with_servers(&[odd.address, knowing.address]);
        assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])), "{case}");
    }
}

/// An MX record that does not belong to the question is not a domain without mail exchangers.
#[tokio::test]
async fn other_records_are_no_lack_of_mail_exchangers() {
    let dns = Stub::start(|question| match question {
        "MX example" => Changed(vec![mx(1, "mx.example.")], |reply| reply.answers[0].dns_class = DNSClass::CH),
        _ => Records(vec![a("192.0.2.1")]),
    })
    .await;
    let error = ResolveError::OtherRecords { name: "example".to_owned() };
    assert_eq!(resolve(&dns.resolver(), mx_of("example"), IpFamily::Ipv4).await, Err(error));
}

#[tokio::test]
async fn codes_of_failure_are_the_fault_of_the_server() {
    let knowing = knowing("192.0.2.1").await;
    for (high, low, text) in [
        (0, 1, "FORMERR"),
        (0, 2, "SERVFAIL"),
        (0, 4, "NOTIMP"),
        (0, 5, "REFUSED"),
        (0, 6, "YXDOMAIN"),
        (0, 9, "NOTAUTH"),
        (0, 15, "RCODE 15"),
        // The lower four bits alone are NOERROR.
        (1, 0, "BADVERS"),
    ] {
        let code = ResponseCode::from(high, low);
        let failing = Stub::start(move |_| Code(code)).await;
        let error = server_failure("mx.example", text);
        assert!(error.is_temporary());
        assert_eq!(ipv4_of(&failing.resolver(), "mx.example").await, Err(error));
        let resolver = Resolver::with_servers(&[failing.address, knowing.address]);
        assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])), "{text}");
    }
}

/// A forged response, or one to an earlier query: the right one may still come.
#[tokio::test]
async fn a_response_to_another_query_is_waited_out() {
    let knowing = knowing("192.0.2.1").await;
    let cases: [(&str, Change); 6] = [
        ("id", |reply| reply.metadata.id ^= 1),
        ("kind", |reply| reply.metadata.message_type = MessageType::Query),
        ("name", |reply| reply.queries[0] = Query::query(name("other.example."), RecordType::A)),
        ("type", |reply| reply.queries[0] = Query::query(name("mx.example."), RecordType::MX)),
        ("class", |reply| {
            reply.queries[0].set_query_class(DNSClass::CH);
        }),
        ("no question", |reply| reply.queries.clear()),
    ];
    for (case, change) in cases {
        let odd = Stub::start(move |_| Changed(vec![a("192.0.2.9")], change)).await;
        let resolver = with_short_timeout(&[odd.address, knowing.address]);
        assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])), "{case}");
    }
}

/// No address, for certain: with the SOA record, or without any record (RFC 2308, section 2.2).
#[tokio::test]
async fn a_negative_answer_is_final() {
    let cases: [Case; 5] = [
        ("nothing", vec![], |_| ()),
        ("nothing, from an authoritative server", vec![], |reply| {
            reply.metadata.authoritative = true;
            reply.metadata.recursion_available = false;
        }),
        ("a SOA record", vec![], |reply| {
            reply.add_authority(soa());
        }),
        ("SOA and NS records", vec![], |reply| {
            reply.add_authority(Record::from_rdata(name("example."), 60, RData::NS(NS(name("ns.example.")))));
            reply.add_authority(soa());
        }),
        ("an alias and a SOA record", vec![alias("other.example.")], |reply| {
            reply.add_authority(soa());
        }),
    ];
    for (case, records, change) in cases {
        let dns = Stub::start(move |_| Changed(records.clone(), change)).await;
        let error = no_address("mx.example", IpFamily::Ipv4);
        assert_eq!(ipv4_of(&dns.resolver(), "mx.example").await, Err(error), "{case}");
    }
}

#[tokio::test]
async fn the_end_of_a_chain_of_aliases_is_asked_for() {
    let dns = Stub::start(|question| match question {
        "A mx.example" => Records(vec![alias("b.example."), alias("c.example.")]),
        "A c.example" => Records(vec![a("192.0.2.1")]),
        "A stray.example" => Changed(vec![alias("c.example."), a("192.0.2.9")], |reply| {
            reply.answers[1].name = name("other.example.");
            reply.add_authority(soa());
        }),
        "A nowhere.example" => Records(vec![alias("end.example.")]),
        "A end.example" => Records(vec![]),
        "A lost.example" => Records(vec![alias("failing.example.")]),
        _ => Code(ResponseCode::ServFail),
    })
    .await;
    for (name, answer) in [
        ("mx.example", Ok(ips(&["192.0.2.1"]))),
        ("stray.example", Ok(ips(&["192.0.2.1"]))),
        ("nowhere.example", Err(no_address("nowhere.example", IpFamily::Ipv4))),
        ("lost.example", Err(server_failure("lost.example", "SERVFAIL"))),
    ] {
        assert_eq!(ipv4_of(&dns.resolver(), name).await, answer, "{name}");
    }
}

#[tokio::test]
async fn aliases_of_each_other_are_an_error() {
    let dns = Stub::start(move |question| match question {
        "A a.example" => Records(vec![alias("b.example.")]),
        "A b.example" => Records(vec![alias("a.example.")]),
        "A self.example" => Records(vec![alias("self.example.")]),
        _ => Records(vec![alias("x.example."), alias("y.example."), alias("loop.example.")]),
    })
    .await;
    for (name, questions) in [("a.example", 2), ("self.example", 1), ("loop.example", 3)] {
        let before = dns.questions().len();
        let error = ResolveError::AliasLoop { name: name.to_owned() };
        assert!(error.is_temporary());
        assert_eq!(ipv4_of(&dns.resolver(), name).await, Err(error));
        assert!(dns.questions().len() - before <= questions, "{:?}", dns.questions());
    }
}

#[tokio::test]
async fn a_referral_is_no_answer() {
    let lame = Stub::start(|_| Referral).await;
    let knowing = knowing("192.0.2.1").await;
    let resolver = Resolver::with_servers(&[lame.address, knowing.address]);
    assert_eq!(ipv4_of(&resolver, "mx.example").await, Ok(ips(&["192.0.2.1"])));
    let error = ResolveError::Lame { name: "mx.example".to_owned() };
    assert!(error.is_temporary());
    assert_eq!(ipv4_of(&lame.resolver(), "mx.example").await, Err(error));
}
