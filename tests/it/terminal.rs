//! `run` on a terminal: phases drawn as they end, and check after check with `--watch`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use smtp_check::sandbox::Sandbox;

use crate::support::{
    program::{code, in_terminal, interruptible_program, stderr},
    smtpd::{Action, Script, SmtpServer, Step},
};

async fn sandbox() -> Sandbox {
    Sandbox::start(([127, 0, 0, 1], 0).into()).await.expect("a sandbox")
}

/// `run` for a terminal with all features. `CI` is set as on CI machines, where it must change nothing.
fn run(port: u16, arguments: &[&str]) -> Command {
    let mut command = interruptible_program(&["run", "--target=127.0.0.1", &format!("--port={port}")]);
    command.args(arguments).env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env("CI", "true");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

/// Exit code, and the output on the terminal with LF as line end.
fn on_a_terminal(command: &Command, columns: u16, lines: u16) -> (i32, String) {
    let output = in_terminal(command, columns, lines).output().expect("script, which tests/install brings");
    (code(&output), String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
}

/// The final screen of a terminal that was clear before this output, without colour.
fn final_screen(text: &str) -> String {
    let (mut rows, mut row, mut column) = (vec![Vec::new()], 0_usize, 0);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' => {
                let mut sequence: String = characters.by_ref().take(1).collect();
                while !sequence.ends_with(|last: char| last.is_ascii_alphabetic()) {
                    let Some(next) = characters.next() else { break };
                    sequence.push(next);
                }
                match sequence.pop() {
                    Some('A') => row -= sequence[1..].parse::<usize>().expect("so many lines up"),
                    Some('K') => rows[row].truncate(column),
                    Some('J') => {
                        assert!((row, column) != (0, 0), "tmux would keep every picture that is erased: {text}");
                        rows.truncate(row + 1);
                        rows[row].truncate(column);
                    }
                    // Colours, and line wrapping.
                    _ => {}
                }
            }
            '\r' => column = 0,
            '\n' => (row, column) = (row + 1, 0),
            _ => {
                let width = rows[row].len().max(column + 1);
                rows[row].resize(width, ' ');
                rows[row][column] = character;
                column += 1;
            }
        }
        let height = rows.len().max(row + 1);
        rows.resize(height, Vec::new());
    }
    rows.into_iter().map(|row| row.into_iter().chain(['\n']).collect::<String>()).collect()
}

const PHASES: [&str; 11] =
    ["connect", "banner", "ehlo", "starttls", "tls", "ehlo_tls", "mailfrom", "rcptto", "data", "body", "quit"];

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_a_diagram_and_a_readable_report() {
    let sandbox = sandbox().await;
    let port = sandbox.addr().port();
    let (code, text) = on_a_terminal(&run(port, &["--to=you@sandbox.test", "--starttls"]), 120, 40);
    assert_eq!(code, 0, "{text}");
    let final_screen = final_screen(&text);
    let first_words: Vec<_> = final_screen.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(first_words[..11], PHASES, "{final_screen}");
    for line in final_screen.lines().take(11) {
        assert!(line.contains(" ms  ") && line.contains(['█', '▏', '▎', '▍', '▌', '▋', '▊', '▉']), "{line}");
        assert!(line.chars().count() <= 120, "{line}");
    }
    for part in [
        "delivered: the server took the message (",
        "target       127.0.0.1",
        "TLSv1.3",
        "mx.sandbox.test",
        "unknown issuer",
        "queue id",
    ] {
        assert!(final_screen.contains(part), "{part} in {final_screen}");
    }
    assert!(text.contains("\x1b[32m") && !text.contains("\x1b[31m"), "green, and nothing red: {text}");

    let (code, text) = on_a_terminal(&run(port, &["--to=nobody@sandbox.test"]), 120, 40);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("\x1b[31m! rcptto"), "{text}");
    assert!(self::final_screen(&text).contains("rejected at rcptto, permanent: 550 5.1.1"), "{text}");

    let (code, text) = on_a_terminal(&run(port, &["--json", "--stop-after=ehlo"]), 80, 24);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((code, &report["outcome"]), (0, &json!("completed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_terminal_gets_a_simpler_diagram() {
    let sandbox = sandbox().await;
    let run = |name: &str, value: &str| {
        let mut command = run(sandbox.addr().port(), &["--to=you@sandbox.test", "--starttls"]);
        command.env(name, value);
        command
    };
    let (_, text) = on_a_terminal(&run("NO_COLOR", "1"), 100, 40);
    assert!(text.contains("\x1b[K") && !text.contains("\x1b[32m"), "{text}");

    // No cursor movements: each phase is a line.
    for (command, columns, lines) in [(run("TERM", "dumb"), 100, 40), (run("NO_COLOR", "1"), 100, 10)] {
        let (code, text) = on_a_terminal(&command, columns, lines);
        assert_eq!((code, text.contains('\x1b')), (0, false), "{text}");
        let names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).take(11).collect();
        assert_eq!(names, PHASES, "{text}");
    }

    let (_, text) = on_a_terminal(&run("LC_ALL", "C"), 100, 40);
    assert!(text.contains('#') && final_screen(&text).lines().take(11).all(|line| line.is_ascii()), "{text}");
    let (_, text) = on_a_terminal(&run("LC_ALL", "C.UTF-8"), 40, 40);
    assert!(
        final_screen(&text).lines().take(11).all(|line| line.chars().count() <= 40 && !line.contains('█')),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_phase_is_shown_when_it_ends() {
    let server = SmtpServer::serve(Script::compliant().on(Step::MailFrom, Action::silence()));
    let mut terminal = Terminal::start(&run(server.port(), &["--to=a@example.test", "--timeout-ms=60000"]));
    terminal.wait_for_text("mailfrom");
    let shown = final_screen(&terminal.shown);
    assert!(shown.contains("ehlo") && shown.contains(" 250 ") && shown.contains("..."), "{shown}");
    terminal.interrupt();
    server.next_session().await;
}

/// The program on a terminal, while it runs.
struct Terminal {
    script: Child,
    shown: String,
}

impl Terminal {
    fn start(command: &Command) -> Self {
        Self::start_wide(command, 100)
    }

    fn start_wide(command: &Command, columns: u16) -> Self {
        let mut script = in_terminal(command, columns, 40);
        let script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts");
        Self { script, shown: String::new() }
    }

    /// Reads until this text is shown. A program that never shows it is ended by its own timeout.
    fn wait_for_text(&mut self, text: &str) {
        self.wait_for_texts(text, 1);
    }

    fn wait_for_texts(&mut self, text: &str, times: usize) {
        let stdout = self.script.stdout.as_mut().expect("piped");
        let mut some = [0; 4096];
        while self.shown.matches(text).count() < times {
            let count = stdout.read(&mut some).expect("readable");
            assert!(count > 0, "it ended before it showed {text}: {}", self.shown);
            self.shown += &String::from_utf8_lossy(&some[..count]);
        }
    }

    /// Types Ctrl-C.
    fn interrupt(&mut self) {
        let stdin = self.script.stdin.as_mut().expect("piped");
        stdin.write_all(b"\x03").and_then(|()| stdin.flush()).expect("the terminal reads");
    }

    /// Reads to the end, and waits for it.
    fn end(mut self) -> (i32, String) {
        let mut rest = Vec::new();
        self.script.stdout.take().expect("piped").read_to_end(&mut rest).expect("readable");
        let code = self.script.wait().expect("a child of ours").code().expect("ended by itself");
        (code, (self.shown.clone() + &String::from_utf8_lossy(&rest)).replace("\r\n", "\n"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.script.kill().ok();
        self.script.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_on_a_terminal_ends_with_a_summary() {
    let sandbox = sandbox().await;
    let arguments = ["--to=you@sandbox.test", "--watch=50ms"];
    let mut terminal = Terminal::start(&run(sandbox.addr().port(), &arguments));
    terminal.wait_for_texts("  \x1b[32mdelivered", 3);
    terminal.interrupt();
    let (code, text) = terminal.end();
    let summary = final_screen(&text);
    assert_eq!(code, 0, "{text}");
    assert!(summary.contains(" checks, none failed\n") && summary.contains("median"), "{text}");
    for name in ["connect", "banner", "body", "duration"] {
        assert!(summary.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name} in {summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_wraps_a_long_failure_at_words() {
    let reply = "554 5.7.1 <a@example.test>: Recipient address rejected: Access denied. See https://mx.example.test/why?id=1 \
                 or ask postmaster@example.test for the reason why it was rejected at this time";
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, Action::reply(format!("{reply}\r\n"))));
    for columns in [60, 80, 140] {
        let command = run(server.port(), &["--to=a@example.test", "--watch=50ms"]);
        let mut terminal = Terminal::start_wide(&command, columns);
        terminal.wait_for_texts("Z  \u{1b}[31mfailed", 4);
        terminal.interrupt();
        let (_, text) = terminal.end();
        let screen = final_screen(&text);
        let lines: Vec<&str> = screen.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= usize::from(columns)), "{screen}");
        let checks =
            lines.split(|line| line.is_empty() || line.starts_with("^C")).next().expect("the lines of the checks");
        // Each check is its first row and indented ones, and they read as the reply.
        let text = checks
            .join("\n")
            .split("Z  failed")
            .skip(1)
            .map(|check| check.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>();
        let finished = &text[..text.len().min(3)];
        assert!(finished.len() == 3 && finished.iter().all(|check| check.contains(reply)), "{screen}");
        let rows_after_the_first = checks.iter().filter(|row| !row.contains("Z  failed"));
        assert!(
            rows_after_the_first.clone().all(|row| row.starts_with("           ") && !row.contains('█')),
            "{screen}"
        );
        for word in ["https://mx.example.test/why?id=1", "postmaster@example.test"] {
            assert!(lines.iter().any(|line| line.contains(word)), "{word} is cut: {screen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_in_a_pipe_prints_one_json_report_per_line() {
    let sandbox = sandbox().await;
    let mut command = run(sandbox.addr().port(), &["--to=nobody@sandbox.test", "--watch=50ms"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let line = lines.next().expect("a line").expect("UTF-8");
        let report: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(report["failure"]["code"], 550);
        ids.push(report["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "each is a check of its own");
    interrupt(&child);
    assert!(lines.all(|line| line.is_ok()));
    let output = child.wait_with_output().expect("a child of ours");
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let summary = stderr(&output);
    assert!(summary.contains(" failed\n") && summary.contains("rejected at rcptto\n"), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_without_a_finished_check_exits_with_code_1() {
    let server = SmtpServer::serve(Script::compliant().on(Step::Greeting, Action::silence()));
    let arguments = ["--to=a@example.test", "--timeout-ms=60000", "--watch=50ms"];
    let mut child = run(server.port(), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    server.wait_for_open(1).await;
    interrupt(&child);
    let mut summary = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut summary).expect("UTF-8");
    assert_eq!(child.wait().expect("a child of ours").code(), Some(1), "{summary}");
    assert_eq!(summary, "no check was completed\n");
}

fn interrupt(child: &Child) {
    let id = child.id().to_string();
    assert!(Command::new("/bin/sh").args(["-c", "kill -s INT \"$0\"", &id]).status().expect("a shell").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_ends_on_a_closed_pipe_and_on_a_forbidden_target() {
    let sandbox = sandbox().await;
    let mut command = run(sandbox.addr().port(), &["--to=you@sandbox.test", "--watch=10ms"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("a child of ours").code(), Some(0));

    let forbidden =
        run(25, &["--to=you@sandbox.test", "--watch=10ms", "--target-ports=26"]).output().expect("it starts");
    assert_eq!(code(&forbidden), 2);
    assert!(stderr(&forbidden).contains("error: "), "{}", stderr(&forbidden));
}
