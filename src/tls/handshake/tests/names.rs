//! The names of servers: which TLS can carry, and what SNI has of them.

use super::*;

#[tokio::test]
async fn a_name_with_an_underscore_does_not_break_the_check() {
    let ca = Authority::new("CA");
    let identity = ca.issue(&params("mx.test", &["_mx.a_b.test"]));
    let name = "_mx.a_b.test.".parse().expect("a good name");
    let (outcome, facts) = handshake(&client(&[&ca]), serve(identity, BOTH), &name, soon()).await;
    outcome.expect("a handshake");
    let facts = facts.expect("facts");
    assert!(facts.verified(), "{:?}", facts.problems);
    assert_eq!(facts.server_name, "_mx.a_b.test");
}

#[tokio::test]
async fn sni_has_host_names_and_no_addresses() {
    let cases = [
        ("mx.test", Some("mx.test")),
        ("_mx.a_b.test.", Some("_mx.a_b.test")),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
    ];
    for (name, sent) in cases {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let name = name.parse().expect("a good name");
        let client = client(&[]);
        let start = tokio::select! {
            start = LazyConfigAcceptor::new(Acceptor::default(), theirs) => start,
            _ = handshake(&client, ours, &name, soon()) => panic!("the server has not answered yet"),
        };
        let start = start.expect("a ClientHello");
        let hello = start.client_hello();
        assert_eq!(hello.server_name(), sent);
        assert!(hello.alpn().is_none());
    }
}

#[test]
fn names_that_tls_cannot_carry_are_refused() {
    for name in ["", ".", "a b", "a..b", "-a.test", "ä.test", "[::1]", "1.2.3", "a\r\nb"] {
        assert_eq!(name.parse::<ServerName>(), Err(InvalidServerName), "{name}");
    }
}
