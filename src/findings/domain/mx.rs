//! The rules about the MX records and the addresses of their hosts.

use super::{SeenHost, dns::unknown, found, publish};
use crate::{
    findings::catalogue::{
        mx::{IMPLICIT, IS_ADDRESS, IS_CNAME, NO_ADDRESS, NONE, NOT_PUBLIC, NULL, NULL_WITH_OTHERS, PRIMARY_DEAD},
        smtp::UNREACHABLE,
    },
    mail_dns::mx::{AddressState, HostKind, MailHosts, MxFault, MxStatus, special_use},
    report::{Finding, Severity, domain::AddressReport},
};

/// The MX records, and what was seen of their hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mx<'a> {
    pub(crate) domain: &'a str,
    pub(crate) records: &'a MailHosts,
    pub(crate) hosts: &'a [SeenHost<'a>],
    /// Addresses of both IP versions were asked for.
    pub(crate) is_any_family: bool,
}

pub(crate) fn rules(mx: Mx<'_>) -> Vec<Finding> {
    let Mx { domain, records, hosts, .. } = mx;
    let mut findings: Vec<_> = unknown(&format!("{domain}. MX"), records.proof, records.failure).into_iter().collect();
    findings.extend(of_status(mx));
    findings.extend(records.faults.iter().filter_map(|fault| of_fault(domain, fault, &records.records)));
    findings.extend(hosts.iter().flat_map(|host| of_host(mx, host)));
    findings.extend(primary_dead(domain, hosts));
    findings
}

fn of_status(mx: Mx<'_>) -> Option<Finding> {
    let Mx { domain, records, hosts, is_any_family } = mx;
    match records.status {
        MxStatus::NoSuchDomain => Some(found(&NONE, domain, "The domain does not exist.")),
        MxStatus::NullMx if records.faults.is_empty() => {
            Some(found(&NULL, domain, "The MX record says that the domain takes no mail.").with_evidence(shown(mx)))
        }
        MxStatus::NoMx => match hosts.first()?.addresses.state {
            AddressState::Found => {
                let message = "There is no MX record: mail goes to the addresses of the domain itself.";
                let addresses = hosts.first()?.addresses.addresses.iter().map(ToString::to_string);
                Some(found(&IMPLICIT, domain, message).with_evidence(addresses))
            }
            AddressState::NoName | AddressState::NoAddress => {
                let message = "There is neither an MX record nor an address.";
                Some(found(&NONE, domain, message).with_severity(Severity::Inconclusive, !is_any_family))
            }
            AddressState::Inconclusive(_) | AddressState::NotAsked => None,
        },
        _ => None,
    }
}

fn shown(mx: Mx<'_>) -> Vec<String> {
    mx.records.records.clone()
}

fn of_fault(domain: &str, fault: &MxFault, records: &[String]) -> Option<Finding> {
    let message = |text: String| format!("There is {text}.");
    match fault {
        MxFault::NullWithOthers | MxFault::NullPreference(_) => {
            let found = found(&NULL_WITH_OTHERS, domain, message(fault.to_string()));
            Some(found.with_evidence(records.iter().cloned()))
        }
        MxFault::Address { name, .. } => {
            let message = format!("An MX record holds the address {name} instead of a name.");
            Some(found(&IS_ADDRESS, name, message))
        }
        MxFault::Localhost(name) => {
            let message = format!("An MX record names {name}, which is each machine itself.");
            Some(found(&NOT_PUBLIC, name, message))
        }
        MxFault::Repeated { .. } => None,
    }
}

fn of_host(mx: Mx<'_>, seen: &SeenHost<'_>) -> Vec<Finding> {
    let SeenHost { host, addresses, .. } = *seen;
    let has_record = mx.records.status != MxStatus::NoMx;
    if host.kind != HostKind::Name {
        return Vec::new();
    }
    let name = &host.name;
    let mut findings: Vec<_> =
        unknown(&format!("{name}. A, AAAA"), addresses.proof, addresses.failure).into_iter().collect();
    if has_record {
        findings.extend(no_address(mx, seen));
    }
    if let Some(target) = addresses.aliases.last().filter(|_| has_record) {
        let found = found(&IS_CNAME, name, format!("{name} is an alias of {target}."));
        let line = format!("{}. IN MX {} {target}.", mx.domain, host.preference);
        findings.push(found.with_evidence([host.to_string()]).with_remedy(publish(&line)));
    }
    let special = addresses.addresses.iter().filter_map(|address| Some((address, special_use(*address)?)));
    let special: Vec<_> = special.map(|(address, special)| format!("{address}: {special}")).collect();
    if !special.is_empty() {
        let message = format!("{name} has an address that other networks cannot reach.");
        findings.push(found(&NOT_PUBLIC, name, message).with_evidence(special));
    }
    findings
}

fn no_address(mx: Mx<'_>, seen: &SeenHost<'_>) -> Option<Finding> {
    let name = &seen.host.name;
    let (message, is_known) = match seen.addresses.state {
        _ if !seen.is_host_name => (format!("{name} is no name of a host."), true),
        AddressState::NoName => (format!("{name} does not exist."), true),
        AddressState::NoAddress if mx.is_any_family => (format!("{name} has no address."), true),
        AddressState::NoAddress => (format!("{name} has no address of the IP version of this check."), false),
        AddressState::Found | AddressState::Inconclusive(_) | AddressState::NotAsked => return None,
    };
    let found = found(&NO_ADDRESS, name, message).with_evidence([seen.host.to_string()]);
    Some(found.with_severity(Severity::Inconclusive, !is_known))
}

/// No address with the best preference can be connected to, and one of another preference can.
fn primary_dead(domain: &str, hosts: &[SeenHost<'_>]) -> Option<Finding> {
    let best = hosts.iter().map(|seen| seen.host.preference).min()?;
    let (primary, later): (Vec<&SeenHost<'_>>, Vec<&SeenHost<'_>>) =
        hosts.iter().partition(|seen| seen.host.preference == best);
    let is_dead = |seen: &&SeenHost<'_>| !seen.sessions.is_empty() && seen.sessions.iter().all(is_unreachable);
    let alive = later.iter().find(|seen| seen.sessions.iter().any(is_reached))?;
    let names: Vec<_> = primary.iter().map(|seen| seen.host.to_string()).collect();
    let message = format!("{} does not answer, and {} does.", names.join(" "), alive.host);
    primary.iter().all(is_dead).then(|| found(&PRIMARY_DEAD, domain, message))
}

/// It is known that the address cannot be connected to, and not only from here.
fn is_unreachable(seen: &AddressReport) -> bool {
    let findings = seen.report.iter().flat_map(|report| &report.findings);
    findings.into_iter().any(|finding| finding.id == UNREACHABLE.id && finding.severity == Severity::Error)
}

fn is_reached(seen: &AddressReport) -> bool {
    seen.report.as_ref().is_some_and(|report| report.findings.iter().all(|finding| finding.id != UNREACHABLE.id))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::mail_dns::{Answer, LookupFailure, Outcome, Proof, RecordData};

    /// The findings of a domain with these MX records, whose hosts all have this answer for addresses.
    fn of(records: &[(u16, &str)], addresses: &Answer) -> Vec<String> {
        let mx = mail_hosts(records);
        let addresses = HostData::new(addresses);
        let hosts: Vec<_> = mx.hosts.iter().map(|host| addresses.seen(host)).collect();
        ids(&rules(Mx { domain: "example.test", records: &mx, hosts: &hosts, is_any_family: true }))
    }

    fn address(text: &str) -> Answer {
        answer(Outcome::Records(vec![RecordData::Address(text.parse().expect("an address"))]))
    }

    #[test]
    fn a_domain_with_one_good_host_has_no_finding() {
        assert_eq!(of(&[(10, "mx.example.test")], &address("192.0.2.1")), [""; 0]);
    }

    #[test]
    fn where_mail_goes_without_mx_records() {
        assert_eq!(of(&[], &address("192.0.2.1")), ["mx.implicit warning example.test"]);
        assert_eq!(of(&[], &answer(Outcome::NoData)), ["mx.none error example.test"]);
        let failed = answer(Outcome::Failed(LookupFailure::ServFail));
        assert_eq!(of(&[], &failed), ["dns.inconclusive inconclusive example.test. A, AAAA"]);
        let none = MailHosts::read("example.test", &answer(Outcome::NoName), 10);
        let none = rules(Mx { domain: "example.test", records: &none, hosts: &[], is_any_family: true });
        assert_eq!(ids(&none), ["mx.none error example.test"]);
    }

    #[test]
    fn a_null_mx() {
        let nothing = answer(Outcome::NoData);
        assert_eq!(of(&[(0, "")], &nothing), ["mx.null info example.test"]);
        assert_eq!(of(&[(5, "")], &nothing), ["mx.null_with_others error example.test"]);
        let beside = of(&[(0, ""), (10, "mx.example.test")], &address("192.0.2.1"));
        assert_eq!(beside, ["mx.null_with_others error example.test"]);
    }

    #[test]
    fn hosts_that_cannot_be_delivered_to() {
        let host = [(10, "mx.example.test")];
        assert_eq!(of(&[(10, "192.0.2.1")], &address("192.0.2.1")), ["mx.is_address error 192.0.2.1"]);
        assert_eq!(of(&[(10, "localhost")], &address("192.0.2.1")), ["mx.not_public error localhost"]);
        assert_eq!(of(&host, &address("10.0.0.1")), ["mx.not_public error mx.example.test"]);
        assert_eq!(of(&host, &answer(Outcome::NoName)), ["mx.no_address error mx.example.test"]);
        assert_eq!(of(&host, &answer(Outcome::NoData)), ["mx.no_address error mx.example.test"]);
        let failed = answer(Outcome::Failed(LookupFailure::TimedOut));
        assert_eq!(of(&host, &failed), ["dns.inconclusive inconclusive mx.example.test. A, AAAA"]);
        let alias = Answer { aliases: vec!["other.test".to_owned()], ..address("192.0.2.1") };
        assert_eq!(of(&host, &alias), ["mx.is_cname error mx.example.test"]);
        // The domain itself may be an alias (RFC 5321, section 5.1).
        assert_eq!(of(&[], &alias), ["mx.implicit warning example.test"]);
    }

    #[test]
    fn an_address_of_the_other_ip_version_is_not_known() {
        let mx = mail_hosts(&[(10, "mx.example.test")]);
        let data = HostData::new(&answer(Outcome::NoData));
        let hosts = [data.seen(&mx.hosts[0])];
        let found = rules(Mx { domain: "example.test", records: &mx, hosts: &hosts, is_any_family: false });
        assert_eq!(ids(&found), ["mx.no_address inconclusive mx.example.test"]);
    }

    #[test]
    fn the_preferred_host_does_not_answer() {
        let mx = mail_hosts(&[(10, "mx1.example.test"), (20, "mx2.example.test")]);
        let of = |first: Option<&str>, second: Option<&str>| {
            let data = [first, second].map(|id| HostData::new(&address("192.0.2.1")).with_session(id, Severity::Error));
            let hosts: Vec<_> = mx.hosts.iter().zip(&data).map(|(host, data)| data.seen(host)).collect();
            ids(&rules(Mx { domain: "example.test", records: &mx, hosts: &hosts, is_any_family: true }))
        };
        let dead = Some(UNREACHABLE.id);
        assert_eq!(of(dead, None), ["mx.primary_dead warning example.test"]);
        assert_eq!(of(dead, dead), [""; 0]);
        assert_eq!(of(None, dead), [""; 0]);
    }

    #[test]
    fn records_that_fail_validation_are_no_records() {
        let bogus = Answer { proof: Proof::Bogus, ..answer(Outcome::NoData) };
        let mx = MailHosts::read("example.test", &bogus, 10);
        let found = rules(Mx { domain: "example.test", records: &mx, hosts: &[], is_any_family: true });
        assert_eq!(ids(&found), ["dnssec.bogus error example.test. MX"]);
    }
}
