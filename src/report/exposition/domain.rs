//! The report of a domain in Prometheus' text format.

use std::{collections::BTreeSet, time::Duration};

use super::{Gauge, Gauges, Labels, bounded, flag, seconds};
use crate::{
    mail_dns::Verdict,
    report::{Severity, domain::DomainReport},
};

/// The report as text that ends with `# EOF`. `timeout` is the check's time limit.
pub fn domain_exposition(report: &DomainReport, timeout: Duration) -> String {
    let mut gauges = Gauges::default();
    let errors = report.counts.get(Severity::Error.name()).copied().unwrap_or_default();
    gauges.one("probe_success", "Whether the domain has no finding of severity error", flag(errors == 0));
    gauges.one("probe_duration_seconds", "How long the whole check took", seconds(report.duration_ms));
    gauges.one("probe_timeout_seconds", "How long the check was given", timeout.as_secs_f64());
    let views = [
        ("opportunistic", report.verdict.opportunistic),
        ("mta_sts", report.verdict.mta_sts),
        ("dane", report.verdict.dane),
    ];
    let views = views.into_iter().filter_map(|(view, verdict)| {
        let is_ok = match verdict {
            Verdict::Ok => true,
            Verdict::Fail => false,
            Verdict::Inconclusive | Verdict::NotApplicable => return None,
        };
        Some((vec![("view", view.to_owned())], flag(is_ok)))
    });
    let help = "Whether mail of each kind of sender arrives; left out where that could not be told, or does not apply";
    gauges.any("probe_domain_view", help, views);
    let counts = report.counts.iter();
    let counts = counts.map(|(severity, count)| (vec![("severity", (*severity).to_owned())], *count as f64));
    gauges.any("probe_domain_findings", "Findings of each severity", counts);
    // A set: two samples with the same labels would be invalid.
    let findings = report.findings.iter().map(|finding| (finding.id, bounded(&finding.subject)));
    let findings: BTreeSet<_> = findings.collect();
    let findings = findings.into_iter().map(|(id, subject)| (vec![("id", id.to_owned()), ("subject", subject)], 1.0));
    gauges.any("probe_domain_finding_info", "Always 1: the labels say what was found, and about what", findings);
    gauges.into_text()
}

impl Gauges {
    /// A gauge with any number of samples, or none.
    fn any(&mut self, name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        self.0.push(Gauge { name, help, samples: samples.into_iter().collect() });
    }
}
