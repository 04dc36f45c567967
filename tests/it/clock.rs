//! The program while the system's clock is set wrong.

use std::process::Command;

use serde_json::Value;
use smtp_check::{net::tcp::KeepStamping, sandbox::Sandbox};

use crate::support::{
    curl::curl,
    dkim::{DkimKeys, KeyForm},
    program::{ServiceProcess, code, program, stderr},
    smtpd::{Script, SmtpServer},
    temp_dir::TempDir,
};

/// A library that adds `SHIFT` seconds to the clock of a program that is linked with it, or those in the file `SHIFT`.
const SHIFTED: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    const char *shift = getenv("SHIFT");
    if (result == 0 && clock == CLOCK_REALTIME && shift) {
        char text[32] = "";
        int file = *shift == '/' ? open(shift, O_RDONLY) : -1;
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) shift = text;
            close(file);
        }
        now->tv_sec += atoll(shift);
    }
    return result;
}
"#;

/// A library that refuses `SO_TIMESTAMPING`.
const REFUSING: &str = include_str!("../../benches/truth.d/refuse_stamps.c");

/// The program with a library of this source.
fn preloaded(directory: &TempDir, source: &str, arguments: &[&str]) -> Command {
    let source = directory.write("preloaded.c", source.as_bytes());
    let library = directory.path().join("preloaded.so");
    if !library.exists() {
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        assert!(compiler.status().expect("Rust needs a C compiler, too").success());
    }
    let mut command = program(arguments);
    command.env("LD_PRELOAD", library);
    command
}

/// The program with a clock that a test sets while it runs, by the file `shift`.
fn settable(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = preloaded(directory, SHIFTED, arguments);
    command.env("SHIFT", directory.write("shift", b"0"));
    command
}

fn shifted(directory: &TempDir, seconds: i64, arguments: &[&str]) -> Command {
    let mut command = preloaded(directory, SHIFTED, arguments);
    command.env("SHIFT", seconds.to_string());
    command
}

/// Two centuries back, and ten millennia ahead.
const SHIFTS: [(i64, &str); 2] =
    [(-6_311_520_000, "1970-01-01T00:00:00.000000Z"), (315_576_000_000, "9999-12-31T23:59:59.000000Z")];

#[tokio::test(flavor = "multi_thread")]
async fn a_check_has_a_report_whatever_the_clock_says() {
    let (directory, sandbox) = (TempDir::new(), Sandbox::start(([127, 0, 0, 1], 0).into()).await.expect("a sandbox"));
    let port = sandbox.addr().port().to_string();
    for (shift, date) in SHIFTS {
        let arguments = ["run", "--to=you@sandbox.test", "--target=127.0.0.1", "--port", &port];
        let output = shifted(&directory, shift, &arguments).output().expect("the program starts");
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&report["started_at"], &report["outcome"]), (&date.into(), &"delivered".into()), "{report}");
        let duration = report["metrics"]["duration"].as_f64().expect("a number");
        assert!((0.0..60_000.0).contains(&duration), "{duration}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_built_and_signed_whatever_the_clock_says() {
    let (directory, server) = (TempDir::new(), SmtpServer::serve(Script::compliant()));
    let keys = DkimKeys::make(&directory, "s1", KeyForm::Ed25519);
    let settings = directory.write("settings.toml", keys.table("ours").as_bytes());
    let (port, config) = (format!("--port={}", server.port()), format!("--config={}", settings.display()));
    let message = r#"--message={"text": "x", "from": "a@sender.test"}"#;
    for ((shift, _), (date, has_time)) in SHIFTS.into_iter().zip([
        ("\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n", false),
        ("\r\nDate: Fri, 31 Dec 9999 23:59:59 +0000\r\n", true),
    ]) {
        let arguments = ["run", &config, "--to=a@b.test", "--target=127.0.0.1", &port, "--dkim=ours", message];
        let output = shifted(&directory, shift, &arguments).output().expect("the program starts");
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
        let sent = server.next_session().await.message.expect("a message");
        let sent = String::from_utf8_lossy(&sent);
        assert!(sent.contains(date) && sent.contains("a=ed25519-sha256; s=s1; d=sender.test;"), "{sent}");
        // Before 1970 there is no time of the signature, which is optional.
        assert_eq!(sent.contains("; t="), has_time, "{sent}");
        // To a verifier with the same clock the signature is valid: it is neither in the future nor too long.
        assert_eq!(keys.verified_by_dkimpy(&sent, shift), "True", "{sent}");
        assert_eq!(keys.verified_by_dkimpy(&sent, 0).contains("in the future"), has_time, "{sent}");
    }
}

/// The kernel's stamps are of another clock than the program's, or there are none.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn phases_go_by_the_clock_of_the_process_where_the_stamps_are_of_no_use() {
    let _stamping = KeepStamping::start();
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.expect("a sandbox");
    let port = sandbox.addr().port().to_string();
    let arguments = ["run", "--to=you@sandbox.test", "--target=127.0.0.1", "--port", &port, "--starttls"];
    let directories = [TempDir::new(), TempDir::new()];
    let commands = [
        (program(&arguments), "kernel"),
        (preloaded(&directories[0], REFUSING, &arguments), "process"),
        (shifted(&directories[1], 3600, &arguments), "process"),
        (shifted(&directories[1], -3600, &arguments), "process"),
    ];
    let report_of = |command: &mut Command| -> Value {
        let output = command.output().expect("the program starts");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    // Linux begins to stamp some time after it is asked to.
    let is_stamped = || report_of(&mut program(&arguments))["phases"][1]["clock"] == "kernel";
    assert!((0..100).any(|_| is_stamped()), "Linux stamps nothing");
    for (mut command, expected) in commands {
        let report = report_of(&mut command);
        assert_eq!(report["outcome"], "delivered", "{report}");
        let duration = report["metrics"]["duration"].as_f64().expect("a number");
        for phase in report["phases"].as_array().expect("phases") {
            let is_by_process = ["connect", "tls"].iter().any(|name| phase["name"] == *name);
            assert_eq!(phase["clock"], if is_by_process { "process" } else { expected }, "{report:#}");
            assert!((0.0..=duration).contains(&phase["time_ms"].as_f64().expect("a time")), "{report:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_wrong_is_no_fault_of_a_certificate() {
    let (directory, sandbox) = (TempDir::new(), Sandbox::start(([127, 0, 0, 1], 0).into()).await.expect("a sandbox"));
    let ca = directory.write("ca.pem", sandbox.ca_pem().as_bytes());
    let (port, ca) = (sandbox.addr().port().to_string(), format!("--ca-file={}", ca.display()));
    for (shift, _) in SHIFTS {
        let arguments = ["run", "--to=you@sandbox.test", "--target=127.0.0.1", "--port", &port, "--starttls", &ca];
        let output = shifted(&directory, shift, &arguments).output().expect("the program starts");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&report["outcome"], &report["tls"]["verified"]), (&"delivered".into(), &false.into()), "{report}");
        assert_eq!(report["tls"]["errors"], serde_json::json!(["unsupported"]), "{report}");
        let error = report["metrics"]["cert_error"].as_str().unwrap_or_default();
        assert!(error.contains("the clock of this system"), "{report}");
        let metrics = &report["metrics"];
        assert!(metrics["cert_end"].is_i64() && metrics.get("cert_end_in").is_none(), "{report}");
        let plugin = shifted(&directory, shift, &arguments).args(["--nagios", "--cert-warning=14"]).output();
        let plugin = plugin.expect("the program starts");
        let line = String::from_utf8_lossy(&plugin.stdout);
        assert_eq!(code(&plugin), 3, "{line}");
        assert!(line.contains("the clock of this system") && !line.contains("expire"), "{line}");
        let required = shifted(&directory, shift, &arguments).arg("--tls-verify=require").output().expect("it starts");
        let report: Value = serde_json::from_slice(&required.stdout).expect("JSON");
        let message = report["failure"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("the clock of this system"), "{report}");
    }
}

#[test]
fn a_service_does_not_start_with_a_clock_that_http_cannot_write() {
    let directory = TempDir::new();
    for (shift, _) in SHIFTS {
        for subcommand in ["serve", "demo"] {
            let output = shifted(&directory, shift, &[subcommand, "--listen=127.0.0.1:0"]).output().expect("it starts");
            assert_eq!(code(&output), 1, "{}", stderr(&output));
            assert!(stderr(&output).contains("the system's clock is before 1970 or after 9999"), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_service_whose_clock_turns_bad_answers_and_recovers() {
    let directory = TempDir::new();
    let service = ServiceProcess::start(settable(&directory, &["serve", "--listen=127.0.0.1:0", "--log-format=json"]));
    let get = |version: &str| {
        let url = format!("http://{}/healthz", service.address);
        let output = curl().args(["-sS", "-i", "--max-time", "40", version, &url]).output().expect("curl");
        (code(&output), String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output))
    };
    for (shift, is_bad) in [(0, false), (SHIFTS[0].0, true), (SHIFTS[1].0, true), (0, false)] {
        directory.write("shift", shift.to_string().as_bytes());
        let (code, answer, errors) = get("--http1.1");
        assert_eq!(code, 0, "{shift}: {errors}");
        assert!(answer.starts_with(if is_bad { "HTTP/1.1 503 " } else { "HTTP/1.1 200 " }), "{shift}: {answer}");
        assert_eq!(answer.contains("the clock of the service"), is_bad, "{shift}: {answer}");
        let (code, answer, errors) = get("--http2-prior-knowledge");
        assert_eq!(code, 0, "{shift}: {errors}");
        assert!(answer.starts_with("HTTP/2 200"), "{shift}: {answer}");
        assert_eq!(answer.contains("\ndate: "), !is_bad, "{shift}: {answer}");
        let (status, document) = service.post("", &serde_json::json!({"to": "a@b.test", "no": 1}));
        assert_eq!(status, if is_bad { 503 } else { 422 }, "{document}");
    }
}
