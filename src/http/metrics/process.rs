//! Metrics of the process, with the names that every Prometheus client library uses.

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

/// Reads the metrics at each scrape, only from `/proc/self`: the systemd unit hides the rest of `/proc`.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    started: f64,
}

impl ProcessCollector {
    /// Takes this moment for the start of the process: the exact one needs `/proc/stat`.
    pub(super) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: since_epoch.as_secs_f64() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Without `/proc` these metrics are missing, as in those libraries.
        let Ok(stats) = ProcessStats::read() else { return Ok(()) };
        let mut gauge = |name, help, value: f64| encode(&mut encoder, name, help, &ConstGauge::new(value));
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", stats.resident_bytes)?;
        gauge(
            "process_start_time_seconds",
            "Start time of the process since the Unix epoch in seconds.",
            self.started,
        )?;
        gauge("process_open_fds", "Number of open file descriptors.", stats.open_files)?;
        gauge("process_max_fds", "Maximum number of open file descriptors.", stats.max_files)?;
        let cpu_seconds = ConstCounter::new(stats.cpu_seconds);
        encode(&mut encoder, "process_cpu_seconds", "Total user and system CPU time in seconds.", &cpu_seconds)
    }
}

fn encode(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

struct ProcessStats {
    cpu_seconds: f64,
    resident_bytes: f64,
    open_files: f64,
    max_files: f64,
}

impl ProcessStats {
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
