//! Resource use of a running process, from `/proc`.

use std::fs;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    /// The process with this id.
    pub(crate) fn of(id: u32) -> Self {
        Self(id)
    }

    /// The number of open files, sockets included.
    pub(crate) fn open_files(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).expect("the process lives").count()
    }

    /// Resident memory, in KiB.
    pub(crate) fn memory(self) -> u64 {
        self.status("VmRSS:")
    }

    /// Peak resident memory, in KiB.
    pub(crate) fn peak_memory(self) -> u64 {
        self.status("VmHWM:")
    }

    /// Processor time used, in ticks of 10 ms.
    pub(crate) fn processor_time(self) -> u64 {
        let stat = self.read("stat");
        let fields: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        // utime and stime, counted from the field behind the program's name.
        [11, 12].iter().map(|field| fields[*field].parse::<u64>().expect("a number")).sum()
    }

    fn status(self, name: &str) -> u64 {
        let status = self.read("status");
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).expect("a figure in kB")
    }

    fn read(self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).expect("the process lives")
    }
}
