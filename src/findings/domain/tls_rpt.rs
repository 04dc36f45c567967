//! The rules about TLS-RPT.

use super::{dns::unknown, found, publish, sentence, txt_line};
use crate::{
    findings::catalogue::mta_sts::{REPORTS_ABSENT, REPORTS_INVALID},
    mail_dns::{
        State,
        tls_rpt::{Endpoint, TlsRpt, question, record_text},
    },
    report::Finding,
};

/// `is_wanted`: the domain uses MTA-STS or DANE.
pub(crate) fn rules(domain: &str, tls_rpt: &TlsRpt, is_wanted: bool) -> Vec<Finding> {
    let name = question(domain).name;
    let mut findings: Vec<_> = unknown(&format!("{name}. TXT"), tls_rpt.proof, tls_rpt.failure).into_iter().collect();
    let endpoints = match &tls_rpt.endpoints[..] {
        [] => &[Endpoint::Mailto(format!("tls-reports@{domain}"))],
        endpoints => endpoints,
    };
    let remedy = publish(&txt_line(&name, &record_text(endpoints)));
    match tls_rpt.state {
        State::Absent if is_wanted => {
            let message = "There is no TLS-RPT record beside MTA-STS or DANE.";
            findings.push(found(&REPORTS_ABSENT, domain, message).with_remedy(remedy));
        }
        State::Invalid => {
            let faults: Vec<_> = tls_rpt.faults.iter().map(ToString::to_string).collect();
            let found = found(&REPORTS_INVALID, format!("{name}."), sentence(&faults.join("; ")));
            findings.push(found.with_evidence(tls_rpt.records.iter().cloned()).with_remedy(remedy));
        }
        _ => {}
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::mail_dns::{Answer, LookupFailure, Outcome};

    fn of(answer: &Answer, is_wanted: bool) -> Vec<Finding> {
        rules("example.test", &TlsRpt::read(answer), is_wanted)
    }

    #[test]
    fn the_record_is_absent_invalid_or_right() {
        let absent = answer(Outcome::NoName);
        assert_eq!(ids(&of(&absent, true)), ["tls_rpt.absent notice example.test"]);
        assert_eq!(ids(&of(&absent, false)), [""; 0]);
        assert_eq!(ids(&of(&texts(&["v=TLSRPTv1; rua=mailto:a@b.test"]), true)), [""; 0]);
        let invalid = of(&texts(&["v=TLSRPTv1; rua=a@b.test"]), false);
        assert_eq!(ids(&invalid), ["tls_rpt.invalid error _smtp._tls.example.test."]);
        assert!(invalid[0].remedy.contains("v=TLSRPTv1; rua=mailto:tls-reports@example.test"), "{}", invalid[0].remedy);
        let failed = answer(Outcome::Failed(LookupFailure::Refused));
        assert_eq!(ids(&of(&failed, true)), ["dns.inconclusive inconclusive _smtp._tls.example.test. TXT"]);
    }
}
