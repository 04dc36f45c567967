//! curl, as all tests call it: past every proxy that whoever runs the tests may need for other hosts.

use std::process::Command;

/// Quiet but for errors, bounded in time, and without a settings file.
pub(crate) fn curl() -> Command {
    let mut curl = Command::new("curl");
    // It heeds the first of these only where it comes first.
    curl.args(["--disable", "-sS", "--noproxy", "*", "--max-time", "15"]);
    curl
}

/// A line with curl in it, as it was printed.
pub(crate) fn pasted(line: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).env("no_proxy", "*");
    shell
}
