//! What the system says of this process, under the names that every Prometheus client library gives it.

use std::fmt;

use procfs::{
    ProcResult, WithCurrentSystemInfo,
    process::{self, LimitValue},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Read at each scrape. A figure that the system does not give is left out, as those libraries do.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(figures) = Figures::read() else { return Ok(()) };
        let mut gauge = |name, help, figure: f64| write(&mut encoder, name, help, &ConstGauge::new(figure));
        gauge("process_resident_memory_bytes", "Memory that this process has.", figures.resident_bytes)?;
        gauge("process_start_time_seconds", "When it started, in Unix time.", figures.started)?;
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
    started: f64,
    open_files: f64,
    max_files: f64,
}

impl Figures {
    fn read() -> ProcResult<Self> {
        let process = process::Process::myself()?;
        let stat = process.stat()?;
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        let limit = process.limits()?.max_open_files.soft_limit;
        Ok(Self {
            cpu_seconds: seconds(stat.utime + stat.stime),
            resident_bytes: stat.rss_bytes().get() as f64,
            started: procfs::boot_time_secs()? as f64 + seconds(stat.starttime),
            open_files: process.fd_count()? as f64,
            max_files: match limit {
                LimitValue::Value(files) => files as f64,
                LimitValue::Unlimited => f64::INFINITY,
            },
        })
    }
}
