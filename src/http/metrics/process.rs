//! What the system says of this process, under the names that every Prometheus client library gives it.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use procfs::{
    ProcResult, WithCurrentSystemInfo,
    process::{self, LimitValue},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Read at each scrape, from `/proc/self` alone: our systemd unit shows the program no more of `/proc`.
#[derive(Debug)]
pub(super) struct Process {
    started: f64,
}

impl Process {
    /// A process that began just now, in which time the service is made. `/proc/stat` would be needed to tell it better.
    pub(super) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: since_epoch.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Where the system gives none, there are none, as in those libraries.
        let Ok(figures) = Figures::read() else { return Ok(()) };
        let mut gauge = |name, help, figure: f64| write(&mut encoder, name, help, &ConstGauge::new(figure));
        gauge("process_resident_memory_bytes", "Memory that this process has.", figures.resident_bytes)?;
        gauge("process_start_time_seconds", "When it started, in Unix time.", self.started)?;
        gauge("process_open_fds", "Files that it has open, sockets among them.", figures.open_files)?;
        gauge("process_max_fds", "Files that it may have open.", figures.max_files)?;
        let cpu_seconds = ConstCounter::new(figures.cpu_seconds);
        write(&mut encoder, "process_cpu_seconds", "Processor time that it has used.", &cpu_seconds)
    }
}

fn write(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, figure: &impl EncodeMetric) -> fmt::Result {
    figure.encode(encoder.encode_descriptor(name, help, None, figure.metric_type())?)
}

struct Figures {
    cpu_seconds: f64,
    resident_bytes: f64,
    open_files: f64,
    max_files: f64,
}

impl Figures {
    fn read() -> ProcResult<Self> {
        let process = process::Process::myself()?;
        let stat = process.stat()?;
        let limit = process.limits()?.max_open_files.soft_limit;
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            resident_bytes: stat.rss_bytes().get() as f64,
            open_files: process.fd_count()? as f64,
            max_files: match limit {
                LimitValue::Value(files) => files as f64,
                LimitValue::Unlimited => f64::INFINITY,
            },
        })
    }
}
