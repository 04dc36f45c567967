//! Explanations of replies.

use super::explains;
use crate::{
    findings::tests::*,
    phase::Phase,
    report::{AuthEnded, Cause, FailureKind},
    smtp::Mechanism,
};

fn refused(phase: Phase, text: &str) -> Case {
    Case::new().rejected(phase, text)
}

#[test]
fn greylisting() {
    let text = "450 4.2.0 <probe@example.test>: Recipient address rejected: Greylisted for 300 seconds";
    explains(refused(Phase::RcptTo, text), &["uses greylisting", "in 5 minutes"]);
    explains(refused(Phase::RcptTo, "451 4.7.1 Greylisting in action, come back in 00:00:40"), &["in 40 seconds"]);
    explains(refused(Phase::RcptTo, "451 4.7.1 Try again later"), &["Most likely", "greylisting", "5 to 15 minutes"]);
    for text in
        ["451 4.3.0 Temporary lookup failure", "451 Temporary local problem - please try later", "452 4.2.2 full"]
    {
        let failure = refused(Phase::RcptTo, text).report().failure.expect("a failure");
        assert!(!failure.explanation.unwrap_or_default().contains("greylist"), "{text}");
    }
}

/// A code that gives another reason is not greylisting, whatever the words; nor are the words of another reason.
#[test]
fn codes_decide_before_greylisting() {
    for (text, texts) in [
        ("450 4.7.25 no rDNS, try again later", &["PTR"][..]),
        ("451 4.7.23 SPF fail, please retry", &["SPF, DKIM or DMARC"]),
        ("450 4.7.27 Sender null MX, retry", &[]),
        ("450 4.7.7 retry", &[]),
        ("450 4.7.1 maintenance, try again later", &[]),
        ("450 4.7.1 throttled, try again later", &[]),
        ("450 4.2.0 This recipient has disabled greylisting", &[]),
        ("451 Greylisted. Retry after 1 day", &["uses greylisting", "in 24 hours"]),
        ("450 4.7.0 greylisted for 1 hour and 30 minutes, try later", &["in 90 minutes"]),
        ("451 Greylisted, come back in 2 weeks", &["at the time that the reply names"]),
    ] {
        explains(refused(Phase::RcptTo, text), texts);
    }
}

/// "You" is the sender of the mail as well as this client.
#[test]
fn a_sender_who_may_not_send_is_not_a_client_that_is_refused() {
    use Phase::{Body, MailFrom, RcptTo};
    for (phase, text) in [
        (RcptTo, "554 5.7.1 <list@x.test>: Recipient address rejected: You are not allowed to post to this list"),
        (RcptTo, "550 5.7.1 You are not authorized to post to this mailing list"),
        (RcptTo, "550 5.7.1 Access to this list is denied: you are not a member"),
        (RcptTo, "550 5.7.1 You are not allowed to send to this list"),
        (MailFrom, "553 5.7.1 You are not authorized to send as me@sender.test"),
        (RcptTo, "550 5.7.1 SPF: 127.0.0.1 is not authorized to send for sender.test"),
        (Body, "550 5.7.1 You are not allowed to send attachments"),
        (Body, "550 5.7.1 Message rejected: your IP rate is fine but content denied"),
        (RcptTo, "550 5.7.1 user has not logged in for 12 months"),
        (RcptTo, "550 5.7.1 mailbox inactive: owner never logged in"),
        (RcptTo, "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required"),
    ] {
        let report = Case::new().from("x@y.test").rejected(phase, text).report();
        assert_eq!(ids(&report), [""; 0], "{text}");
        assert_eq!(report.failure.and_then(|failure| failure.explanation), None, "{text}");
    }
}

#[test]
fn recipients() {
    explains(refused(Phase::RcptTo, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found"), &["no mailbox"]);
    explains(refused(Phase::RcptTo, "550 5.7.1 no such user"), &["Most likely", "no mailbox"]);
    explains(
        refused(Phase::RcptTo, "556 5.1.10 Recipient address has null MX"),
        &["null MX record", "accepts no mail"],
    );
    let level = "550 5.7.515 Access denied, sending domain A.TEST does not meet the required authentication level";
    let yahoo = "550 5.7.9 This mail has been blocked because the sender is unauthenticated. Yahoo requires all senders to \
                 authenticate with either SPF or DKIM.";
    explains(refused(Phase::Body, level), &["SPF, DKIM or DMARC"]);
    explains(refused(Phase::Body, yahoo), &["SPF, DKIM or DMARC"]);
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
        &["Most likely", "refused the user name", "password had not been sent"],
    );
    let closed = |ended| Case::new().auth_ended(ended).failed(Phase::SaslAuth, FailureKind::Closed, None);
    explains(closed(AuthEnded::BeforeCredentials), &["before any user name or password had been sent"]);
    explains(closed(AuthEnded::BeforePassword), &["before the password had been sent", "`sasl_user`"]);
    explains(Case::new().failed(Phase::SaslAuth, FailureKind::Closed, None), &[]);
    let early = |text| refused(Phase::SaslAuth, text).auth_ended(AuthEnded::BeforeCredentials);
    explains(early("535 no"), &["before any user name or password had been sent"]);
    explains(early("538 5.7.11 no"), &["had been sent", "wants TLS first"]);
    explains(early("504 5.5.4 no"), &["had been sent", "another mechanism"]);
    explains(refused(Phase::SaslAuth, "534 5.7.9 no"), &["too weak"]);
    explains(refused(Phase::SaslAuth, "454 4.7.0 no"), &["cannot check logins now"]);
    let offers_nothing = || Case::new().accepted(Phase::Ehlo, "250 mx");
    explains(offers_nothing().rejected(Phase::SaslAuth, "503 no"), &["does not offer AUTH", "only inside TLS"]);
    let inside = offers_nothing().start_tls().secured(&[], leaf()).accepted(Phase::EhloTls, "250 mx");
    explains(inside.rejected(Phase::SaslAuth, "503 no"), &["does not offer AUTH", "587"]);
}

#[test]
fn logins_that_no_wrong_password_explains() {
    let at =
        |mechanism, is_proven, text| Case::new().authenticating(mechanism, is_proven).rejected(Phase::SaslAuth, text);
    explains(at(Mechanism::ScramSha256, true, "535 5.7.8 no"), &["the password are right", "signature"]);
    explains(at(Mechanism::ScramSha256, true, "535 account locked"), &["the password are right", "locked"]);
    explains(at(Mechanism::ScramSha256, false, "535 5.7.8 no"), &["user name or the password"]);
    explains(at(Mechanism::XOAuth2, false, "535 5.7.8 no"), &["user name or the token"]);
    explains(at(Mechanism::OAuthBearer, false, "535 5.7.8 no"), &["user name or the token"]);
    explains(at(Mechanism::Plain, false, "535 account locked"), &["locked or disabled"]);
    let tenant = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.";
    explains(at(Mechanism::Plain, false, tenant), &["SMTP AUTH disabled"]);
    let lost = "535 5.7.8 Error: authentication failed: Connection lost to authentication server";
    explains(at(Mechanism::Plain, false, lost), &["cannot check logins now"]);
    let inside = Case::new().start_tls().secured(&[], leaf()).auth_ended(AuthEnded::BeforeCredentials);
    let closed = inside.failed(Phase::SaslAuth, FailureKind::Closed, None).report().failure.expect("a failure");
    let explanation = closed.explanation.expect("an explanation");
    assert!(explanation.ends_with("Try another mechanism."), "{explanation}");
}

/// Postfix judges the name at RCPT (`smtpd_delay_reject`), others at EHLO.
#[test]
fn the_name_of_this_client_is_refused() {
    use Phase::{Ehlo, MailFrom, RcptTo};
    let name = &["the name noit.local", "EHLO", "`ehlo`"][..];
    for (phase, text, texts) in [
        (RcptTo, "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname", name),
        (RcptTo, "450 4.7.1 <x>: Helo command rejected: Host not found", name),
        (RcptTo, "501 5.5.2 <x>: Helo command rejected: Invalid name", name),
        (RcptTo, "550 5.7.1 <x>: Helo command rejected: Access denied", name),
        (MailFrom, "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)", name),
        (Ehlo, "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname", name),
        (Ehlo, "501 5.5.4 Invalid domain name", name),
        (Ehlo, "501 Syntactically invalid EHLO argument(s)", name),
        (Ehlo, "550 REJECTED - Bad HELO - Host impersonating [192.0.2.9]", name),
        (RcptTo, "554 5.7.1 Helo command [a.test] blocked using dbl.test", &["block list"]),
        (RcptTo, "503 5.5.1 Error: send HELO/EHLO first", &[]),
        (RcptTo, "504 5.5.2 <x>: Recipient address rejected: need fully-qualified address", &[]),
        (RcptTo, "553 5.1.3 Invalid domain name", &[]),
        (Ehlo, "501 bad name", &[]),
    ] {
        explains(refused(phase, text), texts);
    }
    let found = |phase, text| ids(&refused(phase, text).report());
    let inconclusive = "smtp.greeting_refused inconclusive";
    assert_eq!(found(RcptTo, "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname"), [inconclusive]);
    assert_eq!(found(Ehlo, "501 5.5.4 Invalid domain name"), [inconclusive]);
    let later = found(RcptTo, "450 4.7.1 <x>: Helo command rejected: Host not found");
    assert_eq!(later, ["smtp.temporary_refusal inconclusive"]);
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
        (RcptTo, "550 5.1.1 b@test... User not listed in Domino Directory", &["The server knows no mailbox"][..], list),
        (RcptTo, "550 5.1.1 That account does not exist. c4s5h12345678wmb.7 - gsmtp", &["knows no mailbox"], list),
        (RcptTo, "550 5.1.1 x relay", &["knows no mailbox"], "relay"),
        (RcptTo, "550 Recipient not listed in address book", &["Most likely", "knows no mailbox"], list),
        (RcptTo, "550 5.4.1 Recipient address rejected: Access denied.", &["Most likely", "knows no mailbox"], list),
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
        (RcptTo, "554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: Access denied", &["refuses this client"], list),
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
        (RcptTo, "451 4.7.1 Greylisted at 12:34:56, try again in 5 minutes", &["uses greylisting", "in 5 minutes"], ""),
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
