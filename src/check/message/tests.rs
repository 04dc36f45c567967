use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::check::DkimAlgorithm;

fn settings() -> CheckSettings {
    let mut settings = CheckSettings::new(Duration::from_secs(60));
    let key = Zeroizing::new(b"hunter2".to_vec());
    let key = DkimKey::new("ours".to_owned(), "example.com", "s1", DkimAlgorithm::Ed25519, key);
    settings.dkim.insert("ours".to_owned(), key.expect("a key"));
    settings
}

/// A check with these parameters, or the pointers of its violations.
fn parse(more: Value) -> Result<Check, Vec<String>> {
    let mut parameters = json!({"to": "to@b.test", "from": "from@a.test", "target": "mx.test"});
    parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let Value::Object(fields) = parameters else { panic!("an object") };
    Check::parse(fields.into_iter().collect(), &settings())
        .map_err(|invalid| invalid.violations().iter().map(|violation| violation.pointer.clone()).collect())
}

fn message_of(more: Value) -> Message {
    *parse(more).expect("a check").message.expect("a message")
}

#[test]
fn the_envelope_gives_the_addresses_that_are_left_out() {
    let addresses = |more: Value| {
        let message = message_of(more);
        (message.from.address(), message.to.map(|to| to.address()))
    };
    let both = ("from@a.test".to_owned(), Some("to@b.test".to_owned()));
    assert_eq!(addresses(json!({"message": {"text": ""}})), both);
    let others = json!({"from": "", "message": {"html": "<p>", "from": "Me <me@c.test>", "to": "You <you@d.test>"}});
    assert_eq!(addresses(others), ("me@c.test".to_owned(), Some("you@d.test".to_owned())));
    assert_eq!(addresses(json!({"to": "postmaster", "message": {"text": ""}})), ("from@a.test".to_owned(), None));
}

#[test]
fn each_rule_names_its_member() {
    let text = |more: Value| {
        let mut message = json!({"text": "x"});
        message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"message": message})
    };
    for (parameters, pointers) in [
        (json!({"message": "x"}), &["/message"][..]),
        (json!({"message": {}}), &["/message"]),
        (json!({"message": {"text": null}}), &["/message"]),
        (json!({"message": {"subject": "x"}}), &["/message"]),
        (json!({"message": {"text": 5}}), &["/message/text"]),
        (json!({"message": {"text": "x"}, "payload": "From: a@b.test"}), &["/message"]),
        (json!({"message": {"text": "x"}, "from": ""}), &["/message/from"]),
        (json!({"message": {"text": "x"}, "from": "@"}), &["/from"]),
        (text(json!({"tetx": "x"})), &["/message/tetx"]),
        (text(json!({"text": "a\u{7}b"})), &["/message/text"]),
        (text(json!({"text": "a\rb"})), &["/message/text"]),
        (text(json!({"text": "a\u{0}"})), &["/message/text"]),
        (text(json!({"text": "a\u{7f}"})), &["/message/text"]),
        (text(json!({"text": "a\u{9b}"})), &["/message/text"]),
        (text(json!({"html": "a\u{1b}"})), &["/message/html"]),
        (text(json!({"subject": "a\r\nBcc: x@y.test"})), &["/message/subject"]),
        (text(json!({"subject": "a\tb"})), &["/message/subject"]),
        (text(json!({"subject": "a\u{85}b"})), &["/message/subject"]),
        (text(json!({"from": "x"})), &["/message/from"]),
        (text(json!({"from": "A <a@b.test>, B <b@b.test>"})), &["/message/from"]),
        (text(json!({"to": "x\n <a@b.test>"})), &["/message/to"]),
        (text(json!({"reply_to": ""})), &["/message/reply_to"]),
        (text(json!({"headers": []})), &["/message/headers"]),
        (text(json!({"headers": {"X-A": 5}})), &["/message/headers/X-A"]),
        (text(json!({"headers": {"X-A": "a\nb"}})), &["/message/headers/X-A"]),
        (text(json!({"headers": {"X-A": "a\r\n\r\nb"}})), &["/message/headers/X-A"]),
        (text(json!({"headers": {"X-A": "x".repeat(901)}})), &["/message/headers/X-A"]),
        (text(json!({"headers": {"X-A": format!("x{}x", " ".repeat(900))}})), &["/message/headers/X-A"]),
        (text(json!({"headers": {"": "x"}})), &["/message/headers/"]),
        (text(json!({"headers": {"X A": "x"}})), &["/message/headers/X A"]),
        (text(json!({"headers": {"X:A": "x"}})), &["/message/headers/X:A"]),
        (text(json!({"headers": {"X-\u{fc}": "x"}})), &["/message/headers/X-\u{fc}"]),
        (text(json!({"headers": {"X/~": "x", "X\n": "y"}})), &["/message/headers/X\n"]),
        (text(json!({"headers": {"x".repeat(65): "x"}})), &[&format!("/message/headers/{}", "x".repeat(65))]),
        (text(json!({"headers": {"date": "x"}})), &["/message/headers/date"]),
        (text(json!({"headers": {"MESSAGE-ID": "x"}})), &["/message/headers/MESSAGE-ID"]),
        (text(json!({"headers": {"MIME-Version": "x"}})), &["/message/headers/MIME-Version"]),
        (text(json!({"headers": {"X-SMTP-Check-ID": "x"}})), &["/message/headers/X-SMTP-Check-ID"]),
        (text(json!({"headers": {"From": "a@b.test"}})), &["/message/headers/From"]),
        (text(json!({"headers": {"Content-Type": "x"}})), &["/message/headers/Content-Type"]),
    ] {
        assert_eq!(
            parse(parameters.clone()).map(|_| ()),
            Err(pointers.iter().map(ToString::to_string).collect()),
            "{parameters}"
        );
    }
}

#[test]
fn each_rule_of_a_signature_names_its_parameter() {
    for (parameters, pointers) in [
        (json!({"dkim": "ours"}), &["/dkim"][..]),
        (json!({"dkim": "theirs"}), &["/dkim"]),
        (json!({"dkim": "theirs", "message": {"text": "x"}}), &["/dkim"]),
        (json!({"dkim": "", "message": {"text": "x"}}), &["/dkim"]),
        (json!({"dkim": 5, "message": {"text": "x"}}), &["/dkim"]),
        (json!({"dkim": "ours", "payload": "Subject: x\n\nFrom: a@b.test"}), &["/dkim"]),
        (json!({"dkim": "ours", "payload": "From : a@b.test"}), &["/dkim"]),
        (json!({"dkim": "ours", "payload": "From: a@b.test\n\n..\n"}), &["/payload"]),
        (json!({"dkim": "ours", "payload": "\n.\n"}), &["/payload"]),
        (json!({"dkim": "ours", "payload": "x\n.x"}), &["/dkim", "/payload"]),
        (
            json!({"dkim": "ours", "message": {"text": "x", "headers": {"DKIM-signature": "x"}}}),
            &["/message/headers/DKIM-signature"],
        ),
    ] {
        assert_eq!(
            parse(parameters.clone()).map(|_| ()),
            Err(pointers.iter().map(ToString::to_string).collect()),
            "{parameters}"
        );
    }
}

#[test]
fn every_violation_is_told_at_once() {
    let message = json!({
        "subject": "a\nb", "from": "x", "reply_to": 5, "headers": {"X-A": "a\nb", "Date": "x", "X-B": null}, "more": 1,
    });
    let all = parse(json!({"message": message, "payload": "x", "dkim": "theirs", "port": 0}));
    let pointers = [
        "/port",
        "/message",
        "/message/subject",
        "/message/from",
        "/message/reply_to",
        "/message/headers/X-A",
        "/message/headers/Date",
        "/message/more",
        "/message",
        "/dkim",
    ];
    let mut all = all.expect_err("violations");
    all.sort();
    let mut expected = pointers.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(all, expected);
}

#[test]
fn what_is_allowed_is_kept() {
    for parameters in [
        json!({"message": {"text": "a\r\nb\n\tc\n.\n"}}),
        json!({"message": {"html": "<p>ü"}, "dkim": "ours"}),
        json!({"message": {"text": "x", "headers": {"X-A": "", "x-a": "2", "Received": "from x", "Cc": "a@b.test"}}}),
        json!({"message": {"text": "x", "headers": {"DKIM-Signature": "v=1"}}}),
        json!({"message": {"text": "x", "headers": {"X-A": "\u{fc}".repeat(5000)}}}),
        json!({"message": {"text": "x", "headers": {"X-A": "word ".repeat(1000)}}}),
        json!({"message": {"text": "x"}, "payload": null}),
        json!({"message": "{\"text\": \"as a flag\"}"}),
        json!({"payload": "from:a@b.test\n\nx", "dkim": "ours"}),
        json!({"payload": "Subject: x\nFROM: a@b.test", "dkim": "ours"}),
    ] {
        let check = parse(parameters.clone()).unwrap_or_else(|pointers| panic!("{parameters}: {pointers:?}"));
        assert!(check.no_effect.is_empty());
        assert_eq!(check.composes(), parameters["message"] != json!(null) || parameters["dkim"] != json!(null));
        assert!(!format!("{check:?}").contains("hunter2"));
    }
}

#[test]
fn a_message_that_is_not_sent_has_no_effect() {
    let check = parse(json!({"stop_after": "rcptto", "message": {"text": "x"}, "dkim": "ours"})).expect("a check");
    assert!(!check.composes());
    let said: Vec<String> = check.no_effect.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["`message`, `dkim` have no effect: with `stop_after` no message is sent"]);
}

#[test]
fn words_are_measured_with_the_space_around_them() {
    for (value, longest) in [("", 0), ("a", 1), ("ab c", 2), ("a  bc", 4), ("a bc  ", 5), ("   ", 6), (" a", 2)] {
        assert_eq!(longest_word(value), longest, "{value:?}");
    }
}
