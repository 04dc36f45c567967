//! From judged records to their part of the report.

use std::fmt::Display;

use crate::{
    mail_dns::{
        LookupFailure, Proof, Question, RecordKind, State,
        dkim::Selector,
        dmarc::{self, Dmarc},
        mta_sts::{Announcement, Mode, PolicyText, policy_url},
        mx::{MailHosts, MxStatus},
        spf::{self, Spf},
        tls_rpt::TlsRpt,
    },
    report::domain::{
        DkimKeyReport, DmarcReport, MtaStsPolicyReport, MtaStsReport, RecordReport, SpfReport, SpfTermReport,
    },
};

/// Texts of what is wrong with a record that are shown.
const MAX_FAULTS: usize = 8;

/// A question as text, such as `example.com. MX`.
pub(super) fn asked(question: &Question) -> String {
    let kind = match question.kind {
        RecordKind::A => "A",
        RecordKind::Aaaa => "AAAA",
        RecordKind::Mx => "MX",
        RecordKind::Ptr => "PTR",
        RecordKind::Tlsa => "TLSA",
        RecordKind::Txt => "TXT",
    };
    format!("{}. {kind}", question.name)
}

/// Why a state is not `ok`.
pub(super) fn reason<F: Display>(failure: Option<LookupFailure>, faults: &[F]) -> Option<String> {
    if let Some(failure) = failure {
        return Some(failure.to_string());
    }
    let faults: Vec<_> = faults.iter().take(MAX_FAULTS).map(ToString::to_string).collect();
    (!faults.is_empty()).then(|| faults.join("; "))
}

pub(super) fn mx(question: &Question, hosts: &MailHosts) -> RecordReport {
    RecordReport {
        state: hosts.state,
        reason: reason(hosts.failure, &hosts.faults),
        proof: hosts.proof,
        records: hosts.records.clone(),
        looked_up: vec![asked(question)],
    }
}

/// The policy of MTA-STS, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct StsFound {
    pub(super) announcement: Announcement,
    /// What was served, if it was fetched.
    pub(super) fetched: Option<Result<PolicyText, super::policy_fetch::FetchError>>,
    pub(super) content_type: Option<String>,
}

impl StsFound {
    /// The state of record and policy together.
    pub(super) fn state(&self) -> (State, Option<String>) {
        use super::policy_fetch::FetchError;
        let of_record = reason(self.announcement.failure, &self.announcement.faults);
        match (&self.announcement.state, &self.fetched) {
            (State::Ok, Some(Ok(policy))) if policy.faults.is_empty() => (State::Ok, None),
            (State::Ok, Some(Ok(policy))) => (State::Invalid, reason(None, &policy.faults)),
            (State::Ok, Some(Err(FetchError::Inconclusive(why)))) => (State::Inconclusive, Some(why.clone())),
            (State::Ok, Some(Err(FetchError::Failed(why)))) => (State::Invalid, Some(why.clone())),
            (State::Ok, None) => (State::NotTested, None),
            (state, _) => (*state, of_record),
        }
    }

    /// The policy, if senders have one.
    pub(super) fn policy(&self) -> Option<&PolicyText> {
        let policy = self.fetched.as_ref()?.as_ref().ok()?;
        (self.announcement.state == State::Ok && policy.faults.is_empty()).then_some(policy)
    }

    /// Whether senders keep to a policy: one of mode `none` is none.
    pub(super) fn policy_in_force(&self) -> Option<&PolicyText> {
        self.policy().filter(|policy| policy.mode.is_some_and(|mode| mode != Mode::None))
    }

    pub(super) fn report(&self, domain: &str, question: &Question) -> MtaStsReport {
        let (state, reason) = self.state();
        let policy = self.fetched.as_ref().and_then(|fetched| fetched.as_ref().ok());
        let policy = policy.and_then(|policy| {
            Some(MtaStsPolicyReport {
                mode: policy.mode?.as_str().to_owned(),
                mx: policy.mx.iter().map(ToString::to_string).collect(),
                max_age: policy.max_age?,
            })
        });
        let record = RecordReport {
            state,
            reason,
            proof: self.announcement.proof,
            records: self.announcement.records.clone(),
            looked_up: vec![asked(question)],
        };
        MtaStsReport { record, policy, policy_url: self.fetched.is_some().then(|| policy_url(domain)) }
    }
}

pub(super) fn spf(question: &Question, spf: &Spf) -> SpfReport {
    let publication = &spf.root.publication;
    let errors: Vec<_> = spf.faults().into_iter().filter(spf::Fault::is_error).collect();
    let (ipv4, ipv6) = spf.voids();
    SpfReport {
        record: RecordReport {
            state: spf.state(),
            reason: reason(spf.reason(), &errors),
            proof: spf.proof(),
            records: publication.texts.clone(),
            looked_up: vec![asked(question)],
        },
        lookups: spf.lookups,
        void_lookups: ipv4.terms.max(ipv6.terms),
        tree: terms(&spf.root),
    }
}

fn terms(node: &spf::Node) -> Vec<SpfTermReport> {
    let term = |term: &spf::TermNode| SpfTermReport {
        term: term.text.clone(),
        lookups: term.lookups,
        children: term.child().map(terms).unwrap_or_default(),
    };
    node.terms.iter().map(term).collect()
}

pub(super) fn dmarc(dmarc: &Dmarc) -> DmarcReport {
    let errors: Vec<_> = dmarc.faults().into_iter().filter(dmarc::Fault::is_fatal).collect();
    let visit = dmarc.found.as_ref().and_then(|found| dmarc.visits.get(found.visit)).or(dmarc.visits.first());
    DmarcReport {
        record: RecordReport {
            state: dmarc.state(),
            reason: reason(dmarc.reason(), &errors),
            proof: proof_of(dmarc.visits.iter().map(|visit| visit.proof)),
            records: visit.map(|visit| visit.texts.clone()).unwrap_or_default(),
            looked_up: dmarc.visits.iter().map(|visit| format!("{}. TXT", visit.name())).collect(),
        },
        found_at: dmarc.found_at().map(|name| format!("{name}.")),
        policy: dmarc.policy().map(|policy| policy_word(policy).to_owned()),
    }
}

pub(super) fn policy_word(policy: dmarc::Policy) -> &'static str {
    match policy {
        dmarc::Policy::None => "none",
        dmarc::Policy::Quarantine => "quarantine",
        dmarc::Policy::Reject => "reject",
    }
}

pub(super) fn dkim(selector: &str, question: &Question, found: &Selector) -> DkimKeyReport {
    DkimKeyReport {
        selector: selector.to_owned(),
        record: RecordReport {
            state: found.state,
            reason: reason(found.failure, &found.faults),
            proof: found.proof,
            records: found.records.clone(),
            looked_up: vec![asked(question)],
        },
        key: found.key.as_ref().map(|key| key.public_key.to_string()),
    }
}

pub(super) fn tls_rpt(question: &Question, found: &TlsRpt) -> RecordReport {
    RecordReport {
        state: found.state,
        reason: reason(found.failure, &found.faults),
        proof: found.proof,
        records: found.records.clone(),
        looked_up: vec![asked(question)],
    }
}

/// What no lookup was made for: the status of a domain without mail exchangers.
pub(super) fn takes_no_mail(status: MxStatus) -> bool {
    matches!(status, MxStatus::NullMx | MxStatus::NoSuchDomain)
}

/// The weaker proof of several answers.
pub(super) fn proof_of(proofs: impl IntoIterator<Item = Proof>) -> Proof {
    let rank = |proof: &Proof| match proof {
        Proof::Secure => 0,
        Proof::Insecure => 1,
        Proof::Indeterminate => 2,
        Proof::Bogus => 3,
    };
    proofs.into_iter().max_by_key(rank).unwrap_or(Proof::Indeterminate)
}
