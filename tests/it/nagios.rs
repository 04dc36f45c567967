//! `run --nagios`: one line and an exit code, whatever happens.

use std::process::Command;

use smtp_check::sandbox::Sandbox;

use crate::support::{
    pki::{Ca, Leaf},
    program::{code, program, stderr},
    smtpd::{Script, SmtpServer, Step},
};

/// Exit code and line.
#[track_caller]
fn answer(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("the program starts");
    let line = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?} {}", stderr(&output));
    assert!(line.matches('|').count() <= 1, "{line}");
    (code(&output), line)
}

fn plugin(port: u16, arguments: &[&str]) -> Command {
    let mut command = program(&["run", "--nagios", "--to=you@sandbox.test", "--target=127.0.0.1"]);
    command.arg(format!("--port={port}")).args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_decide_the_plugin_status() {
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.expect("a sandbox");
    let port = sandbox.addr().port();
    for (arguments, status, text) in [
        (&[][..], 0, "SMTP OK - delivered in "),
        (&["--warning=duration=60000,banner=60000"], 0, ";60000;;0 "),
        (&["--warning", "banner=0"], 1, "SMTP WARNING - banner took "),
        (&["--warning=banner=0", "--critical=banner=0,ehlo=60000"], 2, "SMTP CRITICAL - banner took "),
        (&["--critical=tls=60000"], 3, "SMTP UNKNOWN - there was no tls to measure"),
        (&["--starttls", "--critical=tls=60000"], 1, "SMTP WARNING - the certificate is not valid (unknown issuer"),
        (&["--starttls", "--cert-critical=100000"], 2, "SMTP CRITICAL - the certificate expires in "),
        (&["--cert-warning=30"], 3, "SMTP UNKNOWN - the server was not asked for TLS"),
        (&["--stop-after=rcptto"], 0, "SMTP OK - completed in "),
    ] {
        let (code, line) = answer(&mut plugin(port, arguments));
        assert_eq!(code, status, "{arguments:?}: {line}");
        assert!(line.contains(text) && line.contains("|duration="), "{text} in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_expiry_decides_the_plugin_status() {
    let expired =
        SmtpServer::serve(Script::compliant().with_starttls(Ca::new("CA").issue(Leaf::for_name("mx.test").expired())));
    for thresholds in [&[][..], &["--cert-warning=14"]] {
        let (code, line) = answer(plugin(expired.port(), &["--starttls"]).args(thresholds));
        assert_eq!(code, 2, "{line}");
        let (_, days) = line.split_once(" certificate_days=-").expect("the days");
        let days = days.split([';', '\n']).next().unwrap_or_default();
        assert!(line.starts_with(&format!("SMTP CRITICAL - the certificate expired {days} days ago, ")), "{line}");
    }
    let (code, line) = answer(&mut plugin(expired.port(), &["--starttls", "--tls-verify=require"]));
    assert_eq!(code, 2, "{line}");
    assert!(line.starts_with("SMTP CRITICAL - certificate at tls: "), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_text_cannot_break_the_plugin_line() {
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550-5.1.1 a|b=1\r\n550 5.1.1 \x1b[2Jc\r\n"));
    let (code, line) = answer(&mut plugin(server.port(), &[]));
    assert_eq!(code, 2);
    assert!(line.starts_with("SMTP CRITICAL - rejected at rcptto: 550 5.1.1 a/b=1 \\u{1b}[2Jc|"), "{line}");
}

#[test]
fn bad_usage_is_plugin_status_unknown() {
    for (arguments, named) in [
        (&["run", "--nagios", "--port=0"][..], "--port: "),
        (&["run", "--nagios", "--to=a@example.test", "--warning=banner"], "banner=500"),
        (&["run", "--nagios", "--to=a@example.test", "--nonsense"], "--nonsense"),
        (
            &["run", "--nagios", "--to=a@example.test", "--critical=banner=1", "--warning=banner=2"],
            "--warning for banner",
        ),
        (
            &["run", "--nagios", "--to=a@example.test", "--warning=ehlo=1,banner=1", "--warning=ehlo=2"],
            "twice for ehlo",
        ),
        (&["run", "--nagios", "--to=a@example.test", "--critical=duration=1,duration=1"], "twice for duration"),
        (&["run", "--nagios", "--to=a@example.test", "--cert-critical=30", "--cert-warning=7"], "--cert-critical"),
        (&["run", "--nagios", "--to=a@example.test", "--json"], "--json"),
        (&["run", "--nagios", "--to=a@example.test", "--watch=1s"], "--watch"),
        (&["run", "--nagios", "--to=a@example.test", "--ca-file=/nonexistent"], "--ca-file"),
        (&["run", "--nagios", "--to=a@example.test", "--target=127.0.0.1", "--target-ports=26"], "port 25"),
    ] {
        let (code, line) = answer(&mut program(arguments));
        assert_eq!(code, 3, "{line}");
        assert!(line.starts_with("SMTP UNKNOWN - ") && line.contains(named), "{named} in {line}");
    }
    // `--help` says nothing about the server, and thresholds need `--nagios`.
    let help = program(&["run", "--nagios", "--help"]).output().expect("the program starts");
    assert_eq!((code(&help), stderr(&help).as_str()), (3, ""));
    assert!(String::from_utf8_lossy(&help.stdout).contains("--cert-warning <DAYS>"));
    let lonely = program(&["run", "--to=a@example.test", "--cert-warning=3"]).output().expect("the program starts");
    assert_eq!(code(&lonely), 2);
    assert!(stderr(&lonely).contains("--nagios"), "{}", stderr(&lonely));
}
