//! The addresses that send mail of a domain: name, the way back from it, and the result of SPF.

use std::net::IpAddr;

use futures_util::future::join_all;

use super::lookups::Lookups;
use crate::{
    check::DomainCheck,
    mail_dns::{
        Outcome, Question, RecordData, RecordKind,
        lookups::reverse_name,
        spf::{HostCheck, Identity, SpfResult},
    },
    report::domain::SenderReport,
};

/// Names of one address that are followed back (RFC 8601, section 3, has the same limit).
const MAX_NAMES: usize = 10;

pub(super) async fn survey(check: &DomainCheck, lookups: &Lookups) -> Vec<SenderReport> {
    join_all(check.sending_ips.iter().map(|ip| sender(*ip, check, lookups))).await
}

async fn sender(ip: IpAddr, check: &DomainCheck, lookups: &Lookups) -> SenderReport {
    let (from, ehlo) = check.sender();
    let identity = Identity { ip, local: from.0, domain: from.1, helo: ehlo };
    let mut evaluation = HostCheck::new(identity);
    let (names, spf) = tokio::join!(names(ip, lookups), lookups.walk(move |answers| evaluation.step(answers)));
    let (ptr, forward_confirmed) = match names {
        None => (None, None),
        Some(names) => follow_back(ip, names, lookups).await,
    };
    SenderReport { ip, ptr, forward_confirmed, spf: word(spf.result).to_owned() }
}

/// The names of an address; `None` where that could not be told.
async fn names(ip: IpAddr, lookups: &Lookups) -> Option<Vec<String>> {
    let answer = lookups.ask(&Question::new(&reverse_name(ip), RecordKind::Ptr)).await;
    match answer.outcome {
        Outcome::Failed(_) => None,
        Outcome::NoName | Outcome::NoData => Some(Vec::new()),
        Outcome::Records(records) => Some(
            records
                .into_iter()
                .filter_map(|record| match record {
                    RecordData::Ptr(name) => Some(name),
                    _ => None,
                })
                .take(MAX_NAMES)
                .collect(),
        ),
    }
}

/// The name that leads back to the address, or else the first one; and whether one does.
async fn follow_back(ip: IpAddr, names: Vec<String>, lookups: &Lookups) -> (Option<String>, Option<bool>) {
    let kind = if ip.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
    let mut is_known = true;
    for name in &names {
        match lookups.ask(&Question::new(name, kind)).await.outcome {
            Outcome::Records(records) if records.contains(&RecordData::Address(ip)) => {
                return (Some(name.clone()), Some(true));
            }
            Outcome::Failed(_) => is_known = false,
            _ => {}
        }
    }
    (names.into_iter().next(), is_known.then_some(false))
}

fn word(result: SpfResult) -> &'static str {
    match result {
        SpfResult::None => "none",
        SpfResult::Neutral => "neutral",
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
    }
}
