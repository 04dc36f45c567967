//! A [`Report`] in Prometheus' text format: a pure function.
//!
//! A metric that blackbox_exporter has as well has the same name, so that dashboards and alerts keep working. All
//! metrics are gauges, and an info metric is a gauge that is 1: so the text is valid both as text format 0.0.4 and as
//! OpenMetrics 1.0. The former does not know the latter's type `info`, and names counters differently.

mod domain;

use std::{fmt, net::IpAddr, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode},
    metrics::MetricType,
    registry::Registry,
};
use time::OffsetDateTime;

pub use domain::domain_exposition;

use super::{PhaseReport, Report, TlsReport};
use crate::phase::Phase;

/// Most characters of a label's value: a certificate can have names of 64 KiB, and Prometheus would store all of it.
const MAX_LABEL_SIZE: usize = 1024;

/// The report as text that ends with `# EOF`. `timeout` is the check's time limit.
pub fn exposition(report: &Report, timeout: Duration) -> String {
    let mut gauges = Gauges::default();
    gauges.check(report, timeout);
    gauges.phases(report);
    if let Some(tls) = &report.tls {
        gauges.tls(tls);
    }
    gauges.into_text()
}

type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
struct Gauge {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Labels, f64)>,
}

/// The gauges in the order in which they are written, which the families of the library do not keep.
#[derive(Debug, Default)]
struct Gauges(Vec<Gauge>);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Gauge { name, help, samples } in &self.0 {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in samples {
                match labels.as_slice() {
                    [] => metric.encode_gauge(value)?,
                    _ => metric.encode_family(labels)?.encode_gauge(value)?,
                }
            }
        }
        Ok(())
    }
}

impl Gauges {
    fn into_text(self) -> String {
        // A new registry for each report: the response must contain nothing of another check.
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }

    /// A gauge with one value.
    fn one(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.several(name, help, [(Vec::new(), value)]);
    }

    /// An info metric: the labels are the information.
    fn info(&mut self, name: &'static str, help: &'static str, labels: Labels) {
        self.several(name, help, [(labels, 1.0)]);
    }

    /// A gauge with any number of samples. It is left out if there are none.
    fn several(&mut self, name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        let samples: Vec<_> = samples.into_iter().collect();
        if !samples.is_empty() {
            self.0.push(Gauge { name, help, samples });
        }
    }

    fn check(&mut self, report: &Report, timeout: Duration) {
        self.one("probe_success", "Whether the check succeeded", flag(report.success));
        self.one("probe_duration_seconds", "How long the whole check took", seconds(report.metrics.duration));
        self.one("probe_timeout_seconds", "How long the check was given", timeout.as_secs_f64());
        if let Some(time) = dns_lookup_seconds(report) {
            self.one(
                "probe_dns_lookup_time_seconds",
                "How long name resolution took; 0 where nothing was looked up",
                time,
            );
        }
        self.one(
            "probe_ip_protocol",
            "The IP version of the address that was connected to, or else tried last, 4 or 6; 0 where there was none",
            ip_version(report),
        );
        if let Some(failure) = &report.failure {
            let labels = vec![("phase", failure.phase.to_string()), ("kind", failure.kind.name().to_owned())];
            self.info("probe_smtp_failure_info", "In which phase the check failed, and in which way", labels);
        }
    }

    fn phases(&mut self, report: &Report) {
        self.several(
            "probe_smtp_duration_seconds",
            "How long each phase took that got its answer; banner includes connect",
            by_phase(report, |phase| Some((Vec::new(), seconds(phase.time_ms?)))),
        );
        self.several(
            "probe_smtp_clock_info",
            "Always 1: the label says which clock took the time of each phase, kernel or process",
            by_phase(report, |phase| phase.time_ms.map(|_| (vec![("clock", phase.clock.name().to_owned())], 1.0))),
        );
        self.several(
            "probe_smtp_status_code",
            "The code of the reply in each phase",
            by_phase(report, |phase| Some((Vec::new(), phase.code?.into()))),
        );
        self.several(
            "probe_smtp_enhanced_status_code_info",
            "Always 1: the label has the enhanced status code (RFC 3463) of the reply in each phase",
            by_phase(report, |phase| Some((vec![("enhanced_code", phase.enhanced_code.clone()?)], 1.0))),
        );
    }

    fn tls(&mut self, tls: &TlsReport) {
        if let Some(version) = &tls.version {
            let version = version.replace("TLSv", "TLS ");
            self.info("probe_tls_version_info", "The version of TLS", vec![("version", version)]);
        }
        if let Some(cipher) = &tls.cipher {
            self.info("probe_tls_cipher_info", "The cipher suite of TLS", vec![("cipher", bounded(cipher))]);
        }
        self.certificate(tls);
        self.one(
            "probe_smtp_certificate_verified",
            "Whether the handshake was completed and nothing is wrong with the certificate",
            flag(tls.verified),
        );
        self.several(
            "probe_smtp_certificate_error_info",
            "What is wrong with the certificate",
            tls.errors.iter().map(|kind| (vec![("error", kind.name().to_owned())], 1.0)),
        );
    }

    fn certificate(&mut self, tls: &TlsReport) {
        let Some(leaf) = tls.chain.first() else { return };
        if let Some(expiry) = tls.earliest_expiry() {
            self.one(
                "probe_ssl_earliest_cert_expiry",
                "When the first certificate of those that the server sent expires, in Unix time",
                unix_time(expiry),
            );
        }
        if let Some(expiry) = tls.first_to_expire().and_then(|certificate| certificate.not_after) {
            self.one(
                "probe_ssl_last_chain_expiry_timestamp_seconds",
                "When the first certificate of the path that was verified expires, in Unix time",
                unix_time(expiry),
            );
        }
        if let Some(expiry) = tls.first_to_expire_on_path().and_then(|certificate| certificate.not_after) {
            self.one(
                "probe_smtp_certificate_expiry_timestamp_seconds",
                "When the first certificate expires of the path that was verified, or else of the one with the errors, \
                 in Unix time",
                unix_time(expiry),
            );
        }
        self.info(
            "probe_ssl_last_chain_info",
            "The server's certificate",
            vec![
                ("fingerprint_sha256", bounded(&leaf.fingerprint_sha256)),
                ("subject", bounded(&leaf.subject)),
                ("issuer", bounded(&leaf.issuer)),
                ("subjectalternative", bounded(&leaf.names.join(","))),
                ("serialnumber", bounded(&leaf.serial)),
            ],
        );
    }
}

/// The samples of the phases that have one. Their first label is `phase`, and no phase has two: the format does not
/// allow that.
fn by_phase(report: &Report, sample: impl Fn(&PhaseReport) -> Option<(Labels, f64)>) -> Vec<(Labels, f64)> {
    let of_phase = |phase: Phase| {
        let reported = report.phases.iter().rfind(|reported| reported.name == phase)?;
        let (more, value) = sample(reported)?;
        Some(([vec![("phase", phase.to_string())], more].concat(), value))
    };
    Phase::ALL.iter().copied().filter_map(of_phase).collect()
}

/// `None` if the lookup never ended.
fn dns_lookup_seconds(report: &Report) -> Option<f64> {
    let looked_up = report.phases.iter().rfind(|phase| phase.name == Phase::Dns);
    looked_up.map_or(Some(0.0), |phase| phase.time_ms.map(seconds))
}

/// As in blackbox_exporter, an address that could not be connected to counts as well.
fn ip_version(report: &Report) -> f64 {
    let target = &report.target;
    let tried_last = || target.attempts.iter().rev().find_map(|attempt| attempt.address);
    match target.address.or_else(tried_last) {
        Some(IpAddr::V4(_)) => 4.0,
        Some(IpAddr::V6(_)) => 6.0,
        None => 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "no year that X.509 can write is beyond 2^53 seconds")]
fn unix_time(moment: OffsetDateTime) -> f64 {
    moment.unix_timestamp() as f64
}

fn seconds(ms: f64) -> f64 {
    // Not `ms / 1000.0`, which has more digits than the microseconds that were measured: 0.021625000000000002.
    (ms * 1000.0).round() / 1_000_000.0
}

fn flag(is_true: bool) -> f64 {
    f64::from(u8::from(is_true))
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(MAX_LABEL_SIZE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
