//! The rules about all addresses together: in what they differ, and what the check left out.

use std::net::IpAddr;

use super::{SeenHost, found};
use crate::{
    findings::catalogue::domain::{DIFFERS, TRUNCATED},
    mail_dns::Verdict,
    report::{
        Finding,
        domain::{Difference, DifferentValue},
    },
};

/// One finding for each difference.
pub(crate) fn differences(domain: &str, differences: &[Difference], hosts: &[SeenHost<'_>]) -> Vec<Finding> {
    let of_each = differences.iter().filter(|difference| is_of_servers(difference, hosts)).map(|difference| {
        let what = match difference.of {
            "certificate" => "their certificate",
            "capabilities" => "what they offer",
            "size" => "the size of a message that they take",
            "tls_version" => "the version of TLS",
            "outcome" => "what came of the session",
            other => other,
        };
        let evidence = difference.values.iter().map(|value| {
            let addresses: Vec<_> = value.addresses.iter().map(ToString::to_string).collect();
            format!("{}: {}", addresses.join(", "), value.value)
        });
        found(&DIFFERS, domain, format!("The addresses differ in {what}.")).with_evidence(evidence)
    });
    of_each.collect()
}

/// What came of a session may be about this client: a route, a refusal, a limit. Then it is no difference of the
/// servers.
fn is_of_servers(difference: &Difference, hosts: &[SeenHost<'_>]) -> bool {
    let sessions = || hosts.iter().flat_map(|seen| seen.sessions);
    let is_known = |address: &IpAddr| {
        sessions().any(|seen| seen.address == *address && seen.views.opportunistic != Verdict::Inconclusive)
    };
    let has_known = |value: &&DifferentValue| value.addresses.iter().any(is_known);
    difference.of != "outcome" || difference.values.iter().filter(has_known).count() > 1
}

/// What the check left out: hosts and addresses beyond its limits, and addresses that were not connected to, each with
/// its reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut {
    pub(crate) hosts: usize,
    pub(crate) addresses: usize,
    pub(crate) not_connected: Vec<String>,
}

pub(crate) fn truncated(domain: &str, left_out: LeftOut) -> Option<Finding> {
    let LeftOut { hosts, addresses, not_connected } = left_out;
    let parts: Vec<_> = [
        (hosts, "mail servers beyond `mx_limit`"),
        (addresses, "addresses beyond `addresses_per_host`"),
        (not_connected.len(), "hosts or addresses that were not connected to"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let message = format!("Left out: {}.", parts.join(", "));
    (!parts.is_empty()).then(|| found(&TRUNCATED, domain, message).with_evidence(not_connected))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::{
        mail_dns::Outcome,
        report::{Severity, domain::AddressReport},
    };

    #[test]
    fn outcomes_that_are_not_known_are_no_difference() {
        let mx = mail_hosts(&[(10, "mx.test")]);
        let data = HostData::new(&answer(Outcome::NoData)).with_session(None, Severity::Info);
        let of = |of: &'static str, other: Verdict| {
            let mut sessions = vec![data.sessions[0].clone(), data.sessions[0].clone()];
            sessions[1] = AddressReport { address: [192, 0, 2, 2].into(), ..sessions[1].clone() };
            sessions[1].views.opportunistic = other;
            let hosts = [SeenHost { sessions: &sessions, ..data.seen(&mx.hosts[0]) }];
            let value = |last: u8, value: &str| DifferentValue {
                value: value.to_owned(),
                addresses: vec![[192, 0, 2, last].into()],
            };
            let difference = Difference { of, values: vec![value(1, "ok"), value(2, "other")] };
            ids(&differences("example.test", &[difference], &hosts))
        };
        let differs = ["fleet.differs warning example.test"];
        assert_eq!(of("outcome", Verdict::Fail), differs);
        assert_eq!(of("outcome", Verdict::Inconclusive), [""; 0]);
        assert_eq!(of("certificate", Verdict::Inconclusive), differs);
    }

    #[test]
    fn what_was_left_out_is_said_once() {
        assert_eq!(truncated("example.test", LeftOut::default()), None);
        let all = LeftOut { hosts: 3, addresses: 1, not_connected: vec!["mx.test [192.0.2.1]: busy".to_owned()] };
        let found = truncated("example.test", all).expect("a finding");
        assert!(found.message.contains("3 mail servers") && found.message.contains("1 hosts or addresses"));
        assert_eq!(found.evidence, ["mx.test [192.0.2.1]: busy"]);
    }
}
