//! Tokens: access, rate limits, names in the log, and reload by SIGHUP. With the program itself.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::support::{
    program::{ServiceProcess, WAIT_TIMEOUT, code, program, status_and_json, stderr},
    temp_dir::TempDir,
};

/// A token as `smtp-check token` makes it, and its line for the file.
struct Made {
    token: String,
    line: String,
}

fn make(name: &str) -> Made {
    let output = program(&["token", name]).output().expect("the program starts");
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    let [token, line] = lines[..] else { panic!("two lines: {text}") };
    Made { token: token.to_owned(), line: line.to_owned() }
}

impl Made {
    fn header(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }
}

fn write_tokens(scratch: &TempDir, tokens: &[&Made]) -> String {
    let lines: String = tokens.iter().map(|made| format!("{}\n", made.line)).collect();
    scratch.write("tokens", lines.as_bytes()).to_str().expect("UTF-8").to_owned()
}

fn guarded(tokens: &str, arguments: &[&str]) -> ServiceProcess {
    let mut command = program(&["serve", "--listen=127.0.0.1:0", "--tokens-file", tokens]);
    command.args(arguments).env("RUST_LOG", "trace");
    ServiceProcess::start(command)
}

fn status(served: &ServiceProcess, made: &Made) -> u16 {
    status_and_json(&served.get("/openapi.json", &made.header())).0
}

/// A mail server that sends its greeting when told to.
struct Slow(TcpListener);

impl Slow {
    fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    /// A check of it with `stop_after` banner.
    fn check(&self) -> Value {
        let port = self.0.local_addr().expect("bound").port();
        json!({"target": "127.0.0.1", "port": port, "stop_after": "banner", "timeout_ms": 50_000})
    }

    fn client(&self) -> TcpStream {
        let (client, _) = self.0.accept().expect("a client");
        client.set_read_timeout(Some(WAIT_TIMEOUT)).expect("settable");
        client
    }

    fn finish(mut client: TcpStream) {
        client.write_all(b"220 mx.example.test ESMTP\r\n").expect("sent");
        let mut quit = [0; 6];
        client.read_exact(&mut quit).expect("QUIT");
        client.write_all(b"221 bye\r\n").expect("sent");
    }
}

/// The rest of the log, once the service has ended.
fn end(served: ServiceProcess) -> String {
    served.signal("TERM");
    let mut log = String::new();
    while let Ok(line) = served.log.recv_timeout(WAIT_TIMEOUT) {
        log = log + &line + "\n";
    }
    assert_eq!(served.end(), 0);
    log
}

fn lines<'a>(log: &'a str, message: &str) -> Vec<Value> {
    let lines = log.lines().map(|line: &'a str| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["message"] == message).collect()
}

#[test]
fn token_command_prints_a_token_and_its_line() {
    let (one, other) = (make("ci.eu-1_a"), make("ci.eu-1_a"));
    assert!(one.token.starts_with("smtpc_") && one.token.len() == 6 + 43, "{}", one.token);
    assert!(one.token != other.token && one.line != other.line);
    let (name, digest) = one.line.split_once(':').expect("a colon");
    assert_eq!((name, digest.len()), ("ci.eu-1_a", 64));
    assert!(!one.line.contains(&one.token));
}

#[test]
fn token_names_with_odd_characters_are_rejected() {
    for name in ["", "two words", "a:b", "a\"b", "é", "a\nb", &"x".repeat(65)] {
        let output = program(&["token", name]).output().expect("the program starts");
        assert_eq!(code(&output), 2, "{name:?}");
        assert!(output.stdout.is_empty());
        assert!(stderr(&output).contains("1 to 64 of the letters A to Z and a to z, digits, `.`, `_` and `-`"));
    }
    assert_eq!(code(&program(&["token"]).output().expect("the program starts")), 2);
}

#[test]
fn sighup_reloads_the_tokens_and_ends_no_check() {
    let scratch = TempDir::new();
    let (old, kept, new) = (make("old"), make("kept"), make("new"));
    let file = write_tokens(&scratch, &[&old, &kept]);
    let served = guarded(&file, &[]);
    let slow = Slow::bind();
    let mut running = served.start_check(&old.header(), &slow.check());
    let client = slow.client();
    assert_eq!((status(&served, &old), status(&served, &kept), status(&served, &new)), (200, 200, 401));

    write_tokens(&scratch, &[&kept, &new]);
    served.signal("HUP");
    let reloaded = served.wait_for_log("tokens read again");
    assert_eq!((&reloaded["names"], &reloaded["level"]), (&json!("kept new"), &json!("INFO")));
    assert_eq!((status(&served, &old), status(&served, &kept), status(&served, &new)), (401, 200, 200));

    Slow::finish(client);
    let mut answer = String::new();
    running.read_to_string(&mut answer).expect("an answer");
    let (status, report) = status_and_json(&answer);
    assert_eq!((status, &report["outcome"]), (200, &json!("completed")), "begun with a token that was good then");
    end(served);
}

#[test]
fn a_bad_tokens_file_keeps_the_old_tokens_and_is_logged() {
    let scratch = TempDir::new();
    let (old, new) = (make("old"), make("new"));
    let file = write_tokens(&scratch, &[&old]);
    let served = guarded(&file, &[]);
    for (text, named) in [
        (format!("{}\n{}\n", new.line, new.token), "line 2: must be `name:sha256-hex`"),
        (format!("{}\n\n{}\n", new.line, new.line), "line 3: the name"),
        (String::new(), "there is no token in it"),
    ] {
        scratch.write("tokens", text.as_bytes());
        served.signal("HUP");
        let kept = served.wait_for_log("tokens not read again");
        assert_eq!((&kept["level"], &kept["file"]), (&json!("ERROR"), &json!(file)));
        assert!(kept["error"].as_str().is_some_and(|error| error.starts_with(named)), "{kept}");
        assert!(!kept.to_string().contains(&new.token));
        assert_eq!((status(&served, &old), status(&served, &new)), (200, 401));
    }
    fs::remove_file(&file).expect("it was there");
    served.signal("HUP");
    assert_eq!(served.wait_for_log("tokens not read again")["file"], json!(file));
    // A pipe without a writer: to open it blocks.
    assert!(Command::new("mkfifo").arg(&file).status().expect("mkfifo is there").success());
    served.signal("HUP");
    let kept = served.wait_for_log("tokens not read again");
    assert!(kept["error"].as_str().is_some_and(|error| error.contains("no regular file")), "{kept}");
    assert_eq!((status(&served, &old), status(&served, &new)), (200, 401));

    fs::remove_file(&file).expect("it was there");
    write_tokens(&scratch, &[&new]);
    served.signal("HUP");
    served.wait_for_log("tokens read again");
    assert_eq!((status(&served, &old), status(&served, &new)), (401, 200));
}

#[test]
fn sighup_reads_the_modules_again_and_a_bad_file_keeps_the_old_ones() {
    let scratch = TempDir::new();
    let file = scratch.write("settings.toml", b"[modules.one]\nstop_after = 'banner'\n");
    let served =
        ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0", "--config", file.to_str().expect("UTF-8")]));
    // The target is missing, so there always is an error.
    let knows = |module: &str| {
        let answer = served.get(&format!("/probe?module={module}"), "");
        let (status, problem) = status_and_json(&answer);
        assert_eq!(status, 400, "{problem}");
        !problem["errors"].as_array().expect("violations").iter().any(|error| error["pointer"] == "/module")
    };
    assert_eq!((knows("one"), knows("two")), (true, false));
    scratch.write("settings.toml", b"[modules.two]\nstop_after = 'banner'\n");
    served.signal("HUP");
    let read = served.wait_for_log("modules read again");
    assert_eq!((&read["names"], &read["level"]), (&json!("default two"), &json!("INFO")));
    assert_eq!((knows("one"), knows("two")), (false, true));
    for (text, named) in [
        ("[modules.three]\nprot = 25", "`prot` is no parameter"),
        ("[modules.three", "is not TOML"),
        ("[module.three]", "did you mean `[modules.NAME]`?"),
    ] {
        scratch.write("settings.toml", text.as_bytes());
        served.signal("HUP");
        let kept = served.wait_for_log("modules not read again");
        assert_eq!(kept["level"], "ERROR");
        assert!(
            kept["error"].as_str().is_some_and(|error| error.contains(named) && error.contains("settings.toml")),
            "{kept}"
        );
        assert_eq!((knows("two"), knows("three")), (true, false));
    }
    fs::remove_file(&file).expect("it was there");
    assert!(Command::new("mkfifo").arg(&file).status().expect("mkfifo is there").success());
    served.signal("HUP");
    let kept = served.wait_for_log("modules not read again");
    assert!(kept["error"].as_str().is_some_and(|error| error.contains("no regular file")), "{kept}");
    end(served);
}

#[test]
fn sighup_does_not_end_a_service_without_tokens() {
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0"]));
    served.signal("HUP");
    served.wait_for_log("the system's DNS servers and hosts file read again");
    assert_eq!(status_and_json(&served.get("/healthz", "")).0, 200);
    end(served);
}

/// The program opens the tokens before it listens, and opening a pipe blocks until the test writes.
#[test]
fn sighup_during_the_start_does_not_end_the_service() {
    let scratch = TempDir::new();
    let (file, token) = (scratch.path().join("tokens"), make("one"));
    assert!(Command::new("mkfifo").arg(&file).status().expect("mkfifo is there").success());
    let file = file.display().to_string();
    let mut command = program(&["serve", "--listen=127.0.0.1:0", "--tokens-file", &file]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut tokens = fs::File::options().write(true).open(&file).expect("the program opens it");
    let hup = Command::new("/bin/sh").args(["-c", "kill -s HUP \"$0\"", &child.id().to_string()]).status();
    assert!(hup.expect("/bin/sh is there").success());
    // A pipe that the program has not opened any more is an error here.
    thread::sleep(Duration::from_millis(50));
    let written = writeln!(tokens, "{}", token.line);
    drop(tokens);
    let log = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let is_listening = log.into_iter().any(|line| line.contains("listening"));
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    assert!(written.is_ok() && is_listening, "{written:?}");
}

#[test]
fn an_abandoned_check_is_logged_with_its_target() {
    let scratch = TempDir::new();
    let one = make("team-one");
    let served = guarded(&write_tokens(&scratch, &[&one]), &[]);
    let slow = Slow::bind();
    let running = served.start_check(&one.header(), &slow.check());
    let _client = slow.client();
    drop(running);
    let line = served.wait_for_log("checked");
    assert_eq!(
        (&line["outcome"], &line["caller"], &line["host"], &line["port"]),
        (&json!("abandoned"), &json!("team-one"), &json!("127.0.0.1"), &slow.check()["port"])
    );
    let digits = line["ms"].to_string();
    let decimals = digits.split_once('.').map(|(_, decimals)| decimals.len());
    assert!(line["id"].is_string() && decimals.is_some_and(|decimals| decimals <= 3), "{line}");
}

#[test]
fn log_lines_have_the_token_name_and_never_the_token() {
    let scratch = TempDir::new();
    let (one, unknown) = (make("team-one"), make("unknown"));
    let file = write_tokens(&scratch, &[&one]);
    let served = guarded(&file, &["--rate-limit=2/h"]);
    let slow = Slow::bind();
    let mut running = served.start_check(&one.header(), &slow.check());
    Slow::finish(slow.client());
    running.read_to_string(&mut String::new()).expect("an answer");
    assert_eq!(served.post(&unknown.header(), &slow.check()).0, 401);
    assert_eq!(served.post(&one.header(), &json!({})).0, 422);
    assert_eq!(served.post(&one.header(), &json!({})).0, 429);
    served.get(&format!("/nothing?token={}", one.token), &one.header());
    served.signal("HUP");

    let log = end(served);
    let digest = one.line.split_once(':').expect("a colon").1;
    for secret in [&one.token, &one.token[6..], &unknown.token[6..], digest] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    let checked: Vec<Value> = lines(&log, "checked").iter().map(|line| line["caller"].clone()).collect();
    assert_eq!(checked, [json!("team-one")]);
    let answered: Vec<_> =
        lines(&log, "answered").iter().map(|line| (line["status"].clone(), line["caller"].clone())).collect();
    let name = || json!("team-one");
    let expected =
        [(200, name()), (401, Value::Null), (422, name()), (429, name()), (404, name())].map(|(s, n)| (json!(s), n));
    assert_eq!(answered, expected);
}

#[test]
fn each_token_has_its_own_rate_limit() {
    let scratch = TempDir::new();
    let (one, two) = (make("one"), make("two"));
    let file = write_tokens(&scratch, &[&one, &two]);
    let served = guarded(&file, &["--rate-limit", "3/h"]);
    for made in [&one, &two] {
        let statuses = [(); 5].map(|()| served.post(&made.header(), &json!({})).0);
        assert_eq!(statuses, [422, 422, 422, 429, 429]);
    }
    let (_, problem) = served.post(&one.header(), &json!({}));
    assert_eq!(problem["type"], "urn:smtp-check:problem:rate-limited");
    // Reloading the tokens does not reset the rate limit.
    served.signal("HUP");
    served.wait_for_log("tokens read again");
    assert_eq!(served.post(&one.header(), &json!({})).0, 429);
}

/// As in DNS rebinding: a page's host name leads to the loopback address.
fn ask_as(served: &ServiceProcess, host: &str, path: &str) -> u16 {
    let mut caller = TcpStream::connect(served.address).expect("it listens");
    caller.set_read_timeout(Some(WAIT_TIMEOUT)).expect("settable");
    write!(caller, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    caller.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[test]
fn without_tokens_another_host_name_is_rejected_with_421() {
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0"]));
    for (host, path, status) in [
        ("evil.example", "/", 421),
        ("evil.example:2580", "/v1/checks/smtp", 421),
        ("evil.example", "/nothing", 421),
        ("127.0.0.1.evil.example", "/probe?target=127.0.0.1", 421),
        ("not a host", "/", 400),
        ("evil.example@127.0.0.1", "/", 400),
        ("127.0.0.1\r\nHost: evil.example", "/", 400),
        ("evil.example\r\nHost: 127.0.0.1", "/healthz", 400),
        ("evil.example", "/healthz", 200),
        ("localhost:2580", "/", 200),
        ("127.0.0.1", "/", 200),
        ("[::1]:2580", "/", 200),
    ] {
        assert_eq!(ask_as(&served, host, path), status, "{host} {path}");
    }
    let open = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0", "--allow-unauthenticated"]));
    assert_eq!(ask_as(&open, "checks.example", "/"), 200);
    let (scratch, one) = (TempDir::new(), make("one"));
    let guarded = guarded(&write_tokens(&scratch, &[&one]), &[]);
    assert_eq!(ask_as(&guarded, "checks.example", "/"), 401);
}

#[test]
fn forwarded_addresses_count_only_from_trusted_proxies() {
    for (arguments, expected) in [
        (&["--rate-limit=1/h"][..], [(422, Value::Null), (429, Value::Null), (429, Value::Null)]),
        (
            &["--rate-limit=1/h", "--trusted-proxy=192.0.2.0/24,127.0.0.0/8"],
            [(422, json!("203.0.113.7")), (422, json!("203.0.113.8")), (429, json!("203.0.113.8"))],
        ),
    ] {
        let served = ServiceProcess::start({
            let mut command = program(&["serve", "--listen=127.0.0.1:0"]);
            command.args(arguments);
            command
        });
        for (forwarded, (status, client)) in
            ["203.0.113.7", "203.0.113.8", "203.0.113.9, 203.0.113.8"].into_iter().zip(expected)
        {
            let answer = served.post(&format!("X-Forwarded-For: {forwarded}\r\n"), &json!({}));
            assert_eq!(answer.0, status, "{forwarded}");
            let line = served.wait_for_log("answered");
            assert_eq!(line["client"], client);
            assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
        }
    }
}
