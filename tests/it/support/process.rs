//! What the system says of a running process.

use std::fs;

/// A process of ours, which lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    /// The process with this id.
    pub(crate) fn of(id: u32) -> Self {
        Self(id)
    }

    /// How many files, sockets among them, it has open.
    pub(crate) fn open_files(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).expect("the process lives").count()
    }

    /// The memory that it has now, in KiB.
    pub(crate) fn memory(self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that it ever had, in KiB.
    pub(crate) fn peak_memory(self) -> u64 {
        self.status("VmHWM:")
    }

    /// The processor time that it has used, in ticks of 10 ms.
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
