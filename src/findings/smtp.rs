//! The rules about the connection and the SMTP session.

use std::time::Duration;

use super::{
    Seen,
    catalogue::smtp::{
        EHLO_REFUSED, GREETING_REFUSED, NULL_SENDER_REFUSED, POSTMASTER_REFUSED, TEMPORARY_REFUSAL, UNREACHABLE,
    },
    finding,
    party::{Listing, Party},
    refusal::{Meaning, Refusal},
    subject,
};
use crate::{
    phase::Phase,
    report::{FailureKind, Finding, Severity, Unreached},
    smtp::Protocol,
};

/// How long an address must have been silent before that is a finding: by then two repetitions of the SYN are lost (RFC
/// 6298, section 2).
const MIN_CONNECT_WAIT: Duration = Duration::from_secs(3);

pub(super) fn rules(seen: Seen<'_>, found: &mut Vec<Finding>) {
    found.extend(seen.report.facts.unreached.iter().map(unreachable));
    if let Some(refusal) = seen.refusal() {
        found.extend(refused(seen, refusal).map(|finding| finding.with_evidence([refusal.evidence()])));
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

/// What a reply tells that refuses something. Of several rules the first one counts: a refusal of this client tells
/// nothing about the sender or the recipient.
fn refused(seen: Seen<'_>, refusal: &Refusal<'_>) -> Option<Finding> {
    let (phase, code) = (refusal.phase, refusal.code);
    if phase == Phase::Proxy {
        return None;
    }
    if code < 500 {
        let failure = seen.report.failure.as_ref();
        // A STARTTLS that is not offered is not refused for now.
        let is_temporary = failure.is_none_or(|failure| failure.temporary);
        return is_temporary.then(|| {
            seen.found(&TEMPORARY_REFUSAL, phase, format!("The server refused {phase} for now, with {code}."))
        });
    }
    if phase == Phase::SaslAuth {
        return None;
    }
    match refusal.meaning() {
        Meaning::Listed(Listing { party: Some(Party::Address | Party::ClientName), list }) => {
            let list = list.map_or("a block list".to_owned(), |name| format!("the block list {name}"));
            Some(seen.found(&GREETING_REFUSED, phase, format!("The server refuses this client by {list}.")))
        }
        Meaning::Client | Meaning::ClientName | Meaning::ReverseDns => {
            Some(seen.found(&GREETING_REFUSED, phase, format!("The server refuses this client, with {code}.")))
        }
        meaning => of_phase(seen, refusal, &meaning),
    }
}

fn of_phase(seen: Seen<'_>, refusal: &Refusal<'_>, meaning: &Meaning) -> Option<Finding> {
    let (phase, code) = (refusal.phase, refusal.code);
    match (phase, code) {
        (Phase::Banner, _) => {
            Some(seen.found(&GREETING_REFUSED, phase, format!("The greeting of the server is a refusal, {code}.")))
        }
        // An LMTP server may know EHLO no more than an SMTP server knows LHLO (RFC 2033, section 4.1).
        (Phase::Ehlo | Phase::EhloTls, 500 | 502) => (seen.script.protocol == Protocol::Smtp && !seen.greets_by_lmtp())
            .then(|| seen.found(&EHLO_REFUSED, phase, format!("The server answered EHLO with {code}."))),
        (Phase::Ehlo | Phase::EhloTls, 521 | 550 | 554 | 556) => {
            let hello = seen.script.protocol.hello();
            let message = format!("The server refused the session at {hello}, with {code}.");
            Some(seen.found(&GREETING_REFUSED, phase, message))
        }
        (Phase::MailFrom | Phase::RcptTo, _) if *meaning == Meaning::NullSender => {
            Some(seen.found(&NULL_SENDER_REFUSED, phase, format!("The server refused the null sender, with {code}.")))
        }
        (Phase::MailFrom, 550 | 553 | 554) if *meaning == Meaning::Unknown && seen.script.from.is_none() => {
            let message = format!(
                "The server refused MAIL FROM:<> with {code}. The reply does not tell whether the null sender is the reason."
            );
            let found = seen.found(&NULL_SENDER_REFUSED, phase, message);
            Some(found.with_severity(Severity::Inconclusive, true))
        }
        (Phase::RcptTo, _) if refusal.refuses_mailbox() => role(seen, code),
        _ => None,
    }
}

/// A refusal of one of the mailboxes that every domain has to have.
fn role(seen: Seen<'_>, code: u16) -> Option<Finding> {
    let mailbox = seen.script.to.as_ref()?.to_string();
    let local_part = mailbox.rsplit_once('@').map_or(&*mailbox, |(local_part, _)| local_part);
    // `"postmaster"` is the same mailbox (RFC 5321, section 4.1.2).
    let quoted = local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let local_part = quoted.unwrap_or(local_part);
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
        assert_eq!(to("\"postmaster\"@example.test", "550 who"), ["smtp.postmaster_refused warning"]);
        assert_eq!(to("abuse@example.test", "550 who"), ["smtp.postmaster_refused notice"]);
        assert_eq!(to("postmaster2@example.test", "550 who"), [""; 0]);
        // Whether this server is the domain's is not known.
        assert_eq!(to("postmaster@example.test", "550 5.7.1 relaying denied"), [""; 0]);
    }

    /// Replies with their findings, and beside them replies that look like these and have none.
    #[test]
    fn whom_a_refusal_is_about() {
        use Phase::{Banner, Body, Ehlo, MailFrom, RcptTo};
        let client = "smtp.greeting_refused inconclusive";
        let (null, postmaster) = ("smtp.null_sender_refused error", "smtp.postmaster_refused warning");
        for (from, to, phase, text, id) in [
            ("a@test", "b@test", RcptTo, "554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: Access denied", client),
            (
                "a@test",
                "b@test",
                MailFrom,
                "550 5.7.606 Access denied, banned sending IP [127.0.0.1]. See there",
                client,
            ),
            ("a@test", "b@test", MailFrom, "550 Access denied: your IP address is not permitted to send here", client),
            (
                "a@test",
                "b@test",
                RcptTo,
                "550-5.7.25 [127.0.0.1] The address has no PTR record\r\n550 5.7.25 x",
                client,
            ),
            ("a@test", "b@test", RcptTo, "550 5.7.1 Helo command [noit.local] blocked using dbl.test", client),
            ("a@test", "b@test", Banner, "554 5.7.1 whatever", client),
            ("a@test", "b@test", Ehlo, "550 5.7.1 Invalid name", client),
            ("a@test", "b@test", RcptTo, "550 5.1.1 b@test... User not listed in Domino Directory", ""),
            ("a@test", "b@test", RcptTo, "550 Recipient not listed in address book", ""),
            ("a@test", "b@test", Body, "554 5.7.1 Message blocked by content filter", ""),
            ("a@test", "b@test", Body, "554 5.7.1 Virus found by Barracuda Email Security", ""),
            ("a@test", "b@test", RcptTo, "550 5.7.1 sender address blocked by recipient", ""),
            ("a@test", "b@test", RcptTo, "550 5.1.1 no account. c4s5h12345678wmb.7 - gsmtp", ""),
            ("a@test", "b@test", RcptTo, "554 5.7.1 Sender address [a@test] blocked using dbl.spamhaus.org", ""),
            ("a@test", "b@test", RcptTo, "550 5.4.1 Recipient address rejected: Access denied", ""),
            ("", "b@test", MailFrom, "550 Null sender is not allowed, no bounces", null),
            ("", "b@test", RcptTo, "554 5.7.1 <>: Sender address rejected: Access denied", null),
            ("", "b@test", MailFrom, "553 5.1.8 no", null),
            ("", "b@test", MailFrom, "550 no", "smtp.null_sender_refused inconclusive"),
            ("", "b@test", MailFrom, "552 5.3.4 message size exceeds fixed limit", ""),
            ("", "b@test", MailFrom, "555 5.5.4 Unsupported option: BODY=8BITMIME", ""),
            ("", "b@test", MailFrom, "503 5.5.1 Error: send HELO/EHLO first", ""),
            ("", "b@test", MailFrom, "554 5.3.2 System not accepting network messages", ""),
            ("", "b@test", MailFrom, "550 Authentication required", ""),
            ("", "b@test", MailFrom, "550 Access denied: your IP", client),
            ("", "b@test", RcptTo, "550 no", ""),
            ("", "postmaster@test", RcptTo, "550 5.2.1 disabled", postmaster),
            ("", "postmaster@test", RcptTo, "550 No such user here", postmaster),
            ("", "postmaster@test", RcptTo, "550 mailbox unavailable", postmaster),
            ("", "postmaster@test", RcptTo, "550 relay not permitted", ""),
            ("", "postmaster@test", RcptTo, "552 5.2.2 mailbox full", ""),
            ("", "postmaster@test", RcptTo, "503 5.5.1 need MAIL", ""),
            ("", "postmaster@test", RcptTo, "554 Client host rejected: cannot find your reverse hostname", client),
            ("a@test", "postmaster@test", RcptTo, "550 Sender verify failed", ""),
        ] {
            let report = Case::new().from(from).to(to).rejected(phase, text).report();
            let expected: Vec<&str> = Some(id).into_iter().filter(|id| !id.is_empty()).collect();
            assert_eq!(ids(&report), expected, "{phase}: {text}");
        }
    }

    /// A finding is a fact about the server: it does not depend on what the check expects.
    #[test]
    fn a_rejection_that_was_expected_or_not_has_its_finding() {
        for (phase, text, id) in [
            (Phase::RcptTo, "550 5.1.1 no", "smtp.postmaster_refused warning"),
            (Phase::MailFrom, "550 5.1.7 no", "smtp.null_sender_refused error"),
            (Phase::Banner, "554 no", "smtp.greeting_refused inconclusive"),
            (Phase::RcptTo, "451 4.7.1 later", "smtp.temporary_refusal inconclusive"),
        ] {
            let case = || Case::new().to("postmaster@test");
            let expected = case().expected(phase, text).report();
            assert_eq!((ids(&expected), expected.success), (vec![id.to_owned()], true), "{text}");
            let unexpected = case().unexpected(phase, text).report();
            assert_eq!((ids(&unexpected), unexpected.success), (vec![id.to_owned()], false), "{text}");
        }
        assert_eq!(ids(&Case::new().unexpected(Phase::RcptTo, "250 ok").report()), [""; 0]);
    }

    #[test]
    fn lmtp_has_lhlo() {
        assert_eq!(ids(&Case::new().lmtp().rejected(Phase::Ehlo, "500 5.5.1 unrecognized").report()), [""; 0]);
        let refused = Case::new().lmtp().rejected(Phase::Ehlo, "550 no").report();
        assert_eq!(only(&refused).message, "The server refused the session at LHLO, with 550.");
        let plain = Case::new().lmtp().accepted(Phase::Ehlo, "250 mx.test").report();
        assert_eq!(only(&plain).message, "The reply to LHLO does not list STARTTLS.");
        let greeting = |text| Case::new().accepted(Phase::Banner, text).rejected(Phase::Ehlo, "502 no");
        assert_eq!(ids(&greeting("220 mx.test LMTP server").report()), [""; 0]);
        assert_eq!(ids(&greeting("220 lmtp.mx.test ESMTP").report()), ["smtp.ehlo_refused error"]);
    }
}
