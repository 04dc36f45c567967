//! The log of the program, when nobody reads it.

use super::support::program::{ServiceProcess, program};

/// The number of dropped lines so far.
fn lost(served: &ServiceProcess) -> u64 {
    let metrics = served.get("/metrics", "");
    let count = metrics.lines().find_map(|line| line.strip_prefix("smtp_check_log_lines_lost_total "));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no figure: {metrics}"))
}

#[test]
fn a_log_that_nobody_reads_does_not_block_the_service() {
    let mut command = program(&["serve", "--listen=127.0.0.1:0"]);
    // More than the pipe and the queue of log lines can hold.
    command.env("RUST_LOG", "trace");
    let served = ServiceProcess::start_unread(command);
    while lost(&served) == 0 {
        assert!(served.get("/healthz", "").starts_with("HTTP/1.1 200 "));
    }
    served.signal("TERM");
    assert_eq!(served.end(), 0);
}
