//! [`Surveyor`]: one check of a domain, from its job to its report.

use std::{net::IpAddr, sync::Arc};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    DomainEvent, DomainJob,
    differences::differences,
    exchangers::{Exchangers, MAX_SESSIONS_PER_ADDRESS, Surveyed},
    lookups::Lookups,
    policy_fetch::PolicyFetcher,
    records::{self, StsFound, takes_no_mail},
    views::{self, Asked, StsPolicy},
};
use crate::{
    clock,
    destination::{Target, policy::TargetPolicy},
    mail_dns::{
        Proof, State, Verdict, mta_sts,
        mx::{self, MailHosts, MxStatus},
    },
    net::lookup::DnsClient,
    permits::KeyedLimit,
    probe::{Probe, Refusal},
    report::domain::{
        AddressReport, DmarcReport, DnsReport, DomainReport, HostReport, RecordReport, SpfReport, TlsaReport, Views,
    },
    tls::TlsClient,
};

/// DNS questions of one check at a time.
const MAX_QUESTIONS: usize = 16;

/// Checks domains: what all checks share. So do clones.
#[derive(Clone, Debug)]
pub struct Surveyor {
    probe: Probe,
    dns: DnsClient,
    policy: Arc<TargetPolicy>,
    fetcher: PolicyFetcher,
    per_address: Arc<KeyedLimit<IpAddr>>,
}

impl Surveyor {
    /// `probe` holds the sessions, `dns` has the records, `policy` tells whom one may talk to, and `tls` verifies the
    /// policy hosts of MTA-STS, which listen on `mta_sts_port`.
    pub fn new(probe: Probe, dns: DnsClient, policy: Arc<TargetPolicy>, tls: TlsClient, mta_sts_port: u16) -> Self {
        let fetcher = PolicyFetcher { policy: Arc::clone(&policy), tls, port: mta_sts_port };
        Self { probe, dns, policy, fetcher, per_address: Arc::new(KeyedLimit::new(MAX_SESSIONS_PER_ADDRESS)) }
    }

    /// The same with another way to hold sessions: one that counts them, for example.
    #[must_use]
    pub fn with_probe(self, probe: Probe) -> Self {
        Self { probe, ..self }
    }

    /// Checks one domain.
    ///
    /// # Errors
    /// The check was not run.
    pub(super) async fn run(&self, job: DomainJob) -> Result<DomainReport, Refusal> {
        let (started, started_at) = (Instant::now(), clock::now());
        let check = Arc::clone(&job.check);
        let deadline = started + check.timeout;
        // A forbidden name or port is refused before DNS is asked, so that the answer does not tell whether it exists.
        self.policy.admit_target(&Target::MxOf(check.domain.clone()), check.port())?;
        let session = self.dns.session(MAX_QUESTIONS).await;
        let resolver = session.state();
        let lookups = Lookups::new(session, deadline);
        let (mail_hosts, sts) =
            tokio::join!(self.mail_hosts(&job, &lookups, deadline), self.mta_sts(&job, &lookups, deadline));
        let (mx, surveyed) = mail_hosts;
        let _ = resolver;

        let asked = Asked { depth: check.depth, has_recipient: check.has_recipient };
        let hosts: Vec<_> = surveyed.into_iter().map(|host| host_report(host, &sts, asked)).collect();
        let domain = check.domain.to_string();
        let mx_question = mx::question(&domain);
        let not_tested = || RecordReport::not_tested("not looked at yet");
        let findings = Vec::new();
        Ok(DomainReport {
            id: job.id,
            started_at,
            duration_ms: started.elapsed().as_micros() as f64 / 1000.0,
            verdict: verdict(mx.status, &hosts),
            mx_status: mx.status,
            dns: DnsReport {
                mx: records::mx(&mx_question, &mx),
                spf: SpfReport { record: not_tested(), lookups: 0, void_lookups: 0, tree: Vec::new() },
                dmarc: DmarcReport { record: not_tested(), found_at: None, policy: None },
                dkim: Vec::new(),
                mta_sts: sts.report(&domain, &mta_sts::question(&domain)),
                tls_rpt: not_tested(),
            },
            domain,
            differences: differences(&hosts),
            hosts,
            senders: Vec::new(),
            counts: DomainReport::count(&findings),
            findings,
        })
    }

    /// The MX records, and what was seen of their hosts.
    async fn mail_hosts(&self, job: &DomainJob, lookups: &Lookups, deadline: Instant) -> (MailHosts, Vec<Surveyed>) {
        let domain = job.check.domain.as_str();
        let question = mx::question(domain);
        let mx = MailHosts::read(domain, &lookups.ask(&question).await, job.check.mx_limit);
        tell(job, "mx", &records::mx(&question, &mx));
        if takes_no_mail(mx.status) {
            return (mx, Vec::new());
        }
        let exchangers = Exchangers {
            job,
            probe: &self.probe,
            policy: &self.policy,
            per_address: &self.per_address,
            lookups,
            deadline,
        };
        let surveyed = exchangers.survey(&mx.hosts).await;
        (mx, surveyed)
    }

    async fn mta_sts(&self, job: &DomainJob, lookups: &Lookups, deadline: Instant) -> StsFound {
        let domain = &job.check.domain;
        let question = mta_sts::question(domain.as_str());
        let announcement = mta_sts::Announcement::read(&lookups.ask(&question).await);
        let mut found = StsFound { announcement, fetched: None, content_type: None };
        if found.announcement.state == State::Ok {
            let served = self.fetcher.fetch(domain, lookups, deadline).await;
            found.content_type = served.as_ref().ok().and_then(|served| served.content_type.clone());
            found.fetched = Some(served.map(|served| mta_sts::PolicyText::parse(&served.body)));
        }
        tell(job, "mta_sts", &found.report(domain.as_str(), &question));
        found
    }
}

fn tell(job: &DomainJob, name: &'static str, value: &impl Serialize) {
    job.tell(|| DomainEvent::Record { name, value: serde_json::to_value(value).unwrap_or_default() });
}

fn host_report(surveyed: Surveyed, sts: &StsFound, asked: Asked) -> HostReport {
    let Surveyed { host, reason, addresses, sessions, .. } = surveyed;
    let policy = sts_policy(sts, &host.name);
    let sessions: Vec<_> = sessions
        .into_iter()
        .map(|seen| {
            let report = seen.report.as_deref();
            let views = Views {
                opportunistic: views::opportunistic(report, asked),
                mta_sts: views::mta_sts(report, policy, asked),
                dane: Verdict::NotApplicable,
            };
            AddressReport { views, ..seen }
        })
        .collect();
    let views = if sessions.is_empty() {
        Views::all(reason.map_or(Verdict::Inconclusive, no_addresses))
    } else {
        Views::of_all(&sessions.iter().map(|seen| seen.views).collect::<Vec<_>>())
    };
    HostReport {
        name: host.name,
        preference: host.preference,
        proof: addresses.proof,
        reason: reason.map(|reason| reason.to_string()),
        tlsa: TlsaReport::not_tested("not looked at yet"),
        addresses: sessions,
        views,
    }
}

fn no_addresses(reason: super::exchangers::NoAddresses) -> Verdict {
    use super::exchangers::NoAddresses;
    match reason {
        NoAddresses::Inconclusive(_) | NoAddresses::Forbidden => Verdict::Inconclusive,
        _ => Verdict::Fail,
    }
}

fn sts_policy(sts: &StsFound, host: &str) -> StsPolicy {
    match (sts.state().0, sts.policy_in_force()) {
        (State::Inconclusive, _) => StsPolicy::Unknown,
        (_, None) => StsPolicy::None,
        (_, Some(policy)) if policy.mx.iter().any(|pattern| pattern.matches(host)) => StsPolicy::Listed,
        (_, Some(_)) => StsPolicy::Unlisted,
    }
}

fn verdict(status: MxStatus, hosts: &[HostReport]) -> Views {
    match status {
        MxStatus::NullMx => Views::all(Verdict::NotApplicable),
        MxStatus::NoSuchDomain => Views { opportunistic: Verdict::Fail, ..Views::all(Verdict::NotApplicable) },
        MxStatus::Inconclusive => Views::INCONCLUSIVE,
        MxStatus::HasMx | MxStatus::NoMx | MxStatus::NullMxWithOthers => {
            Views::of_all(&hosts.iter().map(|host| host.views).collect::<Vec<_>>())
        }
    }
}
