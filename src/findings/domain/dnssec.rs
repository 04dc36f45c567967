//! The rules about DNSSEC: of the domain, of its mail exchangers, and of the resolver.

use super::{SeenHost, found};
use crate::{
    findings::catalogue::dnssec::{HOST_UNSIGNED, RESOLVER_UNFIT, UNSIGNED},
    mail_dns::{
        Proof,
        mx::{AddressState, MailHosts, MxStatus},
    },
    report::Finding,
};

/// `unfit` tells why the resolver cannot be used for DNSSEC.
pub(crate) fn rules(domain: &str, mx: &MailHosts, hosts: &[SeenHost<'_>], unfit: Option<&'static str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(unfit) = unfit {
        findings.push(found(&RESOLVER_UNFIT, domain, format!("The resolver of this machine {unfit}.")));
    }
    let is_known = !matches!(mx.status, MxStatus::Inconclusive | MxStatus::NoSuchDomain);
    match mx.proof {
        Proof::Insecure if is_known => {
            findings.push(found(&UNSIGNED, domain, "The MX records are in a zone without DNSSEC."));
        }
        Proof::Secure => findings.extend(hosts.iter().filter_map(host_unsigned)),
        _ => {}
    }
    findings
}

fn host_unsigned(seen: &SeenHost<'_>) -> Option<Finding> {
    let name = &seen.host.name;
    let is_unsigned = seen.addresses.state == AddressState::Found && seen.addresses.proof == Proof::Insecure;
    is_unsigned.then(|| found(&HOST_UNSIGNED, name, format!("The addresses of {name} are in a zone without DNSSEC.")))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::mail_dns::{Answer, Outcome, RecordData};

    #[test]
    fn the_domain_or_the_host_is_not_signed() {
        let address = Outcome::Records(vec![RecordData::Address([192, 0, 2, 1].into())]);
        let of = |domain, host, unfit| {
            let mx = MailHosts { proof: domain, ..mail_hosts(&[(10, "mx.test")]) };
            let data = HostData::new(&Answer { proof: host, ..answer(address.clone()) });
            ids(&rules("example.test", &mx, &[data.seen(&mx.hosts[0])], unfit))
        };
        assert_eq!(of(Proof::Secure, Proof::Secure, None), [""; 0]);
        assert_eq!(of(Proof::Insecure, Proof::Insecure, None), ["dnssec.unsigned notice example.test"]);
        assert_eq!(of(Proof::Secure, Proof::Insecure, None), ["dnssec.host_unsigned notice mx.test"]);
        assert_eq!(of(Proof::Indeterminate, Proof::Indeterminate, None), [""; 0]);
        let unfit = of(Proof::Indeterminate, Proof::Indeterminate, Some("leaves signatures out"));
        assert_eq!(unfit, ["dnssec.resolver_unfit inconclusive example.test"]);
    }
}
