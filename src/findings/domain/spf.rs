//! The rules about SPF: the faults of the whole tree, each kind of each record once.

use std::net::IpAddr;

use super::{dns::unknown, found, publish, sentence, txt_line};
use crate::{
    findings::catalogue::{
        Entry,
        spf::{
            ABSENT, DEAD_TERMS, INCLUDE_BROKEN, MULTIPLE, MX_TOO_MANY_NAMES, PERMISSIVE, SYNTAX, TOO_MANY_LOOKUPS,
            TOO_MANY_VOIDS,
        },
    },
    mail_dns::{
        Proof, RecordKind, State,
        spf::{FailedLookup, Fault, Mechanism, Spf, Term, TermKind},
    },
    report::{Finding, Severity},
};

/// Failed lookups that are named.
const MAX_FAILED: usize = 8;
/// Faults of one kind that are named.
const MAX_NAMED: usize = 4;

/// `sending_ips` are the addresses that send mail of the domain, as far as the caller named them.
pub(crate) fn rules(domain: &str, spf: &Spf, takes_mail: bool, sending_ips: &[IpAddr]) -> Vec<Finding> {
    let mut findings: Vec<_> = unknown(&format!("{domain}. TXT"), spf.proof(), spf.reason()).into_iter().collect();
    let is_root = |failed: &&FailedLookup| failed.name == domain && failed.kind == RecordKind::Txt;
    let failed = spf.failed.iter().filter(|failed| !is_root(failed)).take(MAX_FAILED);
    findings.extend(failed.filter_map(|failed| {
        let FailedLookup { name, kind, failure } = failed;
        unknown(&format!("{name}. {kind}"), Proof::Indeterminate, Some(*failure))
    }));
    if spf.state() == State::Absent {
        findings.push(absent(domain, takes_mail, sending_ips));
    }
    findings.extend(of_faults(domain, spf));
    findings
}

fn absent(domain: &str, takes_mail: bool, sending_ips: &[IpAddr]) -> Finding {
    let addresses = sending_ips.iter().map(|ip| match ip {
        IpAddr::V4(ip) => format!(" ip4:{ip}"),
        IpAddr::V6(ip) => format!(" ip6:{ip}"),
    });
    let terms: String = addresses.collect();
    let record = match &*terms {
        "" if !takes_mail => "v=spf1 -all".to_owned(),
        "" => "v=spf1 mx ~all".to_owned(),
        terms => format!("v=spf1{terms} ~all"),
    };
    let line = txt_line(domain, &record);
    let remedy = format!("Publish `{line}`, if that names all servers that send mail of the domain.");
    found(&ABSENT, domain, "There is no SPF record.").with_remedy(remedy)
}

/// Faults with the same id, severity and record are one finding.
fn of_faults(domain: &str, spf: &Spf) -> Vec<Finding> {
    let mut kinds: Vec<(&Entry, Severity, &str, Vec<&Fault>)> = Vec::new();
    let faults = spf.faults();
    for fault in &faults {
        let (entry, severity) = kind(fault);
        let at = of_record(fault).unwrap_or(domain);
        match kinds.iter_mut().find(|known| (known.0.id, known.1, known.2) == (entry.id, severity, at)) {
            Some(known) => known.3.push(fault),
            None => kinds.push((entry, severity, at, vec![fault])),
        }
    }
    let of_kind = kinds.into_iter().map(|(entry, severity, at, faults)| {
        let texts: Vec<_> = faults.iter().take(MAX_NAMED).map(ToString::to_string).collect();
        let more = faults.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = sentence(&format!("{}{more}", texts.join("; ")));
        let found = found(entry, at, message).with_severity(severity, true).with_evidence(evidence(spf, at, entry));
        let remedy = (at == domain).then(|| corrected(spf, entry, severity)).flatten();
        found.with_remedy(remedy.map(|record| publish(&txt_line(domain, &record))))
    });
    of_kind.collect()
}

fn kind(fault: &Fault) -> (&'static Entry, Severity) {
    let entry = match fault {
        Fault::Multiple { .. } => &MULTIPLE,
        Fault::NearMiss { .. } | Fault::Syntax { .. } => &SYNTAX,
        Fault::TooManyLookups { .. } | Fault::NearlyTooManyLookups { .. } => &TOO_MANY_LOOKUPS,
        Fault::TooManyVoids { .. } => &TOO_MANY_VOIDS,
        Fault::MxTooManyNames { .. } => &MX_TOO_MANY_NAMES,
        Fault::IncludeBroken { .. } => &INCLUDE_BROKEN,
        Fault::PassAll { .. }
        | Fault::NeutralAll { .. }
        | Fault::NoAll { .. }
        | Fault::WideNetwork { .. }
        | Fault::SoftFailAll { .. } => &PERMISSIVE,
        Fault::AfterAll { .. } | Fault::RedirectBesideAll { .. } | Fault::Ptr { .. } | Fault::Long { .. } => {
            &DEAD_TERMS
        }
    };
    let severity = match fault {
        Fault::NearlyTooManyLookups { .. } => Severity::Notice,
        Fault::SoftFailAll { .. } => Severity::Info,
        _ => entry.severity,
    };
    (entry, severity)
}

/// Whose record it is; `None` for what concerns the whole tree.
fn of_record(fault: &Fault) -> Option<&str> {
    match fault {
        Fault::TooManyLookups { .. } | Fault::NearlyTooManyLookups { .. } | Fault::TooManyVoids { .. } => None,
        Fault::Multiple { domain, .. }
        | Fault::NearMiss { domain, .. }
        | Fault::Syntax { domain, .. }
        | Fault::MxTooManyNames { domain, .. }
        | Fault::IncludeBroken { domain, .. }
        | Fault::PassAll { domain }
        | Fault::NeutralAll { domain }
        | Fault::NoAll { domain }
        | Fault::SoftFailAll { domain }
        | Fault::WideNetwork { domain, .. }
        | Fault::AfterAll { domain, .. }
        | Fault::RedirectBesideAll { domain, .. }
        | Fault::Ptr { domain, .. }
        | Fault::Long { domain, .. } => Some(domain),
    }
}

/// The terms that cost most, those that find nothing, or the record.
fn evidence(spf: &Spf, at: &str, entry: &Entry) -> Vec<String> {
    if entry.id == TOO_MANY_LOOKUPS.id {
        let mut terms: Vec<_> = spf.root.terms.iter().collect();
        terms.sort_by_key(|term| std::cmp::Reverse(term.lookups));
        return terms.iter().map(|term| format!("{}: {} lookups", term.text, term.lookups)).collect();
    }
    let mut texts = Vec::new();
    if entry.id == TOO_MANY_VOIDS.id {
        spf.root.each_term(&mut |node, term| {
            if term.voids.ipv4 + term.voids.ipv6 > 0 {
                texts.push(format!("{} at {}", term.text, node.domain()));
            }
        });
        return texts;
    }
    spf.root.each_node(&mut |node| {
        if texts.is_empty() && node.domain() == at {
            texts.extend(node.publication.texts.iter().cloned());
            texts.extend(node.publication.near_misses.iter().map(|near_miss| near_miss.text().to_owned()));
        }
    });
    texts
}

/// The record of the domain without what is wrong, where that is plain.
fn corrected(spf: &Spf, entry: &Entry, severity: Severity) -> Option<String> {
    let record = spf.root.record().filter(|record| record.faults.is_empty() && !record.is_cut)?;
    let is_all = |term: &Term| matches!(term.kind, TermKind::Directive(_, Mechanism::All));
    let all = record.terms.iter().position(is_all);
    let texts = |terms: &[Term]| terms.iter().map(|term| format!(" {}", term.text)).collect::<String>();
    if entry.id == PERMISSIVE.id && severity == Severity::Warning {
        let has_wide_network = !spf.root.wide_networks().is_empty();
        let ends_in_redirect = all.is_none() && record.redirect().is_some();
        let kept = &record.terms[..all.unwrap_or(record.terms.len())];
        return (!has_wide_network && !ends_in_redirect).then(|| format!("v=spf1{} ~all", texts(kept)));
    }
    let all = all.filter(|_| entry.id == DEAD_TERMS.id)?;
    let (kept, after) = record.terms.split_at(all + 1);
    // Other modifiers, such as `exp`, have an effect behind `all`.
    let is_dead = |term: &Term| matches!(term.kind, TermKind::Redirect(_) | TermKind::Directive(..));
    let after: Vec<_> = after.iter().filter(|term| !is_dead(term)).cloned().collect();
    (kept.len() + after.len() < record.terms.len()).then(|| format!("v=spf1{}{}", texts(kept), texts(&after)))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::mail_dns::{spf::SpfWalk, test_zone::Zone};

    fn of(zone: &str) -> Vec<Finding> {
        let mut walk = SpfWalk::new("example.test");
        let spf = Zone::new(zone).run(|answers| walk.step(answers));
        rules("example.test", &spf, true, &[])
    }

    /// The findings about a record of the domain, with more names in the zone.
    fn with(record: &str, zone: &str) -> Vec<String> {
        ids(&of(&format!("example.test TXT {record}\n{zone}")))
    }

    #[test]
    fn a_record_is_right_or_absent_or_not_known() {
        assert_eq!(with("v=spf1 ip4:192.0.2.1 -all", ""), [""; 0]);
        assert_eq!(ids(&of("example.test A 192.0.2.1")), ["spf.absent warning example.test"]);
        assert_eq!(ids(&of("example.test SERVFAIL")), ["dns.inconclusive inconclusive example.test. TXT"]);
        let included = with("v=spf1 include:other.test -all", "other.test SERVFAIL");
        assert_eq!(included, ["dns.inconclusive inconclusive other.test. TXT"]);
    }

    #[test]
    fn records_that_are_not_evaluated() {
        let two = with("v=spf1 -all", "example.test TXT v=spf1 ~all");
        assert_eq!(two, ["spf.multiple error example.test"]);
        assert_eq!(with("v=spf1 ip4:300.0.0.1 -all", ""), ["spf.syntax error example.test"]);
        assert_eq!(with("v=spf1; -all", ""), ["spf.syntax error example.test"]);
        let broken = with("v=spf1 include:no.test -all", "");
        assert!(broken.contains(&"spf.include_broken error example.test".to_owned()), "{broken:?}");
    }

    #[test]
    fn the_limits_of_an_evaluation() {
        let many = |count: usize| {
            let terms: String = (0..count).map(|number| format!(" a:a{number}.test")).collect();
            let hosts = (0..count).map(|number| format!("a{number}.test A 192.0.2.1\na{number}.test AAAA ::1\n"));
            with(&format!("v=spf1{terms} -all"), &hosts.collect::<String>())
        };
        assert_eq!(many(8), [""; 0]);
        assert_eq!(many(9), ["spf.too_many_lookups notice example.test"]);
        assert_eq!(many(11), ["spf.too_many_lookups error example.test"]);
        assert_eq!(with("v=spf1 a:a.test a:b.test -all", ""), [""; 0]);
        assert_eq!(
            with("v=spf1 a:a.test a:b.test a:c.test -all", ""),
            ["spf.too_many_voids warning example.test"],
            "once for both families"
        );
        let hosts: String = (0..11).map(|number| format!("big.test MX 10 mx{number}.test\n")).collect();
        let hosts = hosts + &(0..11).map(|number| format!("mx{number}.test A 192.0.2.1\n")).collect::<String>();
        let found = with("v=spf1 mx:big.test -all", &hosts);
        assert!(found.contains(&"spf.mx_too_many_names error example.test".to_owned()), "{found:?}");
    }

    #[test]
    fn records_that_allow_too_much_or_have_terms_of_no_use() {
        for record in ["v=spf1 +all", "v=spf1 ?all", "v=spf1 ip4:192.0.2.1", "v=spf1 ip4:10.0.0.0/8 -all"] {
            assert_eq!(with(record, ""), ["spf.permissive warning example.test"], "{record}");
        }
        assert_eq!(with("v=spf1 ~all", ""), ["spf.permissive info example.test"]);
        assert_eq!(with("v=spf1 -all ip4:192.0.2.1", ""), ["spf.dead_terms notice example.test"]);
    }

    #[test]
    fn the_remedy_is_the_corrected_record() {
        let remedy = |record: &str| of(&format!("example.test TXT {record}"))[0].remedy.to_string();
        let published = |text: &str| format!("Publish `example.test. IN TXT \"{text}\"`.");
        assert_eq!(remedy("v=spf1 ip4:192.0.2.1 ?all"), published("v=spf1 ip4:192.0.2.1 ~all"));
        assert_eq!(remedy("v=spf1 ip4:192.0.2.1"), published("v=spf1 ip4:192.0.2.1 ~all"));
        assert_eq!(remedy("v=spf1 ip4:192.0.2.1 -all a"), published("v=spf1 ip4:192.0.2.1 -all"));
        assert_eq!(remedy("v=spf1 ip4:10.0.0.0/8 -all"), PERMISSIVE.remedy);
        let none = absent("example.test", true, &["192.0.2.9".parse().expect("an address")]).remedy;
        assert!(none.contains("\"v=spf1 ip4:192.0.2.9 ~all\""), "{none}");
        assert!(absent("example.test", false, &[]).remedy.contains("\"v=spf1 -all\""));
    }
}
