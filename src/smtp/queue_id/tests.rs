use proptest::prelude::*;

use super::*;

#[test]
fn ids_of_known_servers() {
    for (message, id) in [
        ("Ok: queued as 4C9D2A0B1F", "4C9D2A0B1F"),
        ("from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 3F1A", "3F1A"),
        ("OK id=1tEabc-000000001Qr-2xyz", "1tEabc-000000001Qr-2xyz"),
        ("v1AB2cd3012345 Message accepted for delivery", "v1AB2cd3012345"),
        ("1a2b3c4d Message accepted for delivery", "1a2b3c4d"),
        ("<x@y> [InternalId=12, Hostname=h.example] Queued mail for delivery", "x@y"),
        ("ok 1700000000 qp 4242", "4242"),
        ("OK  1700000000 d9443c01a7336-20d109b6f3asi12.34 - gsmtp", "d9443c01a7336-20d109b6f3asi12.34"),
        ("<SNT0-MC3@mx.example>  Queued mail for delivery", "SNT0-MC3@mx.example"),
        (
            "<x@y> [InternalId=12, Hostname=h.example] 8465 bytes in 0.118, 69.9 KB/sec Queued mail for delivery -> 250 2.1.5",
            "x@y",
        ),
        ("Ok 0100018b-1234", "0100018b-1234"),
        (
            "Ok 0102018b9c8d7e6f-a1b2c3d4-5678-90ab-cdef-123456789012-000000",
            "0102018b9c8d7e6f-a1b2c3d4-5678-90ab-cdef-123456789012-000000",
        ),
        ("OK ef6e1f86a16411ef8a5442010a7c0015", "ef6e1f86a16411ef8a5442010a7c0015"),
        ("Ok: queued as nhIMmON9SFOPcT0ii4nt2A", "nhIMmON9SFOPcT0ii4nt2A"),
        ("OK queued as a08b7f37-ed61-423a-ba75-38ed2fd4b54c", "a08b7f37-ed61-423a-ba75-38ed2fd4b54c"),
        ("Ok: queued on smtp3m.mail.example as 1430081058-6ltgNFKSir", "1430081058-6ltgNFKSir"),
        ("Message Queued (1C1E7B2A-8F31-48EB.1)", "1C1E7B2A-8F31-48EB.1"),
        ("Message Queued (1C1E7B2A-8F31-48EB.1) (1C1E7B2A-8F31-48EB.1)", "1C1E7B2A-8F31-48EB.1"),
        ("Requested mail action okay, completed: id=0LjJbA-1aXyZ2", "0LjJbA-1aXyZ2"),
        ("from MTA: 250 OK id=1x-2", "1x-2"),
        ("message queued as id=99", "99"),
        ("Ok: queued as <4C9D>.", "4C9D"),
        ("first line\nOk: queued as A1", "A1"),
        ("SmtpSession: message accepted with id 12345ABC", "12345ABC"),
        ("Ok: queued as A1 (in 0.3 s)", "A1"),
    ] {
        assert_eq!(queue_id(message).as_deref(), Some(id), "{message:?}");
    }
}

#[test]
fn ids_by_their_place_in_the_sentences_of_servers() {
    for (server, message, id) in [
        ("Postfix", "Ok: queued as BDFACEDBAD", "BDFACEDBAD"),
        ("Postfix, long ids", "Ok: queued as zWvTqRnBcXzFgH", "zWvTqRnBcXzFgH"),
        ("Barracuda", "Ok: queued as XbQfRtMpWkLj", "XbQfRtMpWkLj"),
        ("AOL", "Ok: queued as 5A0C71E20007F", "5A0C71E20007F"),
        ("NetEase", "Mail OK queued as smtp9,EkKowACXq1Zw--.4711S2 1700000000", "smtp9,EkKowACXq1Zw--.4711S2"),
        ("Yandex", "Ok: queued on smtp9.mail.example as abcdMNOPqr-XyZ", "abcdMNOPqr-XyZ"),
        ("Yandex, without `as`", "Ok: queued on mxfront.mail.example 1459166545-6ltgNFKSir", "1459166545-6ltgNFKSir"),
        ("Gmail, quarantine", "OK DMARC:Quarantine 1700000000 ab-cdefghijk.lm - gsmtp", "ab-cdefghijk.lm"),
        ("Naver", "OK Qx9bvwhWQ+mPgKfLn8h5eg - nsmtp", "Qx9bvwhWQ+mPgKfLn8h5eg"),
        ("KumoMTA", "OK ids=8a5475ccbbc611eda12250ebf67f93bd", "8a5475ccbbc611eda12250ebf67f93bd"),
        ("KumoMTA, several", "OK ids=8a5475cc,8a5475cd", "8a5475cc"),
        ("IceWarp", "2804 bytes received in 00:00:01; Message id YAR93710 accepted for delivery", "YAR93710"),
        ("mailfront", "Accepted message qp 12345 bytes 678", "12345"),
        ("Momentum", "OK C6/4A-12345-D8F1B5A5", "C6/4A-12345-D8F1B5A5"),
        ("Courier", "Ok. 000000004B8E2A3D.00005C3E", "000000004B8E2A3D.00005C3E"),
        ("XMail", "OK <S2B6D>", "S2B6D"),
        (
            "Openwave",
            "Message received: 20220905103543.XHUX5544.mx@host.example",
            "20220905103543.XHUX5544.mx@host.example",
        ),
        (
            "MX Logic",
            "Backend Replied [9c0d17b3.0.1234.00-0000.5678.p01c11m001.mx.example]: OK",
            "9c0d17b3.0.1234.00-0000.5678.p01c11m001.mx.example",
        ),
        ("Sina", "ok queue id 480212345678", "480212345678"),
        ("Stalwart", "Message queued with id 2a9c0d17.", "2a9c0d17"),
        ("Haraka", "Message Queued (ABCDEF-FEDCBA.A)", "ABCDEF-FEDCBA.A"),
        ("iCloud", "Ok, envelope id 0SXQ00B7H2LMNO90@smtpin007.mac.example", "0SXQ00B7H2LMNO90@smtpin007.mac.example"),
        ("Exim", "OK id=rAbcDe-AAAAAAAAAqB-XyZw", "rAbcDe-AAAAAAAAAqB-XyZw"),
        ("IONOS, GMX", "Requested mail action okay, completed: id=MXaaBb-QqRrSsTt", "MXaaBb-QqRrSsTt"),
        ("Sendmail", "u7BAhWqX012345 Message accepted for delivery", "u7BAhWqX012345"),
        ("Sendmail 8.8", "HAA04711 Message accepted for delivery", "HAA04711"),
        ("OpenSMTPD", "deadbeef Message accepted for delivery", "deadbeef"),
        ("Proofpoint", "4rTyUvWxAb-1 Message accepted for delivery", "4rTyUvWxAb-1"),
        ("CommuniGate", "47110815 message accepted for delivery", "47110815"),
        ("GoDaddy", "qGhTrmKpLwNcX mail accepted for delivery", "qGhTrmKpLwNcX"),
        ("Comcast", "3TqrXw00B4uUYl401TqrYl mail accepted for delivery", "3TqrXw00B4uUYl401TqrYl"),
        ("Telia", "7GWKjJNxVKx7GWKj mail accepted for delivery", "7GWKjJNxVKx7GWKj"),
        ("Cisco ESA", "ok:  Message 90210471 accepted", "90210471"),
        (
            "Exchange",
            "<a.b@c> [InternalId=4, Hostname=h.example] 99 bytes in 0.1, 1 KB/sec Queued mail for delivery",
            "a.b@c",
        ),
        ("Dovecot", "<user@mx.example> qrStUvWxYzAbCdEfGh Saved", "qrStUvWxYzAbCdEfGh"),
        ("Mimecast", "SmtpThread-47-1700000000 - mx.example Received OK [Zq-XyWvUtSrQ.uk1]", "Zq-XyWvUtSrQ.uk1"),
        ("qmail", "ok 1700000000 qp 815", "815"),
        ("MessageLabs", "ok 1700000000 qp 4711 server-9.tower-9.example!1700000000!815!1", "4711"),
        ("Gmail", "OK  1700000000 ab-cdefghijk.lm - gsmtp", "ab-cdefghijk.lm"),
        ("Amazon SES", "Ok 0200019a1b2c3d4e-5f6a7b8c-000000", "0200019a1b2c3d4e-5f6a7b8c-000000"),
        ("amavis", "Ok, id=04711-09, from MTA([127.0.0.1]:10025): 250 Ok: queued as FEEDFACE", "FEEDFACE"),
    ] {
        assert_eq!(queue_id(message).as_deref(), Some(id), "{server}");
    }
}

#[test]
fn short_ids_and_ids_of_letters() {
    for (server, message, id) in [
        ("Postfix, letters alone", "Ok: queued as BEAD", "BEAD"),
        ("Postfix, letters alone", "Ok: queued as FACE (in 0.3 s)", "FACE"),
        ("Postfix behind amavis", "from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as DEADBEE", "DEADBEE"),
        ("Cisco ESA, short", "ok:  Message 123 accepted", "123"),
        ("Cisco ESA, its first message", "ok:  Message 1 accepted", "1"),
        ("Cisco ESA, without `ok`", "Message 123 accepted", "123"),
    ] {
        assert_eq!(queue_id(message).as_deref(), Some(id), "{server}");
    }
}

const WITHOUT_AN_ID: &[&str] = &[
    "mailgate12 Message accepted for delivery",
    "gateway2024 Message accepted for delivery",
    "mail-gate12 Message accepted for delivery",
    "Recipient2 Message accepted",
    "SmtpSession: message accepted",
    "Ok Exchange2019-hub",
    "OK x86_64-linux",
    "Ok RFC5321-compliant2",
    "Ok delivered2inbox",
    "Ok proxied-by-mx01",
    "Ok mx01-gw02-eu",
    "Message received: 12kB",
    "Message received: 1.5MiB",
    "Message received: <a@b.example>",
    "Message received: mx1.example.com",
    "<a@b.example> Queued mail for delivery",
    "<john.smith1970@b.example> Queued mail for delivery",
    "Received OK [mx1.example.com]",
    "Backend Replied [mx1.example.com]: OK",
    "Ok: queued as mail.example.com",
    "Ok: queued as 192.0.2.1",
    "accepted id=127.0.0.1",
    "OK id=mx1.example.com",
    "ok dirdel",
    "Ok 20240101T120000Z",
    "Ok: 20240101t120000",
    "OK 2024-01-01T120000Z",
    "Ok 20240101T120000+0100",
    "Ok: queued as 20240101T120000Z",
    "OK ESMTP2024",
    "OK Postfix2024",
    "OK exchange2019",
    "OK VERSION20",
    "queued as JUNKMAIL",
    "Ok: queued as SPAM",
    "Ok: queued as LOW-PRIORITY",
    "Ok: queued as JUNKMAIL-2024",
    "Ok: queued as DEAD letter",
    "Ok: queued as Bead",
    "Message 12 accepted",
    "Message 123 accepted so far",
    "JUNKMAIL message accepted",
    "Ok, user id=1000",
    "accepted; connection id=47",
    "Accepted, scanned with id 77",
    "First-class mail accepted for delivery",
    "Non-spam message accepted",
    "Your E-mail message accepted",
    "2024-11-22 mail accepted for delivery",
    "mx12 Message accepted for delivery",
    "relay-host-1 mail accepted for delivery",
    "Message Queued (2/3)",
    "Message Queued (2024-11-22)",
    "Message queued (0.2s)",
    "Ok: queued as 1 of 3",
    "Message queued as 2 copies",
    "queued as low-priority",
    "Ok: queued as DKIM-signed",
    "Mail queued on mx.example today",
    "Mail queued on mx1 as requested",
    "Message received: 2320 bytes",
    "Message received: 2320",
    "Message id accepted",
    "Message accepted - gsmtp",
    "OK <user@mx.example>",
    "OK 2024/11-22",
    "Ok. mx.example",
    "Message queued (0.2 s)",
    "Ok: queued as ",
    "Ok: queued as requested",
    "OK: queued",
    "Message received",
    "message received and queued with care",
    "1 message accepted for delivery",
    "mx1.example.com Message accepted for delivery",
    "Received message accepted",
    "Thanks! mail accepted for delivery",
    "Message was accepted",
    "Message 1 accepted",
    "<user@mx.example> Saved",
    "<user@mx.example> message saved",
    "Received OK [192.0.2.1]",
    "Received OK [1/2]",
    "Received OK [2001:db8::1]",
    "ok 1700000000 qp",
    "mail accepted for delivery; session id=4711abcd",
    "envelope id accepted",
    "OK Accepted",
    "OK, message accepted for delivery",
    "Ok: Message accepted for delivery",
    "Your message accepted for delivery",
    "Mail message accepted",
    "Thanks, we queued mail for delivery",
    "Queued mail for delivery",
    "Message queued as soon as possible",
    "Message queued (simulated)",
    "Queued (0.234 seconds)",
    "Ok: queued as ***",
    "OK 2 recipients",
    "OK 1 message queued",
    "OK 1700000000 seconds",
    "Resolved: id=@",
    "mail accepted for delivery; session id=abc",
    "Ok: 20240101",
    "Ok SESSIONID=20240102",
    "Ok host12.example.com",
    "OK Version2.0-beta",
    "Great success",
    "OK 2024/11/22",
    "OK 8",
    "Ok",
    "OK thanks",
    "Message accepted for delivery",
    "queued as",
    "",
];

#[test]
fn texts_without_an_id() {
    for message in WITHOUT_AN_ID {
        assert_eq!(queue_id(message), None, "{message:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(message in "\\PC{0,80}|(ok |queued |as |id=|[0-9]{1,4} ){0,8}") {
        if let Some(id) = queue_id(&message) {
            prop_assert!(!id.is_empty() && message.contains(&id));
        }
    }
}
