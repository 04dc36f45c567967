//! The program's log, its traces, and its limit on open files.
//!
//! Log lines go to stderr: stdout belongs to reports and documents.

mod json;
mod levels;
mod traces;
mod writer;

use std::{
    fmt::Debug,
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
};

use clap::ValueEnum;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{Span, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt,
    fmt::{
        MakeWriter,
        format::{JsonFields, Writer, debug_fn},
    },
};

pub use levels::LevelsError;
pub use traces::{EndpointError, Traces};
pub use writer::WorkerGuard;

use crate::{escape::Escaped, os_error, probe};

/// Format of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// Why the log does not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `RUST_LOG` is not valid.
    #[error("RUST_LOG: {0}")]
    Levels(#[from] LevelsError),
    /// Its thread does not start.
    #[error("the thread of the log does not start: {}", os_error::of_system(.0))]
    Thread(#[from] io::Error),
}

/// Sends the log to stderr, panics included. Without `format`, it is text on a terminal and JSON otherwise. `RUST_LOG`
/// sets the levels; `levels`, in the same syntax, applies if it is not set.
///
/// # Errors
/// See [`LogError`].
pub fn start(format: Option<LogFormat>, levels: &str) -> Result<WorkerGuard, LogError> {
    let filter = levels::from_environment(levels)?;
    let (writer, guard) = writer::write_to(io::stderr())?;
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    // Fails only if a log has been started already; that one stays.
    tracing::subscriber::set_global_default(subscriber(format, is_terminal, filter, writer)).ok();
    panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

/// One line per panic. A message that was made at run time is left out: it may quote what a caller sent, such as a
/// password. The place is enough to find the cause.
pub(crate) fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let cause = panic.payload().downcast_ref::<&'static str>();
    let check = probe::current_check().map_or_else(Span::none, |id| tracing::error_span!("check", %id));
    check.in_scope(|| tracing::error!(place, cause, "panicked"));
}

/// Raises the limit on open files to the most that the system allows: each check needs a socket, and so does its
/// caller. Returns the new limit.
///
/// # Errors
/// The system's own error, for example if a sandbox forbids the call.
pub fn raise_open_files() -> nix::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

fn subscriber<W>(format: LogFormat, colours: bool, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Json => Box::new(builder.fmt_fields(JsonFields::new()).event_format(json::JsonLines).finish()),
        LogFormat::Text => {
            let fields = debug_fn(write_escaped).delimited(" ");
            Box::new(builder.with_ansi(colours).fmt_fields(fields).finish())
        }
    }
}

/// Callers and servers choose much of the logged text: it must neither begin a new line, nor move a terminal's cursor.
fn write_escaped(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    if field.name() != "message" {
        write!(writer, "{field}=")?;
    }
    write!(writer, "{}", Escaped(&format!("{value:?}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    pub(crate) struct MemoryLog(Arc<Mutex<Vec<u8>>>);

    impl MemoryLog {
        /// A subscriber that writes to it.
        pub(crate) fn subscriber(
            &self,
            format: LogFormat,
            colours: bool,
            levels: &str,
        ) -> Box<dyn Subscriber + Send + Sync> {
            let log = self.clone();
            subscriber(format, colours, EnvFilter::new(levels), move || log.clone())
        }

        /// All that was logged.
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
        }
    }

    impl io::Write for MemoryLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, colours: bool, levels: &str, log: impl FnOnce()) -> String {
        let memory = MemoryLog::default();
        tracing::subscriber::with_default(memory.subscriber(format, colours, levels), log);
        memory.text()
    }

    const HOSTILE: &str = "a\nERROR forged\r\u{1b}[2J\u{85}";

    fn log_hostile_text() {
        tracing::info!(display = %HOSTILE, debug = ?HOSTILE, value = HOSTILE, count = 3, "said {HOSTILE}");
    }

    #[test]
    fn hostile_text_begins_no_new_line() {
        for (format, colours) in [(LogFormat::Text, false), (LogFormat::Text, true), (LogFormat::Json, false)] {
            let text = logged(format, colours, "info", log_hostile_text);
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains("\u{1b}[2J") && !text.contains('\r'), "{text:?}");
            assert!(text.contains("forged"), "escaped, not lost: {text}");
        }
    }

    #[test]
    fn json_lines_are_json_with_the_fields_on_top() {
        let text = logged(LogFormat::Json, false, "info", log_hostile_text);
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&line["level"], &line["value"], &line["count"]), (&"INFO".into(), &HOSTILE.into(), &3.into()));
        assert_eq!(line["module"], "smtp_check::telemetry::tests");
        assert_eq!(line["target"], serde_json::Value::Null, "the mail server, in lines that have one");
        assert!(!text.contains('\u{85}') && text.ends_with("}\n"), "{text:?}");
    }

    #[test]
    fn text_reads_well() {
        let text = logged(LogFormat::Text, false, "info", || tracing::info!(address = "127.0.0.1:2580", "listening"));
        assert!(text.trim_end().ends_with("listening address=\"127.0.0.1:2580\""), "{text}");
    }

    #[test]
    fn levels_filter_lines() {
        let log = || {
            tracing::debug!("too much");
            tracing::warn!(target: "noisy", "too much");
            tracing::warn!("enough");
        };
        let text = logged(LogFormat::Text, false, "info,noisy=error", log);
        assert!(text.contains("enough") && !text.contains("too much"), "{text}");
    }

    #[test]
    fn the_limit_on_open_files_is_raised_to_the_hard_limit() {
        let limit = raise_open_files().expect("allowed");
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((limit, limit)));
    }
}
