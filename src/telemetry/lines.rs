//! The lines of the log on their way out, which a thread of their own writes.
//!
//! They are gathered, and the thread is woken once for all that come within a moment. tracing-appender 0.2 wakes its own for each line, and
//! where nobody reads, it says so on stdout in the end, which belongs to reports.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Octets that may wait to be written, some 8000 lines. What comes then is lost, and counted.
const LIMIT: usize = 4 * 1024 * 1024;
/// How long lines are gathered.
const MOMENT: Duration = Duration::from_millis(10);
/// How long the last lines are waited for. Whoever does not read them by then reads none.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where lines go in. A clone leads to the same thread.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Shared>);

/// Keeps the lines flowing; dropped, it waits for the last ones.
#[derive(Debug)]
pub(super) struct WorkerGuard(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    lost: Counter,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread waits for the first line.
    asleep: bool,
    /// No more lines are to come.
    closed: bool,
    /// The thread is done.
    over: bool,
}

/// Begins to write to `out`, from a thread of its own.
///
/// # Errors
/// There is no thread to be had.
pub(super) fn write_to(out: impl Write + Send + 'static) -> io::Result<(Lines, WorkerGuard)> {
    let shared = Arc::new(Shared::default());
    let written = Arc::clone(&shared);
    thread::Builder::new().name("log".to_owned()).spawn(move || written.write_all_to(out))?;
    Ok((Lines(Arc::clone(&shared)), WorkerGuard(shared)))
}

impl WorkerGuard {
    /// Counts the lines that were lost.
    pub(super) fn dropped_lines(&self) -> Counter {
        self.0.lost.clone()
    }
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        self.0.changed.notify_all();
        drop(self.0.changed.wait_timeout_while(state, PATIENCE, |state| !state.over));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > LIMIT {
            self.lost.inc();
            return;
        }
        state.waiting.extend_from_slice(line);
        if mem::take(&mut state.asleep) {
            self.changed.notify_all();
        }
    }

    fn write_all_to(&self, mut out: impl Write) {
        while let Some(lines) = self.gathered() {
            // A log that cannot be written is no reason to stop.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
        }
        self.state().over = true;
        self.changed.notify_all();
    }

    /// What has come in, once something has; nothing once there will be nothing more.
    fn gathered(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state.asleep = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let more = self.changed.wait_timeout_while(state, MOMENT, |state| !state.closed);
        let (mut state, _) = more.unwrap_or_else(PoisonError::into_inner);
        Some(mem::take(&mut state.waiting))
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &Lines {
    /// Takes a line whole, or loses it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Passes on what is written, each time once it may.
    struct Gated {
        may: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            // Who lets go of the other end lets everything pass.
            self.may.recv().ok();
            self.written.send(octets.to_vec()).ok();
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_keep_their_order_and_the_last_ones_are_waited_for() {
        let (written, seen) = channel();
        let (go, may) = channel::<()>();
        drop(go);
        let (lines, outlet) = write_to(Gated { may, written }).expect("a thread");
        for number in 0..1000 {
            writeln!(&lines, "{number}").expect("it never fails");
        }
        drop(outlet);
        let text = String::from_utf8(seen.try_iter().flatten().collect()).expect("UTF-8");
        assert_eq!(text, (0..1000).map(|number| format!("{number}\n")).collect::<String>());
    }

    #[test]
    fn lines_that_nobody_takes_are_lost_whole_and_counted() {
        let (written, seen) = channel();
        let (go, may) = channel::<()>();
        let (lines, outlet) = write_to(Gated { may, written }).expect("a thread");
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        // As much as waits, as much again that may be under way already, and some.
        let count = 3 * LIMIT / line.len();
        for _ in 0..count {
            (&lines).write_all(&line).expect("it never fails");
        }
        let lost = outlet.dropped_lines().get() as usize;
        assert!((LIMIT / line.len()..count).contains(&lost), "{lost}");
        drop(go);
        drop(outlet);
        assert_eq!(seen.try_iter().flatten().count(), (count - lost) * line.len());
    }
}
