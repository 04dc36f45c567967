//! Whom replies are about.

use super::*;

#[test]
fn a_block_list_its_name_and_whom_it_lists() {
    use Party::{Address, ClientName, Message, Recipient, Sender};
    for (text, party, list) in [
        (
            "Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.9",
            Some(Address),
            Some("zen.spamhaus.org"),
        ),
        ("rejected because 192.0.2.9 is in a black list at bl.test\nsee there", Some(Address), Some("bl.test")),
        ("Message from [192.0.2.9] rejected: listed in bl.test", Some(Address), Some("bl.test")),
        ("192.0.2.9 is listed in 192.0.2.1", Some(Address), None),
        ("192.0.2.9 is blacklisted by mail.x.test", Some(Address), Some("mail.x.test")),
        ("since part of their network is on our block list (S3140)", Some(Address), None),
        ("blocked - see http://www.spamcop.net/bl.shtml?192.0.2.9", Some(Address), None),
        ("Blocked - see https://ipcheck.x.test/?ip=192.0.2.9", Some(Address), None),
        ("rejected by mail.x.test: IP 192.0.2.9 is listed at rbl.local.test", Some(Address), Some("rbl.local.test")),
        ("You are listed in our database", Some(Address), None),
        ("Client host [192.0.2.9] blocked by zen.spamhaus.org", Some(Address), Some("zen.spamhaus.org")),
        ("Client host [a.example.test] blocked using rhsbl.test", Some(ClientName), Some("rhsbl.test")),
        ("Helo command [noit.local] blocked using dbl.spamhaus.org", Some(ClientName), Some("dbl.spamhaus.org")),
        ("Sender address [x@spam.test] blocked using dbl.spamhaus.org", Some(Sender), Some("dbl.spamhaus.org")),
        ("Mail from sender.example.test rejected: blacklisted sender", Some(Sender), None),
        ("Recipient address [x@a.test] blocked using dbl.test", Some(Recipient), Some("dbl.test")),
        ("A link in the message is listed in dbl.test", Some(Message), Some("dbl.test")),
        ("the sending MTA or the sending domain is listed in dbl.example", None, Some("dbl.example")),
        ("the sending domain is listed in dbl.example", Some(Sender), Some("dbl.example")),
        ("Service unavailable; blocked using zen.spamhaus.org", None, Some("zen.spamhaus.org")),
    ] {
        let list = list.map(str::to_owned);
        assert_eq!(listing(&Text::of(text), false), Some(Listing { party, list }), "{text}");
    }
    let nobody = Text::of("blacklisted");
    assert_eq!(listing(&nobody, false), None);
    assert_eq!(listing(&nobody, true), Some(Listing { party: Some(Address), list: None }));
}

#[test]
fn other_texts_name_no_block_list() {
    for text in [
        "no such user",
        "the domain is not in DNS",
        "blocked",
        "User not listed in Domino Directory",
        "Recipient not listed in address book",
        "The account does not exist. c4s5h12345678wmb.7 - gsmtp",
        "Message blocked by content filter",
        "Virus found by Barracuda Email Security",
        "sender address blocked by recipient",
        "mail could not be delivered to x@y.  The domain may not exist, they may be blacklisted, or missing DNS entries",
        "user unknown (192.0.2.9:550 5.1.1 user unknown) by barracuda.mx.test",
        "You are not on the list of allowed senders: mailing list blacklisting off",
        "Rejected by Anti-Spoofing policy: x@y - https://community.x.test/docs/DOC-1369#550 [s5Hk2pCzOiG0].uk123",
        "This message was blocked: a large list of blocked files",
        "your address is not on our block list, but your message is refused",
    ] {
        assert_eq!(listing(&Text::of(text), false), None, "{text}");
    }
    let server = listing(&Text::of("192.0.2.9 blocked by mail.x.test"), false);
    assert_eq!(server, None, "the name is the server's");
}

#[test]
fn this_client_is_refused_or_somebody_else() {
    for text in [
        "<unknown[127.0.0.1]>: Client host rejected: Access denied",
        "Access denied, banned sending IP [127.0.0.1]. To request removal visit https://x.test",
        "Access denied: your IP address is not permitted to send here",
        "Client host rejected: cannot find your reverse hostname",
        "192.0.2.9 blocked by mail.x.test",
        "Access denied: your IP",
        "You are not allowed to connect",
        "[192.0.2.9] The IP you're using to send mail is not authorized to send email directly to our servers.",
        "Access denied, banned sender[192.0.2.9]. To request removal see https://x.test",
    ] {
        assert!(refuses_client(&Text::of(text)), "{text}");
    }
    for text in [
        "Recipient address rejected: Access denied",
        "Your email has been blocked because the sender is unauthenticated",
        "Sender address [192.0.2.9] rejected",
        "Message rejected as spam",
        "relay not permitted",
        "Your client may be blocked",
        "Access denied, banned sender x@a.test",
        "Messages from your IP may be blocked",
        "<list@rcpt.test>: Recipient address rejected: You are not allowed to post to this list",
        "You are not authorized to post to this mailing list",
        "Access to this list is denied: you are not a member",
        "You are not allowed to send to this list",
        "You are not authorized to send as me@sender.test",
        "192.0.2.9 is not authorized to send as me@sender.test",
        "SPF: 192.0.2.9 is not authorized to send for sender.test",
        "You are not allowed to send attachments",
        "Message rejected: your IP rate is fine but content denied",
        "Denied: you are not welcome in this group",
    ] {
        assert!(!refuses_client(&Text::of(text)), "{text}");
    }
}
