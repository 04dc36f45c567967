//! The program as a user starts it: exit codes, sources of settings, and shutdown.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
};

use serde_json::Value;
use smtp_check::escape::is_harmful;

use crate::support::{
    program::{ServiceProcess, WAIT_TIMEOUT, code, program, stderr},
    temp_dir::TempDir,
};

#[test]
fn a_bad_setting_of_any_source_stops_the_start() {
    let scratch = TempDir::new();
    let file = scratch.write("settings.toml", b"max_checks = 0");
    let tokens = scratch.write("tokens", b"hunter2");
    // SHA-256 of the empty string.
    let of_nothing = format!("one:{}\n", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let open_to_all = scratch.write("open", of_nothing.as_bytes());
    let pem = scratch.write("ca.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    // A port in use: a program that gets as far as binding it would complain about the port.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = format!("--listen={}", taken.local_addr().expect("bound"));
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let cases = [
        (vec!["--max-body=huge".into()], vec![], "--max-body"),
        (vec![], vec![("SMTP_CHECK_MAX_TIMEOUT", "never")], "--max-timeout"),
        (vec![flag("config", &file)], vec![], "max_checks"),
        (vec![], vec![("SMTP_CHECK_CONFIG", "/nonexistent.toml")], "/nonexistent.toml"),
        (vec![flag("tokens-file", &tokens)], vec![], "--tokens-file"),
        (vec![flag("tokens-file", &open_to_all)], vec![], "line 1: the digest is that of an empty token"),
        (vec![flag("ca-file", &pem)], vec![], "--ca-file"),
        (vec![], vec![("RUST_LOG", "smtp_check=loud")], "RUST_LOG"),
        (vec![], vec![("RUST_LOG", "warning")], "RUST_LOG: `warning`"),
        (vec![], vec![("RUST_LOG", "hyper=info, inof")], "RUST_LOG: `inof`"),
    ];
    for (arguments, environment, named) in cases {
        let mut command = program(&["serve", &listen]);
        let output = command.args(&arguments).envs(environment.iter().copied()).output().expect("the program starts");
        let complaint = stderr(&output);
        assert_eq!(code(&output), 2, "{arguments:?} {environment:?}: {complaint}");
        assert!(complaint.contains(named), "{arguments:?} {environment:?}: {complaint}");
        assert!(!complaint.contains("hunter2") && output.stdout.is_empty());
    }
}

#[test]
fn a_port_in_use_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = program(&["--listen", &address]).output().expect("the program starts");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("--listen") && stderr(&output).contains(&address), "{}", stderr(&output));
    assert!(stderr(&output).contains("another program listens there"), "{}", stderr(&output));
    let output = program(&["demo", "--listen", &address]).output().expect("the program starts");
    assert_eq!((code(&output), output.stdout.len()), (1, 0));
    assert!(stderr(&output).contains("--listen"), "{}", stderr(&output));
}

#[test]
fn flags_override_the_environment_and_the_environment_overrides_the_file() {
    let scratch = TempDir::new();
    let file = scratch.write("settings.toml", b"listen = '127.0.0.3:0'\nlog_format = 'json'\n");
    let listening_on = |flag: Option<&str>, variable: Option<&str>| {
        let mut command = program(&["--config", file.to_str().expect("UTF-8")]);
        command.args(flag.map(|address| format!("--listen={address}")));
        command.envs(variable.map(|address| ("SMTP_CHECK_LISTEN", address)));
        ServiceProcess::start(command).address.ip().to_string()
    };
    assert_eq!(listening_on(None, None), "127.0.0.3");
    assert_eq!(listening_on(None, Some("127.0.0.2:0")), "127.0.0.2");
    assert_eq!(listening_on(Some("127.0.0.1:0"), Some("127.0.0.2:0")), "127.0.0.1");
}

#[test]
fn an_idle_service_exits_with_code_0_at_once() {
    for signal in ["TERM", "INT", "QUIT"] {
        let served = ServiceProcess::start(program(&["serve", "--listen", "127.0.0.1:0", "--shutdown-grace", "1h"]));
        assert!(served.get("/readyz", "").starts_with("HTTP/1.1 200 "));
        served.signal(signal);
        served.wait_for_log("shutting down");
        assert_eq!(served.end(), 0, "{signal}");
    }
}

#[test]
fn the_log_has_the_name_of_the_token_and_never_the_token() {
    let scratch = TempDir::new();
    let digest = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8";
    let tokens = scratch.write("tokens", format!("monitoring:{digest}\n").as_bytes());
    let mut command = program(&["--listen", "127.0.0.1:0", "--tokens-file", tokens.to_str().expect("UTF-8")]);
    command.env("RUST_LOG", "trace");
    let served = ServiceProcess::start(command);

    let refused = served.get("/openapi.json", "Authorization: Bearer alphabet\r\n");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert!(served.get("/openapi.json?secret=alpha", "Authorization: Bearer alpha\r\n").starts_with("HTTP/1.1 200 "));
    served.signal("TERM");
    let mut answered = Vec::new();
    // The channel ends when the program closes stderr.
    while let Ok(line) = served.log.recv_timeout(WAIT_TIMEOUT) {
        assert!(!line.contains("alpha"), "{line}");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        if line["message"] == "answered" {
            answered.push((line["status"].clone(), line["caller"].clone(), line["path"].clone()));
        }
    }
    let path = Value::from("/openapi.json");
    assert_eq!(answered, [(401.into(), Value::Null, path.clone()), (200.into(), "monitoring".into(), path)]);
}

#[test]
fn healthcheck_tells_whether_the_service_is_alive() {
    let served = ServiceProcess::start(program(&["--listen", "127.0.0.1:0"]));
    let address = served.address.to_string();
    let healthcheck = || program(&["healthcheck", "--listen", &address]).output().expect("the program starts");
    let alive = healthcheck();
    assert_eq!((code(&alive), stderr(&alive).as_str()), (0, ""));
    served.signal("TERM");
    assert_eq!(served.end(), 0);
    let gone = healthcheck();
    assert_eq!(code(&gone), 1);
    assert!(stderr(&gone).contains(&address), "{}", stderr(&gone));
}

#[test]
fn openapi_prints_the_document_in_the_repository() {
    let output = program(&["openapi"]).output().expect("the program starts");
    assert_eq!(code(&output), 0);
    let document = String::from_utf8(output.stdout).expect("UTF-8");
    let golden = include_str!("../../openapi/openapi.json");
    assert!(document == golden, "the API has changed; if it was meant to: cargo run -- openapi > openapi/openapi.json");
}

#[test]
fn run_reports_every_invalid_parameter_by_its_flag() {
    let output = program(&["run", "--port", "0", "--timeout-ms", "-1", "--from", "nobody"])
        .output()
        .expect("the program starts");
    assert_eq!(code(&output), 2);
    let complaint = stderr(&output);
    for flag in ["--to: ", "--port: ", "--timeout-ms: ", "--from: "] {
        assert_eq!(complaint.matches(&format!("error: {flag}")).count(), 1, "{flag} in {complaint}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn run_speaks_of_flags_and_names_the_wrong_one() {
    for (arguments, expected) in [
        (
            &["--to=not-an-address"][..],
            "error: --to: has no domain: write it like user@example.com, or give `--target`",
        ),
        (
            &["--to=a@example.com", "--starttls", "--implicit-tls"],
            "error: --implicit-tls: must not be given together with `--starttls`",
        ),
        (&["--to=a@example.com", "--sasl-authentication=plain"], "is required unless `--sasl-authentication` is `off`"),
        (&["--to=a@b.test", "--tls-verify=require"], "no TLS: give `--starttls` or `--implicit-tls`"),
        (&["--to=a@b.test", "--stop-after=starttls"], "no STARTTLS: give `--starttls`"),
        (&["--to=a@b.test", "--stop-after=sasl_auth"], "no AUTH: give `--sasl-authentication`"),
        (
            &["--to=a@b.test", "--proxy-protocol", "--proxy-version=2", "--proxy-source-address=host"],
            "of the family TCP4 with `--proxy-version 2`",
        ),
        (&["--to=a@b.test", "--starttls", "true"], "error: --starttls and its value are one word: --starttls=true"),
        (&["--to=a@b.test", "--payload=@"], "error: --payload: `@` needs the name of a file"),
        (&["--port=25"], "(unless `--stop-after` ends before `rcptto` and `--target` is given)"),
    ] {
        let output = program(&["run"]).args(arguments).output().expect("the program starts");
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{expected} in {}", stderr(&output));
    }
}

/// Nothing that is repeated in an error moves the cursor or turns the line.
#[test]
fn errors_are_safe_to_show() {
    let directory = TempDir::new();
    let odd = "\u{9b}31m\u{202e}\u{1b}[2J\u{7f}\r\nforged";
    let key = directory.write("key.toml", b"\"\\u202e\\u009b\" = 1\n");
    let module = directory.write("module.toml", b"[modules.x]\n\"\\u202e\\u009b\" = 1\n");
    let of_file = |path: &Path| format!("--config={}", path.display());
    for (arguments, shown) in [
        (vec!["run".to_owned(), format!("--{odd}")], "\\u{202e}"),
        (vec!["run".to_owned(), odd.to_owned()], "\\u{202e}"),
        (vec![format!("check{odd}")], "\\u{9b}"),
        (vec![format!("--listen={odd}")], "\\u{1b}[2J"),
        (vec!["serve".to_owned(), format!("--target-allow={odd}")], "\\u{202e}"),
        (vec!["serve".to_owned(), format!("--config=/{odd}")], "\\u{202e}"),
        (vec!["serve".to_owned(), format!("--ca-file=/{odd}"), "--listen=127.0.0.1:0".to_owned()], "\\u{202e}"),
        (vec!["run".to_owned(), "--to=a@b.test".to_owned(), format!("--payload=@/{odd}")], "\\u{202e}"),
        (vec!["run".to_owned(), "--to=a@b.test".to_owned(), "--nagios".to_owned(), format!("--critical={odd}=1")], ""),
        (vec!["token".to_owned(), odd.to_owned()], ""),
        (vec!["serve".to_owned(), of_file(&key)], ""),
        (vec!["serve".to_owned(), of_file(&module), "--listen=127.0.0.1:0".to_owned()], "\\u{202e}"),
    ] {
        let output = program(&[]).args(&arguments).output().expect("the program starts");
        let text = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(code(&output) > 0 && !text.is_empty(), "{arguments:?}");
        let harmful: Vec<_> = text.chars().filter(|it| *it != '\n' && is_harmful(*it)).collect();
        assert!(harmful.is_empty() && text.contains(shown), "{arguments:?}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{arguments:?}: {text}");
    }
}

#[test]
fn results_that_cannot_be_written_are_a_failure() {
    for arguments in [&["openapi"][..], &["token", "ci"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let output = program(arguments).stdout(full).output().expect("the program starts");
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert!(stderr(&output).contains("error: stdout cannot be written"), "{}", stderr(&output));
    }
}

#[test]
fn run_refuses_a_forbidden_target() {
    for (rule, named, way_out) in [
        ("--target-deny=127.0.0.0/8", "127.0.0.0/8", "--target-allow)"),
        ("--target-allow-host=example.com", "an address without a name", "--target-allow)"),
        ("--target-ports=26", "port 25", "--target-ports)"),
    ] {
        let arguments = ["run", "--to=a@example.com", "--target=127.0.0.1", rule];
        let output = program(&arguments).output().expect("the program starts");
        let complaint = stderr(&output);
        assert_eq!((code(&output), output.stdout.len()), (2, 0), "{rule}: {complaint}");
        assert!(complaint.contains(named) && complaint.trim_end().ends_with(way_out), "{rule}: {complaint}");
    }
    let output =
        program(&["run", "--to=a@mx.example.com", "--target-deny-host=example.com"]).output().expect("it starts");
    assert!(stderr(&output).trim_end().ends_with("(allow it with --target-allow-host)"), "{}", stderr(&output));
}

/// The demo, its output, and the address of its mail server.
fn demo(scratch: &TempDir) -> (ServiceProcess, String, String) {
    let printed = scratch.write("printed", b"");
    let stdout = std::fs::File::create(&printed).expect("writable");
    let served = ServiceProcess::start_printing_to(program(&["demo", "--listen", "127.0.0.1:0"]), stdout.into());
    let printed = std::fs::read_to_string(printed).expect("UTF-8");
    let report = printed.split("\n\n").find(|part| part.starts_with('{')).expect("a report");
    let report: Value = serde_json::from_str(report).expect("JSON");
    assert_eq!((&report["outcome"], &report["tls"]["verified"]), (&"delivered".into(), &true.into()), "{printed}");
    (served, printed, report["target"]["port"].to_string())
}

#[test]
fn the_demo_prints_a_request_that_works() {
    let (served, printed, _) = demo(&TempDir::new());
    let line = printed.lines().find(|line| line.starts_with("curl ")).expect("a command line");
    let body = line.split('\'').rfind(|part| part.starts_with('{')).expect("a body");
    assert!(line.contains(&format!("http://{}/v1/checks/smtp", served.address)), "{line}");

    let mut caller = TcpStream::connect(served.address).expect("it listens");
    caller.set_read_timeout(Some(WAIT_TIMEOUT)).expect("settable");
    let header = "Host: localhost\r\nConnection: close\r\nContent-Type: application/json";
    write!(caller, "POST /v1/checks/smtp HTTP/1.1\r\n{header}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .expect("sent");
    let mut answer = String::new();
    caller.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""outcome":"delivered""#), "{answer}");

    served.signal("TERM");
    assert_eq!(served.end(), 0);
}

#[test]
fn run_exits_with_the_outcome_of_the_check() {
    let (_served, _, port) = demo(&TempDir::new());
    let run = |arguments: &[&str], password: Option<&str>| {
        let mut command = program(&["run", "--target", "127.0.0.1", "--port", &port]);
        command.args(arguments).envs(password.map(|password| ("SMTP_CHECK_SASL_PASSWORD", password)));
        let output = command.output().expect("the program starts");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON, since stdout is a pipe");
        (code(&output), report)
    };
    let (code, report) = run(&["--to", "you@sandbox.test", "--payload", "-- \nhello"], None);
    assert_eq!((code, &report["outcome"]), (0, &"delivered".into()));

    let (code, report) = run(&["--to", "nobody@sandbox.test"], None);
    assert_eq!((code, &report["failure"]["code"]), (1, &550.into()));

    let login = ["--to=you@sandbox.test", "--sasl-authentication=login", "--sasl-user=probe", "--stop-after=sasl_auth"];
    assert_eq!(run(&login, Some("open sesame")).0, 0, "the password may come from the environment");
    assert_eq!(run(&login, Some("wrong")).1["failure"]["phase"], "sasl_auth");
}
