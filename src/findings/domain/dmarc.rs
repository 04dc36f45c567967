//! The rules about DMARC.

use super::{dns::unknown, found, publish, sentence, txt_line};
use crate::{
    findings::catalogue::dmarc::{ABSENT, INVALID, POLICY_NONE, REPORT_UNAUTHORIZED, RETIRED_TAGS},
    mail_dns::{
        State,
        dmarc::{Authorization, Dmarc, Fault, Policy, PolicyTag, Record, Visit},
    },
    report::{Finding, Severity},
};

pub(crate) fn rules(domain: &str, dmarc: &Dmarc, takes_mail: bool) -> Vec<Finding> {
    // With a record, names further up tell only where the organization ends.
    let counts = |visit: &&Visit| dmarc.found.is_none() || visit.domain == dmarc.domain;
    let visits = dmarc.visits.iter().filter(counts);
    let mut findings: Vec<_> =
        visits.filter_map(|visit| unknown(&format!("{}. TXT", visit.name()), visit.proof, visit.failure())).collect();
    if dmarc.state() == State::Absent {
        findings.push(absent(domain, takes_mail));
    }
    findings.extend(invalid(dmarc));
    if let (Some(record), Some(name)) = (dmarc.record(), dmarc.found_at()) {
        findings.extend(policy_none(domain, dmarc, record, &name));
        findings.extend(retired(record, &name));
        findings.extend(reports(domain, dmarc, record, &name));
    }
    findings
}

fn absent(domain: &str, takes_mail: bool) -> Finding {
    let record = match takes_mail {
        true => format!("v=DMARC1; p=none; rua=mailto:dmarc-reports@{domain}"),
        false => "v=DMARC1; p=reject".to_owned(),
    };
    let remedy = publish(&txt_line(&format!("_dmarc.{domain}"), &record));
    let remedy = if takes_mail { format!("{remedy} Once all mail passes, change `p`.") } else { remedy };
    found(&ABSENT, domain, "There is no DMARC record.").with_remedy(remedy)
}

/// One finding for each record and severity.
fn invalid(dmarc: &Dmarc) -> Vec<Finding> {
    let mut found_at: Vec<(String, bool, Vec<String>)> = Vec::new();
    for fault in dmarc.faults() {
        let (domain, is_fatal) = (of_record(&fault), fault.is_fatal());
        match found_at.iter_mut().find(|known| (&*known.0, known.1) == (domain, is_fatal)) {
            Some(known) => known.2.push(fault.to_string()),
            None => found_at.push((domain.to_owned(), is_fatal, vec![fault.to_string()])),
        }
    }
    let invalid = found_at.into_iter().map(|(domain, is_fatal, faults)| {
        let visit = dmarc.visits.iter().find(|visit| visit.domain == domain);
        let near_misses =
            visit.iter().flat_map(|visit| &visit.near_misses).map(|near_miss| near_miss.text().to_owned());
        let texts = visit.iter().flat_map(|visit| &visit.texts).cloned();
        let evidence: Vec<_> = texts.chain(near_misses).collect();
        let found = found(&INVALID, format!("_dmarc.{domain}."), sentence(&faults.join("; ")));
        found.with_severity(Severity::Warning, !is_fatal).with_evidence(evidence)
    });
    invalid.collect()
}

fn of_record(fault: &Fault) -> &str {
    match fault {
        Fault::Multiple { domain, .. }
        | Fault::NearMiss { domain, .. }
        | Fault::NoEffect { domain }
        | Fault::Record { domain, .. } => domain,
    }
}

fn policy_none(domain: &str, dmarc: &Dmarc, record: &Record, name: &str) -> Option<Finding> {
    if dmarc.applied_policy() != Some(Policy::None) {
        return None;
    }
    let message = match dmarc.policy() {
        Some(Policy::Quarantine | Policy::Reject) => "The policy is taken for none, because of t=y.",
        _ => "The policy that applies is none.",
    };
    let stricter = stricter(record, dmarc.found.as_ref()?.tag);
    let remedy = format!("Once the reports show that all mail passes: publish `{}`.", txt_line(name, &stricter));
    Some(found(&POLICY_NONE, domain, message).with_evidence([record.text.clone()]).with_remedy(remedy))
}

/// The record with a policy that asks for something.
fn stricter(record: &Record, tag: PolicyTag) -> String {
    let mut stricter = Record { is_testing: false, ..record.clone() };
    let policy = match tag {
        PolicyTag::P | PolicyTag::Assumed => &mut stricter.policy,
        PolicyTag::Sp => &mut stricter.subdomain_policy,
        PolicyTag::Np => &mut stricter.nonexistent_policy,
    };
    *policy = policy.filter(|policy| *policy != Policy::None).or(Some(Policy::Quarantine));
    stricter.to_string()
}

fn retired(record: &Record, name: &str) -> Option<Finding> {
    let tags = record.retired.iter().map(ToString::to_string);
    let tags: Vec<_> = tags.chain(record.unknown.iter().map(|tag| format!("unknown tag {tag}"))).collect();
    if tags.is_empty() {
        return None;
    }
    let message = format!("Receivers ignore: {}.", tags.join(", "));
    let found = found(&RETIRED_TAGS, format!("{name}."), message).with_evidence([record.text.clone()]);
    // A record with a fault is not to be published again.
    let remedy = record.faults.is_empty().then(|| publish(&txt_line(name, &record.to_string())));
    Some(found.with_remedy(remedy))
}

fn reports(domain: &str, dmarc: &Dmarc, record: &Record, name: &str) -> Vec<Finding> {
    if record.rua.is_empty() {
        let found = found(&REPORT_UNAUTHORIZED, format!("{name}."), "The record has no address for reports (rua).");
        let with_reports = format!("{record}; rua=mailto:dmarc-reports@{domain}");
        let remedy = record.faults.is_empty().then(|| publish(&txt_line(name, &with_reports)));
        return vec![found.with_severity(Severity::Notice, true).with_remedy(remedy)];
    }
    let of_destination = dmarc.destinations.iter().filter_map(|destination| {
        let message = format!(
            "Receivers send no reports to {}: its organization does not say that it wants them.",
            destination.uri
        );
        let unwanted = found(&REPORT_UNAUTHORIZED, format!("{name}."), message);
        match &destination.authorization {
            Authorization::Missing(name) => Some(unwanted.with_remedy(publish(&txt_line(name, "v=DMARC1")))),
            Authorization::NameTooLong => Some(unwanted),
            Authorization::Inconclusive { name, failure } => {
                unknown(&format!("{name}. TXT"), crate::mail_dns::Proof::Indeterminate, Some(*failure))
            }
            Authorization::NotNeeded | Authorization::Given(_) | Authorization::NoHost | Authorization::NotAsked(_) => {
                None
            }
        }
    });
    of_destination.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::mail_dns::{dmarc::DmarcWalk, test_zone::Zone};

    fn of(zone: &str) -> Vec<Finding> {
        let mut walk = DmarcWalk::new("example.com");
        let dmarc = Zone::new(zone).run(|answers| walk.step(answers));
        rules("example.com", &dmarc, true)
    }

    fn with(record: &str) -> Vec<String> {
        ids(&of(&format!("_dmarc.example.com TXT {record}")))
    }

    const RUA: &str = "rua=mailto:a@example.com";

    #[test]
    fn the_record_is_right_absent_or_not_known() {
        assert_eq!(with(&format!("v=DMARC1; p=reject; {RUA}")), [""; 0]);
        assert_eq!(ids(&of("")), ["dmarc.absent error example.com"]);
        let failed = of("_dmarc.example.com SERVFAIL");
        assert_eq!(ids(&failed), ["dns.inconclusive inconclusive _dmarc.example.com. TXT"]);
        let above = of(&format!("_dmarc.example.com TXT v=DMARC1; p=reject; {RUA}\n_dmarc.com SERVFAIL"));
        assert_eq!(ids(&above), [""; 0]);
        let no_mail = absent("example.com", false).remedy;
        assert_eq!(no_mail, "Publish `_dmarc.example.com. IN TXT \"v=DMARC1; p=reject\"`.");
    }

    #[test]
    fn records_that_do_not_count() {
        let two = of("_dmarc.example.com TXT v=DMARC1; p=reject\n_dmarc.example.com TXT v=DMARC1; p=none");
        assert_eq!(ids(&two), ["dmarc.invalid error _dmarc.example.com."]);
        assert_eq!(with("p=reject; v=DMARC1"), ["dmarc.invalid error _dmarc.example.com."]);
        let other = with(&format!("v=DMARC1; p=reject; aspf=x; {RUA}"));
        assert_eq!(other, ["dmarc.invalid warning _dmarc.example.com."]);
    }

    #[test]
    fn the_policy_asks_for_nothing() {
        let found = of(&format!("_dmarc.example.com TXT v=DMARC1; p=none; {RUA}"));
        assert_eq!(ids(&found), ["dmarc.policy_none notice example.com"]);
        assert!(found[0].remedy.contains("p=quarantine"), "{}", found[0].remedy);
        let testing = of(&format!("_dmarc.example.com TXT v=DMARC1; p=quarantine; t=y; {RUA}"));
        assert_eq!(ids(&testing), ["dmarc.policy_none notice example.com"]);
        assert!(!testing[0].remedy.contains("t=y"), "{}", testing[0].remedy);
        assert_eq!(with(&format!("v=DMARC1; p=reject; t=y; {RUA}")), [""; 0], "quarantine applies");
    }

    #[test]
    fn tags_that_are_ignored() {
        let found = of(&format!("_dmarc.example.com TXT v=DMARC1; p=reject; pct=50; {RUA}"));
        assert_eq!(ids(&found), ["dmarc.retired_tags notice _dmarc.example.com."]);
        let line = format!("_dmarc.example.com. IN TXT \"v=DMARC1; p=reject; {RUA}\"");
        assert_eq!(found[0].remedy, publish(&line));
    }

    #[test]
    fn reports_arrive_or_not() {
        let subject = "_dmarc.example.com.";
        assert_eq!(with("v=DMARC1; p=reject"), [format!("dmarc.report_unauthorized notice {subject}")]);
        let record = "_dmarc.example.com TXT v=DMARC1; p=reject; rua=mailto:a@reports.net";
        let found = of(record);
        assert_eq!(ids(&found), [format!("dmarc.report_unauthorized warning {subject}")]);
        let name = "example.com._report._dmarc.reports.net";
        assert_eq!(found[0].remedy, format!("Publish `{name}. IN TXT \"v=DMARC1\"`."));
        assert_eq!(ids(&of(&format!("{record}\n{name} TXT v=DMARC1"))), [""; 0]);
    }
}
