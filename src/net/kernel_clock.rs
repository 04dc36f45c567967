//! [`KernelClock`]: from the kernel's stamp of a segment to an instant of the monotonic clock.
//!
//! The kernel stamps a segment by the wall clock, which can be set at any time. So the age of a stamp is taken by the
//! wall clock, and subtracted from the monotonic one; and at each read and write of a connection both clocks are read.
//! If they have not advanced by the same time since the last one, the wall clock was set in between, and no stamp of
//! that time means anything.

use std::time::{Duration, Instant, SystemTime};

use crate::phase::{Clock, Stamp};

/// Most time that both clocks may be read apart: the error of a stamp. A longer one is a wait for a core.
const MAX_SPREAD: Duration = Duration::from_micros(2);
/// How often both clocks are read until they are close enough.
const MAX_TRIES: usize = 8;
/// A smaller difference between the two clocks is not a step of the wall clock. It is the error of the two readings.
const MIN_STEP: Duration = Duration::from_micros(5);

/// Both clocks of the system, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) monotonic: Instant,
    pub(super) wall: SystemTime,
    /// Whether the two are less than [`MAX_SPREAD`] apart.
    pub(super) is_exact: bool,
}

impl Reading {
    /// Reads both clocks; again, if the process lost its core between the two.
    pub(super) fn now() -> Self {
        let mut before = Instant::now();
        for _ in 1..MAX_TRIES {
            let (wall, monotonic) = (SystemTime::now(), Instant::now());
            if monotonic.duration_since(before) <= MAX_SPREAD {
                return Self { monotonic, wall, is_exact: true };
            }
            before = monotonic;
        }
        Self { monotonic: before, wall: SystemTime::now(), is_exact: false }
    }

    /// Whether the wall clock was set since an earlier reading.
    fn is_steady_since(&self, earlier: &Self) -> bool {
        let passed = self.monotonic.duration_since(earlier.monotonic);
        match self.wall.duration_since(earlier.wall) {
            Ok(by_wall) => by_wall.abs_diff(passed) < MIN_STEP,
            Err(backward) => backward.duration() + passed < MIN_STEP,
        }
    }
}

/// What a connection knows of the two clocks.
#[derive(Debug)]
pub(super) struct KernelClock {
    last: Reading,
    /// The wall clock was set since the last read.
    was_set: bool,
    /// Nothing that is read from now on can have arrived before.
    not_before: Instant,
}

impl KernelClock {
    /// For a connection that is begun now.
    pub(super) fn new(now: Reading) -> Self {
        Self { last: now, was_set: false, not_before: now.monotonic }
    }

    /// Notes a write.
    pub(super) fn wrote(&mut self, now: Reading) {
        if now.is_exact {
            self.was_set |= self.is_set(now);
        }
    }

    /// When the octets arrived that were read just before `now`, and that the kernel stamped with `stamp`. It is `now`,
    /// by the process's clock, if there is no stamp or if it proves nothing.
    pub(super) fn read(&mut self, stamp: Option<SystemTime>, now: Reading) -> Stamp {
        let was_set = std::mem::take(&mut self.was_set) | self.is_set(now);
        let arrived = stamp.filter(|_| !was_set).and_then(|stamp| self.convert(stamp, now));
        let Some(at) = arrived else { return now.monotonic.into() };
        self.not_before = at;
        Stamp { at, clock: Clock::Kernel }
    }

    /// What is read from now on arrives after this instant.
    pub(super) fn starts_over(&mut self, now: Instant) {
        self.not_before = now;
    }

    /// Whether the wall clock was set since the last call; yes, if this reading is not exact enough to tell.
    fn is_set(&mut self, now: Reading) -> bool {
        let is_set = !now.is_steady_since(&self.last);
        if now.is_exact {
            self.last = now;
        }
        is_set || !now.is_exact
    }

    fn convert(&self, stamp: SystemTime, now: Reading) -> Option<Instant> {
        // A stamp of this moment may seem to be of the next one.
        let age = now.wall.duration_since(stamp).or_else(|error| match error.duration() {
            ahead if ahead <= MAX_SPREAD => Ok(Duration::ZERO),
            _ => Err(error),
        });
        let arrived = now.monotonic.checked_sub(age.ok()?)?;
        // The same stamp can be converted twice, with another error.
        (arrived + MIN_STEP >= self.not_before).then(|| arrived.max(self.not_before))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Both clocks of a made-up machine.
    struct Machine {
        start: Instant,
        /// How far the wall clock was set, in ms.
        step: i64,
    }

    impl Machine {
        fn wall(&self, at_ms: i64) -> SystemTime {
            UNIX_EPOCH + Duration::from_hours(24) + MS * u32::try_from(at_ms + self.step).expect("after the start")
        }

        fn reading(&self, at_ms: i64) -> Reading {
            let monotonic = self.instant(at_ms);
            Reading { monotonic, wall: self.wall(at_ms), is_exact: true }
        }

        fn instant(&self, at_ms: i64) -> Instant {
            self.start + MS * u32::try_from(at_ms).expect("after the start")
        }
    }

    fn machine() -> Machine {
        Machine { start: Instant::now(), step: 0 }
    }

    fn kernel(at: Instant) -> Stamp {
        Stamp { at, clock: Clock::Kernel }
    }

    #[test]
    fn a_reply_arrived_when_the_kernel_stamped_it_however_late_it_is_read() {
        let machine = machine();
        let mut clock = KernelClock::new(machine.reading(0));
        clock.wrote(machine.reading(10));
        assert_eq!(clock.read(Some(machine.wall(30)), machine.reading(75)), kernel(machine.instant(30)));
        // Of this very moment, or so it seems: the two clocks are not read at the same instant.
        let ahead = machine.wall(80) + Duration::from_nanos(300);
        assert_eq!(clock.read(Some(ahead), machine.reading(80)), kernel(machine.instant(80)));
    }

    #[test]
    fn no_stamp_means_the_clock_of_the_process_for_that_read_only() {
        let machine = machine();
        let mut clock = KernelClock::new(machine.reading(0));
        assert_eq!(clock.read(None, machine.reading(20)), machine.instant(20).into());
        assert_eq!(clock.read(Some(machine.wall(25)), machine.reading(30)), kernel(machine.instant(25)));
    }

    #[test]
    fn a_step_of_the_wall_clock_means_the_clock_of_the_process_for_that_read_only() {
        for step in [-3_000, -40, -1, 1, 40, 86_400_000] {
            // Seen after the write, by the read; or seen by the write already.
            for (wrote, set) in [(10, 20), (30, 20)] {
                // The reply came before the step, or after it.
                for arrived in [15, 40] {
                    let mut machine = Machine { start: Instant::now(), step: 5_000 };
                    let mut clock = KernelClock::new(machine.reading(0));
                    let mut stamp = None;
                    for at in 1..=50 {
                        machine.step = if at < set { 5_000 } else { 5_000 + step };
                        if at == wrote {
                            clock.wrote(machine.reading(at));
                        }
                        if at == arrived {
                            stamp = Some(machine.wall(at));
                        }
                    }
                    let at = clock.read(stamp, machine.reading(50));
                    assert_eq!(at, machine.instant(50).into(), "{step} {wrote} {arrived}");
                    let next = clock.read(Some(machine.wall(60)), machine.reading(65));
                    assert_eq!(next, kernel(machine.instant(60)), "the clock is trusted again");
                }
            }
        }
    }

    /// A step back and forth again between two looks at the clock, or a stamp of another clock.
    #[test]
    fn a_stamp_that_cannot_be_is_not_believed() {
        let machine = machine();
        let mut clock = KernelClock::new(machine.reading(10));
        let read = |clock: &mut KernelClock, stamp, now| clock.read(Some(machine.wall(stamp)), machine.reading(now));
        assert_eq!(read(&mut clock, 5, 20), machine.instant(20).into(), "before the connection");
        assert_eq!(read(&mut clock, 31, 30), machine.instant(30).into(), "in the future");
        assert_eq!(read(&mut clock, 35, 40), kernel(machine.instant(35)));
        assert_eq!(read(&mut clock, 34, 45), machine.instant(45).into(), "before what was read before");
        clock.starts_over(machine.instant(50));
        assert_eq!(read(&mut clock, 48, 60), machine.instant(60).into(), "before it started over");
        let ancient = clock.read(Some(UNIX_EPOCH), machine.reading(70));
        assert_eq!(ancient, machine.instant(70).into());
    }

    #[test]
    fn a_reading_that_took_long_proves_nothing() {
        let machine = machine();
        let late = |at| Reading { is_exact: false, ..machine.reading(at) };
        let mut clock = KernelClock::new(machine.reading(0));
        assert_eq!(clock.read(Some(machine.wall(5)), late(10)), machine.instant(10).into());
        clock.wrote(late(12));
        assert_eq!(clock.read(Some(machine.wall(15)), machine.reading(20)), kernel(machine.instant(15)));
    }

    #[test]
    fn both_clocks_of_this_machine_are_read_together() {
        let (first, then) = (Reading::now(), Reading::now());
        assert!(then.monotonic >= first.monotonic);
        let tries = std::iter::repeat_with(Reading::now).take(1000);
        assert!(tries.into_iter().any(|reading| reading.is_exact), "the clocks are fast");
    }
}
