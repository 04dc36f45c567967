//! Signals: those that stop the service, and all others, which never end it. With the program itself.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use crate::support::program::{ServiceProcess, WAIT_TIMEOUT, interruptible_program};

const SIGHUP: i32 = 1;
const SIGUSR1: i32 = 10;

/// Signals that are not sent: SIGINT, SIGQUIT and SIGTERM, which stop the service; SIGKILL; those for faults of the
/// program itself; those of job control, which suspend it; and two that glibc keeps for itself.
const NOT_SENT: [i32; 17] = [2, 3, 15, 9, 4, 5, 6, 7, 8, 11, 31, 19, 20, 21, 22, 32, 33];

fn send(number: i32, process: u32) {
    let kill = Command::new("/bin/sh").args(["-c", &format!("kill -{number} {process}")]).status();
    assert!(kill.expect("/bin/sh is there").success(), "before signal {number} there is no process any more");
}

fn send_each(process: u32) {
    (1..=64).filter(|number| !NOT_SENT.contains(number)).for_each(|number| send(number, process));
}

/// Whether the first thread blocks this signal.
fn is_blocked(number: i32, process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0) & 1 << (number - 1) != 0
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn no_signal_but_those_that_stop_it_ends_the_service() {
    let served = ServiceProcess::start(interruptible_program(&["--listen", "127.0.0.1:0"]));
    send_each(served.id());
    served.wait_for_log("the system's DNS servers and hosts file read again");
    assert!(served.get("/readyz", "").starts_with("HTTP/1.1 200 "));
    send_each(served.id());
    served.signal("TERM");
    assert_eq!(served.end(), 0);
}

#[test]
fn no_signal_ends_the_service_while_it_starts() {
    let child =
        interruptible_program(&["--listen", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = Killed(child.expect("the program starts"));
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !is_blocked(SIGUSR1, child.0.id()) {
        assert!(Instant::now() < deadline && child.0.try_wait().expect("our child").is_none(), "nothing is blocked");
        thread::yield_now();
    }
    send_each(child.0.id());
    let mut log = BufReader::new(child.0.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("listening")), "the service does not start");
}

#[test]
fn a_signal_ends_a_subcommand_that_is_no_service() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("bound").port();
    let port = format!("--port={port}");
    for number in [SIGHUP, SIGUSR1] {
        let mut run = interruptible_program(&["run", "--to=a@b.test", "--target=127.0.0.1", &port]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut run = Killed(run.expect("the program starts"));
        let _connection = silent.accept().expect("the check connects");
        send(number, run.0.id());
        assert_eq!(run.0.wait().expect("our child").signal(), Some(number));
    }
}
