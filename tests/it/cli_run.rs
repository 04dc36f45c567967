//! `smtp-check run` and `demo` in a shell: reports on a terminal and in a pipe, exit codes, and no secret in any
//! output.

use std::{
    fs::File,
    process::{Command, Output},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use smtp_check::sandbox::{PASSWORD, Sandbox, USER};

use crate::support::{
    curl::{curl, pasted},
    program::{ServiceProcess, WAIT_TIMEOUT, code, program, stderr},
    temp_dir::TempDir,
};

async fn sandbox() -> Sandbox {
    Sandbox::start(([127, 0, 0, 1], 0).into()).await.expect("a sandbox")
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = program(&["run", "--target=127.0.0.1", &format!("--port={}", sandbox.addr().port())]);
    command.args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn run_prints_the_same_json_report_as_http() {
    let sandbox = sandbox().await;
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0"]));
    let port = sandbox.addr().port();
    let output = run(&sandbox, &["--to=you@sandbox.test", "--transcript"]).output().expect("the program starts");
    let by_shell: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let parameters = json!({"to": "you@sandbox.test", "target": "127.0.0.1", "port": port, "transcript": true});
    let (status, by_http) = served.post("", &parameters);
    assert_eq!((code(&output), status, stderr(&output).as_str()), (0, 200, ""));
    assert_eq!(shape(&by_shell), shape(&by_http));
    assert_eq!(by_shell["target"], by_http["target"]);
    assert_eq!(by_shell["capabilities"], by_http["capabilities"]);
}

/// The report without the members that differ between two checks.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), shape(member))).collect(),
        Value::Array(elements) => elements.iter().map(shape).collect(),
        other => json!(match other {
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "boolean",
            _ => "null",
        }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_is_a_flag_of_run() {
    let sandbox = sandbox().await;
    let arguments = [
        "--to=you@sandbox.test",
        "--from=me@sandbox.test",
        "--ehlo=[127.0.0.1]",
        "--payload=Subject: hello\n\nworld",
        "--starttls",
        "--tls-verify=record",
        "--tls-server-name=mx.sandbox.test",
        "--sasl-authentication=plain",
        "--sasl-user",
        USER,
        "--ip-family=ipv4",
        "--timeout-ms=20000",
        "--transcript",
    ];
    let output =
        run(&sandbox, &arguments).env("SMTP_CHECK_SASL_PASSWORD", PASSWORD).output().expect("the program starts");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert_eq!((code(&output), &report["outcome"]), (0, &json!("delivered")), "{report:#}");
    let lines: Vec<&str> =
        report["transcript"].as_array().expect("lines").iter().filter_map(|line| line["text"].as_str()).collect();
    assert!(
        lines.contains(&"EHLO [127.0.0.1]") && lines.iter().any(|line| line.starts_with("MAIL FROM:<me@sandbox.test>"))
    );
    assert_eq!(report["tls"]["server_name"], "mx.sandbox.test");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(PASSWORD), "not even in the transcript");
    let delivered = sandbox.delivered();
    assert!(delivered.iter().any(|message| message.content == b"Subject: hello\r\n\r\nworld\r\n"), "{delivered:?}");

    // Without `--sasl-authentication`, credentials in the environment are not used.
    let output = run(&sandbox, &["--to=you@sandbox.test", "--stop-after=mailfrom"])
        .env("SMTP_CHECK_SASL_PASSWORD", PASSWORD)
        .output()
        .expect("the program starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((code(&output), &report["metrics"]["sasl_auth_time"]), (0, &Value::Null));
    let said = stderr(&output);
    assert!(said.contains("SMTP_CHECK_SASL_PASSWORD (--sasl-password) has no effect"), "{said}");
}

/// A value is corrected where it was given.
#[test]
fn an_error_names_the_source_of_the_password() {
    let run = |password: &[&str], variable: &str, more: &[&str]| {
        let arguments = [&["run", "--to=a@b.test", "--sasl-authentication=plain", "--sasl-user=u"], password, more];
        let mut command = program(&arguments.concat());
        let output = command.env("SMTP_CHECK_SASL_PASSWORD", variable).output().expect("the program starts");
        (code(&output), stderr(&output) + &String::from_utf8_lossy(&output.stdout))
    };
    let source = "SMTP_CHECK_SASL_PASSWORD (--sasl-password): ";
    let (status, said) = run(&[], "a\nb", &[]);
    assert_eq!((status, said.starts_with(&format!("error: {source}"))), (2, true), "{said}");
    let (status, said) = run(&[], "a\nb", &["--nagios"]);
    assert_eq!((status, said.starts_with(&format!("SMTP UNKNOWN - {source}"))), (3, true), "{said}");
    // The flag wins over the variable.
    let (status, said) = run(&["--sasl-password=a\nb"], "good", &[]);
    assert_eq!((status, said.starts_with("error: --sasl-password: ")), (2, true), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_read_from_a_file_and_from_stdin() {
    let sandbox = sandbox().await;
    let scratch = TempDir::new();
    let message = "Subject: from a file\n\nGr\u{fc}\u{df}e\n";
    let path = scratch.write("message.eml", message.as_bytes());
    let binary = scratch.write("binary", b"\xff\xfe");
    for payload in [format!("@{}", path.display()), "@-".to_owned(), "-".to_owned()] {
        let mut command = run(&sandbox, &["--to=you@sandbox.test", "--payload", &payload]);
        command.stdin(File::open(&path).expect("just written"));
        let output = command.output().expect("the program starts");
        assert_eq!(code(&output), 0, "{payload}: {}", stderr(&output));
    }
    let sent: Vec<_> = sandbox.delivered().into_iter().map(|message| message.content.clone()).collect();
    assert_eq!(sent, vec![message.replace('\n', "\r\n").into_bytes(); 3]);
    for (payload, why) in
        [("@/nonexistent".to_owned(), "/nonexistent: No such file"), (format!("@{}", binary.display()), "is not UTF-8")]
    {
        let output = run(&sandbox, &["--to=you@sandbox.test", "--payload", &payload]).output().expect("it starts");
        assert_eq!((code(&output), output.stdout.len()), (2, 0));
        assert!(
            stderr(&output).starts_with("error: --payload: ") && stderr(&output).contains(why),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn stdin_is_read_once() {
    for [payload, expect] in [["-", "-"], ["@-", "-"]] {
        let output = program(&["run", "--to=a@b.test", "--payload", payload, "--expect", expect]).output();
        let output = output.expect("the program starts");
        assert_eq!(code(&output), 2);
        assert_eq!(stderr(&output), "error: only one of --payload and --expect can be read from stdin\n");
    }
}

#[test]
fn bad_usage_exits_with_code_2_and_prints_no_report() {
    for arguments in [
        &["run"][..],
        &["run", "--to"],
        &["run", "--to=a@example.test", "--recipient=b"],
        &["run", "--to=a@example.test", "--stop-after=body"],
        &["run", "--to=a@example.test", "extra"],
        &["run", "--to=a@example.test", "--max-checks=0"],
        &["check"],
        &["--nonsense"],
    ] {
        let output = program(arguments).output().expect("the program starts");
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(
            output.stdout.is_empty() && stderr(&output).starts_with("error: "),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn the_curl_command_of_the_demo_works_in_a_shell() {
    let scratch = TempDir::new();
    let printed = scratch.write("printed", b"");
    let stdout = File::create(&printed).expect("writable");
    let served = ServiceProcess::start_printing_to(program(&["demo", "--listen=127.0.0.1:0"]), stdout.into());
    let printed = std::fs::read_to_string(printed).expect("UTF-8");
    let line = printed.lines().find(|line| line.starts_with("curl ")).expect("a command line");

    let again: Output = pasted(line).output().expect("a shell");
    let report: Value = serde_json::from_slice(&again.stdout).unwrap_or_else(|_| panic!("{}", stderr(&again)));
    assert_eq!((&report["outcome"], &report["tls"]["verified"]), (&json!("delivered"), &json!(true)), "{report:#}");

    // Each recipient that the demo names gets the reply that it promises.
    for (recipient, code) in [("nobody", 550), ("later", 451), ("full", 452)] {
        assert!(printed.lines().any(|line| line.trim_start().starts_with(recipient)), "{printed}");
        let line = line.replace("you@sandbox.test", &format!("{recipient}@sandbox.test"));
        let output = pasted(&line).output().expect("a shell");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["failure"]["code"], code);
    }
    let page = format!("http://{}/docs", served.address);
    assert!(printed.contains(&page) && served.get("/docs/", "").starts_with("HTTP/1.1 200 "), "{printed}");
    served.signal("INT");
    assert_eq!(served.end(), 0);
}

#[test]
fn the_curl_command_of_the_demo_has_a_placeholder_for_the_token() {
    let scratch = TempDir::new();
    let digest = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8";
    let tokens = scratch.write("tokens", format!("monitoring:{digest}\n").as_bytes());
    let printed = scratch.write("printed", b"");
    let stdout = File::create(&printed).expect("writable");
    let mut command = program(&["demo", "--listen=0.0.0.0:0", "--tokens-file"]);
    command.arg(tokens);
    let served = ServiceProcess::start_printing_to(command, stdout.into());
    let printed = std::fs::read_to_string(printed).expect("UTF-8");
    let line = printed.lines().find(|line| line.starts_with("curl ")).expect("a command line");
    let origin = format!("http://127.0.0.1:{}/", served.address.port());
    assert!(line.contains(&origin) && !printed.contains("0.0.0.0") && printed.contains("in TOKEN"), "{printed}");

    let mut again = Command::new("sh");
    again.args(["-c", line]).env_remove("http_proxy").env("TOKEN", "alpha");
    let again = again.output().expect("a shell");
    let report: Value = serde_json::from_slice(&again.stdout).unwrap_or_else(|_| panic!("{}", stderr(&again)));
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    served.signal("INT");
    assert_eq!(served.end(), 0);
}

/// All forms of a secret that can be in a line: itself, and its base64 at each of the three offsets.
fn traces(secret: &str) -> Vec<String> {
    let inner = |offset: usize| {
        let encoded = STANDARD.encode(format!("{}{secret}", &"###"[..offset]));
        // The first and last characters depend on the neighbouring bytes.
        encoded[4..encoded.len() - 4].to_owned()
    };
    [secret.to_owned(), inner(0), inner(1), inner(2)].into()
}

const SECRET: &str = "correct-horse-battery-staple";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_at_any_level() {
    let sandbox = sandbox().await;
    let scratch = TempDir::new();
    let digest = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";
    let tokens = scratch.write("tokens", format!("monitoring:{digest}\n").as_bytes());
    let mut command = program(&["--listen=127.0.0.1:0", &format!("--tokens-file={}", tokens.display())]);
    command.env("RUST_LOG", "trace");
    let served = ServiceProcess::start(command);
    let token = "Authorization: Bearer open sesame\r\n";

    let check = |mechanism: &str, starttls: bool| {
        json!({
            "to": "you@sandbox.test", "target": "127.0.0.1", "port": sandbox.addr().port(), "starttls": starttls, "transcript": true,
            "sasl_authentication": mechanism, "sasl_user": "probe", "sasl_password": SECRET,
        })
    };
    let mut answers = Vec::new();
    for (mechanism, starttls) in [("plain", true), ("login", true), ("plain", false), ("login", false)] {
        let (status, report) = served.post(token, &check(mechanism, starttls));
        assert_eq!((status, &report["failure"]["phase"]), (200, &json!("sasl_auth")), "{report:#}");
        answers.push(report.to_string());
    }
    let mut invalid = check("plain", true);
    invalid["sasl_password"] = json!(format!("{SECRET}\n"));
    answers.push(served.post(token, &invalid).1.to_string());
    // Over HTTP/2 another library parses the header.
    let body = check("plain", true).to_string();
    let over_http2 = curl()
        .args(["--http2-prior-knowledge", "-H", "Content-Type: application/json", "-H", token.trim_end(), "-d", &body])
        .arg(format!("http://{}/v1/checks/smtp", served.address))
        .output()
        .expect("curl, which tests/install brings");
    assert!(over_http2.status.success(), "{}", stderr(&over_http2));
    answers.push(String::from_utf8_lossy(&over_http2.stdout).into_owned());
    assert!(answers[5].contains("sasl_auth"), "{}", answers[5]);

    served.signal("TERM");
    let mut lines = Vec::new();
    while let Ok(line) = served.log.recv_timeout(WAIT_TIMEOUT) {
        lines.push(line);
    }
    assert!(lines.iter().any(|line| line.contains("\"TRACE\"")), "the log is as loud as it gets");
    assert!(lines.iter().any(|line| line.contains("h2")), "HTTP/2 was spoken");
    assert_kept(&lines, &["open sesame"]);
    assert_kept(&answers, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_prints_no_secret() {
    let sandbox = sandbox().await;
    let arguments =
        ["--to=you@sandbox.test", "--starttls", "--sasl-authentication=login", "--sasl-user=probe", "--transcript"];
    for form in ["text", "json"] {
        let output = run(&sandbox, &arguments)
            .arg(format!("--log-format={form}"))
            .env("RUST_LOG", "trace")
            .env("SMTP_CHECK_SASL_PASSWORD", SECRET)
            .output()
            .expect("the program starts");
        assert_eq!(code(&output), 1);
        let outputs = [stderr(&output), String::from_utf8_lossy(&output.stdout).into_owned()];
        assert!(outputs[0].contains("checked"), "there is a log: {}", outputs[0]);
        assert_eq!(outputs[0].lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), form == "json");
        assert_kept(&outputs, &[]);
    }
    // `--help` does not show it either.
    let help =
        program(&["run", "--help"]).env("SMTP_CHECK_SASL_PASSWORD", SECRET).output().expect("the program starts");
    assert_kept(&[String::from_utf8_lossy(&help.stdout).into_owned(), stderr(&help)], &[]);
}

#[track_caller]
fn assert_kept(texts: &[String], others: &[&str]) {
    let traces = traces(SECRET);
    for response in [STANDARD.encode(SECRET), STANDARD.encode(format!("\0probe\0{SECRET}"))] {
        assert!(traces.iter().any(|trace| response.contains(trace)), "what AUTH sends would be found");
    }
    for text in texts {
        for trace in traces.iter().map(String::as_str).chain(others.iter().copied()) {
            assert!(!text.contains(trace), "{trace} is in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_without_effect_are_named_on_stderr_and_in_the_report() {
    let sandbox = sandbox().await;
    for more in [&["--json"][..], &["--nagios"]] {
        let arguments =
            ["--to=you@sandbox.test", "--sasl-user=me", "--sasl-password=secret", "--tls-server-name=mx.test"];
        let output = run(&sandbox, &[&arguments, more].concat()).output().expect("the program starts");
        assert_eq!(code(&output), 0, "{output:?}");
        assert_eq!(
            stderr(&output),
            "warning: --sasl-user, --sasl-password have no effect: without --sasl-authentication there is no AUTH\n\
             warning: --tls-server-name has no effect: without --starttls or --implicit-tls there is no TLS\n"
        );
        if more == ["--json"] {
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(report["warnings"].as_array().map(Vec::len), Some(2), "{report:#}");
        }
    }
    let output =
        run(&sandbox, &["--to=you@sandbox.test", "--tls-verify=require"]).output().expect("the program starts");
    assert_eq!(code(&output), 2, "{output:?}");
    assert!(stderr(&output).starts_with("error: --tls-verify: is require, and the check has no TLS"), "{output:?}");
}

#[test]
fn the_help_says_that_a_real_message_is_delivered() {
    let output = program(&["run", "--help"]).output().expect("the program starts");
    let words: Vec<_> = output.stdout.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let help = String::from_utf8(words.join(&b' ')).expect("UTF-8");
    for (place, said) in [
        ("the description", "Without --stop-after the check delivers a real message"),
        ("--to", "which is really delivered unless `stop_after` is given"),
        ("--stop-after", "Left out: the check delivers a real message to the recipient"),
        ("--nagios", "Give --stop-after as well, or each run delivers a real message"),
    ] {
        assert!(help.contains(said), "{place}: {help}");
    }
}
