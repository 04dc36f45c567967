//! The sources of settings, from outside: for each kind of setting, which value the running service uses.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    program::{ServiceProcess, WAIT_TIMEOUT, code, program, status_and_json, stderr},
    temp_dir::TempDir,
};

/// One setting with a value in the file, the environment and the flags; each overrides the one before.
struct Layered<'a> {
    name: &'a str,
    /// In TOML.
    file: &'a str,
    environment: &'a str,
    flag: &'a str,
}

impl Layered<'_> {
    /// `serve` on a free port with the first `count` sources set; with none it uses the default.
    fn command(&self, layers: usize, scratch: &TempDir) -> Command {
        let mut command = program(&["serve", "--listen=127.0.0.1:0"]);
        if layers > 0 {
            let file = scratch.write("settings.toml", format!("{} = {}\n", self.name, self.file).as_bytes());
            command.arg("--config").arg(file);
        }
        if layers > 1 {
            command.env(variable(self.name), self.environment);
        }
        if layers > 2 {
            command.arg(format!("{}={}", flag(self.name), self.flag));
        }
        command
    }

    /// What the service shows with the default, with the file, with the environment too, and with the flag too.
    fn seen(&self, see: impl Fn(&ServiceProcess) -> String) -> [String; 4] {
        let scratch = TempDir::new();
        [0, 1, 2, 3].map(|layers| see(&ServiceProcess::start(self.command(layers, &scratch))))
    }
}

fn variable(name: &str) -> String {
    format!("SMTP_CHECK_{}", name.to_ascii_uppercase())
}

fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

#[test]
fn size_setting_takes_the_strongest_source() {
    let max_body = Layered { name: "max_body", file: "'2KiB'", environment: "3KiB", flag: "4KiB" };
    let seen = max_body.seen(|served| {
        let mut caller = TcpStream::connect(served.address).expect("it listens");
        let header =
            "Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 999999999";
        write!(caller, "POST /v1/checks/smtp HTTP/1.1\r\n{header}\r\n\r\n").expect("sent");
        let mut answer = String::new();
        caller.read_to_string(&mut answer).expect("an answer");
        status_and_json(&answer).1["detail"].as_str().unwrap_or_default().to_owned()
    });
    assert_eq!(seen, [1_048_576, 2048, 3072, 4096].map(|bytes| format!("the body may have {bytes} bytes")));
}

#[test]
fn duration_setting_takes_the_strongest_source() {
    let max_timeout = Layered { name: "max_timeout", file: "'1s'", environment: "2s", flag: "3500ms" };
    let seen = max_timeout.seen(|served| {
        let (_, problem) = served.post("", &json!({"to": "a@example.test", "timeout_ms": 0}));
        problem["errors"][0]["detail"].as_str().unwrap_or_default().to_owned()
    });
    assert_eq!(seen, [60_000, 1000, 2000, 3500].map(|ms| format!("must be a whole number from 100 to {ms}")));
}

#[test]
fn list_setting_takes_the_whole_list_of_the_strongest_source() {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let ports = listeners.each_ref().map(|listener| listener.local_addr().expect("bound").port());
    let [one, two, three, four] = ports;
    let target_ports = Layered {
        name: "target_ports",
        file: &format!("[{one}, '{two}']"),
        environment: &format!("{two},{three}"),
        flag: &four.to_string(),
    };
    let allowed = |served: &ServiceProcess, port: u16| {
        let check = json!({"to": "a@example.test", "target": "127.0.0.1", "port": port, "timeout_ms": 100});
        served.post("", &check).0 != 403
    };
    let seen =
        target_ports.seen(|served| ports.map(|port| if allowed(served, port) { '+' } else { '-' }).iter().collect());
    assert_eq!(seen, ["++++", "++--", "-++-", "---+"]);
}

#[test]
fn number_setting_takes_the_strongest_source() {
    let most = Layered { name: "max_checks_per_target", file: "1", environment: "2", flag: "3" };
    let seen = most.seen(|served| {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = silent.local_addr().expect("bound").port();
        let check = json!({"to": "a@example.test", "target": "127.0.0.1", "port": port, "timeout_ms": 60_000});
        let callers: Vec<TcpStream> = (0..5).map(|_| served.start_check("", &check)).collect();
        running(&silent, callers).to_string()
    });
    assert_eq!(seen, ["5", "1", "2", "3"]);
}

/// How many checks run after all others were rejected.
fn running(silent: &TcpListener, callers: Vec<TcpStream>) -> usize {
    silent.set_nonblocking(true).expect("settable");
    callers.iter().for_each(|caller| caller.set_nonblocking(true).expect("settable"));
    let (mut clients, deadline) = (Vec::new(), Instant::now() + WAIT_TIMEOUT);
    loop {
        clients.extend(silent.accept().ok());
        let is_answered =
            |caller: &&TcpStream| !matches!(caller.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        let refused = callers.iter().filter(is_answered).count();
        if clients.len() + refused == callers.len() {
            return clients.len();
        }
        assert!(Instant::now() < deadline, "{} run and {refused} are refused", clients.len());
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn path_setting_takes_the_strongest_source() {
    let scratch = TempDir::new();
    // SHA-256 of `alpha`, `beta`, and `open sesame`.
    let tokens = [
        ("alpha", "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"),
        ("beta", "f44e64e75f3948e9f73f8dfa94721c4ce8cbb4f265c4790c702b2d41cfbf2753"),
        ("open sesame", "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb"),
    ];
    let files = tokens.map(|(token, digest)| scratch.write(token, format!("one:{digest}\n").as_bytes()));
    let [file, environment, flag] = files.each_ref().map(|path| path.to_str().expect("UTF-8"));
    let tokens_file = Layered { name: "tokens_file", file: &format!("'{file}'"), environment, flag };
    let opens = |served: &ServiceProcess, token: &str| {
        served.get("/openapi.json", &format!("Authorization: Bearer {token}\r\n")).starts_with("HTTP/1.1 200 ")
    };
    let seen = tokens_file
        .seen(|served| tokens.map(|(token, _)| if opens(served, token) { '+' } else { '-' }).iter().collect());
    assert_eq!(seen, ["+++", "+--", "-+-", "--+"]);
}

#[test]
fn word_setting_takes_the_strongest_source() {
    let log_format = Layered { name: "log_format", file: "'text'", environment: "json", flag: "text" };
    let scratch = TempDir::new();
    let seen = [0, 1, 2, 3].map(|layers| {
        let lines = logged_at_the_start(log_format.command(layers, &scratch));
        serde_json::from_str::<Value>(lines.last().expect("it listens")).is_ok()
    });
    assert_eq!(seen, [true, false, true, false], "JSON is what a pipe gets");
}

/// The log up to the line that says that the service listens.
fn logged_at_the_start(mut command: Command) -> Vec<String> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = Vec::new();
    for line in BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok) {
        let listens = line.contains("listening");
        lines.push(line);
        if listens {
            break;
        }
    }
    child.kill().expect("it runs");
    child.wait().expect("a child of ours");
    lines
}

#[test]
fn switch_setting_takes_the_strongest_source() {
    let scratch = TempDir::new();
    for (file, environment, flag, allowed) in [
        (None, None, false, false),
        (Some("true"), None, false, true),
        (Some("true"), Some("false"), false, false),
        (Some("false"), Some("true"), false, true),
        (Some("false"), Some("off"), true, true),
    ] {
        // With permission the start gets as far as the certificates, and no port is bound.
        let mut command = program(&["--listen", "0.0.0.0:2580", "--ca-file", "/nonexistent.pem"]);
        if let Some(value) = file {
            let path = scratch.write("settings.toml", format!("allow_unauthenticated = {value}\n").as_bytes());
            command.arg("--config").arg(path);
        }
        command.envs(environment.map(|value| ("SMTP_CHECK_ALLOW_UNAUTHENTICATED", value)));
        command.args(flag.then_some("--allow-unauthenticated"));
        let output = command.output().expect("the program starts");
        let named = if allowed { "--ca-file" } else { "--listen" };
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(named), "{file:?} {environment:?} {flag}: {}", stderr(&output));
    }
}

/// Every setting with an invalid value.
const BAD: &[(&str, &str)] = &[
    ("listen", "localhost"),
    ("allow_unauthenticated", "perhaps"),
    ("tokens_file", "/nonexistent/tokens"),
    ("tls_cert", "/nonexistent/cert.pem"),
    ("tls_key", "/nonexistent/key.pem"),
    ("max_connections", "0"),
    ("rate_limit", "0/s"),
    ("trusted_proxy", "proxy.example.test"),
    ("max_checks", "0"),
    ("max_checks_per_target", "many"),
    ("header_timeout", "0s"),
    ("body_timeout", "30"),
    ("max_timeout", "99ms"),
    ("max_body", "1"),
    ("source_address", "192.0.2.1"),
    ("source_address", "0.0.0.0"),
    ("source_address", "localhost"),
    ("target_deny", "10.0.0.0/33"),
    ("target_allow", "example.com"),
    ("target_deny_host", "*.example.com"),
    ("target_allow_host", "192.0.2.1"),
    ("target_ports", "25,65536"),
    ("dns_server", "dns.example.com"),
    ("ca_file", "/nonexistent/ca.pem"),
    ("otlp_endpoint", "ftp://127.0.0.1"),
    ("otlp_endpoint", "http://user:kestrel-nine@127.0.0.1:4317"),
    ("otlp_endpoint", "htp://user:kestrel-nine@127.0.0.1:4317"),
    ("shutdown_grace", "soon"),
];

#[test]
fn a_bad_value_in_any_source_is_named_and_no_port_is_bound() {
    let scratch = TempDir::new();
    // A port in use: a program that gets as far as binding it would complain about the port, with code 1.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = taken.local_addr().expect("bound").to_string();
    for (name, bad) in BAD.iter().copied().chain([("log_format", "xml")]) {
        let file = scratch.write("settings.toml", format!("{name} = '{bad}'\n").as_bytes());
        let by_flag = (vec![format!("{}={bad}", flag(name))], None);
        let by_environment = (vec![], Some((variable(name), bad)));
        let by_file = (vec![format!("--config={}", file.display())], None);
        for (arguments, environment) in [by_flag, by_environment, by_file] {
            let mut command = program(&["serve"]);
            if name != "listen" {
                command.arg(format!("--listen={listen}"));
            }
            let output = command.args(&arguments).envs(environment.clone()).output().expect("the program starts");
            let complaint = stderr(&output);
            assert_eq!(code(&output), 2, "{arguments:?} {environment:?}: {complaint}");
            assert!(complaint.contains(&flag(name)) || complaint.contains(name), "{arguments:?}: {complaint}");
            assert!(output.stdout.is_empty() && !complaint.contains("panicked"), "{complaint}");
            assert!(!complaint.contains("kestrel-nine"), "a password is shown to nobody: {complaint}");
        }
    }
}

#[test]
fn help_shows_no_value_of_secret_variables() {
    let mut command = program(&["serve", "--help"]);
    command.env("SMTP_CHECK_OTLP_ENDPOINT", "http://user:kestrel-nine@127.0.0.1:4317");
    let output = command.output().expect("the program starts");
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("SMTP_CHECK_OTLP_ENDPOINT") && !help.contains("kestrel-nine"), "{help}");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let scratch = TempDir::new();
    let file = scratch.write("settings.toml", b"max_timeout = '2s'\n");
    let mut command = program(&["serve", "--listen=127.0.0.1:0", "--config", file.to_str().expect("UTF-8")]);
    let settings = BAD.iter().map(|(name, _)| *name);
    command.envs(settings.chain(["log_format", "config", "sasl_password"]).map(|name| (variable(name), "")));
    let served = ServiceProcess::start(command);
    let (_, problem) = served.post("", &json!({"to": "a@example.test", "timeout_ms": 0}));
    let detail = &problem["errors"][0]["detail"];
    assert_eq!(*detail, json!("must be a whole number from 100 to 2000"), "a weaker layer counts then");
}

#[test]
fn a_misspelt_variable_gives_a_warning() {
    let warnings = |variables: &[(&str, &str)]| -> Vec<Value> {
        let mut command = program(&["serve", "--listen=127.0.0.1:0"]);
        command.envs(variables.iter().copied());
        let lines = logged_at_the_start(command);
        assert!(!lines.concat().contains("kestrel-nine"), "{lines:?}");
        let lines = lines.iter().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.filter(|line: &Value| line["message"] == "unknown variable, ignored").collect()
    };
    let warned = warnings(&[("SMTP_CHECK_TOKEN_FILE", "kestrel-nine"), ("SMTP_CHECK_MAX_CHECKS", "7")]);
    let [line] = &warned[..] else { panic!("{warned:?}") };
    assert_eq!(line["level"], "WARN");
    assert_eq!(
        (&line["variable"], &line["nearest"]),
        (&json!("SMTP_CHECK_TOKEN_FILE"), &json!("SMTP_CHECK_TOKENS_FILE"))
    );

    // What Kubernetes sets for a Service called smtp-check, and variables with empty values.
    let warned = warnings(&[
        ("SMTP_CHECK_SERVICE_HOST", "192.0.2.1"),
        ("SMTP_CHECK_SERVICE_PORT", "80"),
        ("SMTP_CHECK_SERVICE_PORT_HTTP", "80"),
        ("SMTP_CHECK_PORT", "tcp://192.0.2.1:80"),
        ("SMTP_CHECK_PORT_80_TCP_ADDR", "192.0.2.1"),
        ("SMTP_CHECK_TOKEN_FILE", ""),
    ]);
    assert!(warned.is_empty(), "{warned:?}");
}

#[test]
fn an_unknown_key_is_rejected_with_a_suggestion() {
    let scratch = TempDir::new();
    for (text, named) in [
        ("max_chekcs = 5", &["`max_chekcs`", "`max_checks`"][..]),
        ("target-ports = [25]", &["`target-ports`", "`target_ports`"]),
        ("colour = 'red'", &["`colour`"]),
        ("[server]\nlisten = '127.0.0.1:0'", &["`server`"]),
    ] {
        let file = scratch.write("settings.toml", text.as_bytes());
        let path = file.to_str().expect("UTF-8");
        let output = program(&["--config", path, "--listen=127.0.0.1:0"]).output().expect("the program starts");
        assert_eq!(code(&output), 2);
        for part in named.iter().chain([&path]) {
            assert!(stderr(&output).contains(part), "{part} in {}", stderr(&output));
        }
    }
}

#[test]
fn listening_beyond_loopback_needs_tokens_or_allow_unauthenticated() {
    for address in ["0.0.0.0:2580", "[::]:2580", "192.0.2.1:2580"] {
        let output = program(&["serve", "--listen", address]).output().expect("the program starts");
        assert_eq!(code(&output), 2);
        for part in [address, "--listen", "--tokens-file", "--allow-unauthenticated"] {
            assert!(stderr(&output).contains(part), "{part} in {}", stderr(&output));
        }
    }
}

#[test]
fn a_bad_variable_is_named_and_not_only_its_flag() {
    for (name, value, rule) in [
        ("MAX_CHECKS", "abc", "a whole number from 1 to 1000000"),
        ("LISTEN", "2580", "such as 127.0.0.1:2580"),
        ("ALLOW_UNAUTHENTICATED", "maybe", "true or false"),
        ("LOG_FORMAT", "xml", "[possible values: text, json]"),
        ("TARGET_PORTS", "25,smtp", "'smtp'"),
        ("OTLP_ENDPOINT", "kestrel-nine", "a URL"),
    ] {
        let variable = format!("SMTP_CHECK_{name}");
        let output = program(&["serve"]).env(&variable, value).output().expect("the program starts");
        let complaint = stderr(&output);
        assert_eq!(code(&output), 2, "{complaint}");
        assert!(complaint.starts_with(&format!("error: {variable} (--")) && complaint.contains(rule), "{complaint}");
        assert!(!complaint.contains("kestrel-nine"), "{complaint}");
    }
    // Errors that show only later, when the files are read and the settings are put together.
    for (name, value, rule) in [
        ("CONFIG", "/nonexistent.toml", "cannot read /nonexistent.toml"),
        ("TOKENS_FILE", "/nonexistent", "/nonexistent: No such file"),
        ("CA_FILE", "/nonexistent.pem", "/nonexistent.pem"),
        ("TLS_CERT", "/nonexistent.pem", "go together"),
        ("LISTEN", "0.0.0.0:2580", "is reachable from other machines"),
    ] {
        let variable = format!("SMTP_CHECK_{name}");
        let output = program(&["serve"]).env(&variable, value).output().expect("the program starts");
        let (complaint, begins) = (stderr(&output), format!("error: {variable} ({})", flag(&name.to_lowercase())));
        assert_eq!(code(&output), 2, "{complaint}");
        assert!(complaint.starts_with(&begins) && complaint.contains(rule), "{complaint}");
    }
    // The command line is wrong, too: that is what the user looks at first.
    let output = program(&["serve", "--max-checks=0"]).env("SMTP_CHECK_LISTEN", "2580").output().expect("it starts");
    assert!(stderr(&output).contains("'--max-checks"), "{}", stderr(&output));
}
