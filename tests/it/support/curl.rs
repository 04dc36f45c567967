//! curl with the options of all tests. No proxy of the environment is used.

use std::process::Command;

/// Silent except for errors, with a timeout, and without a settings file.
pub(crate) fn curl() -> Command {
    let mut curl = Command::new("curl");
    // `--disable` has to be the first option.
    curl.args(["--disable", "-sS", "--noproxy", "*", "--max-time", "40"]);
    curl
}

/// A printed command line with curl.
pub(crate) fn pasted(line: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).env("no_proxy", "*");
    shell
}
