//! Explanations and findings of what large providers and servers say.

use super::explains;
use crate::{
    findings::tests::*,
    phase::Phase::{self, Banner, Body, MailFrom, RcptTo, SaslAuth},
};

/// Server, phase, reply, words of the explanation, and the finding.
type Row = (&'static str, Phase, &'static str, &'static [&'static str], &'static str);

const CLIENT: &str = "smtp.greeting_refused inconclusive";
const LATER: &str = "smtp.temporary_refusal inconclusive";

const REPLIES: &[Row] = &[
    (
        "Gmail",
        RcptTo,
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n550 5.1.1 x - gsmtp",
        &["knows no mailbox"],
        "",
    ),
    (
        "Gmail",
        Body,
        "550-5.7.1 [192.0.2.9] The IP you're using to send mail is not authorized to\r\n550-5.7.1 send email directly \
             to our servers. Please use the SMTP relay at your\r\n550-5.7.1 service provider instead.\r\n550 5.7.1 x - gsmtp",
        &["refuses this client"],
        CLIENT,
    ),
    ("Gmail", Body, "550-5.7.25 [192.0.2.9] The IP address has no PTR record\r\n550 5.7.25 x", &["PTR"], CLIENT),
    ("Gmail", Body, "550 5.7.26 Your email has been blocked because the sender is unauthenticated.", &["SPF"], ""),
    ("Gmail", RcptTo, "452 4.2.2 The recipient's inbox is out of storage space.", &["full"], LATER),
    ("Gmail", SaslAuth, "534 5.7.9 Application-specific password required. For more see", &["app password"], ""),
    ("Gmail", SaslAuth, "534 5.7.14 Please log in via your web browser and then try again.", &["web browser"], ""),
    ("Outlook.com", SaslAuth, "504 5.7.4 Unrecognized authentication type", &["another mechanism"], ""),
    (
        "Exchange Online",
        SaslAuth,
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        &["or have logins disabled"],
        "",
    ),
    (
        "Exchange Online",
        RcptTo,
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
        &["Most likely", "no mailbox"],
        "",
    ),
    (
        "Exchange Online",
        RcptTo,
        "550 5.7.511 Access denied, banned sender[192.0.2.9]. To request removal",
        &["refuses this client"],
        CLIENT,
    ),
    ("Exchange Online", RcptTo, "550 5.7.64 TenantAttribution; Relay Access Denied", &["does not relay"], ""),
    ("Exchange Online", MailFrom, "451 4.7.500 Server busy. Please try again later from [192.0.2.9].", &[], LATER),
    (
        "Exchange Online",
        RcptTo,
        "550 5.7.1 Service unavailable, Client host [192.0.2.9] blocked using Spamhaus. To request removal from this \
             list see https://www.spamhaus.org/query/ip/192.0.2.9 (AS3130).",
        &["Most likely", "by a block list"],
        CLIENT,
    ),
    (
        "Outlook.com",
        MailFrom,
        "550 5.7.1 Unfortunately, messages from [192.0.2.9] weren't sent. Please contact your Internet service provider \
             since part of their network is on our block list (S3140).",
        &["Most likely", "by a block list"],
        CLIENT,
    ),
    (
        "Yahoo",
        Banner,
        "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.9, because the ip is in Spamhaus's list; see x",
        &["does not admit the address"],
        CLIENT,
    ),
    (
        "Yahoo",
        MailFrom,
        "421 4.7.0 [TSS04] Messages from 192.0.2.9 temporarily deferred due to user complaints",
        &["later"],
        LATER,
    ),
    (
        "GMX",
        Banner,
        "554-gmx.net (mxgmx016) Nemesis ESMTP Service not available\r\n554-No SMTP service\r\n554-Bad DNS PTR resource \
             record.\r\n554 For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.9",
        &["PTR record"],
        CLIENT,
    ),
    (
        "GMX",
        RcptTo,
        "550-Requested action not taken: mailbox unavailable\r\n550 invalid DNS MX or A/AAAA resource record",
        &[],
        "",
    ),
    ("GMX", RcptTo, "550 Requested action not taken: mailbox unavailable", &["Most likely", "no mailbox"], ""),
    (
        "T-Online",
        Banner,
        "554 IP=192.0.2.9 - None/bad reputation. Ask your postmaster for help or to contact x@rx.t-online.de",
        &["refuses this client"],
        CLIENT,
    ),
    (
        "Barracuda",
        RcptTo,
        "554 Service unavailable; Client host [192.0.2.9] blocked using Barracuda Reputation; https://x.test/?ip=192.0.2.9",
        &["Most likely", "by a block list"],
        CLIENT,
    ),
    ("Proofpoint", Banner, "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.9", &["block list"], CLIENT),
    (
        "Mimecast",
        RcptTo,
        "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [a.uk1]",
        &["no mailbox"],
        "",
    ),
    ("Mimecast", RcptTo, "550 Administrative prohibition - envelope blocked - https://x.test#550 [a.uk1]", &[], ""),
    (
        "Exim",
        RcptTo,
        "550-Verification failed for <x@y.test>\r\n550-No Such User Here\r\n550 Sender verify failed",
        &[],
        "",
    ),
    ("Exim", RcptTo, "550 Unrouteable address", &["Most likely", "no mailbox"], ""),
    (
        "cPanel",
        RcptTo,
        "550 \"JunkMail rejected - host [192.0.2.9]:1234 is in an RBL, see https://x.test\"",
        &["block list"],
        CLIENT,
    ),
    (
        "Postfix",
        RcptTo,
        "450 4.1.8 <x@y.test>: Sender address rejected: Domain not found",
        &["the sender x@y.test"],
        LATER,
    ),
    ("Dovecot", RcptTo, "452 4.2.2 <x> Quota exceeded (mailbox for user is full)", &["full"], LATER),
    ("Yandex", Body, "554 5.7.1 Message rejected under suspicion of SPAM; https://ya.cc/1IrBc", &[], ""),
];

#[test]
fn what_servers_say() {
    for (server, phase, reply, texts, finding) in REPLIES {
        let case = || Case::new().from("x@y.test").rejected(*phase, reply);
        let report = case().report();
        let found: Vec<&str> = Some(*finding).into_iter().filter(|id| !id.is_empty()).collect();
        assert_eq!(ids(&report), found, "{server}: {reply}: {:?}", report.failure);
        explains(case(), texts);
    }
}
