//! Checks against Postfix, with Dovecot for SASL.

use serde_json::{Value, json};

use super::{Certificate, assert_no_secret, login, metric_names, not_ok, rejection, said, with};
use crate::support::{
    app::{App, House, failure, phases},
    mta::{HOST, PASSWORD, Postfix, RECIPIENT, USER},
    pki::{Ca, Leaf},
};

const WRONG_PASSWORD: &str = "wrong horse, battery";

/// The commands of every session that got as far as QUIT, as Postfix counts them; a connection that only fetched the greeting has
/// none.
async fn commands(postfix: &Postfix, count: usize) -> Vec<String> {
    let lines = postfix.logged_times(" quit=1 commands=", count).await;
    lines.iter().map(|line| line.split_once(" ehlo=").map_or(line.as_str(), |(_, rest)| rest).to_owned()).collect()
}

async fn last_commands(postfix: &Postfix, count: usize) -> String {
    commands(postfix, count).await.pop().expect("at least one")
}

#[tokio::test]
async fn a_delivery_in_clear_text_has_all_its_phases_and_nothing_else() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    let report = app.check(json!({"port": postfix.plain(), "transcript": true})).await;

    assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("delivered")), "{report:#}");
    let names = ["connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body", "quit"];
    assert_eq!(phases(&report), names);
    assert!(not_ok(&report).is_empty(), "{report:#}");
    let codes: Vec<_> = report["phases"].as_array().expect("phases").iter().map(|phase| &phase["code"]).collect();
    assert_eq!(json!(codes), json!([null, 220, 250, 250, 250, 354, 250, 221]));
    let enhanced: Vec<_> =
        report["phases"].as_array().expect("phases").iter().map(|phase| &phase["enhanced_code"]).collect();
    assert_eq!(json!(enhanced), json!([null, null, null, "2.1.0", "2.1.5", null, "2.0.0", "2.0.0"]));

    let mut expected: Vec<_> = names.iter().map(|name| format!("{name}_time")).collect();
    expected.extend(["duration", "last_cmd", "last_code", "last_message", "cert_error"].map(str::to_owned));
    let mut metrics = metric_names(&report);
    metrics.sort_unstable();
    expected.sort_unstable();
    assert_eq!(metrics, expected);
    for phase in report["phases"].as_array().expect("phases") {
        let name = phase["name"].as_str().expect("a name");
        assert_eq!(report["metrics"][format!("{name}_time")], phase["time_ms"], "{name}");
        assert!(phase["time_ms"].as_f64().is_some_and(|ms| ms >= 0.0), "{phase}");
    }
    let queue_id = report["queue_id"].as_str().expect("a queue id");
    assert_eq!(report["metrics"]["last_cmd"], "body");
    assert_eq!(report["metrics"]["last_code"], 250);
    assert_eq!(report["metrics"]["last_message"], format!("Ok: queued as {queue_id}"));
    assert_eq!(
        report["capabilities"],
        json!({
            "before_tls": {
                "PIPELINING": "", "SIZE": "10240000", "VRFY": "", "ETRN": "", "ENHANCEDSTATUSCODES": "", "8BITMIME": "",
                "DSN": "", "SMTPUTF8": "", "CHUNKING": "",
            },
            "after_tls": null,
        })
    );
    assert_eq!((&report["tls"], &report["failure"], &report["warnings"]), (&json!(null), &json!(null), &json!([])));
    assert_eq!(
        said(&report),
        [
            "EHLO noit.local",
            "MAIL FROM:<>",
            &format!("RCPT TO:<{RECIPIENT}>"),
            "DATA",
            "(16 octets of message, then the final dot)",
            "QUIT"
        ]
    );
    assert_eq!(last_commands(&postfix, 1).await, "1 mail=1 rcpt=1 data=1 quit=1 commands=5");
}

#[tokio::test]
async fn a_message_is_read_back_byte_for_byte() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    let line = format!("{}\r\n", "0123456789 grün ".repeat(40));
    let long = format!("Subject: long\r\n\r\n{}", line.repeat(200_000 / line.len() + 1));
    let long_stored = long.replace("\r\n", "\n");
    assert!(long.len() >= 200_000);
    let stuffed = "line 3 of the payload begins with a dot, which the server will take off (RFC 5321, section 4.5.2)";
    for (payload, stored, warnings) in [
        ("Subject: Testing", "Subject: Testing\n", json!([])),
        ("Subject: a\r\n\r\nb", "Subject: a\n\nb\n", json!([])),
        ("Subject: a\n\nLF\nalone\r\nand CR LF\n", "Subject: a\n\nLF\nalone\nand CR LF\n\n", json!([])),
        (
            "Subject: a\n\n..\n..two\n...\nin . the middle.",
            "Subject: a\n\n.\n.two\n..\nin . the middle.\n",
            json!([stuffed]),
        ),
        ("Subject: grün 日本\n\n\u{1F40E} Pferd\n", "Subject: grün 日本\n\n\u{1F40E} Pferd\n\n", json!([])),
        (
            "Subject: ends\n\n  blanks  \n\n\n\ttab\t\n\n\n",
            "Subject: ends\n\n  blanks  \n\n\n\ttab\t\n\n\n\n",
            json!([]),
        ),
        (&long, &format!("{long_stored}\n"), json!([])),
    ] {
        let report = app.check(json!({"port": postfix.plain(), "payload": payload, "transcript": true})).await;
        let shown: String = payload.chars().take(30).collect();
        assert_eq!(report["outcome"], "delivered", "{shown}: {report:#}");
        assert_eq!(report["warnings"], warnings, "{shown}");
        let announced = if payload.is_ascii() { "MAIL FROM:<>" } else { "MAIL FROM:<> BODY=8BITMIME" };
        assert_eq!(said(&report)[1], announced, "{shown}");
        let delivered = postfix.delivered(report["queue_id"].as_str().expect("a queue id")).await;
        assert!(delivered.message == stored.as_bytes(), "{shown}: {:?}", String::from_utf8_lossy(&delivered.message));
    }
}

#[tokio::test]
async fn an_empty_payload_is_a_message_too() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    let report = app.check(json!({"port": postfix.plain(), "payload": ""})).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let delivered = postfix.delivered(report["queue_id"].as_str().expect("a queue id")).await;
    assert_eq!(delivered.message, b"\n");
}

#[tokio::test]
async fn the_envelope_is_the_one_that_was_asked_for() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    for (envelope, mail, rcpt, return_path, to) in [
        (json!({"from": ""}), "MAIL FROM:<>", "RCPT TO:<probe@example.test>", "<>", "probe@example.test"),
        (
            json!({"from": "alice@example.com"}),
            "MAIL FROM:<alice@example.com>",
            "RCPT TO:<probe@example.test>",
            "<alice@example.com>",
            "probe@example.test",
        ),
        (json!({"to": "postmaster"}), "MAIL FROM:<>", "RCPT TO:<postmaster>", "<>", "postmaster@example.test"),
        (
            json!({"to": "pröbe@example.test"}),
            "MAIL FROM:<> SMTPUTF8",
            "RCPT TO:<pröbe@example.test>",
            "<>",
            "pröbe@example.test",
        ),
        (
            json!({"to": "pröbe@example.test", "from": "älice@example.com", "payload": "Subject: ü"}),
            "MAIL FROM:<älice@example.com> BODY=8BITMIME SMTPUTF8",
            "RCPT TO:<pröbe@example.test>",
            "<älice@example.com>",
            "pröbe@example.test",
        ),
    ] {
        let parameters = with(json!({"port": postfix.plain(), "ehlo": "[127.0.0.1]", "transcript": true}), envelope);
        let report = app.check(parameters.clone()).await;
        assert_eq!(report["outcome"], "delivered", "{parameters}: {report:#}");
        assert_eq!(said(&report)[..3], ["EHLO [127.0.0.1]", mail, rcpt], "{parameters}");
        let delivered = postfix.delivered(report["queue_id"].as_str().expect("a queue id")).await;
        let trace: Vec<_> = delivered.trace.lines().collect();
        assert_eq!(trace[0], format!("Return-Path: {return_path}"), "{parameters}");
        assert_eq!(trace[2], format!("Delivered-To: {to}"), "{parameters}");
        assert!(trace[3].starts_with("Received: from [127.0.0.1] "), "{parameters}: {trace:?}");
    }
}

#[tokio::test]
async fn what_postfix_refuses_is_reported_in_its_own_words() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    let (plain, small) = (postfix.plain(), postfix.small());
    let over = format!("Subject: too big\n\n{}", "x".repeat(70).repeat(50).replace("xx", "x\n"));
    let cases = [
        (
            json!({"port": plain, "to": "nobody@example.test"}),
            json!(["rcptto", "rejected", false, 550, "5.1.1"]),
            "User unknown in virtual mailbox table",
            "1 mail=1 rcpt=0/1 quit=1 commands=3/4",
        ),
        (
            json!({"port": plain, "to": "probe@elsewhere.test"}),
            json!(["rcptto", "rejected", false, 554, "5.7.1"]),
            "Relay access denied",
            "1 mail=1 rcpt=0/1 quit=1 commands=3/4",
        ),
        (
            json!({"port": plain, "starttls": true}),
            json!(["starttls", "rejected", false, 502, "5.5.1"]),
            "command not implemented",
            "1 starttls=0/1 quit=1 commands=2/3",
        ),
        (
            json!({"port": plain, "sasl_authentication": "plain", "sasl_user": USER, "sasl_password": PASSWORD}),
            json!(["sasl_auth", "rejected", false, 503, "5.5.1"]),
            "authentication not enabled",
            "1 auth=0/1 quit=1 commands=2/3",
        ),
        (
            json!({"port": small, "payload": over}),
            json!(["body", "rejected", false, 552, "5.3.4"]),
            "message file too big",
            "1 mail=1 rcpt=1 data=0/1 quit=1 commands=4/5",
        ),
    ];
    for (nth, (parameters, expected, words, counted)) in cases.into_iter().enumerate() {
        let report = app.check(with(json!({"transcript": true}), parameters)).await;
        assert_eq!(rejection(&report), expected, "{report:#}");
        assert_eq!((&report["success"], &report["outcome"]), (&json!(false), &json!("failed")));
        let said_by_server = report["failure"]["message"].as_str().expect("words");
        assert!(said_by_server.contains(words) && !said_by_server.contains("5.1.1"), "{said_by_server}");
        let phase = expected[0].as_str().expect("a phase");
        // Answered, so it has a time; and then QUIT, which went well.
        assert!(report["metrics"][format!("{phase}_time")].is_f64(), "{report:#}");
        assert_eq!(not_ok(&report), [phase], "{report:#}");
        assert_eq!(phases(&report)[phases(&report).len() - 2..], [phase, "quit"]);
        assert_eq!(
            json!([report["metrics"]["last_cmd"], report["metrics"]["last_code"], report["metrics"]["last_message"]]),
            json!([phase, expected[3], said_by_server])
        );
        assert_eq!((&report["queue_id"], &report["tls"]), (&json!(null), &json!(null)));
        assert_eq!(last_commands(&postfix, nth + 1).await, counted);
        // AUTH was refused before its 334: nothing of the credentials went out, nothing is to be warned of.
        assert_eq!(report["warnings"], json!([]));
    }
}

#[tokio::test]
async fn the_port_for_small_messages_takes_one() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    let report = app.check(json!({"port": postfix.small()})).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    assert_eq!(report["capabilities"]["before_tls"]["SIZE"], "2048");
}

#[tokio::test]
async fn a_check_ends_after_the_phase_that_was_asked_for_and_nothing_is_delivered() {
    let certificate = Certificate::valid();
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(Some(&certificate.files)));
    let to_ehlo = ["connect", "banner", "ehlo"];
    let to_tls = ["connect", "banner", "ehlo", "starttls", "tls", "ehlo_tls"];
    let after_tls = |more: &'static [&str]| [&to_tls, more].concat();
    let cases = [
        ("banner", vec!["connect", "banner"], "quit=1 commands=1"),
        ("ehlo", to_ehlo.to_vec(), "1 quit=1 commands=2"),
        ("starttls", to_tls.to_vec(), "2 starttls=1 quit=1 commands=4"),
        ("sasl_auth", after_tls(&["sasl_auth"]), "2 starttls=1 auth=1 quit=1 commands=5"),
        ("mailfrom", after_tls(&["sasl_auth", "mailfrom"]), "2 starttls=1 auth=1 mail=1 quit=1 commands=6"),
        (
            "rcptto",
            after_tls(&["sasl_auth", "mailfrom", "rcptto"]),
            "2 starttls=1 auth=1 mail=1 rcpt=1 quit=1 commands=7",
        ),
    ];
    for (nth, (stop_after, mut expected, counted)) in cases.into_iter().enumerate() {
        let report = app.check(with(login(postfix.submission(), "plain"), json!({"stop_after": stop_after}))).await;
        expected.push("quit");
        assert_eq!(phases(&report), expected, "{report:#}");
        assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("completed")));
        assert_eq!((&report["failure"], &report["queue_id"]), (&json!(null), &json!(null)));
        assert!(not_ok(&report).is_empty());
        assert_eq!(report["metrics"]["last_cmd"], if stop_after == "starttls" { "ehlo_tls" } else { stop_after });
        // No `data=`: there is no message that could be delivered.
        let line = last_commands(&postfix, nth + 1).await;
        assert!(line.ends_with(counted) && !line.contains("data="), "{stop_after}: {line}");
    }
}

#[tokio::test]
async fn no_recipient_is_needed_where_the_check_ends_before_it() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    let report = app.check(json!({"to": null, "port": postfix.plain(), "stop_after": "mailfrom"})).await;
    assert_eq!(report["outcome"], "completed", "{report:#}");
    assert_eq!(phases(&report), ["connect", "banner", "ehlo", "mailfrom", "quit"]);
    assert_eq!(last_commands(&postfix, 1).await, "1 mail=1 quit=1 commands=3");
}

#[tokio::test]
async fn a_login_delivers_by_every_mechanism_and_both_ways_into_tls() {
    let certificate = Certificate::valid();
    let (app, postfix) =
        tokio::join!(House::default().trusting(&certificate.ca).open(), Postfix::start(Some(&certificate.files)));
    for (nth, (mechanism, implicit_tls)) in
        [("plain", false), ("login", false), ("plain", true), ("login", true)].into_iter().enumerate()
    {
        let port = if implicit_tls { postfix.smtps() } else { postfix.submission() };
        let way = json!({"starttls": !implicit_tls, "implicit_tls": implicit_tls, "tls_verify": "require"});
        let report = app.check(with(login(port, mechanism), way)).await;

        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let into_tls: &[&str] = if implicit_tls {
            &["connect", "tls", "banner", "ehlo"]
        } else {
            &["connect", "banner", "ehlo", "starttls", "tls", "ehlo_tls"]
        };
        let rest = ["sasl_auth", "mailfrom", "rcptto", "data", "body", "quit"];
        assert_eq!(phases(&report), [into_tls, &rest].concat());
        assert!(not_ok(&report).is_empty());
        assert_eq!(report["warnings"], json!([]));
        assert_eq!(
            json!([report["tls"]["verified"], report["tls"]["errors"], report["metrics"]["cert_error"]]),
            json!([true, [], null])
        );
        assert_eq!(report["tls"]["version"], "TLSv1.3");
        assert_eq!(report["tls"]["server_name"], HOST);
        let (before, after) = (&report["capabilities"]["before_tls"], &report["capabilities"]["after_tls"]);
        assert_eq!(after["AUTH"], "PLAIN LOGIN", "{report:#}");
        assert!(after.get("STARTTLS").is_none());
        if implicit_tls {
            assert!(before.is_null());
            assert!(report["metrics"]["tls_time"].as_f64() <= report["metrics"]["banner_time"].as_f64());
        } else {
            assert!(before["STARTTLS"] == "" && before.get("AUTH").is_none(), "{before}");
        }

        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = postfix.logged(&format!("{queue_id}: client=")).await;
        let method = mechanism.to_uppercase();
        assert!(line.ends_with(&format!("sasl_method={method}, sasl_username={USER}")), "{line}");
        let delivered = postfix.delivered(queue_id).await;
        assert_eq!(delivered.message, b"Subject: Testing\n");
        let masked: &[&str] = if mechanism == "plain" { &["AUTH PLAIN", "***"] } else { &["AUTH LOGIN", "***", "***"] };
        assert!(said(&report).windows(masked.len()).any(|lines| lines == masked), "{:?}", said(&report));
        assert_no_secret(&report, PASSWORD);
        let (ehlos, starttls) = if implicit_tls { (1, "") } else { (2, "starttls=1 ") };
        let total = if implicit_tls { 6 } else { 8 };
        assert_eq!(
            last_commands(&postfix, nth + 1).await,
            format!("{ehlos} {starttls}auth=1 mail=1 rcpt=1 data=1 quit=1 commands={total}")
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_nowhere_to_be_read() {
    let certificate = Certificate::valid();
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(Some(&certificate.files)));
    for (nth, mechanism) in ["plain", "login"].into_iter().enumerate() {
        let wrong = json!({"sasl_password": WRONG_PASSWORD});
        let report = app.check(with(login(postfix.submission(), mechanism), wrong)).await;
        assert_eq!(rejection(&report), json!(["sasl_auth", "rejected", false, 535, "5.7.8"]), "{report:#}");
        assert_eq!(not_ok(&report), ["sasl_auth"]);
        assert_eq!(phases(&report)[6..], ["sasl_auth", "quit"]);
        assert!(report["metrics"]["sasl_auth_time"].is_f64() && report["metrics"]["quit_time"].is_f64());
        assert_no_secret(&report, WRONG_PASSWORD);
        let refused = format!("SASL {} authentication failed", mechanism.to_uppercase());
        assert!(postfix.logged(&refused).await.contains("warning: unknown[127.0.0.1]"));
        assert_eq!(last_commands(&postfix, nth + 1).await, "2 starttls=1 auth=0/1 quit=1 commands=4/5");
    }
}

#[tokio::test]
async fn an_authorization_identity_goes_along_with_plain_and_no_other() {
    let certificate = Certificate::valid();
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(Some(&certificate.files)));
    // Dovecot lets nobody act for another.
    for (mechanism, identity, outcome) in [
        ("plain", USER, json!([null, null, null, null, null])),
        ("plain", "someone", json!(["sasl_auth", "rejected", false, 535, "5.7.8"])),
        ("login", "someone", json!([null, null, null, null, null])),
    ] {
        let identity = json!({"sasl_auth_id": identity, "stop_after": "sasl_auth"});
        let report = app.check(with(login(postfix.submission(), mechanism), identity.clone())).await;
        assert_eq!(rejection(&report), outcome, "{identity}: {report:#}");
        assert_no_secret(&report, PASSWORD);
    }
}

#[tokio::test]
async fn a_bad_certificate_is_recorded_or_stops_the_check_before_any_credential() {
    let expired = Certificate::of(Leaf::for_name(HOST).expired());
    let good = Certificate::valid();
    let stranger = Ca::new("an authority of no account");
    let (with_good, with_expired) =
        tokio::join!(Postfix::start(Some(&good.files)), Postfix::start(Some(&expired.files)));
    for (postfix, trusted, name, errors) in [
        (&with_good, &stranger, HOST, json!(["unknown_issuer"])),
        (&with_good, &good.ca, "other.example.test", json!(["wrong_name"])),
        (&with_expired, &expired.ca, HOST, json!(["expired"])),
        (&with_expired, &stranger, "other.example.test", json!(["expired", "wrong_name", "unknown_issuer"])),
    ] {
        let app = House::default().trusting(trusted).open().await;
        let has_expired = errors[0] == "expired";
        for (port, starttls) in [(postfix.submission(), true), (postfix.smtps(), false)] {
            let way = json!({"starttls": starttls, "implicit_tls": !starttls, "tls_server_name": name});
            let parameters = with(login(port, "plain"), way);

            let report = app.check(parameters.clone()).await;
            assert_eq!(report["outcome"], "delivered", "{report:#}");
            assert!(not_ok(&report).is_empty());
            assert_eq!(json!([report["tls"]["verified"], report["tls"]["errors"]]), json!([false, errors]));
            assert_certificate(&report, has_expired);

            let report = app.check(with(parameters, json!({"tls_verify": "require"}))).await;
            assert_eq!(failure(&report), ("tls", "certificate", false), "{report:#}");
            assert_eq!(report["failure"]["message"], report["metrics"]["cert_error"]);
            assert_eq!(report["tls"]["errors"], errors);
            assert_certificate(&report, has_expired);
            let (went, went_wrong): (&[&str], &[&str]) = if starttls {
                (&["connect", "banner", "ehlo", "starttls", "tls", "quit"], &["tls"])
            } else {
                // The greeting, which would have come next, was not waited for.
                (&["connect", "tls", "banner"], &["tls", "banner"])
            };
            assert_eq!((&phases(&report)[..], &not_ok(&report)[..]), (went, went_wrong), "{report:#}");
            assert!(!said(&report).contains(&"AUTH PLAIN"), "{report:#}");
            assert_no_secret(&report, PASSWORD);
        }
    }
    // Four checks of each server delivered, and each of its four others said no more than this.
    for postfix in [&with_good, &with_expired] {
        let lines = postfix.logged_times("disconnect from unknown[127.0.0.1] ", 8 + 3).await;
        let logins = lines.iter().filter(|line| line.contains(" auth=")).count();
        let polite = lines.iter().filter(|line| line.ends_with(" ehlo=1 starttls=1 quit=1 commands=3")).count();
        assert_eq!((logins, polite), (4, 2), "{lines:#?}");
    }
}

/// The facts of a certificate are in the metrics, whatever is wrong with it.
fn assert_certificate(report: &Value, has_expired: bool) {
    let metrics = &report["metrics"];
    assert_eq!(metrics["cert_subject"], format!("CN={HOST}"), "{report:#}");
    assert_eq!(metrics["cert_issuer"], "CN=smtp-check test CA");
    assert_eq!(metrics["cert_subject_alternative_names"], HOST);
    assert_eq!(metrics["cert_start"], 1_577_836_800); // 2020-01-01
    assert_eq!(metrics["cert_end"], if has_expired { 1_609_459_200 } else { 2_366_841_600_i64 }); // 2021-01-01, 2045-01-01
    assert_eq!(metrics["cert_end_in"].as_i64().expect("a number") < 0, has_expired);
    let words = metrics["cert_error"].as_str().expect("an error");
    let kinds = report["tls"]["errors"].as_array().expect("errors");
    assert_eq!(words.split("; ").count(), kinds.len(), "{words}");
    for kind in kinds {
        assert!(words.contains(&kind.as_str().expect("a kind").replace('_', " ")), "{kind}: {words}");
    }
}

/// Through the port that expects a PROXY header.
fn proxied(postfix: &Postfix, version: u8, family: &str) -> Value {
    json!({
        "port": postfix.proxy(), "proxy_protocol": true, "proxy_version": version, "proxy_family": family, "transcript": true,
    })
}

#[tokio::test]
async fn postfix_takes_the_client_that_a_proxy_header_names_for_its_own() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    for (version, family, source, destination) in [
        (1, "TCP4", "203.0.113.7", "192.0.2.1"),
        (1, "TCP6", "2001:db8::7", "2001:db8::1"),
        (2, "TCP4", "203.0.113.8", "192.0.2.2"),
        (2, "TCP6", "2001:db8::8", "2001:db8::2"),
    ] {
        let addresses = json!({
            "proxy_source_address": source, "proxy_dest_address": destination,
            "proxy_source_port": 5555, "proxy_dest_port": 2525,
        });
        let report = app.check(with(proxied(&postfix, version, family), addresses)).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!(phases(&report)[..2], ["connect", "banner"]);
        let header = said(&report)[0];
        assert_eq!(header == format!("PROXY {family} {source} {destination} 5555 2525"), version == 1, "{header}");
        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = postfix.logged(&format!("{queue_id}: client=")).await;
        assert!(line.ends_with(&format!("client=unknown[{source}]:5555")), "{line}");
    }
}

#[tokio::test]
async fn a_proxy_header_names_the_connection_itself_where_nothing_else_is_given() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    for (version, family, own) in
        [(1, "TCP4", "127.0.0.1"), (1, "TCP6", "::ffff:127.0.0.1"), (2, "TCP4", ""), (2, "TCP6", "")]
    {
        let report = app.check(proxied(&postfix, version, family)).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = postfix.logged(&format!("{queue_id}: client=")).await;
        // An IPv4-mapped address is the IPv4 address to Postfix.
        let (_, port) = line.split_once("client=unknown[127.0.0.1]:").expect("the service's own address");
        if version == 1 {
            let header = format!("PROXY {family} {own} {own} {port} {}", postfix.proxy());
            assert_eq!(said(&report)[0], header);
        }
        // In version 2, the port that Postfix has seen stands before the server's.
        let ports = format!("{:04x}{:04x})", port.parse::<u16>().expect("a port"), postfix.proxy());
        assert_eq!(said(&report)[0].ends_with(&ports), version == 2, "{}", said(&report)[0]);
    }
}

#[tokio::test]
async fn a_proxy_header_that_the_server_does_not_expect_is_told_apart_from_ehlo() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    // Version 2 has a line QUIT in it: Postfix answers the lines before, says goodbye and hangs up.
    for (version, words) in [(1, "Error: command not recognized"), (2, "Error: bad syntax")] {
        for round in 0..40 {
            let parameters = with(proxied(&postfix, version, "TCP4"), json!({"port": postfix.plain()}));
            let report = app.check(parameters).await;
            let expected = json!(["proxy", "rejected", false, 500, "5.5.2"]);
            assert_eq!(rejection(&report), expected, "version {version}, round {round}: {report:#}");
            assert_eq!(report["failure"]["message"], words);
            // If EHLO was written before the refusal came, it has an answer of its own to version 1.
            assert!(version == 1 || report["metrics"].get("ehlo_time").is_none(), "{report:#}");
            let ehlo = report["phases"].as_array().into_iter().flatten().find(|phase| phase["name"] == "ehlo");
            assert!(ehlo.is_none_or(|ehlo| ehlo["code"] == 250 || ehlo["time_ms"].is_null()), "{report:#}");
            assert!(report["metrics"]["banner_time"].is_f64());
            // The one line of version 1 is answered, so the dialogue is in step and ends as it should.
            if version == 1 {
                assert_eq!(phases(&report).iter().filter(|phase| **phase == "quit").count(), 1, "{report:#}");
                assert!(!not_ok(&report).contains(&"quit"), "{report:#}");
                postfix.logged_times(" quit=1 unknown=0/1 ", round + 1).await;
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_proxy_header_is_refused_by_a_server_that_expects_one() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    let headers = [
        ("TCP4", "nonsense", "192.0.2.1"),
        ("TCP4", "2001:db8::7", "192.0.2.1"),
        ("TCP4", "203.0.113.7", "999.0.0.1"),
        ("TCP6", "203.0.113.7", "192.0.2.1"),
        ("TCP6", "[2001:db8::7]", "2001:db8::1"),
    ];
    for (nth, (family, source, destination)) in headers.into_iter().enumerate() {
        let addresses = json!({
            "proxy_source_address": source, "proxy_dest_address": destination,
            "proxy_source_port": 5555, "proxy_dest_port": 2525,
        });
        let report = app.check(with(proxied(&postfix, 1, family), addresses)).await;
        // It greets nobody then; its 421 is all that it says.
        assert_eq!(rejection(&report), json!(["banner", "rejected", true, 421, "4.3.0"]), "{report:#}");
        assert_eq!(said(&report)[0], format!("PROXY {family} {source} {destination} 5555 2525"));
        assert_eq!(phases(&report)[..2], ["connect", "banner"]);
        assert!(report["metrics"]["banner_time"].is_f64());
        postfix.logged_times("haproxy read: ", nth + 1).await;
    }
}

#[tokio::test]
async fn a_server_that_waits_for_a_proxy_header_says_nothing_without_one() {
    let (app, postfix) = tokio::join!(App::start(), Postfix::start(None));
    let report = app.check(json!({"port": postfix.proxy(), "timeout_ms": 2000})).await;
    assert_eq!(failure(&report), ("banner", "timeout", true), "{report:#}");
    assert_eq!((phases(&report), not_ok(&report)), (vec!["connect", "banner"], vec!["banner"]));
    assert!(report["metrics"].get("banner_time").is_none());
}
