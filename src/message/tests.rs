use std::{borrow::Borrow, hash::Hash, sync::LazyLock, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use mail_auth::{
    AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt,
    common::{parse::TxtRecordParser, verify::DomainKey},
    hickory_resolver::config::{ResolverConfig, ResolverOpts},
};
use mail_parser::MessageParser;
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use serde_json::{Value, json};

use super::*;
use crate::check::CheckSettings;

/// A key, and the record of its public half.
struct Keys {
    pem: String,
    record: String,
}

static RSA: LazyLock<Keys> = LazyLock::new(|| {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
    let public = BASE64_STANDARD.encode(key.subject_public_key_info());
    Keys { pem: key.serialize_pem(), record: format!("v=DKIM1; k=rsa; p={public}") }
});

static ED25519: LazyLock<Keys> = LazyLock::new(|| {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let public = BASE64_STANDARD.encode(key.public_key_raw());
    Keys { pem: key.serialize_pem(), record: format!("v=DKIM1; k=ed25519; p={public}") }
});

/// The one record of a DNS without any other.
struct Record(&'static str);

impl ResolverCache<Box<str>, Txt> for Record {
    fn get<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(DomainKey::parse(self.0.as_bytes()).into())
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: std::time::Instant) {}
}

fn settings() -> CheckSettings {
    let mut settings = CheckSettings::new(Duration::from_secs(60));
    for (name, keys) in [("rsa", &*RSA), ("ed25519", &*ED25519)] {
        let key = dkim_key(name, "sender.test", "s1", keys.pem.as_bytes()).expect("a key");
        settings.dkim.insert(name.to_owned(), key);
    }
    settings
}

static SETTINGS: LazyLock<CheckSettings> = LazyLock::new(settings);

fn compose_from(more: &Value) -> Composed {
    let mut parameters = json!({"to": "to@mx.test", "from": "from@sender.test", "target": "mx.test"});
    parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let Value::Object(fields) = parameters else { panic!("an object") };
    let check = Check::parse(fields.into_iter().collect(), &SETTINGS).unwrap_or_else(|error| panic!("{error}: {more}"));
    compose(&check, Uuid::nil(), OffsetDateTime::from_unix_timestamp(1_767_225_600).expect("a date"))
        .expect("a message")
}

/// What the receiver holds (RFC 5321, section 4.5.2).
fn received(payload: &Payload) -> String {
    let wire = String::from_utf8(payload.to_wire()).expect("UTF-8");
    assert_eq!(wire.find("\r\n.\r\n"), Some(wire.len() - 5), "{wire:?}");
    let data = wire.strip_suffix(".\r\n").expect("the final dot");
    data.split_inclusive('\n').map(|line| line.strip_prefix('.').unwrap_or(line)).collect()
}

fn verified(message: &str, record: &'static str) -> DkimResult {
    let resolver = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()).expect("a resolver");
    let message = AuthenticatedMessage::parse(message.as_bytes()).expect("a message");
    let record = Record(record);
    let parameters = Parameters::new(&message).with_txt_cache(&record);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let results = runtime.block_on(resolver.verify_dkim(parameters));
    assert_eq!(results.len(), 1);
    results[0].result().clone()
}

#[test]
fn a_message_of_text_and_html() {
    let composed = compose_from(&json!({"message": {
        "subject": "Grüße", "text": "Hello,\nworld\n", "html": "<p>Hello</p>", "from": "Bücher, Jürgen <j@bücher.test>",
        "reply_to": "r@sender.test", "headers": {"X-Purpose": "monitoring", "List-Unsubscribe": "<https://a.test/u>"},
    }}));
    let message = received(&composed.payload);
    let (headers, body) = message.split_once("\r\n\r\n").expect("a header section");
    let boundary = headers.split_once("boundary=\"").and_then(|(_, rest)| rest.split('"').next()).expect("a boundary");
    let expected = format!(
        "From: =?utf-8?B?QsO8Y2hlciwgSsO8cmdlbg==?= <j@xn--bcher-kva.test>\r\n\
         To: <to@mx.test>\r\n\
         Reply-To: <r@sender.test>\r\n\
         Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         Message-ID: <00000000-0000-0000-0000-000000000000@xn--bcher-kva.test>\r\n\
         MIME-Version: 1.0\r\n\
         X-Smtp-Check-Id: 00000000-0000-0000-0000-000000000000\r\n\
         X-Purpose: monitoring\r\n\
         List-Unsubscribe: <https://a.test/u>\r\n\
         Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n"
    );
    assert_eq!(format!("{headers}\r\n"), expected);
    let part = |kind: &str, text: &str| {
        format!(
            "--{boundary}\r\nContent-Type: {kind}; charset=\"utf-8\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{text}\r\n"
        )
    };
    let (text, html) = (part("text/plain", "Hello,\r\nworld\r\n"), part("text/html", "<p>Hello</p>"));
    assert_eq!(body, format!("\r\n{text}{html}--{boundary}--\r\n"));
    assert_eq!(composed.report.octets, message.len() as u64);
}

/// The header field DKIM-Signature, unfolded.
fn signature(message: &str) -> String {
    let mut lines = message.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.take_while(|line| line.starts_with('\t')).fold(first, |header, line| header + line.trim_start())
}

#[test]
fn signatures_are_of_what_the_receiver_holds() {
    for (key, record, algorithm) in
        [("rsa", RSA.record.as_str(), "rsa-sha256"), ("ed25519", ED25519.record.as_str(), "ed25519-sha256")]
    {
        for parameters in [
            json!({"message": {"text": ".one\n..\n.\nend", "subject": "Grüße", "html": "<p>"}}),
            json!({"message": {"text": ""}}),
            json!({"message": {"text": "\n\n \n", "from": "jürgen@bücher.test"}, "to": "postmaster"}),
            json!({"payload": "From: a@b.test\nSubject: x\n\nworld\n\n\n"}),
            json!({"payload": "from: a@b.test"}),
            json!({"payload": "From: a@b.test\n"}),
            json!({"payload": "Subject: grün\nFrom: Ä\n <a@b.test>\nFrom: twice@b.test\n\ngrün"}),
        ] {
            let mut parameters = parameters;
            parameters["dkim"] = json!(key);
            let composed = compose_from(&parameters);
            let message = received(&composed.payload);
            assert!(matches!(verified(&message, record), DkimResult::Pass), "{message}");
            let signature = signature(&message);
            for tag in [format!("a={algorithm};"), "s=s1; d=sender.test; c=relaxed/relaxed;".to_owned()] {
                assert!(signature.contains(&tag), "{signature}");
            }
            let changed = message.replacen("b.test", "c.test", 1).replacen("mx.test", "c.test", 1);
            assert!(changed == message || !matches!(verified(&changed, record), DkimResult::Pass), "{changed}");
            let report = composed.report;
            let dkim = DkimReport { domain: "sender.test".to_owned(), selector: "s1".to_owned(), algorithm };
            assert_eq!((report.octets, report.dkim), (message.len() as u64, Some(dkim)));
        }
    }
}

#[test]
fn a_signed_payload_has_its_own_message_id() {
    let message_id = |payload: &str| compose_from(&json!({"payload": payload, "dkim": "ed25519"})).report.message_id;
    assert_eq!(message_id("From: a@b.test\nmessage-id:  <x@y.test> \n\n").as_deref(), Some("<x@y.test>"));
    assert_eq!(message_id("From: a@b.test\n\nMessage-ID: <x@y.test>"), None);
    assert_eq!(message_id(&format!("From: a@b.test\nMessage-ID: <{}>", "x".repeat(1000))), None);
}

#[test]
fn a_payload_that_is_signed_goes_as_it_stands_behind_its_signature() {
    let text = "From: a@b.test\r\nTo:  x \r\n\r\n a\t b \r\n\r\n";
    let composed = compose_from(&json!({"payload": text, "dkim": "ed25519"}));
    let wire = String::from_utf8(composed.payload.to_wire()).expect("UTF-8");
    let (signature, rest) = wire.split_at(wire.find("From:").expect("a From"));
    assert!(signature.starts_with("DKIM-Signature: ") && rest == format!("{text}\r\n.\r\n"), "{wire}");
    assert!(!composed.payload.needs_utf8());
}

#[test]
fn only_an_address_beyond_ascii_needs_smtputf8() {
    for (message, needs_utf8) in [
        (json!({"text": "grün", "subject": "Grün", "from": "Jürgen <j@bücher.test>", "headers": {"X-A": "ü"}}), false),
        (json!({"text": "x", "reply_to": "jürgen@b.test"}), true),
    ] {
        let payload = compose_from(&json!({"message": message})).payload;
        assert_eq!((payload.needs_utf8(), payload.is_8bit()), (needs_utf8, needs_utf8), "{message}");
    }
}

/// A system without a clock, before it has asked for the time.
#[test]
fn any_clock_will_do() {
    let Value::Object(fields) = json!({
        "to": "a@b.test", "target": "mx.test", "dkim": "rsa", "message": {"text": "x", "from": "a@b.test"},
    }) else {
        panic!("an object")
    };
    let check = Check::parse(fields.into_iter().collect(), &SETTINGS).expect("a check");
    for (seconds, date) in [
        (-1, "Date: Wed, 31 Dec 1969 23:59:59 +0000\r\n"),
        (0, "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"),
        (253_402_300_799, "Date: Fri, 31 Dec 9999 23:59:59 +0000\r\n"),
    ] {
        let now = OffsetDateTime::from_unix_timestamp(seconds).expect("a date");
        let message = received(&compose(&check, Uuid::nil(), now).expect("a message").payload);
        assert!(message.contains(date), "{message}");
        assert!(matches!(verified(&message, RSA.record.as_str()), DkimResult::Pass));
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        // Not CR alone, and no other control character than TAB: they are refused.
        "([ -~\t\u{a0}-\u{17f}]|\r\n|\n|\n\\.|😀){0,200}",
        "[x. \n]{0,2000}",
        Just("long ".repeat(500)),
        Just("x".repeat(3000)),
        Just("=".repeat(3000)),
        Just("\n.\n..\n.\r\n".to_owned()),
    ]
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,100}", "[ -~\u{a0}-\u{17f}😀]{0,200}", Just("x".repeat(890)), Just("=?utf-8?Q?x?=".to_owned())]
}

/// What two texts have in common whatever the white space is.
fn words(text: &str) -> String {
    text.split_whitespace().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 2000 }))]

    #[test]
    fn every_message_keeps_to_the_rules_of_lines_and_headers(
        subject in line(), text in text(), html in proptest::option::of(text()), name in "[ -~\u{a0}-\u{17f}]{0,80}",
        local in "[a-z!#$%&'*+/=?^_`{|}~-]{1,64}", value in "[ -~\u{a0}-\u{17f}]{0,300}", key in "X-[!-9;-~]{1,62}",
        is_signed in any::<bool>(),
    ) {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let parameters = json!({
            "from": format!("{local}@sender.test"), "dkim": is_signed.then_some("ed25519"),
            "message": {"subject": subject, "text": text, "html": html, "from": format!("\"{quoted}\" <{local}@sender.test>"),
                "headers": {&key: value}},
        });
        prop_assume!(!key.eq_ignore_ascii_case("X-Smtp-Check-Id"));
        let composed = compose_from(&parameters);
        let message = received(&composed.payload);

        prop_assert!(message.ends_with("\r\n") && !message.replace("\r\n", "").contains(['\r', '\n']), "{:?}", message);
        prop_assert!(message.is_ascii());
        let longest = message.split("\r\n").map(str::len).max();
        prop_assert!(longest <= Some(998), "{:?} in {}", longest, message);

        let headers = message.split_once("\r\n\r\n").map_or(&*message, |(headers, _)| headers);
        let names = headers.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        let names: Vec<&str> = names.map(|line| line.split(':').next().unwrap_or_default()).collect();
        let mut expected =
            vec!["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "X-Smtp-Check-Id", &key, "Content-Type"];
        if is_signed {
            expected.insert(0, "DKIM-Signature");
        }
        if html.is_none() {
            expected.push("Content-Transfer-Encoding");
        }
        prop_assert_eq!(names, expected, "{}", headers);

        let parsed = MessageParser::new().parse(message.as_bytes()).expect("a message");
        prop_assert_eq!(parsed.body_text(0).map(|found| found.trim_end().to_owned()), Some(text.replace("\r\n", "\n").replace('\n', "\r\n").trim_end().to_owned()));
        if !subject.contains("=?") {
            prop_assert_eq!(words(parsed.subject().unwrap_or_default()), words(&subject));
        }
        let from = parsed.from().and_then(|from| from.first()).expect("From");
        let address = format!("{local}@sender.test");
        prop_assert_eq!(from.address(), Some(address.as_str()));
        if is_signed {
            prop_assert!(matches!(verified(&message, ED25519.record.as_str()), DkimResult::Pass), "{}", message);
        }
    }
}
