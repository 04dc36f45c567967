//! The explanation of a failure: one or two sentences on what it most likely means, and what to do.
//!
//! - [`causes`]: failures whose cause is known as data, and those of the connection.
//! - [`certificate`]: certificates that failed the check.
//! - [`replies`]: replies that refuse something. Their codes decide; where only the text tells, the explanation says
//!   "most likely".

mod causes;
mod certificate;
mod replies;

use super::refusal::Refusal;
use crate::{
    report::{Failure, FailureKind, Report},
    smtp::Script,
};

/// The explanation of this failure; `None` where there is nothing to say beyond the facts. Names of parameters are in
/// backquotes. `refusal` is the reply that failed the check, if it refuses something.
pub(super) fn of(failure: &Failure, refusal: Option<&Refusal<'_>>, report: &Report, script: &Script) -> Option<String> {
    let by_cause = failure.cause.as_ref().and_then(|cause| causes::of_cause(cause, failure, report, script));
    by_cause.or_else(|| match failure.kind {
        FailureKind::Rejected | FailureKind::Unexpected => replies::of(refusal?),
        _ => causes::of_kind(failure, report),
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use crate::findings::tests::*;
    use crate::{
        destination::IpFamily,
        phase::Phase,
        report::{AuthEnded, Cause, FailureKind},
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
        let implicit = Case::new().implicit_tls().failed(Phase::Tls, FailureKind::Tls, clear());
        explains(implicit, &["220 mx.test ESMTP", "clear text", "`starttls`"]);
        let upgraded = Case::new().start_tls().failed(Phase::Tls, FailureKind::Tls, clear());
        explains(upgraded, &["220 mx.test ESMTP", "agreed to STARTTLS"]);
        let not_offered = Case::new().start_tls().accepted(Phase::Ehlo, "250 mx.test");
        explains(not_offered.rejected(Phase::StartTls, "502 what"), &["does not offer STARTTLS"]);
        for (cause, text) in [
            (Cause::OldTls, "neither TLS 1.2 nor TLS 1.3"),
            (Cause::TlsOfClient, "Another client"),
            (Cause::OtherTlsVersion, "`tls_version`"),
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

    fn refused(phase: Phase, text: &str) -> Case {
        Case::new().rejected(phase, text)
    }

    #[test]
    fn greylisting() {
        let text = "450 4.2.0 <probe@example.test>: Recipient address rejected: Greylisted for 300 seconds";
        explains(refused(Phase::RcptTo, text), &["uses greylisting", "in 5 minutes"]);
        explains(refused(Phase::RcptTo, "451 4.7.1 Greylisting in action, come back in 00:00:40"), &["in 40 seconds"]);
        explains(
            refused(Phase::RcptTo, "451 4.7.1 Try again later"),
            &["Most likely", "greylisting", "5 to 15 minutes"],
        );
        for text in
            ["451 4.3.0 Temporary lookup failure", "451 Temporary local problem - please try later", "452 4.2.2 full"]
        {
            let failure = refused(Phase::RcptTo, text).report().failure.expect("a failure");
            assert!(!failure.explanation.unwrap_or_default().contains("greylist"), "{text}");
        }
    }

    #[test]
    fn recipients() {
        explains(refused(Phase::RcptTo, "550 5.1.1 <x>: no"), &["knows no mailbox probe@example.test"]);
        explains(refused(Phase::RcptTo, "550 No such user here"), &["Most likely", "no mailbox probe@example.test"]);
        explains(refused(Phase::RcptTo, "550 no"), &[]);
        explains(refused(Phase::RcptTo, "554 5.7.1 <x>: Relay access denied"), &["relay"]);
        explains(refused(Phase::RcptTo, "552 5.2.2 over quota"), &["mailbox is full"]);
        explains(refused(Phase::RcptTo, "553 5.6.7 no"), &[]);
        explains(Case::new().to("é@example.test").rejected(Phase::RcptTo, "553 5.6.7 no"), &["SMTPUTF8"]);
    }

    #[test]
    fn block_lists_and_other_refusals_of_this_client() {
        let text = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org";
        explains(refused(Phase::RcptTo, text), &["block list", "zen.spamhaus.org"]);
        explains(refused(Phase::MailFrom, "550 5.7.1 you are on our blocklist"), &["Most likely", "a block list"]);
        explains(refused(Phase::Banner, "554 no"), &["Most likely", "the address"]);
        explains(refused(Phase::Banner, "421 busy"), &["later"]);
    }

    #[test]
    fn what_the_server_wants_first() {
        let starttls = "530 5.7.0 Must issue a STARTTLS command first";
        explains(refused(Phase::MailFrom, starttls), &["wants TLS before MAIL", "`starttls`"]);
        explains(
            refused(Phase::MailFrom, "530 5.7.0 Authentication required"),
            &["wants a login", "`sasl_authentication`"],
        );
        explains(refused(Phase::MailFrom, "530 5.7.0 no"), &["Most likely", "wants a login"]);
        let offered = Case::new().accepted(Phase::Ehlo, "250-mx\r\n250 STARTTLS");
        explains(offered.rejected(Phase::MailFrom, "530 5.7.0 no"), &["Most likely", "wants TLS before MAIL"]);
        let inside = Case::new().start_tls().secured(&[], leaf());
        explains(inside.rejected(Phase::MailFrom, "530 5.7.0 no"), &["wants a login"]);
        explains(refused(Phase::RcptTo, "550 5.7.1 authentication required"), &["Most likely", "wants a login"]);
    }

    #[test]
    fn logins() {
        explains(refused(Phase::SaslAuth, "535 5.7.8 no"), &["user name or the password"]);
        explains(
            refused(Phase::SaslAuth, "535 no").auth_ended(AuthEnded::BeforePassword),
            &["password had not been sent"],
        );
        let early = |text| refused(Phase::SaslAuth, text).auth_ended(AuthEnded::BeforeCredentials);
        explains(early("535 no"), &["before any user name or password had been sent"]);
        explains(early("538 5.7.11 no"), &["had been sent", "wants TLS first"]);
        explains(early("504 5.5.4 no"), &["had been sent", "another mechanism"]);
        explains(refused(Phase::SaslAuth, "534 5.7.9 no"), &["too weak"]);
        explains(refused(Phase::SaslAuth, "454 4.7.0 no"), &["could not check"]);
        let offers_nothing = || Case::new().accepted(Phase::Ehlo, "250 mx");
        explains(offers_nothing().rejected(Phase::SaslAuth, "503 no"), &["does not offer AUTH", "only inside TLS"]);
        let inside = offers_nothing().start_tls().secured(&[], leaf()).accepted(Phase::EhloTls, "250 mx");
        explains(inside.rejected(Phase::SaslAuth, "503 no"), &["does not offer AUTH", "587"]);
    }

    #[test]
    fn messages() {
        let sized = || Case::new().accepted(Phase::Ehlo, "250-mx\r\n250-STARTTLS\r\n250 SIZE 2048");
        explains(sized().rejected(Phase::MailFrom, "552 5.3.4 no"), &["too large", "2048 octets"]);
        explains(refused(Phase::Body, "552 5.3.4 no"), &["too large"]);
        explains(refused(Phase::Body, "552 message too big"), &["Most likely", "too large"]);
        explains(refused(Phase::Body, "554 no"), &[]);
        let utf8 = Case::new().failed(Phase::MailFrom, FailureKind::Unsupported, Some(Cause::SmtpUtf8));
        explains(utf8, &["SMTPUTF8"]);
    }

    #[track_caller]
    fn explains_without(phase: Phase, text: &str, texts: &[&str], absent: &str) {
        explains(refused(phase, text), texts);
        let explanation = refused(phase, text).report().failure.and_then(|failure| failure.explanation);
        assert!(absent.is_empty() || !explanation.unwrap_or_default().contains(absent), "{text}");
    }

    /// Replies with their explanation, and beside them replies that look like these and have another one, or none.
    #[test]
    fn codes_decide_before_words_and_the_party_is_told() {
        use Phase::{Body, MailFrom, RcptTo};
        let (list, address) = ("block list", "the address that the check comes from");
        for (phase, text, texts, absent) in [
            (
                RcptTo,
                "550 5.1.1 b@test... User not listed in Domino Directory",
                &["The server knows no mailbox"][..],
                list,
            ),
            (RcptTo, "550 5.1.1 That account does not exist. c4s5h12345678wmb.7 - gsmtp", &["knows no mailbox"], list),
            (RcptTo, "550 5.1.1 x relay", &["knows no mailbox"], "relay"),
            (RcptTo, "550 Recipient not listed in address book", &["Most likely", "knows no mailbox"], list),
            (
                RcptTo,
                "550 5.4.1 Recipient address rejected: Access denied.",
                &["Most likely", "knows no mailbox"],
                list,
            ),
            (RcptTo, "550 Sender verify failed: the domain does not exist", &[], ""),
            (Body, "554 5.7.1 Message blocked by content filter", &[], ""),
            (Body, "554 5.7.1 Virus found by Barracuda Email Security", &[], ""),
            (RcptTo, "550 5.7.1 sender address blocked by recipient", &[], ""),
            (
                RcptTo,
                "550 rejected by mail.x.test: IP 127.0.0.1 is listed at rbl.local.test",
                &["rbl.local.test"],
                "mail.x",
            ),
            (
                MailFrom,
                "550 5.7.1 Mail from s.test rejected: blacklisted sender",
                &["Most likely", "sender's domain"],
                address,
            ),
            (
                RcptTo,
                "554 5.7.1 Sender address [x@a.test] blocked using dbl.test",
                &["sender's domain", "dbl.test"],
                address,
            ),
            (RcptTo, "554 5.7.1 Helo command [a.test] blocked using dbl.test", &["the name of this client"], address),
            (RcptTo, "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.1]", &["PTR"], list),
            (
                RcptTo,
                "554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: Access denied",
                &["refuses this client"],
                list,
            ),
        ] {
            explains_without(phase, text, texts, absent);
        }
    }

    /// The same, of relaying, logins, greylisting and sizes.
    #[test]
    fn words_count_in_their_sentence_alone() {
        use Phase::{Banner, Body, Ehlo, MailFrom, RcptTo};
        let list = "block list";
        for (phase, text, texts, absent) in [
            (RcptTo, "451 4.3.0 relay1.example.com: Temporary lookup failure", &[][..], ""),
            (RcptTo, "452 4.3.1 relay-a.example.com: Insufficient system storage", &[], ""),
            (RcptTo, "550 5.2.1 relay.example.com: mailbox disabled", &[], ""),
            (Body, "554 5.7.1 message relayed through relay.example.net rejected as spam", &[], ""),
            (RcptTo, "550 relay not permitted", &["does not relay"], "Most likely"),
            (RcptTo, "550 5.7.1 Relaying denied", &["does not relay"], "Most likely"),
            (Body, "550 5.7.1 Unauthenticated email from a.test is not accepted due to DMARC policy", &[], ""),
            (MailFrom, "550 5.7.1 SPF authentication failed for sender", &[], ""),
            (MailFrom, "550 5.7.1 Client was not authenticated", &["Most likely", "wants a login"], list),
            (RcptTo, "550 5.7.26 unauthenticated", &["SPF, DKIM or DMARC"], "login"),
            (MailFrom, "550 5.1.7 no", &["null sender"], ""),
            (Body, "552-5.7.0 Message blocked\r\n552 5.7.0 large list of files", &[], ""),
            (Body, "552 Requested mail action aborted: exceeded storage allocation", &[], ""),
            (
                RcptTo,
                "451 4.7.1 Greylisted at 12:34:56, try again in 5 minutes",
                &["uses greylisting", "in 5 minutes"],
                "",
            ),
            (RcptTo, "451 4.7.1 Greylisted, server up 3 hours, wait 5 min", &["in 5 minutes"], "180"),
            (Banner, "554 You are listed in our database", &["Most likely", "block list"], ""),
            (Ehlo, "502 no", &[], ""),
        ] {
            explains_without(phase, text, texts, absent);
        }
    }

    #[test]
    fn replies_of_other_protocols_and_of_other_kinds() {
        explains(Case::new().lmtp().rejected(Phase::Ehlo, "500 no"), &["does not know LHLO", "`protocol`"]);
        explains(Case::new().unexpected(Phase::RcptTo, "550 5.1.1 no"), &["knows no mailbox"]);
        explains(Case::new().unexpected(Phase::RcptTo, "250 ok"), &[]);
        explains(refused(Phase::SaslAuth, "421 4.7.0 too many errors"), &["ends the session"]);
        let inside = Case::new().start_tls().secured(&[], leaf());
        explains(inside.rejected(Phase::MailFrom, "538 5.7.11 no"), &[]);
    }
}
