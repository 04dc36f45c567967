//! Targets that are a domain: its MX records and the addresses of its mail exchangers.

use super::*;

#[tokio::test]
async fn mail_exchangers_are_ordered_by_preference() {
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
async fn a_domain_without_mx_records_is_its_own_mail_exchanger() {
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
async fn a_silent_mail_exchanger_leaves_time_for_the_others() {
    let dns = Stub::start(|question| match question {
        "MX example.org" => Records(vec![mx(10, "silent.example."), mx(20, "mx.example.")]),
        "A mx.example" => Records(vec![a("192.0.2.1")]),
        "AAAA mx.example" => Records(vec![]),
        _ => Silence,
    })
    .await;
    let deadline = Instant::now() + Duration::from_secs(4);
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
                1..=4 => Silence,
                _ => Records(vec![mx(10, "mx1.example."), mx(20, "mx2.example.")]),
            }
        }
        "A mx1.example" => Records(vec![a("192.0.2.1")]),
        "A mx2.example" => Records(vec![a("192.0.2.2")]),
        _ => Records(vec![]),
    })
    .await;
    // The fifth packet leaves after 3750 ms, in the second half of this time.
    let deadline = Instant::now() + Duration::from_secs(7);
    assert_eq!(
        dns.resolver().resolve(&mx_of("example.org"), IpFamily::Any, deadline).await,
        Ok(vec![found("mx1.example", &["192.0.2.1"]), found("mx2.example", &["192.0.2.2"]),])
    );
}

#[test]
fn equal_preferences_are_in_random_order() {
    let records = || {
        [(10, "a."), (10, "b."), (5, "first."), (20, "last.")]
            .map(|(preference, exchange)| MX::new(preference, name(exchange)))
            .to_vec()
    };
    let orders: BTreeSet<_> = (0..200).map(|_| by_preference(records())).collect();
    assert_eq!(
        orders,
        BTreeSet::from([
            ["first", "a", "b", "last"].map(str::to_owned).to_vec(),
            ["first", "b", "a", "last"].map(str::to_owned).to_vec(),
        ])
    );
}

#[test]
fn unusual_octets_of_an_exchange_are_escaped() {
    let odd = Name::from_labels([&b"a\r\n"[..], b"\xff.\\", b"example"]).expect("a DNS name");
    let text = to_text(&odd);
    assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text}");
    assert!(text.parse::<HostName>().is_err());
}
