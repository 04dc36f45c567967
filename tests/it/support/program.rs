//! The program, started as a user starts it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel, sync_channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Timeout of every wait: much longer than any of them takes, and shorter than the longest timeout of a check.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

/// Prefixes of the variables that the program reads: its settings, log, traces and trust anchors.
const SETTINGS: &[&str] = &["SMTP_CHECK_", "RUST_LOG", "OTEL_", "SSL_CERT_"];

const PROGRAM: &str = env!("CARGO_BIN_EXE_smtp-check");

/// The program, without settings from the environment of the tests.
pub(crate) fn program(arguments: &[&str]) -> Command {
    without_settings(Command::new(PROGRAM), arguments)
}

/// The same with the default disposition of every signal. A shell without job control starts background jobs with
/// SIGINT and SIGQUIT ignored, nohup(1) its command with SIGHUP, and they inherit that.
pub(crate) fn interruptible_program(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", PROGRAM]);
    without_settings(command, arguments)
}

fn without_settings(mut command: Command, arguments: &[&str]) -> Command {
    for (name, _) in std::env::vars_os() {
        if SETTINGS.iter().any(|setting| name.to_string_lossy().starts_with(setting)) {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("ended by itself")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running `serve` on a free port. Dropping it kills it.
pub(crate) struct ServiceProcess {
    child: Child,
    pub(crate) log: Receiver<String>,
    pub(crate) address: SocketAddr,
}

impl ServiceProcess {
    pub(crate) fn start(command: Command) -> Self {
        Self::start_printing_to(command, Stdio::null())
    }

    pub(crate) fn start_printing_to(command: Command, stdout: Stdio) -> Self {
        let (sender, log) = channel();
        Self::start_logging_to(command, stdout, log, move |line| sender.send(line).is_ok())
    }

    /// The log is read only as far as the test takes lines.
    pub(crate) fn start_unread(command: Command) -> Self {
        let (sender, log) = sync_channel(0);
        Self::start_logging_to(command, Stdio::null(), log, move |line| sender.send(line).is_ok())
    }

    fn start_logging_to(
        mut command: Command,
        stdout: Stdio,
        log: Receiver<String>,
        mut send: impl FnMut(String) -> bool + Send + 'static,
    ) -> Self {
        let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        thread::spawn(move || lines.all(&mut send));
        let mut served = Self { child, log, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let listening = served.wait_for_log("listening");
        served.address = listening["address"].as_str().and_then(|address| address.parse().ok()).expect("an address");
        served
    }

    /// The next line of the log with this message.
    pub(crate) fn wait_for_log(&self, message: &str) -> Value {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).unwrap_or_else(|_| panic!("nothing logged with {message:?}"));
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if line["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                return line;
            }
        }
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        let mut caller = TcpStream::connect(self.address).expect("it listens");
        caller.set_read_timeout(Some(WAIT_TIMEOUT)).expect("settable");
        write!(caller, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").expect("sent");
        let mut answer = String::new();
        caller.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Requests a check, and returns the connection for the response.
    pub(crate) fn start_check(&self, headers: &str, parameters: &Value) -> TcpStream {
        let mut caller = TcpStream::connect(self.address).expect("it listens");
        caller.set_read_timeout(Some(WAIT_TIMEOUT)).expect("settable");
        let (body, json) = (parameters.to_string(), "Content-Type: application/json\r\nConnection: close\r\n");
        let length = body.len();
        write!(
            caller,
            "POST /v1/checks/smtp HTTP/1.1\r\nHost: localhost\r\n{json}{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .expect("sent");
        caller
    }

    /// `POST /v1/checks/smtp` with these parameters: status and document.
    pub(crate) fn post(&self, headers: &str, parameters: &Value) -> (u16, Value) {
        let mut answer = String::new();
        self.start_check(headers, parameters).read_to_string(&mut answer).expect("an answer");
        status_and_json(&answer)
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        // `kill` is built into the shell; the program is in a package that not every machine has.
        let kill = Command::new("/bin/sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &id]).status();
        assert!(kill.expect("/bin/sh is there").success());
    }

    /// SIGKILL; returns when the process has ended.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// The exit code, and the log lines that no test has taken.
    pub(crate) fn end_with_log(mut self) -> (i32, Vec<String>) {
        let code = self.exit_code();
        (code, self.log.iter().collect())
    }

    pub(crate) fn end(mut self) -> i32 {
        self.exit_code()
    }

    fn exit_code(&mut self) -> i32 {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code().expect("ended by itself");
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the program does not end");
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Status and JSON document of an HTTP/1.1 response.
pub(crate) fn status_and_json(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let document = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
    (status.unwrap_or_else(|| panic!("no status: {answer}")), document.unwrap_or_else(|| panic!("no JSON: {answer}")))
}

/// script(1), which runs the command on a terminal of this size.
pub(crate) fn in_terminal(command: &Command, columns: u16, lines: u16) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().expect("UTF-8"))).collect();
    let line = format!("stty cols {columns} rows {lines}; exec {}", line.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null());
    // script(1) runs the line by the user's login shell.
    script.env("SHELL", "/bin/sh");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script
}
