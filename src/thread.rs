//! Blocking work in a thread of its own, or without one where the system has none left. tokio's `spawn_blocking` panics
//! there, or waits without end.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

/// Starts a thread of this name for the work.
type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;

/// Runs the work in a new thread, and waits for its result; `None` if the work panicked. Dropped, it leaves the thread
/// to itself.
///
/// Where the system has no thread left, the work is done at once, and holds up the task that asked for it.
pub async fn run_blocking<T: Send + 'static>(name: &str, work: impl Fn() -> T + Send + Sync + 'static) -> Option<T> {
    run_in(name, work, |name, work| thread::Builder::new().name(name.to_owned()).spawn(work)).await
}

/// Whether the system has a thread left: for libraries that panic where they cannot start theirs.
///
/// # Errors
/// The system's own error.
pub fn try_thread() -> io::Result<()> {
    thread::Builder::new().spawn(|| ())?.join().map_err(|_| io::ErrorKind::Other.into())
}

async fn run_in<T: Send + 'static>(
    name: &str,
    work: impl Fn() -> T + Send + Sync + 'static,
    spawn: Spawn,
) -> Option<T> {
    let work = Arc::new(work);
    let (sender, result) = oneshot::channel();
    let in_thread = Arc::clone(&work);
    // Nobody may wait for the result any more.
    let thread = spawn(name, Box::new(move || drop(sender.send(in_thread()))));
    match thread {
        Ok(_) => result.await.ok(),
        Err(error) => {
            tracing::warn!(thread = name, %error, "no thread for work that may block, done without");
            Some(work())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_where_the_system_has_no_thread_left() {
        let here = thread::current().id();
        let whose = || thread::current().id();
        assert_eq!(run_in("test", whose, |_, _| Err(io::ErrorKind::WouldBlock.into())).await, Some(here));
        assert!(run_blocking("test", whose).await.is_some_and(|thread| thread != here));
    }

    #[tokio::test]
    async fn work_that_panics_has_no_result() {
        assert_eq!(run_blocking("test", || panic!("of the test")).await, None::<()>);
    }
}
