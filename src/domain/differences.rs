//! In what the addresses of a domain's mail exchangers differ.

use std::net::IpAddr;

use crate::report::{
    Report,
    domain::{Difference, DifferentValue, HostReport},
};

/// The value of a report that is compared, as text.
type Value = fn(&Report) -> Option<String>;

/// What is compared, and how it is read from a report. `None`: nothing was seen.
const COMPARED: [(&str, Value); 5] = [
    ("certificate", |report| {
        let certificate = report.tls.as_ref()?.chain.first()?;
        Some(format!("sha256:{}", certificate.fingerprint_sha256))
    }),
    ("tls_version", |report| report.tls.as_ref()?.version.clone()),
    ("capabilities", |report| {
        let offered = report.capabilities.after_tls.as_ref().or(report.capabilities.before_tls.as_ref())?;
        // SIZE is compared by itself.
        let mut words: Vec<_> = offered.keywords().filter(|keyword| *keyword != "SIZE").collect();
        words.sort_unstable();
        Some(words.join(" "))
    }),
    ("size", |report| {
        let offered = report.capabilities.after_tls.as_ref().or(report.capabilities.before_tls.as_ref())?;
        offered.parameters("SIZE").map(str::to_owned)
    }),
    ("outcome", |report| {
        Some(match &report.failure {
            None => "ok".to_owned(),
            Some(failure) => match failure.code {
                Some(code) => format!("{} {code}", failure.phase.name()),
                None => format!("{} {}", failure.phase.name(), failure.kind.name()),
            },
        })
    }),
];

/// The differences, each with its values in the order of the addresses. One host may well have another certificate
/// than the next one: certificates are compared among the addresses of each host.
pub(super) fn differences(hosts: &[HostReport]) -> Vec<Difference> {
    let all: Vec<_> = hosts.iter().flat_map(seen).collect();
    COMPARED
        .iter()
        .flat_map(|(of, read)| {
            let groups: Vec<Vec<_>> = if *of == "certificate" {
                hosts.iter().map(|host| seen(host).collect()).collect()
            } else {
                vec![all.clone()]
            };
            groups.into_iter().filter_map(|group| difference(of, *read, &group)).collect::<Vec<_>>()
        })
        .collect()
}

fn seen(host: &HostReport) -> impl Iterator<Item = (IpAddr, &Report)> {
    host.addresses.iter().filter_map(|address| Some((address.address, address.report.as_deref()?)))
}

fn difference(of: &'static str, read: fn(&Report) -> Option<String>, seen: &[(IpAddr, &Report)]) -> Option<Difference> {
    let mut values: Vec<DifferentValue> = Vec::new();
    for (address, report) in seen {
        let Some(value) = read(report) else { continue };
        match values.iter_mut().find(|known| known.value == value) {
            Some(known) => known.addresses.push(*address),
            None => values.push(DifferentValue { value, addresses: vec![*address] }),
        }
    }
    (values.len() > 1).then_some(Difference { of, values })
}
