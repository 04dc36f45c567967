//! The `smtp-check` program.

use std::{env, process::ExitCode};

use smtp_check::{cli, config::CommandLine};
use tokio::runtime;

fn main() -> ExitCode {
    let line = match CommandLine::parse_from(env::args_os()) {
        Ok(line) => line,
        Err(error) => error.exit(),
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::execute(&line)) {
        Ok(code) => code,
        Err(error) => error.exit(),
    }
}
