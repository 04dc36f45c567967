//! The rules about the connection and the SMTP session.

use std::time::Duration;

use super::{
    Seen,
    catalogue::{
        EHLO_REFUSED, GREETING_REFUSED, NULL_SENDER_REFUSED, POSTMASTER_REFUSED, TEMPORARY_REFUSAL, UNREACHABLE,
    },
    finding, reply_text, subject,
};
use crate::{
    phase::Phase,
    report::{Failure, FailureKind, Finding, Severity, Unreached},
};

/// How long an address must have been silent before that is a finding: by then two repetitions of the SYN are lost (RFC
/// 6298, section 2).
const MIN_CONNECT_WAIT: Duration = Duration::from_secs(3);

pub(super) fn rules(seen: Seen<'_>, found: &mut Vec<Finding>) {
    found.extend(seen.report.facts.unreached.iter().map(unreachable));
    if let Some((failure, code)) = seen.rejection() {
        found.extend(rejected(seen, failure, code).map(|finding| finding.with_evidence(seen.reply())));
    }
}

fn unreachable(unreached: &Unreached) -> Finding {
    let Unreached { host, address, kind, waited } = unreached;
    let (message, is_known) = match kind {
        FailureKind::Refused => ("The connection was refused.".to_owned(), true),
        FailureKind::Closed => ("The connection was reset at once.".to_owned(), true),
        FailureKind::Timeout if *waited >= MIN_CONNECT_WAIT => {
            (format!("No answer came to the connection attempt in {:.1} s.", waited.as_secs_f64()), true)
        }
        FailureKind::Timeout => {
            let ms = waited.as_millis();
            (format!("No answer came to the connection attempt in {ms} ms, and the check waited no longer."), false)
        }
        _ => ("This machine has no route to the address.".to_owned(), false),
    };
    finding(&UNREACHABLE, subject(host, &address.to_string()), Phase::Connect, message)
        .with_severity(Severity::Inconclusive, !is_known)
}

/// What the reply that failed the check tells. Of several rules the first one counts: a refusal of this client tells
/// nothing about the sender or the recipient.
fn rejected(seen: Seen<'_>, failure: &Failure, code: u16) -> Option<Finding> {
    let phase = failure.phase;
    if failure.kind != FailureKind::Rejected || phase == Phase::Proxy {
        return None;
    }
    if code < 500 {
        // A STARTTLS that is not offered is not refused for now.
        let message = format!("The server refused {phase} for now, with {code}.");
        return (failure.temporary).then(|| seen.found(&TEMPORARY_REFUSAL, phase, message));
    }
    if let Some(list) = reply_text::block_list(&failure.message).filter(|_| phase != Phase::SaslAuth) {
        let list = list.map_or("a block list".to_owned(), |name| format!("the block list {name}"));
        let message = format!("The server refuses this client by {list}.");
        return Some(seen.found(&GREETING_REFUSED, phase, message));
    }
    let is_of_policy = failure.enhanced_code.as_deref().is_some_and(|code| code.starts_with("5.7."));
    match (phase, code) {
        (Phase::Banner, _) => {
            Some(seen.found(&GREETING_REFUSED, phase, format!("The greeting of the server is a refusal, {code}.")))
        }
        (Phase::Ehlo | Phase::EhloTls, 500 | 502) => {
            Some(seen.found(&EHLO_REFUSED, phase, format!("The server answered EHLO with {code}.")))
        }
        (Phase::Ehlo | Phase::EhloTls, 521 | 550 | 554 | 556) => {
            let message = format!("The server refused the session at EHLO, with {code}.");
            Some(seen.found(&GREETING_REFUSED, phase, message))
        }
        // The server wants TLS or a login first, or has another rule about the client.
        (_, 530 | 538) => None,
        _ if is_of_policy => None,
        (Phase::MailFrom | Phase::RcptTo, _) if refuses_null_sender(seen, failure) => {
            Some(seen.found(&NULL_SENDER_REFUSED, phase, format!("The server refused the null sender, with {code}.")))
        }
        (Phase::RcptTo, _) => role(seen, code),
        _ => None,
    }
}

/// At RCPT, only the enhanced code tells that the sender is the reason (RFC 3463, section 3.2).
fn refuses_null_sender(seen: Seen<'_>, failure: &Failure) -> bool {
    let is_of_sender = matches!(failure.enhanced_code.as_deref(), Some("5.1.7" | "5.1.8"));
    seen.script.from.is_none() && (failure.phase == Phase::MailFrom || is_of_sender)
}

/// A refusal of one of the mailboxes that every domain has to have.
fn role(seen: Seen<'_>, code: u16) -> Option<Finding> {
    let mailbox = seen.script.to.as_ref()?.to_string();
    let local_part = mailbox.rsplit_once('@').map_or(&*mailbox, |(local_part, _)| local_part);
    let is_postmaster = local_part.eq_ignore_ascii_case("postmaster");
    if !is_postmaster && !local_part.eq_ignore_ascii_case("abuse") {
        return None;
    }
    let message = format!("The server refused the mailbox {mailbox}, with {code}.");
    Some(seen.found(&POSTMASTER_REFUSED, Phase::RcptTo, message).with_severity(Severity::Notice, !is_postmaster))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};

    #[test]
    fn every_address_that_cannot_be_connected_to_has_a_finding() {
        let unreached = |kind, ms| {
            let (host, address) = ("mx.test".to_owned(), [192, 0, 2, 1].into());
            Unreached { host, address, kind, waited: Duration::from_millis(ms) }
        };
        for (kind, ms, severity) in [
            (FailureKind::Refused, 0, Severity::Error),
            (FailureKind::Closed, 0, Severity::Error),
            (FailureKind::Timeout, 3000, Severity::Error),
            (FailureKind::Timeout, 2999, Severity::Inconclusive),
            (FailureKind::Unreachable, 0, Severity::Inconclusive),
        ] {
            let report = Case::new().unreached(unreached(kind, ms)).report();
            let found = only(&report);
            assert_eq!((found.id, found.severity, found.phase), ("smtp.unreachable", severity, Some(Phase::Connect)));
            assert_eq!(found.subject, "mx.test [192.0.2.1]");
        }
        assert_eq!(ids(&Case::new().report()), [""; 0]);
    }

    /// The findings of a check whose last reply is this one.
    fn found(phase: Phase, text: &str) -> Vec<String> {
        ids(&Case::new().rejected(phase, text).report())
    }

    #[test]
    fn a_refused_session_says_nothing_about_the_server() {
        for (phase, text) in [
            (Phase::Banner, "554 no"),
            (Phase::Ehlo, "550 your name is not welcome"),
            (Phase::RcptTo, "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.test"),
        ] {
            assert_eq!(found(phase, text), ["smtp.greeting_refused inconclusive"], "{text}");
        }
        assert_eq!(found(Phase::Banner, "421 later"), ["smtp.temporary_refusal inconclusive"]);
        assert_eq!(found(Phase::RcptTo, "550 5.1.1 no such user"), [""; 0]);
    }

    #[test]
    fn a_refusal_for_now_is_inconclusive() {
        for (phase, text) in [
            (Phase::Banner, "421 busy"),
            (Phase::RcptTo, "450 4.2.0 Greylisted"),
            (Phase::SaslAuth, "454 4.7.0 later"),
            (Phase::Body, "452 full"),
        ] {
            assert_eq!(found(phase, text), ["smtp.temporary_refusal inconclusive"], "{text}");
        }
        assert_eq!(found(Phase::Body, "552 full"), [""; 0]);
    }

    #[test]
    fn ehlo_is_not_known() {
        assert_eq!(found(Phase::Ehlo, "502 what"), ["smtp.ehlo_refused error"]);
        assert_eq!(found(Phase::Ehlo, "500 what"), ["smtp.ehlo_refused error"]);
        // The name that EHLO gives is ours.
        assert_eq!(found(Phase::Ehlo, "501 bad name"), [""; 0]);
    }

    #[test]
    fn the_null_sender_is_refused() {
        let with = |from: &str, phase, text| ids(&Case::new().from(from).rejected(phase, text).report());
        assert_eq!(with("", Phase::MailFrom, "550 no bounces"), ["smtp.null_sender_refused error"]);
        assert_eq!(with("", Phase::RcptTo, "550 5.1.7 no bounces"), ["smtp.null_sender_refused error"]);
        for (from, phase, text) in [
            ("a@test", Phase::MailFrom, "550 no"),
            ("", Phase::MailFrom, "530 5.7.0 Must issue a STARTTLS command first"),
            ("", Phase::MailFrom, "550 5.7.1 log in first"),
            ("", Phase::RcptTo, "550 5.1.1 no such user"),
        ] {
            assert_eq!(with(from, phase, text), [""; 0], "{text}");
        }
        assert_eq!(with("", Phase::MailFrom, "451 later"), ["smtp.temporary_refusal inconclusive"]);
    }

    #[test]
    fn postmaster_is_refused() {
        let to = |to: &str, text| ids(&Case::new().to(to).rejected(Phase::RcptTo, text).report());
        assert_eq!(to("PostMaster@example.test", "550 5.1.1 who"), ["smtp.postmaster_refused warning"]);
        assert_eq!(to("postmaster", "550 who"), ["smtp.postmaster_refused warning"]);
        assert_eq!(to("abuse@example.test", "550 who"), ["smtp.postmaster_refused notice"]);
        assert_eq!(to("postmaster2@example.test", "550 who"), [""; 0]);
        // Whether this server is the domain's is not known.
        assert_eq!(to("postmaster@example.test", "550 5.7.1 relaying denied"), [""; 0]);
    }
}
