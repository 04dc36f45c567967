//! The rules about the addresses that send mail of the domain.

use super::{dns::inconclusive, found, publish};
use crate::{
    findings::catalogue::sender::{RDNS, SPF_RESULT},
    mail_dns::lookups::reverse_name,
    report::{Finding, domain::SenderReport},
};

pub(crate) fn rules(senders: &[SenderReport]) -> Vec<Finding> {
    senders.iter().flat_map(|sender| [reverse_dns(sender), spf(sender)].into_iter().flatten()).collect()
}

fn reverse_dns(sender: &SenderReport) -> Option<Finding> {
    let SenderReport { ip, ptr, forward_confirmed, .. } = sender;
    let reverse = reverse_name(*ip);
    match (forward_confirmed, ptr) {
        (Some(true), _) => None,
        (Some(false), Some(name)) => {
            let kind = if ip.is_ipv4() { "A" } else { "AAAA" };
            let message = format!("The name {name} of {ip} does not have this address.");
            Some(found(&RDNS, ip.to_string(), message).with_remedy(publish(&format!("{name}. IN {kind} {ip}"))))
        }
        (Some(false), None) => Some(found(&RDNS, ip.to_string(), format!("There is no PTR record at {reverse}."))),
        (None, _) => Some(inconclusive(&format!("{reverse}. PTR"), "the name of the address was not looked up")),
    }
}

fn spf(sender: &SenderReport) -> Option<Finding> {
    let SenderReport { ip, spf, .. } = sender;
    match spf.as_str() {
        "pass" => None,
        "temperror" => Some(inconclusive(&format!("SPF for {ip}"), "a lookup failed")),
        result => {
            let term = if ip.is_ipv4() { "ip4" } else { "ip6" };
            let remedy = format!("Add `{term}:{ip}` to the SPF record of the domain of the envelope sender.");
            let message = format!("The result of SPF for {ip} is {result}.");
            Some(found(&SPF_RESULT, ip.to_string(), message).with_remedy(remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn an_address_has_a_name_and_passes_spf() {
        let of = |ptr: Option<&str>, forward_confirmed, spf: &str| {
            let sender = SenderReport {
                ip: [192, 0, 2, 9].into(),
                ptr: ptr.map(str::to_owned),
                forward_confirmed,
                spf: spf.to_owned(),
            };
            ids(&rules(&[sender]))
        };
        assert_eq!(of(Some("out.test"), Some(true), "pass"), [""; 0]);
        assert_eq!(of(Some("out.test"), Some(false), "pass"), ["sender.rdns error 192.0.2.9"]);
        assert_eq!(of(None, Some(false), "pass"), ["sender.rdns error 192.0.2.9"]);
        let unknown = of(None, None, "pass");
        assert_eq!(unknown, ["dns.inconclusive inconclusive 9.2.0.192.in-addr.arpa. PTR"]);
        assert_eq!(of(Some("out.test"), Some(true), "softfail"), ["sender.spf_result error 192.0.2.9"]);
        let unknown = of(Some("out.test"), Some(true), "temperror");
        assert_eq!(unknown, ["dns.inconclusive inconclusive SPF for 192.0.2.9"]);
    }
}
