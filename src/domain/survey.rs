//! [`Surveyor`]: one check of a domain, from its job to its report.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    DomainEvent, DomainJob,
    dane::{self, DaneJudge},
    differences::differences,
    exchangers::{Exchangers, MAX_SESSIONS_PER_ADDRESS, NoAddresses, Surveyed},
    findings::{self, Judged},
    known::{Published, Survey},
    lookups::Lookups,
    policy_fetch::PolicyFetcher,
    records::{self, StsFound, takes_no_mail},
    senders,
    views::{self, Asked, StsPolicy},
};
use crate::{
    clock,
    destination::{Target, policy::TargetPolicy},
    mail_dns::{
        Question, RecordKind, State, Verdict, dkim, dmarc, mta_sts,
        mx::{self, MailHosts, MxStatus},
        spf, tls_rpt,
        tlsa::DaneView,
    },
    net::lookup::DnsClient,
    permits::KeyedLimit,
    probe::{Probe, Refusal},
    report::domain::{AddressReport, DnsReport, DomainReport, HostReport, Views},
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
        let session = self.dns.session(MAX_QUESTIONS, deadline).await;
        let resolver = session.state();
        let lookups = Lookups::new(session, deadline);
        // Boxed: the futures are large, and each step of one would move all of them.
        let (mail_hosts, published) = tokio::join!(
            Box::pin(self.mail_hosts(&job, &lookups, deadline)),
            Box::pin(self.published(&job, &lookups, deadline)),
        );
        let (mx, surveyed) = mail_hosts;
        let survey = Survey { check, resolver, mx, surveyed, published };
        Ok(survey.report(job.id, started_at, started.elapsed(), &self.fetcher.tls))
    }

    /// What the domain publishes beside its MX records, all of it side by side.
    async fn published(&self, job: &DomainJob, lookups: &Lookups, deadline: Instant) -> Published {
        let domain = job.check.domain.as_str();
        let spf = async {
            let mut walk = spf::SpfWalk::new(domain);
            let found = lookups.walk(|answers| walk.step(answers)).await;
            tell(job, "spf", &records::spf(&Question::new(domain, RecordKind::Txt), &found));
            found
        };
        let dmarc = async {
            let mut walk = dmarc::DmarcWalk::new(domain);
            let found = lookups.walk(|answers| walk.step(answers)).await;
            tell(job, "dmarc", &records::dmarc(&found));
            found
        };
        let dkim = async {
            let keys = job.check.dkim_selectors.iter().map(|selector| async move {
                let question = dkim::question(selector, domain);
                (selector.clone(), dkim::Selector::read(&lookups.ask(&question).await))
            });
            let found = join_all(keys).await;
            let keys =
                found.iter().map(|(selector, key)| records::dkim(selector, &dkim::question(selector, domain), key));
            tell(job, "dkim", &keys.collect::<Vec<_>>());
            found
        };
        let tls_rpt = async {
            let question = tls_rpt::question(domain);
            let found = tls_rpt::TlsRpt::read(&lookups.ask(&question).await);
            tell(job, "tls_rpt", &records::tls_rpt(&question, &found));
            found
        };
        let (spf, dmarc, dkim, tls_rpt, mta_sts, senders) = tokio::join!(
            spf,
            dmarc,
            dkim,
            tls_rpt,
            self.mta_sts(job, lookups, deadline),
            senders::survey(&job.check, lookups),
        );
        Published { spf, dmarc, dkim, tls_rpt, mta_sts, senders }
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

impl Survey {
    fn report(self, id: Uuid, started_at: OffsetDateTime, took: Duration, tls: &TlsClient) -> DomainReport {
        let domain = self.check.domain.to_string();
        let judged = self.surveyed.iter().map(|host| self.host_report(host, tls));
        let (hosts, dane): (Vec<_>, Vec<_>) = judged.unzip();
        let (differences, verdict) = (differences(&hosts), verdict(self.mx.status, &hosts));
        let new_id = new_id(started_at);
        let judged = Judged { hosts: &hosts, dane: &dane, differences: &differences, verdict, new_id: &new_id };
        let findings = findings::of(&self, &judged);
        let Published { spf, dmarc, dkim, tls_rpt, mta_sts, senders } = &self.published;
        let dkim = dkim.iter().map(|(selector, key)| records::dkim(selector, &dkim::question(selector, &domain), key));
        DomainReport {
            id,
            started_at,
            duration_ms: took.as_micros() as f64 / 1000.0,
            verdict,
            mx_status: self.mx.status,
            dns: DnsReport {
                mx: records::mx(&mx::question(&domain), &self.mx),
                spf: records::spf(&Question::new(&domain, RecordKind::Txt), spf),
                dmarc: records::dmarc(dmarc),
                dkim: dkim.collect(),
                mta_sts: mta_sts.report(&domain, &mta_sts::question(&domain)),
                tls_rpt: records::tls_rpt(&tls_rpt::question(&domain), tls_rpt),
            },
            differences,
            senders: senders.clone(),
            hosts,
            domain,
            counts: DomainReport::count(&findings),
            findings,
        }
    }

    /// The report of a host, and what DANE makes of each of its addresses.
    fn host_report(&self, surveyed: &Surveyed, tls: &TlsClient) -> (HostReport, Vec<DaneView>) {
        let Surveyed { host, reason, addresses, tlsa, sessions, .. } = surveyed;
        let asked = Asked { has_recipient: self.check.has_recipient };
        let policy = sts_policy(&self.published.mta_sts, &host.name);
        let judge =
            DaneJudge { domain: self.check.domain.as_str(), mx: self.mx.proof, addresses: addresses.proof, tlsa, tls };
        let (mut matched, mut by_dane) = (Vec::new(), Vec::new());
        let judged = sessions.iter().map(|seen| {
            let report = seen.report.as_deref();
            let opportunistic = views::opportunistic(report, asked);
            let (dane, matches) = judge.judge(report);
            matched.extend(matches);
            by_dane.push(dane);
            let views = Views {
                opportunistic,
                mta_sts: views::mta_sts(report, policy, asked),
                dane: dane::with_delivery(dane.verdict, opportunistic),
            };
            AddressReport { views, ..seen.clone() }
        });
        let sessions: Vec<_> = judged.collect();
        let views = if sessions.is_empty() {
            Views::all(reason.map_or(Verdict::Inconclusive, no_addresses))
        } else {
            Views::of_all(&sessions.iter().map(|seen| seen.views).collect::<Vec<_>>())
        };
        matched.sort_unstable();
        matched.dedup();
        let report = HostReport {
            name: host.name.clone(),
            preference: host.preference,
            proof: addresses.proof,
            reason: reason.map(|reason| reason.to_string()),
            tlsa: dane::report(tlsa, self.check.port(), addresses.proof, matched),
            addresses: sessions,
            views,
        };
        (report, by_dane)
    }
}

/// An id for a new record of MTA-STS: the time, as the example in RFC 8461, section 3.1, has it.
fn new_id(now: OffsetDateTime) -> String {
    let (date, (hour, minute, second)) = (now.date(), now.to_hms());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

fn no_addresses(reason: NoAddresses) -> Verdict {
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
