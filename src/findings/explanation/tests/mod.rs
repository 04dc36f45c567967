//! Explanations of causes, connections and certificates.

mod replies;
mod servers;
use time::macros::datetime;

use crate::findings::tests::*;
use crate::{
    destination::IpFamily,
    phase::Phase,
    report::{Cause, FailureKind},
    x509::{
        CertificateFacts,
        problem::CertificateErrorKind::{Expired, NotYetValid, SelfSigned, UnknownIssuer, WeakKey, WrongName},
    },
};

/// The explanation of a case contains each of these texts, or there is none.
#[track_caller]
fn explains(case: Case, texts: &[&str]) {
    let failure = case.report().failure.expect("a failure");
    let explanation = failure.explanation.unwrap_or_default();
    assert_eq!(explanation.is_empty(), texts.is_empty(), "{explanation}");
    let missing: Vec<_> = texts.iter().filter(|text| !explanation.contains(**text)).collect();
    assert!(missing.is_empty(), "{missing:?} in {explanation:?}");
    let sentences = explanation.matches(". ").count() + usize::from(explanation.ends_with('.'));
    assert!(sentences <= 2, "{explanation}");
}

fn dns(cause: Cause) -> Case {
    Case::new().failed(Phase::Dns, FailureKind::Dns, Some(cause))
}

#[test]
fn names() {
    let name = || "nowhere.test".to_owned();
    explains(dns(Cause::NoSuchDomain { name: name() }), &["no domain nowhere.test"]);
    let no_address = |family| dns(Cause::NoAddress { name: name(), family });
    explains(no_address(IpFamily::Any), &["nowhere.test", "no address"]);
    explains(no_address(IpFamily::Ipv4), &["no IPv4 address", "`ip_family` or `source_address`", "an A record"]);
    explains(no_address(IpFamily::Ipv6), &["no IPv6 address", "an AAAA record"]);
    explains(dns(Cause::NullMx { domain: name() }), &["nowhere.test accepts no mail", "null MX"]);
    explains(dns(Cause::NotAHostName { exchange: "192.0.2.1".to_owned() }), &["192.0.2.1", "not a host name"]);
    explains(dns(Cause::NoDnsAnswer), &["not known", "most likely"]);
}

#[test]
fn connections() {
    let connect = |kind| Case::at_port(2525).failed(Phase::Connect, kind, None);
    explains(connect(FailureKind::Refused), &["nothing listens", "2525"]);
    explains(connect(FailureKind::Timeout), &["Most likely a firewall"]);
    explains(connect(FailureKind::Unreachable), &["no route"]);
    explains(Case::new().failed(Phase::Banner, FailureKind::Closed, None), &["before its greeting"]);
    explains(Case::new().failed(Phase::RcptTo, FailureKind::Closed, None), &[]);
    explains(Case::new().failed(Phase::RcptTo, FailureKind::Timeout, None), &["`timeout_ms`"]);
    explains(Case::new().failed(Phase::Ehlo, FailureKind::Protocol, None), &[]);
}

#[test]
fn tls_where_it_is_not_expected_and_not_where_it_is() {
    let silent = |port| Case::at_port(port).failed(Phase::Banner, FailureKind::Timeout, Some(Cause::Silence));
    explains(silent(465), &["Most likely", "TLS from the first byte", "`implicit_tls`"]);
    explains(silent(25), &["Most likely", "tarpit", "`timeout_ms`", "`implicit_tls`"]);
    let alert = Case::new().failed(Phase::Banner, FailureKind::Protocol, Some(Cause::TlsExpected));
    explains(alert, &["TLS from the first byte", "`implicit_tls`"]);
    let clear = || Some(Cause::ClearText { line: Some("220 mx.test ESMTP".to_owned()) });
    let upgraded = Case::new().start_tls().failed(Phase::Tls, FailureKind::Tls, clear());
    explains(upgraded, &["220 mx.test ESMTP", "agreed to STARTTLS"]);
    let not_offered = Case::new().start_tls().accepted(Phase::Ehlo, "250 mx.test");
    explains(not_offered.rejected(Phase::StartTls, "502 what"), &["does not offer STARTTLS"]);
    for (cause, text) in [
        (Cause::OldTls, "neither TLS 1.2 nor TLS 1.3"),
        (Cause::TlsOfClient, "Another client"),
        (Cause::TlsSizeOfClient, "64 KiB"),
        (Cause::TlsFaultOfClient, "could not do its part"),
        (Cause::OtherTlsVersion, "cipher suites with ECDHE and AEAD"),
        (Cause::ClientCertificateWanted, "was shown none"),
        (Cause::ClientCertificateRefused, "after it was shown the client certificate"),
        (Cause::ClientCertificateUnusable, "signature algorithms"),
    ] {
        explains(Case::new().start_tls().failed(Phase::Tls, FailureKind::Tls, Some(cause)), &[text]);
    }
    // TLS 1.3: the client has completed the handshake before it is refused.
    let late = Some(Cause::ClientCertificateWanted);
    explains(Case::new().failed(Phase::EhloTls, FailureKind::Closed, late), &["client certificate"]);
    explains(Case::new().start_tls().failed(Phase::Tls, FailureKind::Tls, Some(Cause::BrokenHandshake)), &[]);
    let injected = Case::new().start_tls().failed(Phase::StartTls, FailureKind::Protocol, Some(Cause::Injection));
    explains(injected, &["injected"]);
}

/// Only what was seen: not every server that greets in clear text has STARTTLS.
#[test]
fn clear_text_in_place_of_tls() {
    const NO_STARTTLS: &str = "Check host and port";
    for (line, texts) in [
        ("220 mx.test ESMTP", &["speaks clear text", "Set `starttls` in place of `implicit_tls`"][..]),
        ("220-mx.test ESMTP Gr\u{fffd}\u{df}e", &["Set `starttls`"]),
        ("220 mx.test ESMTP, no ftp here", &["Set `starttls`"]),
        ("22", &["on this port: it answered \"22\"", NO_STARTTLS]),
        ("220 mx.test\0", &["Set `starttls`"]),
        (" 220 mx.test", &["speaks clear text", "no greeting of SMTP"]),
        ("\u{feff}220 mx.test", &["speaks clear text", "no greeting of SMTP"]),
        ("220 (vsFTPd 3.0.3)", &["most likely FTP", NO_STARTTLS]),
        ("421 4.3.2 mx.test too busy", &["takes no session now", "Most likely it is too busy"]),
        ("450 4.7.1 later", &["takes no session now"]),
        ("554 5.7.1 mx.test no service for you", &["refuses the session", "does not admit the address"]),
        ("521 mx.test", &["refuses the session"]),
        ("* OK [CAPABILITY IMAP4rev1] ready", &["it is IMAP", NO_STARTTLS]),
        ("* BYE too many connections", &["it is IMAP", NO_STARTTLS]),
        ("+OK POP3 ready", &["it is POP3", NO_STARTTLS]),
        ("HTTP/1.1 400 Bad Request", &["it is HTTP", NO_STARTTLS]),
        ("SSH-2.0-OpenSSH_9.2", &["it is SSH", NO_STARTTLS]),
        ("200 news.test InterNetNews ready", &["no greeting of SMTP", NO_STARTTLS]),
        ("-ERR", &["no greeting of SMTP", NO_STARTTLS]),
        ("\u{fffd}\u{0}\u{1}", &["neither TLS nor clear text", NO_STARTTLS]),
        ("J\u{0}\u{0}mysql", &["neither TLS nor clear text"]),
    ] {
        let cause = || Some(Cause::ClearText { line: Some(line.to_owned()) });
        let case = || Case::new().implicit_tls().failed(Phase::Tls, FailureKind::Tls, cause());
        explains(case(), texts);
        let explanation = case().report().failure.and_then(|failure| failure.explanation).unwrap_or_default();
        assert_eq!(
            explanation.contains("`starttls`"),
            texts.iter().any(|text| text.contains("Set `starttls`")),
            "{line}"
        );
    }
    let upgraded = |line: Option<&str>| {
        let cause = Cause::ClearText { line: line.map(str::to_owned) };
        Case::new().start_tls().failed(Phase::Tls, FailureKind::Tls, Some(cause))
    };
    explains(upgraded(Some("502 5.5.1 what")), &["agreed to STARTTLS", "502 5.5.1 what", "look into its log"]);
    explains(upgraded(None), &["agreed to STARTTLS", "neither TLS nor clear text"]);
}

#[test]
fn certificates() {
    let required = |kinds: &[_], leaf| {
        let secured = Case::new().start_tls().secured(kinds, leaf);
        secured.failed(Phase::Tls, FailureKind::Certificate, Some(Cause::CertificateErrors))
    };
    let other = || CertificateFacts { names: vec!["a.test".to_owned(), "b.test".to_owned()], ..leaf() };
    explains(required(&[WrongName], other()), &["is for a.test and b.test, not for mx.test"]);
    let many = CertificateFacts { names: vec!["a.test".to_owned(); 9], ..leaf() };
    explains(required(&[WrongName], many), &["a.test, a.test, a.test and 6 more, not for mx.test"]);
    let none = CertificateFacts { names: vec![], ..leaf() };
    explains(required(&[WrongName], none), &["no name among", "`CN=mx.test` does not count", "has mx.test there"]);
    let expired = || CertificateFacts { not_after: Some(datetime!(2026-11-01 3:00 UTC)), ..leaf() };
    explains(required(&[Expired], expired()), &["expired on 2026-11-01"]);
    // The certificate that has expired is an issuer's.
    explains(required(&[Expired], leaf()), &["An issuer's certificate has expired"]);
    let both = CertificateFacts { names: other().names, ..expired() };
    explains(required(&[Expired, WrongName], both), &["not for mx.test", "expired on 2026-11-01"]);
    let early = CertificateFacts { not_before: Some(datetime!(2026-12-01 0:00 UTC)), ..leaf() };
    explains(required(&[NotYetValid], early), &["2026-12-01"]);
    explains(required(&[SelfSigned], leaf()), &["self-signed"]);
    explains(required(&[UnknownIssuer], leaf()), &["CN=CA", "does not trust"]);
    explains(required(&[WeakKey], leaf()), &[]);
}

#[test]
fn no_mechanism_that_auto_can_use() {
    let none = Some(Cause::NoUsableMechanism);
    let clear = |auth: &str| {
        let case = Case::new().accepted(Phase::Ehlo, &format!("250-mx\r\n250-STARTTLS\r\n250 {auth}"));
        case.failed(Phase::SaslAuth, FailureKind::Unsupported, none.clone())
    };
    let inside = |auth: &str| {
        let case = Case::new().start_tls().secured(&[], leaf());
        let case = case.accepted(Phase::EhloTls, &format!("250-mx\r\n250 {auth}"));
        case.failed(Phase::SaslAuth, FailureKind::Unsupported, none.clone())
    };
    explains(clear("AUTH LOGIN PLAIN"), &["(LOGIN PLAIN)", "Set `starttls`"]);
    explains(clear("AUTH XOAUTH2"), &["(XOAUTH2)", "need a token"]);
    explains(clear("AUTH NTLM"), &["(NTLM)", "Enable one of SCRAM-SHA-256"]);
    explains(clear("AUTH"), &["(none)", "Enable one of"]);
    explains(clear("SIZE"), &["does not offer AUTH here", "set `starttls`"]);
    explains(inside("AUTH OAUTHBEARER GSSAPI"), &["(OAUTHBEARER GSSAPI)", "need a token"]);
    explains(inside("AUTH DIGEST-MD5"), &["Enable one of"]);
    explains(inside("SIZE"), &["does not offer AUTH on this port"]);
}
