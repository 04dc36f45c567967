//! The program's own log, and the room it needs for its sockets.
//!
//! Log lines go to stderr: stdout belongs to reports and documents.

mod levels;
mod lines;
mod traces;

use std::{
    fmt::Debug,
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
};

use lines::WorkerGuard;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use prometheus_client::metrics::counter::Counter;
use tracing::{Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt,
    fmt::{
        MakeWriter,
        format::{Writer, debug_fn},
    },
};

pub use levels::LevelsError;
pub use traces::{EndpointError, Traces};

use crate::escape::Escaped;

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    Text {
        /// With colours.
        colours: bool,
    },
    /// One JSON object per line, for machines.
    Json,
}

impl LogForm {
    /// Text with colours on a terminal, JSON otherwise.
    pub fn for_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Text { colours: true } } else { Self::Json }
    }
}

/// The log, as long as this is kept: dropped, it waits for what is still to be written, for a second at the most.
///
/// Whoever reads it slowly, or stops reading, holds up no check and delays no instant that one is to measure.
#[derive(Debug)]
#[must_use = "the log ends when this is dropped"]
pub struct Log(WorkerGuard);

impl Log {
    /// Counts the lines that were lost, since they were not read fast enough.
    pub fn dropped_lines(&self) -> Counter {
        self.0.dropped_lines()
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `RUST_LOG` cannot be understood.
    #[error("RUST_LOG: {0}")]
    Levels(#[from] LevelsError),
    /// There is no thread to write it.
    #[error("no thread for the log: {0}")]
    Thread(#[from] io::Error),
}

/// Sends the log to stderr, panics included. `RUST_LOG` sets the levels; `levels`, of the same form, is for where it is not set.
///
/// # Errors
/// See [`LogError`].
pub fn start(form: LogForm, levels: &str) -> Result<Log, LogError> {
    let filter = levels::from_environment(levels)?;
    let (lines, outlet) = lines::write_to(io::stderr())?;
    // Fails only where a log has been started already; that one stays.
    tracing::subscriber::set_global_default(subscriber(form, filter, lines)).ok();
    panic::set_hook(Box::new(log_panic));
    Ok(Log(outlet))
}

/// One line per panic. Words that were put together at run time are left out: they may quote what a caller sent, a password included.
/// The place is enough to find the cause.
pub(crate) fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let cause = panic.payload().downcast_ref::<&'static str>();
    tracing::error!(place, cause, "panicked");
}

/// Lifts the limit on open files as far as the system lets us: a check is a socket, and so is its caller. Returns the new limit.
///
/// # Errors
/// The system's own, such as a sandbox that forbids the call.
pub fn raise_open_files() -> nix::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

fn subscriber<W>(form: LogForm, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match form {
        LogForm::Json => Box::new(builder.json().flatten_event(true).with_span_list(false).finish()),
        LogForm::Text { colours } => {
            let fields = debug_fn(write_escaped).delimited(" ");
            Box::new(builder.with_ansi(colours).fmt_fields(fields).finish())
        }
    }
}

/// Callers and servers choose many of the words that are logged: none of them may begin a line of its own, or move a terminal's
/// cursor.
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

    /// A log that is kept in memory.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        /// What logs to it.
        pub(crate) fn subscriber(&self, form: LogForm, levels: &str) -> Box<dyn Subscriber + Send + Sync> {
            let lines = self.clone();
            subscriber(form, EnvFilter::new(levels), move || lines.clone())
        }

        /// All that was logged.
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(form: LogForm, levels: &str, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.subscriber(form, levels), log);
        lines.text()
    }

    const HOSTILE: &str = "a\nERROR forged\r\u{1b}[2J\u{85}";

    fn log_hostile_words() {
        tracing::info!(display = %HOSTILE, debug = ?HOSTILE, value = HOSTILE, count = 3, "said {HOSTILE}");
    }

    #[test]
    fn no_word_begins_a_line_of_its_own() {
        for form in [LogForm::Text { colours: false }, LogForm::Text { colours: true }, LogForm::Json] {
            let text = logged(form, "info", log_hostile_words);
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains("\u{1b}[2J") && !text.contains('\r'), "{text:?}");
            assert!(text.contains("forged"), "escaped, not lost: {text}");
        }
    }

    #[test]
    fn json_lines_are_json_with_the_fields_on_top() {
        let text = logged(LogForm::Json, "info", log_hostile_words);
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&line["level"], &line["value"], &line["count"]), (&"INFO".into(), &HOSTILE.into(), &3.into()));
    }

    #[test]
    fn text_reads_well() {
        let text = logged(LogForm::Text { colours: false }, "info", || {
            tracing::info!(address = "127.0.0.1:2580", "listening")
        });
        assert!(text.trim_end().ends_with("listening address=\"127.0.0.1:2580\""), "{text}");
    }

    #[test]
    fn levels_are_kept() {
        let log = || {
            tracing::debug!("too much");
            tracing::warn!(target: "noisy", "too much");
            tracing::warn!("enough");
        };
        let text = logged(LogForm::Text { colours: false }, "info,noisy=error", log);
        assert!(text.contains("enough") && !text.contains("too much"), "{text}");
    }

    #[test]
    fn open_files_are_as_many_as_the_system_allows() {
        let limit = raise_open_files().expect("allowed");
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((limit, limit)));
    }
}
