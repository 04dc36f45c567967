//! Addresses, EHLO names and targets: what the parsers accept is valid in every spelling.

use std::net::IpAddr;

use smtp_check::{
    destination::{HostName, Target},
    smtp::{Command, EhloName, Mailbox},
};

use super::{assert_no_control, assert_printable};

/// `data` is a text that a client gives as an address or a host.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Mailbox>() {
        Ok(mailbox) => assert_mailbox(&text, &mailbox),
        Err(error) => assert_printable(&error.to_string()),
    }
    match text.parse::<EhloName>() {
        Ok(name) => {
            assert_eq!(name.to_string(), *text, "as it stands");
            assert!(text.bytes().all(|octet| octet.is_ascii_graphic()), "not one word: {text:?}");
        }
        Err(error) => assert_printable(&error.to_string()),
    }
    for target in [text.parse::<Target>(), Target::of_mail_domain(&text)] {
        match target {
            Ok(Target::Host(name)) => {
                assert_host(&name);
                assert_eq!(name.as_str().parse(), Ok(Target::Host(name.clone())), "the one spelling");
            }
            Ok(Target::MxOf(name)) => {
                assert_host(&name);
                assert_eq!(Target::of_mail_domain(name.as_str()), Ok(Target::MxOf(name.clone())), "the one spelling");
            }
            Ok(Target::Address(address)) => {
                assert_eq!(address, address.to_canonical(), "the address that is reached");
                assert_eq!(address.to_string().parse(), Ok(Target::Address(address)), "the one spelling");
            }
            Ok(Target::Exchange(_)) => panic!("no text is one"),
            Err(error) => assert_printable(&error.to_string()),
        }
    }
}

fn assert_mailbox(text: &str, mailbox: &Mailbox) {
    assert_eq!(mailbox.to_string(), text, "as it stands");
    assert_no_control(text);
    assert!((1..=254).contains(&text.len()), "{} octets", text.len());
    assert_eq!(mailbox.is_ascii(), text.is_ascii());
    if let Some(domain) = mailbox.domain() {
        let local = text.strip_suffix(domain).and_then(|rest| rest.strip_suffix('@')).expect("local part and domain");
        assert!((1..=64).contains(&local.len()) && (1..=255).contains(&domain.len()), "{local:?} at {domain:?}");
        assert!(!domain.contains(['@', '<', '>', ' ', '"', '\\', ',']), "no domain: {domain:?}");
    }
    let wire = Command::RcptTo(mailbox.clone()).to_wire();
    let path = wire.strip_prefix(b"RCPT TO:<").and_then(|rest| rest.strip_suffix(b">\r\n")).expect("a path");
    assert_eq!(end_of_path(path), None, "the path ends early: {}", wire.escape_ascii());
}

/// The end of the path as a server finds it: the first `>` outside quotes.
fn end_of_path(path: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    path.iter().position(|octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' | b' ' => return !quoted,
            _ => {}
        }
        false
    })
}

fn assert_host(name: &HostName) {
    let name = name.as_str();
    assert!((1..=253).contains(&name.len()), "{} octets", name.len());
    for label in name.split('.') {
        assert!((1..=63).contains(&label.len()), "a label of {} octets", label.len());
        assert!(!label.starts_with('-') && !label.ends_with('-'), "a hyphen outside: {name}");
        let known = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-_".contains(&octet);
        assert!(label.bytes().all(known), "not in its one spelling: {name}");
    }
    // What resolvers take for an address ends in a number; an address must not pass the policy as a name.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    let is_hex = |word: &str| word.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|o| o.is_ascii_hexdigit()));
    assert!(!is_number(last) && !is_hex(last), "an IPv4 address under another name: {name}");
    assert!(name.parse::<IpAddr>().is_err(), "an address: {name}");
}
