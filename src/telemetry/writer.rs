//! Non-blocking log writer: a thread of its own writes the lines, in batches.
//!
//! The thread wakes once for all lines of a few milliseconds. tracing-appender 0.2 wakes for each line; and if nobody
//! reads the log, it prints a message on stdout at the end, which belongs to reports.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Octets that may wait to be written, about 8000 lines. Further lines are dropped, and counted.
const MAX_BUFFER_SIZE: usize = 4 * 1024 * 1024;
/// How long lines are collected before they are written.
const BATCH_TIME: Duration = Duration::from_millis(10);
/// How long the end of the program waits for the last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Hands lines to the thread. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct LogWriter(Arc<Shared>);

/// Keeps the log running; dropped, it waits up to a second for the last lines to be written.
///
/// A slow reader of stderr neither blocks a check nor distorts its times: lines beyond a buffer are dropped.
#[derive(Debug)]
#[must_use = "the log ends when this is dropped"]
pub struct WorkerGuard(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    /// The thread waits for the first line.
    asleep: bool,
    /// No more lines will come.
    closed: bool,
    /// The thread has ended.
    ended: bool,
}

/// Starts the thread, which writes to `out`.
///
/// # Errors
/// The thread does not start.
pub(super) fn write_to(out: impl Write + Send + 'static) -> io::Result<(LogWriter, WorkerGuard)> {
    let shared = Arc::new(Shared::default());
    let written = Arc::clone(&shared);
    thread::Builder::new().name("log".to_owned()).spawn(move || written.write_all_to(out))?;
    Ok((LogWriter(Arc::clone(&shared)), WorkerGuard(shared)))
}

impl WorkerGuard {
    /// Counter of the lines that were lost: stderr was not read fast enough, or could not be written, such as a file on
    /// a full disk.
    pub fn dropped_lines(&self) -> Counter {
        self.0.dropped.clone()
    }
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        self.0.changed.notify_all();
        drop(self.0.changed.wait_timeout_while(state, FLUSH_TIMEOUT, |state| !state.ended));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut state = self.state();
        if state.buffer.len() + line.len() > MAX_BUFFER_SIZE {
            self.dropped.inc();
            return;
        }
        state.buffer.extend_from_slice(line);
        if mem::take(&mut state.asleep) {
            self.changed.notify_all();
        }
    }

    fn write_all_to(&self, mut out: impl Write) {
        let mut is_cut = false;
        while let Some(lines) = self.next_batch() {
            // The service goes on if its log cannot be written. What was written of a line stays a line of its own.
            let repair = if is_cut { &b"\n"[..] } else { b"" };
            let written = written_of(&mut out, &[repair, &lines].concat()).checked_sub(repair.len());
            if let Some(count @ 1..) = written {
                is_cut = lines[count - 1] != b'\n';
            }
            let lost = lines[written.unwrap_or(0)..].iter().filter(|octet| **octet == b'\n').count();
            self.dropped.inc_by(lost as u64);
        }
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Waits for lines, and takes them; `None` at the end.
    fn next_batch(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        while state.buffer.is_empty() {
            if state.closed {
                return None;
            }
            state.asleep = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let more = self.changed.wait_timeout_while(state, BATCH_TIME, |state| !state.closed);
        let (mut state, _) = more.unwrap_or_else(PoisonError::into_inner);
        Some(mem::take(&mut state.buffer))
    }
}

/// Writes the octets, and counts those that were written before an error.
fn written_of(out: &mut impl Write, octets: &[u8]) -> usize {
    let mut count = 0;
    while count < octets.len() {
        match out.write(&octets[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if out.flush().is_err() { 0 } else { count }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &LogWriter {
    /// Takes a line whole, or drops it.
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

    /// Passes on what is written, once per permit.
    struct Gated {
        permits: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            // Without a sender of permits, everything passes.
            self.permits.recv().ok();
            self.written.send(octets.to_vec()).ok();
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_keep_their_order_and_the_end_waits_for_the_last_ones() {
        let (written, seen) = channel();
        let (sender, permits) = channel::<()>();
        drop(sender);
        let (lines, guard) = write_to(Gated { permits, written }).expect("a thread");
        for number in 0..1000 {
            writeln!(&lines, "{number}").expect("it never fails");
        }
        drop(guard);
        let text = String::from_utf8(seen.try_iter().flatten().collect()).expect("UTF-8");
        assert_eq!(text, (0..1000).map(|number| format!("{number}\n")).collect::<String>());
    }

    /// A disk that is full, and later has space again.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().expect("no panic");
            let count = disk.0.min(octets.len());
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.0 -= count;
            disk.1.extend_from_slice(&octets[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_a_cut_line_ends() {
        let disk = Disk::default();
        let add_space = |octets: usize| disk.0.lock().expect("no panic").0 += octets;
        add_space(6);
        let (lines, guard) = write_to(disk.clone()).expect("a thread");
        (&lines).write_all(b"one\ntwo\nthree\n").expect("it never fails");
        while guard.dropped_lines().get() < 2 {
            thread::sleep(Duration::from_millis(1));
        }
        add_space(100);
        (&lines).write_all(b"four\n").expect("it never fails");
        let dropped = guard.dropped_lines();
        drop(guard);
        assert_eq!(dropped.get(), 2, "a line that is cut is lost, too");
        assert_eq!(disk.0.lock().expect("no panic").1, b"one\ntw\nfour\n");
    }

    #[test]
    fn lines_beyond_the_buffer_are_dropped_whole_and_counted() {
        let (written, seen) = channel();
        let (sender, permits) = channel::<()>();
        let (lines, guard) = write_to(Gated { permits, written }).expect("a thread");
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        // As much as the buffer holds, as much again that the thread may have taken, and some.
        let count = 3 * MAX_BUFFER_SIZE / line.len();
        for _ in 0..count {
            (&lines).write_all(&line).expect("it never fails");
        }
        let dropped = guard.dropped_lines().get() as usize;
        assert!((MAX_BUFFER_SIZE / line.len()..count).contains(&dropped), "{dropped}");
        drop(sender);
        drop(guard);
        assert_eq!(seen.try_iter().flatten().count(), (count - dropped) * line.len());
    }
}
