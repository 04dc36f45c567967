//! bash itself takes the lines apart. The programs are functions there that print their words.

mod logins;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::command_lines;
use crate::{
    check::{Check, CheckSettings, DkimAlgorithm, DkimKey, SourceAddresses},
    phase::Phase,
    report::{
        Failure, FailureKind, Journal, Report, Reproduction, Via,
        fold::fold,
        journal::{Ending, Event, Heading},
    },
    smtp::ReplyParser,
};

/// Settings that allow any source address, with a DKIM key.
fn settings() -> CheckSettings {
    let mut settings = CheckSettings::new(Duration::from_secs(60));
    let key = DkimKey::new("ours".to_owned(), "b.test", "s1", DkimAlgorithm::Ed25519, Vec::new().into());
    settings.dkim.insert("ours".to_owned(), key.expect("a key"));
    CheckSettings { source_addresses: SourceAddresses::Any, ..settings }
}

fn check(parameters: Value) -> Check {
    let Value::Object(parameters) = parameters else { panic!("an object") };
    Check::parse(parameters.into_iter().collect(), &settings()).expect("a check")
}

/// The report of a check of a server at 203.0.113.7 that offers AUTH.
fn report(check: &Check, host: &str) -> Report {
    report_of(check, host, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER")
}

/// The same, of a server that offers these mechanisms.
fn report_of(check: &Check, host: &str, mechanisms: &str) -> Report {
    let started = Instant::now();
    let mut journal = journal(check, host, started);
    journal.note(started, Event::Connected { host: host.into(), address: [203, 0, 113, 7].into() });
    journal.note(started, Event::Began(Phase::EhloTls));
    let ehlo = format!("250-mx.test\r\n250 AUTH {mechanisms}\r\n");
    journal.note(
        started,
        Event::Received(ReplyParser::default().parse(&mut ehlo.as_bytes()).expect("valid").expect("whole")),
    );
    journal.note(started, Event::Ended(Phase::EhloTls, Ending::Accepted));
    fold(journal, started)
}

fn journal(check: &Check, host: &str, started: Instant) -> Journal {
    let (id, started_at, via) = (Uuid::nil(), OffsetDateTime::UNIX_EPOCH, Via::Request);
    let heading = Heading {
        id,
        started_at,
        started,
        host: host.into(),
        port: check.port,
        via,
        transcript: false,
        is_clock_set: true,
        mechanism: None,
    };
    Journal::new(heading)
}

fn lines(parameters: Value) -> Reproduction {
    let check = check(parameters);
    let report = report(&check, "mx.test");
    command_lines(&check, &report)
}

/// The line of this program for a check that builds a message.
fn line_of_message(message: &Value) -> String {
    let lines = lines(json!({"to": "a@b.test", "from": "a@b.test", "target": "mx.test", "message": message}));
    lines.smtp_check.expect("a line")
}

/// The words that each program gets of these lines, in bash.
fn words(lines: &[&str], password: &str) -> Vec<Vec<String>> {
    let print = "{ printf '%s\\0' \"$#\" \"$@\"; }";
    let programs = ["smtp-check", "swaks", "openssl", "curl"].map(|name| format!("{name}() {print}; "));
    let script = format!("{}{}", programs.concat(), lines.join("\n"));
    let bash = Command::new("bash").args(["-c", &script]).env("SASL_PASSWORD", password).env("LC_ALL", "C").output();
    let output = bash.expect("bash");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut words = text.split_terminator('\0');
    let mut programs = Vec::new();
    while let Some(count) = words.next() {
        let count = count.parse().expect("a number");
        programs.push(words.by_ref().take(count).map(str::to_owned).collect());
    }
    programs
}

/// The value of a flag among these words.
fn value<'w>(words: &'w [String], flag: &str) -> Option<&'w str> {
    let joined = words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
    joined.or_else(|| words.windows(2).find(|pair| pair[0] == flag).map(|pair| &*pair[1]))
}

#[test]
fn lines_of_a_delivery_by_mx() {
    let Reproduction { smtp_check, swaks, openssl, curl } =
        lines(json!({"to": "probe@example.test", "starttls": true, "tls_verify": "require"}));
    assert_eq!(smtp_check.as_deref(), Some("smtp-check run --starttls --to probe@example.test --tls-verify require"));
    assert_eq!(swaks, None, "its --tls-verify does not look at the name");
    assert_eq!(
        openssl.as_deref(),
        Some(
            "openssl s_client -connect 203.0.113.7:25 -starttls smtp -name noit.local -servername mx.test \
             -verify_hostname mx.test -verify_return_error </dev/null"
        )
    );
    assert_eq!(
        curl.as_deref(),
        Some(
            "printf %s 'Subject: Testing' | curl -sS --max-time 10 --connect-to mx.test:25:203.0.113.7:25 --ssl-reqd \
             --tlsv1.2 --mail-from '' --mail-rcpt probe@example.test --upload-file - smtp://mx.test:25/noit.local"
        )
    );
}

#[test]
fn a_delivery_by_swaks() {
    assert_eq!(
        lines(json!({"to": "probe@example.test", "starttls": true})).swaks.as_deref(),
        Some(
            "swaks --server 203.0.113.7 --port 25 --ehlo noit.local --tls --tls-protocol tlsv1_2,tlsv1_3 --tls-sni mx.test \
             --from '<>' --to probe@example.test --no-data-fixup --data $'Subject: Testing\\r\\n.' --timeout 10s"
        )
    );
}

#[test]
fn lines_about_the_connection() {
    let of = |parameters: Value| {
        let lines = lines(parameters);
        [lines.smtp_check, lines.swaks, lines.openssl, lines.curl].map(Option::unwrap_or_default)
    };
    for (parameters, parts) in [
        (
            json!({"to": "a@b.test", "target": "mx.test", "implicit_tls": true, "tls_version": "1.2"}),
            ["--tls-version 1.2", "--tls-protocol tlsv1_2", "-tls1_2", "--tlsv1.2 --tls-max 1.2"],
        ),
        (
            json!({"to": "a@b.test", "target": "mx.test", "starttls": "opportunistic"}),
            ["--starttls=opportunistic", "--tls-optional-strict", "", ""],
        ),
        (
            json!({"to": "a@b.test", "target": "mx.test", "protocol": "lmtp"}),
            ["--protocol lmtp", "--protocol LMTP", "", ""],
        ),
        (
            json!({"to": "a@b.test", "target": "mx.test", "source_address": "192.0.2.25"}),
            ["--source-address 192.0.2.25", "--local-interface 192.0.2.25", "", "--interface 192.0.2.25"],
        ),
    ] {
        for (line, part) in of(parameters).iter().zip(parts) {
            assert!(line.contains(part) && line.is_empty() == part.is_empty(), "{part:?} in {line:?}");
        }
    }
}

#[test]
fn what_is_expected_is_json_for_bash() {
    let expect =
        json!({"rcptto": {"code": ["550", "4xx"], "enhanced_code": "5.7.*", "message": "it's \"$HOME\" `x`\\"}});
    let lines = lines(json!({"to": "a@b.test", "target": "mx.test", "expect": expect}));
    assert_eq!((lines.swaks, lines.openssl, lines.curl), (None, None, None), "they would go on and deliver");
    let words = words(&[&lines.smtp_check.expect("a line")], "");
    let given: Value = serde_json::from_str(value(&words[0], "--expect").expect("the flag")).expect("JSON");
    assert_eq!(given, expect);
}

#[test]
fn a_tool_that_cannot_do_the_same_has_no_line() {
    let of = |more: Value| {
        let mut parameters = json!({"to": "a@example.test", "target": "mx.test"});
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let lines = lines(parameters);
        [lines.smtp_check, lines.swaks, lines.openssl, lines.curl].map(|line| line.is_some())
    };
    let login = |user: &str, id: &str| json!({"sasl_authentication": "plain", "sasl_user": user, "sasl_password": "p", "sasl_auth_id": id});
    let proxy = json!({"proxy_protocol": true, "proxy_version": 2, "proxy_source_address": "192.0.2.1",
        "proxy_source_port": 1, "proxy_dest_address": "192.0.2.2"});
    for (parameters, expected) in [
        (json!({}), [true, true, false, true]),
        (json!({"implicit_tls": true}), [true; 4]),
        (json!({"starttls": true, "stop_after": "ehlo"}), [true, true, false, true]),
        (json!({"starttls": true, "stop_after": "starttls"}), [true; 4]),
        (json!({"stop_after": "rcptto"}), [true, true, false, false]),
        (json!({"to": "ü@example.test"}), [true, false, false, false]),
        (json!({"from": "-x@example.test"}), [true, false, false, true]),
        (json!({"ehlo": "0"}), [true, false, false, true]),
        (json!({"implicit_tls": true, "tls_verify": "require"}), [true, false, true, true]),
        (login("-u", ""), [true, false, false, true]),
        (login("<>", ""), [true, false, false, true]),
        (json!({"to": "\"a,b\"@example.test"}), [true, false, false, true]),
        (json!({"proxy_protocol": true}), [true, false, false, false]),
        (proxy, [true, true, false, false]),
        (login("a:b", ""), [true, true, false, false]),
        (login("a", "b"), [true, false, false, true]),
        (json!({"payload": "Subject: a\n.."}), [true, true, false, false]),
        (json!({"payload": "@file"}), [false, true, false, true]),
        (json!({"payload": "-"}), [false, true, false, true]),
        (json!({"payload": "x".repeat(5000)}), [false; 4]),
        (login(&"x".repeat(5000), ""), [false; 4]),
    ] {
        assert_eq!(of(parameters.clone()), expected, "{parameters}");
    }
}

#[test]
fn a_password_is_a_variable() {
    let password = "'\"$(exit 1)`exit 1`\\ !";
    let login = json!({"to": "a@example.test", "target": "mx.test", "starttls": true, "sasl_authentication": "login",
        "sasl_user": "u", "sasl_password": password});
    let Reproduction { smtp_check, swaks, openssl, curl } = lines(login);
    let lines = [smtp_check, swaks, openssl, curl].map(|line| line.expect("a line"));
    assert!(lines.iter().all(|line| !line.contains(password)), "{lines:?}");
    let words = words(&lines.each_ref().map(String::as_str), password);
    assert_eq!(value(&words[0], "--sasl-user"), Some("u"));
    assert!(lines[0].starts_with("SMTP_CHECK_SASL_PASSWORD=\"$SASL_PASSWORD\" smtp-check run "));
    assert_eq!((value(&words[1], "--auth-user"), value(&words[1], "--auth-password")), (Some("u"), Some(password)));
    assert_eq!(value(&words[3], "--user"), Some(&*format!("u:{password}")));
}

#[test]
fn a_value_with_the_password_in_it_leaves_its_lines_out() {
    let password = "S3cr\"et";
    let of = |more: Value| {
        let mut parameters = json!({"to": "a@example.test", "target": "mx.test", "implicit_tls": true,
            "sasl_authentication": "plain", "sasl_user": "u", "sasl_password": password});
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let lines = lines(parameters);
        [lines.smtp_check, lines.swaks, lines.openssl, lines.curl].map(|line| line.is_some())
    };
    for (parameters, expected) in [
        (json!({}), [true; 4]),
        (json!({"sasl_user": password}), [false, false, true, false]),
        (json!({"sasl_authentication": "off", "sasl_user": password}), [false, true, true, true]),
        (json!({"payload": format!("Subject: {password}")}), [false, false, true, false]),
        (json!({"sasl_password": "example.test"}), [false, false, true, false]),
        (json!({"sasl_password": "mx.test"}), [false; 4]),
        (json!({"expect": {"rcptto": {"message": format!("not {password}")}}}), [false; 4]),
    ] {
        assert_eq!(of(parameters.clone()), expected, "{parameters}");
    }
}

/// The lines of swaks and curl after this failure. The server takes EHLO only where the check came to AUTH.
fn lines_after(failure: Failure, parameters: &Value) -> [Option<String>; 2] {
    let check = check(parameters.clone());
    let started = Instant::now();
    let mut report = report(&check, "mx.test");
    let mut journal = journal(&check, "mx.test", started);
    journal.note(started, Event::Failed(failure));
    report.failure = fold(journal, started).failure;
    let lines = command_lines(&check, &report);
    [lines.swaks, lines.curl]
}

#[test]
fn a_check_that_failed_before_auth_is_repeated_up_to_ehlo() {
    let parameters = json!({"to": "a@example.test", "target": "mx.test", "starttls": true,
        "sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "pass word"});
    for (phase, kind) in [
        (Phase::Connect, FailureKind::Refused),
        (Phase::Banner, FailureKind::Rejected),
        (Phase::Ehlo, FailureKind::Closed),
        (Phase::StartTls, FailureKind::Unsupported),
    ] {
        let lines = lines_after(Failure::new(phase, kind, ""), &parameters).map(|line| line.expect("a line"));
        for line in &lines {
            assert!(!line.contains("SASL_PASSWORD") && !line.contains("Testing"), "{phase}: {line}");
        }
        assert!(lines[0].contains("--quit-after EHLO") && lines[1].contains("--request NOOP"), "{lines:?}");
    }
    for (phase, kind) in [
        (Phase::Ehlo, FailureKind::Rejected),
        (Phase::EhloTls, FailureKind::Rejected),
        (Phase::Banner, FailureKind::Protocol),
        (Phase::RcptTo, FailureKind::Protocol),
        (Phase::Tls, FailureKind::Tls),
    ] {
        assert_eq!(lines_after(Failure::new(phase, kind, ""), &parameters), [None, None], "{phase}");
    }
}

#[test]
fn a_host_without_an_address_is_looked_up_in_the_family_of_the_check() {
    for (family, flags) in [("ipv4", ["-4", "--ipv4"]), ("ipv6", ["-6", "--ipv6"])] {
        let check = check(json!({"to": "a@example.test", "target": "mx.test", "ip_family": family}));
        let started = Instant::now();
        let mut journal = journal(&check, "mx.test", started);
        journal.note(started, Event::Failed(Failure::new(Phase::Dns, FailureKind::Dns, "")));
        let lines = command_lines(&check, &fold(journal, started));
        for (line, flag) in [lines.swaks, lines.curl].into_iter().zip(flags) {
            let line = line.expect("a line");
            assert!(line.split(' ').any(|word| word == flag), "{flag} in {line}");
        }
    }
}

#[test]
fn only_this_program_makes_its_messages() {
    let message = json!({"text": "it's\nme", "from": "a@b.test"});
    let parameters = json!({"to": "a@example.test", "target": "mx.test", "message": message, "dkim": "ours"});
    let delivered = lines(parameters.clone());
    let words = words(&[delivered.smtp_check.as_deref().expect("a line")], "");
    assert_eq!(value(&words[0], "--message"), Some(&*message.to_string()));
    assert_eq!(value(&words[0], "--dkim"), Some("ours"));
    assert_eq!((delivered.swaks, delivered.curl, delivered.openssl), (None, None, None));

    // What is not sent has no effect.
    let mut parameters = parameters;
    parameters["stop_after"] = json!("ehlo");
    let ended = lines(parameters.clone());
    assert!(ended.smtp_check.is_some() && ended.swaks.is_some() && ended.curl.is_some());
    parameters["message"]["text"] = json!("x".repeat(4096));
    let long = lines(parameters);
    assert!(long.smtp_check.is_none() && long.swaks.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever texts a check has, bash hands them over as they are, and runs nothing else.
    #[test]
    fn bash_reads_the_texts_as_they_are(
        user in "[^\\p{Cc}]{1,12}|[-@$`'\"!\\\\;|&<>(){}*?\\[\\]#~^= ]{1,20}",
        identity in "[^\\p{Cc}]{1,12}|[-@$`'\"!\\\\;|&<>(){}*?\\[\\]#~^= ]{1,20}",
        payload in "[^\\r\\x00]{0,40}",
    ) {
        let Ok(_) = crate::smtp::Payload::parse(&payload) else { return Ok(()) };
        let lines = lines(json!({
            "to": "a@example.test", "target": "mx.test", "payload": payload, "sasl_authentication": "plain",
            "sasl_user": user, "sasl_password": "p", "sasl_auth_id": identity,
        }));
        let given: Vec<&str> = [&lines.smtp_check, &lines.curl].into_iter().flatten().map(String::as_str).collect();
        let words = words(&given, "p");
        prop_assert_eq!(words.len(), given.len());
        if lines.smtp_check.is_some() {
            prop_assert_eq!(value(&words[0], "--sasl-user"), Some(&*user));
            prop_assert_eq!(value(&words[0], "--sasl-auth-id"), Some(&*identity));
            prop_assert_eq!(value(&words[0], "--payload"), Some(&*payload.replace('\n', "\r\n")));
        }
        let message = json!({"text": "", "headers": {"X-A": user}});
        let given = line_of_message(&message);
        let of_message = self::words(&[&given], "");
        prop_assert_eq!(value(&of_message[0], "--message"), Some(&*message.to_string()));
        if lines.curl.is_some() {
            let words = words.last().expect("curl's");
            prop_assert_eq!(value(words, "--user"), Some(&*format!("{user}:p")));
            prop_assert_eq!(value(words, "--sasl-authzid"), Some(&*identity));
        }
    }
}
