//! The findings of a domain: what the rules make of what it publishes, and of what its servers showed.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::{
    exchangers::{NoAddresses, Surveyed},
    known::Survey,
    policy_fetch::FetchError,
    records::StsFound,
};
use crate::{
    destination::IpFamily,
    findings::domain::{
        SeenHost, dane, dkim, dmarc, dnssec,
        expectation::{self, Expected},
        fleet::{self, LeftOut},
        mta_sts::{self, Served, Sts},
        mx::{self, Mx},
        sender, session, spf, tls_rpt,
    },
    mail_dns::{
        State, Verdict,
        mx::{HostKind, MxStatus},
        tlsa::{DaneView, TlsaOutcome},
    },
    net::lookup::ResolverState,
    report::{
        Finding,
        domain::{Difference, HostReport, Views},
    },
};

/// What the parts of the report say that the rules need.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    /// The mail exchangers, in the order of the survey.
    pub(super) hosts: &'a [HostReport],
    /// What DANE makes of the addresses of each.
    pub(super) dane: &'a [Vec<DaneView>],
    pub(super) differences: &'a [Difference],
    pub(super) verdict: Views,
    /// The id of a new record of MTA-STS.
    pub(super) new_id: &'a str,
}

/// All findings, the severest first.
pub(super) fn of(survey: &Survey, judged: &Judged<'_>) -> Vec<Finding> {
    let domain = survey.check.domain.as_str();
    let hosts = seen_hosts(survey, judged);
    let is_any_family = survey.check.ip_family == IpFamily::Any;
    let mut findings = mx::rules(Mx { domain, records: &survey.mx, hosts: &hosts, is_any_family });
    findings.extend(dnssec::rules(domain, &survey.mx, &hosts, unfit(survey.resolver)));
    findings.extend(expectations(survey, judged.verdict).into_iter().filter_map(|it| expectation::rule(domain, it)));
    // Nothing else can be said about a domain that does not exist.
    if survey.mx.status != MxStatus::NoSuchDomain {
        findings.extend(of_records(survey, judged.new_id, &hosts));
        findings.extend(of_servers(survey, judged, &hosts));
    }
    findings.sort_by(|one, other| {
        (one.severity, one.id, &one.subject, &one.message).cmp(&(
            other.severity,
            other.id,
            &other.subject,
            &other.message,
        ))
    });
    findings.dedup_by(|one, other| one.id == other.id && one.subject == other.subject && one.message == other.message);
    findings
}

fn seen_hosts<'a>(survey: &'a Survey, judged: &'a Judged<'_>) -> Vec<SeenHost<'a>> {
    let hosts = survey.surveyed.iter().zip(judged.hosts).zip(judged.dane);
    let hosts = hosts.map(|((surveyed, report), dane)| SeenHost {
        host: &surveyed.host,
        is_host_name: !matches!(surveyed.reason, Some(NoAddresses::NotAHostName)),
        addresses: &surveyed.addresses,
        tlsa: &surveyed.tlsa,
        sessions: &report.addresses,
        dane,
    });
    hosts.collect()
}

fn unfit(resolver: ResolverState) -> Option<&'static str> {
    match resolver {
        ResolverState::Ok => None,
        ResolverState::StripsDnssec => Some("leaves out the signatures of DNSSEC"),
        ResolverState::Unreachable => Some("gives no answer about the root, where every proof begins"),
    }
}

fn of_records(survey: &Survey, new_id: &str, hosts: &[SeenHost<'_>]) -> Vec<Finding> {
    let domain = survey.check.domain.as_str();
    let published = &survey.published;
    let takes_mail = survey.mx.status != MxStatus::NullMx;
    let names: Vec<_> = survey.mx.hosts.iter().filter(|host| host.kind == HostKind::Name).collect();
    let names: Vec<_> = names.iter().map(|host| host.name.as_str()).collect();
    let sts = Sts {
        domain,
        announcement: &published.mta_sts.announcement,
        served: served(&published.mta_sts),
        hosts: &names,
        has_all_hosts: survey.mx.left_out == 0 && survey.mx.status != MxStatus::Inconclusive,
        takes_mail,
        new_id,
    };
    let has_tlsa = hosts.iter().any(|seen| matches!(seen.tlsa, TlsaOutcome::Records { .. }));
    let has_policy = published.mta_sts.announcement.state == State::Ok;
    let mut findings = spf::rules(domain, &published.spf, takes_mail, &survey.check.sending_ips);
    findings.extend(dmarc::rules(domain, &published.dmarc, takes_mail));
    findings.extend(dkim::rules(domain, &published.dkim));
    findings.extend(mta_sts::rules(sts));
    findings.extend(tls_rpt::rules(domain, &published.tls_rpt, takes_mail && (has_tlsa || has_policy)));
    findings.extend(sender::rules(&published.senders));
    findings
}

fn served(sts: &StsFound) -> Served<'_> {
    match &sts.fetched {
        None => Served::Nothing,
        Some(Ok(text)) => Served::Policy { text, content_type: sts.content_type.as_deref() },
        Some(Err(FetchError::Failed(why))) => Served::Failed(why),
        Some(Err(FetchError::Inconclusive(why))) => Served::Inconclusive(why),
    }
}

fn of_servers(survey: &Survey, judged: &Judged<'_>, hosts: &[SeenHost<'_>]) -> Vec<Finding> {
    let domain = survey.check.domain.as_str();
    let policy = survey.published.mta_sts.policy_in_force();
    let mut findings = dane::rules(domain, survey.check.port(), hosts);
    for seen in hosts {
        let has_policy = policy.is_some_and(|it| it.mx.iter().any(|pattern| pattern.matches(&seen.host.name)));
        findings.extend(session::lifted(seen, has_policy));
    }
    findings.extend(fleet::differences(domain, judged.differences, hosts));
    findings.extend(fleet::truncated(domain, left_out(survey, judged.hosts)));
    findings
}

fn left_out(survey: &Survey, hosts: &[HostReport]) -> LeftOut {
    let forbidden = survey.surveyed.iter().filter_map(|surveyed| match surveyed.reason {
        Some(reason @ NoAddresses::Forbidden) => Some(format!("{}: {reason}", surveyed.host.name)),
        _ => None,
    });
    let refused = hosts.iter().flat_map(|host| {
        host.addresses
            .iter()
            .filter_map(|seen| Some(format!("{} [{}]: {}", host.name, seen.address, seen.refusal.as_ref()?)))
    });
    LeftOut {
        hosts: survey.mx.left_out,
        addresses: survey.surveyed.iter().map(|Surveyed { left_out, .. }| left_out).sum(),
        not_connected: forbidden.chain(refused).collect(),
    }
}

/// What the caller expects, beside what is so.
fn expectations(survey: &Survey, verdict: Views) -> Vec<Expected> {
    let expect = &survey.check.expect;
    let Survey { mx, published, .. } = survey;
    let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    let names = || mx.records.iter().filter_map(|record| record.split(' ').nth(1));
    let names = || names().map(|name| name.trim_end_matches('.')).filter(|name| !name.is_empty());
    let dmarc = &published.dmarc;
    let policy = || dmarc.policy().map(|policy| policy.to_string()).unwrap_or_default();
    let mode = || published.mta_sts.policy().and_then(|policy| policy.mode).map_or("", |mode| mode.as_str());
    let is_sts_known = !matches!(published.mta_sts.state().0, State::Inconclusive | State::NotTested);
    let usable = |is_usable| if is_usable { "usable" } else { "not usable" }.to_owned();
    let expected = [
        expect.mx.as_ref().map(|expected| Expected {
            of: "The set of MX hosts",
            expected: list(expected.iter().map(String::as_str).collect()),
            seen: (mx.status != MxStatus::Inconclusive).then(|| list(names().collect())),
        }),
        expect.dmarc_policy.as_ref().map(|expected| Expected {
            of: "The DMARC policy",
            expected: expected.clone(),
            seen: (dmarc.state() != State::Inconclusive).then(policy),
        }),
        expect.mta_sts_mode.as_ref().map(|expected| Expected {
            of: "The mode of MTA-STS",
            expected: expected.clone(),
            seen: is_sts_known.then(|| mode().to_owned()),
        }),
        expect.dane.map(|expected| Expected {
            of: "DANE",
            expected: usable(expected),
            seen: (verdict.dane != Verdict::Inconclusive).then(|| usable(verdict.dane == Verdict::Ok)),
        }),
    ];
    expected.into_iter().flatten().collect()
}
