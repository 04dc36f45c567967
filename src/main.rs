//! The `smtp-check` program.

use std::{env, ffi::OsString, process::ExitCode};

use mimalloc::MiMalloc;
use smtp_check::{cli, config::CommandLine, os_error};
use tokio::runtime;

/// A check allocates some hundred times. This allocator takes a third of the instructions of glibc's, and far less
/// than musl's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::block_signals();
    let arguments: Vec<OsString> = env::args_os().collect();
    let line = match CommandLine::parse_from(arguments.clone()) {
        Ok(line) => line,
        Err(error) => return cli::refuse_usage(&error, &arguments),
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime does not start: {}", os_error::of_system(&error));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(cli::execute(&line));
    // Dropping the runtime would wait for threads that still read a file.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) => cli::refuse_usage(&error, &arguments),
    }
}
