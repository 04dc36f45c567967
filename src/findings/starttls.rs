//! The rules about STARTTLS.

use super::{
    Seen,
    catalogue::tls::{AUTH_IN_CLEAR, FAILED, NOT_OFFERED},
};
use crate::{
    phase::Phase,
    report::{Cause, FailureKind, Finding, Severity},
    smtp::{Capabilities, Mechanism, StartTls},
};

pub(super) fn rules(seen: Seen<'_>, found: &mut Vec<Finding>) {
    if let Some(offered) = &seen.report.capabilities.before_tls {
        found.extend(not_offered(seen, offered));
        found.extend(auth_in_clear(seen, offered));
    }
    found.extend(failed(seen));
}

fn not_offered(seen: Seen<'_>, offered: &Capabilities) -> Option<Finding> {
    if offered.offers("STARTTLS") || seen.report.facts.has_cut_ehlo || seen.report.tls.is_some() {
        return None;
    }
    let failure = seen.report.failure.as_ref();
    let is_refused = seen.refusal().is_some_and(|refusal| refusal.phase == Phase::StartTls);
    let failed = failure
        .is_some_and(|failure| failure.phase == Phase::StartTls || failure.cause == Some(Cause::PasswordInClear));
    let hello = seen.script.protocol.hello();
    let found = seen.found(&NOT_OFFERED, Phase::Ehlo, format!("The reply to {hello} does not list STARTTLS."));
    Some(found.with_evidence(seen.reply().filter(|_| is_refused)).with_severity(Severity::Error, failed))
}

fn auth_in_clear(seen: Seen<'_>, offered: &Capabilities) -> Option<Finding> {
    let mechanisms = offered.auth_mechanisms()?;
    let names = |shown: &[Mechanism]| {
        mechanisms.iter().any(|offered| shown.iter().any(|shown| shown.name().eq_ignore_ascii_case(offered)))
    };
    let takes_password = names(&[Mechanism::Plain, Mechanism::Login]);
    let takes_token = names(&[Mechanism::XOAuth2, Mechanism::OAuthBearer]);
    let message = match (takes_password, takes_token) {
        (true, false) => "The server offers to take a password before TLS.",
        (false, true) => "The server offers to take a token before TLS.",
        (true, true) => "The server offers to take a password or a token before TLS.",
        (false, false) => return None,
    };
    let evidence = format!("AUTH {}", mechanisms.join(" "));
    Some(seen.found(&AUTH_IN_CLEAR, Phase::Ehlo, message).with_evidence([evidence]))
}

/// STARTTLS was offered, and there is no TLS. A time limit that was reached is ours, and so is a `tls_version`.
fn failed(seen: Seen<'_>) -> Option<Finding> {
    if seen.script.start_tls == StartTls::Off {
        return None;
    }
    if let Some(refusal) = seen.refusal().filter(|refusal| refusal.phase == Phase::StartTls) {
        let before = seen.report.capabilities.before_tls.as_ref();
        let is_listed = before.is_some_and(|offered| offered.offers("STARTTLS")) || seen.report.facts.has_cut_ehlo;
        let message = "The server lists STARTTLS and refused it.";
        let found = seen.found(&FAILED, refusal.phase, message);
        return (is_listed && refusal.code >= 500).then(|| found.with_evidence([refusal.evidence()]));
    }
    let failure = seen.report.failure.as_ref()?;
    let (message, is_known) = match (failure.phase, failure.kind, failure.cause.as_ref()?) {
        (Phase::Tls, _, Cause::BrokenHandshake) => ("The server broke off the TLS handshake.", true),
        (Phase::Tls, _, Cause::ClearText { .. }) => {
            ("The server agreed to STARTTLS, and its answer to the handshake is not TLS.", true)
        }
        (Phase::Tls, _, Cause::TlsOfClient) => {
            ("This client and the server have no parameters of TLS in common: other clients may have.", false)
        }
        (Phase::Tls, _, Cause::TlsSizeOfClient) => {
            ("A message of the server's handshake is longer than the 64 KiB that this client reads.", false)
        }
        (Phase::Tls, _, Cause::TlsFaultOfClient) => ("This client could not do its part of the TLS handshake.", false),
        // Under TLS 1.3 the client has completed the handshake by then.
        (_, FailureKind::Tls, Cause::ClientCertificateWanted) => {
            ("The server asked for a client certificate, and refused the TLS handshake without one.", true)
        }
        // A server that says no reason may have another one, once the handshake is done.
        (phase, FailureKind::Closed, Cause::ClientCertificateWanted) => (
            "The server asked for a client certificate, was shown none, and closed the connection.",
            phase == Phase::Tls,
        ),
        (phase, FailureKind::Closed, Cause::ClientCertificateRefused) => (
            "The server asked for a client certificate, was shown one, and closed the connection.",
            phase == Phase::Tls,
        ),
        (_, FailureKind::Tls, Cause::ClientCertificateRefused) => {
            ("The server refused the TLS handshake with the client certificate that it was shown.", true)
        }
        _ => return None,
    };
    let found = seen.found(&FAILED, failure.phase, message).with_evidence([failure.message.clone()]);
    Some(found.with_severity(Severity::Inconclusive, !is_known))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};

    const BOTH: &str = "250-mx.test\r\n250-STARTTLS\r\n250 SIZE";

    #[test]
    fn starttls_is_not_in_the_reply_to_ehlo() {
        let of = |ehlo: &str| ids(&Case::new().accepted(Phase::Ehlo, ehlo).report());
        assert_eq!(of("250 mx.test"), ["starttls.not_offered warning"]);
        assert_eq!(of("250-mx.test\r\n250 XSTARTTLS"), ["starttls.not_offered warning"]);
        assert_eq!(of(BOTH), [""; 0]);
        assert_eq!(ids(&Case::new().report()), [""; 0], "without EHLO");
        let refused = Case::new().start_tls().accepted(Phase::Ehlo, "250 mx.test");
        assert_eq!(ids(&refused.rejected(Phase::StartTls, "502 what").report()), ["starttls.not_offered error"]);
    }

    #[test]
    fn a_cut_reply_to_ehlo_tells_nothing_about_starttls() {
        let long: String = (1000..6000).map(|number| format!("250-{number}\r\n")).collect();
        assert_eq!(ids(&Case::new().accepted(Phase::Ehlo, &format!("{long}250 END")).report()), [""; 0]);
    }

    #[test]
    fn a_login_in_clear_text_is_offered() {
        let of = |line: &str| {
            let ehlo = format!("250-mx\r\n250-STARTTLS\r\n{line}");
            Case::new().accepted(Phase::Ehlo, &ehlo).report()
        };
        let both = "a password or a token";
        for (line, message) in [
            ("250 AUTH PLAIN", "a password"),
            ("250 AUTH CRAM-MD5 login", "a password"),
            ("250 AUTH=LOGIN", "a password"),
            ("250 AUTH XOAUTH2", "a token"),
            ("250 AUTH SCRAM-SHA-256 oauthbearer", "a token"),
            ("250 AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH", both),
        ] {
            let report = of(line);
            assert_eq!(ids(&report), ["starttls.auth_in_clear warning"], "{line}");
            assert_eq!(only(&report).message, format!("The server offers to take {message} before TLS."), "{line}");
        }
        for line in [
            "250 AUTH CRAM-MD5 SCRAM-SHA-256",
            "250 XAUTH PLAIN",
            "250 AUTH",
            "250 AUTH NTLM GSSAPI PLAIN-CLIENTTOKEN XOAUTH",
        ] {
            assert_eq!(ids(&of(line)), [""; 0], "{line}");
        }
    }

    #[test]
    fn starttls_is_offered_and_fails() {
        let offered = || Case::new().start_tls().accepted(Phase::Ehlo, BOTH);
        assert_eq!(ids(&offered().rejected(Phase::StartTls, "502 no").report()), ["starttls.failed error"]);
        let later = offered().rejected(Phase::StartTls, "454 later");
        assert_eq!(ids(&later.report()), ["smtp.temporary_refusal inconclusive"]);
        let clear = Cause::ClearText { line: None };
        for (kind, cause, ids_) in [
            (FailureKind::Tls, Some(Cause::BrokenHandshake), vec!["starttls.failed error"]),
            (FailureKind::Tls, Some(clear), vec!["starttls.failed error"]),
            (FailureKind::Tls, Some(Cause::TlsOfClient), vec!["starttls.failed inconclusive"]),
            (FailureKind::Tls, Some(Cause::TlsSizeOfClient), vec!["starttls.failed inconclusive"]),
            (FailureKind::Tls, Some(Cause::TlsFaultOfClient), vec!["starttls.failed inconclusive"]),
            (FailureKind::Tls, Some(Cause::ClientCertificateWanted), vec!["starttls.failed error"]),
            (FailureKind::Tls, Some(Cause::ClientCertificateRefused), vec!["starttls.failed error"]),
            (FailureKind::Closed, Some(Cause::ClientCertificateWanted), vec!["starttls.failed error"]),
            (FailureKind::Closed, Some(Cause::ClientCertificateRefused), vec!["starttls.failed error"]),
            (FailureKind::Closed, Some(Cause::ClientCertificateUnusable), vec![]),
            // The limit is that of `tls_version`, or of our key.
            (FailureKind::Tls, Some(Cause::OtherTlsVersion), vec![]),
            (FailureKind::Tls, Some(Cause::ClientCertificateUnusable), vec![]),
            (FailureKind::Timeout, None, vec![]),
        ] {
            let report = offered().failed(Phase::Tls, kind, cause.clone()).report();
            assert_eq!(ids(&report), ids_, "{kind:?} {cause:?}");
        }
        for (kind, cause, severity) in [
            (FailureKind::Tls, Cause::ClientCertificateWanted, "error"),
            (FailureKind::Tls, Cause::ClientCertificateRefused, "error"),
            (FailureKind::Closed, Cause::ClientCertificateWanted, "inconclusive"),
            (FailureKind::Closed, Cause::ClientCertificateRefused, "inconclusive"),
        ] {
            let report = offered().failed(Phase::EhloTls, kind, Some(cause.clone())).report();
            assert_eq!(ids(&report), [format!("starttls.failed {severity}")], "{kind:?} {cause:?}");
        }
    }

    /// A limit of this client is no lack of common parameters.
    #[test]
    fn a_limit_of_this_client_is_said_as_such() {
        for (cause, text) in [
            (Cause::TlsOfClient, "no parameters of TLS in common"),
            (Cause::TlsSizeOfClient, "64 KiB that this client reads"),
            (Cause::TlsFaultOfClient, "This client could not"),
        ] {
            let offered = Case::new().start_tls().accepted(Phase::Ehlo, BOTH);
            let report = offered.failed(Phase::Tls, FailureKind::Tls, Some(cause)).report();
            assert!(only(&report).message.contains(text), "{}", only(&report).message);
        }
    }

    #[test]
    fn starttls_that_failed_the_check_is_an_error_whatever_was_expected() {
        let offered = || Case::new().start_tls().accepted(Phase::Ehlo, BOTH);
        assert_eq!(ids(&offered().unexpected(Phase::StartTls, "502 no").report()), ["starttls.failed error"]);
        assert_eq!(ids(&offered().expected(Phase::StartTls, "502 no").report()), ["starttls.failed error"]);
        let absent = || Case::new().start_tls().accepted(Phase::Ehlo, "250 mx.test");
        let unexpected = absent().unexpected(Phase::StartTls, "502 no").report();
        assert_eq!(ids(&unexpected), ["starttls.not_offered error"]);
        assert!(unexpected.failure.and_then(|failure| failure.explanation).is_some());
        assert_eq!(ids(&absent().expected(Phase::StartTls, "502 no").report()), ["starttls.not_offered warning"]);
        let clear = Some(Cause::PasswordInClear);
        let login = absent().failed(Phase::SaslAuth, FailureKind::Unsupported, clear);
        assert_eq!(ids(&login.report()), ["starttls.not_offered error"]);
        let utf8 = absent().failed(Phase::MailFrom, FailureKind::Unsupported, Some(Cause::SmtpUtf8));
        assert_eq!(ids(&utf8.report()), ["starttls.not_offered warning"]);
    }
}
