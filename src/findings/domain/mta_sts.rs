//! The rules about MTA-STS: the record, how the policy is served, and what it says.

use super::{
    dns::{inconclusive, unknown},
    found, publish, sentence, txt_line,
};
use crate::{
    findings::catalogue::mta_sts::{
        ABSENT, CONTENT_TYPE, FETCH_FAILED, MX_UNLISTED, PATTERN_UNUSED, POLICY_INVALID, RECORD_INVALID, WEAK_MODE,
    },
    mail_dns::{
        State,
        mta_sts::{
            Announcement, Mode, Pattern, Policy, PolicyText, check_content_type, policy_url, question, record_text,
        },
    },
    report::Finding,
};

/// The life of a policy that is suggested, in seconds: one week.
const SUGGESTED_MAX_AGE: u32 = 604_800;

/// What the policy host served.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Served<'a> {
    /// It was not asked.
    Nothing,
    Policy {
        text: &'a PolicyText,
        content_type: Option<&'a str>,
    },
    /// It served no policy.
    Failed(&'a str),
    /// Nothing is known.
    Inconclusive(&'a str),
}

/// What is known of the policy of a domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sts<'a> {
    pub(crate) domain: &'a str,
    pub(crate) announcement: &'a Announcement,
    pub(crate) served: Served<'a>,
    /// The names of the mail exchangers.
    pub(crate) hosts: &'a [&'a str],
    /// These are all.
    pub(crate) has_all_hosts: bool,
    /// The domain takes mail, as far as is known.
    pub(crate) takes_mail: bool,
    /// The id of a record to publish.
    pub(crate) new_id: &'a str,
}

pub(crate) fn rules(sts: Sts<'_>) -> Vec<Finding> {
    let Sts { domain, announcement, .. } = sts;
    let name = question(domain).name;
    let mut findings: Vec<_> =
        unknown(&format!("{name}. TXT"), announcement.proof, announcement.failure).into_iter().collect();
    match announcement.state {
        State::Absent if sts.takes_mail => {
            let remedy = suggested(sts, Mode::Testing, None).map(|policy| {
                let line = txt_line(&name, &record_text(sts.new_id));
                format!("{}, then publish `{line}`; later, with a new id, `mode: enforce`.", serve(domain, &policy))
            });
            findings.push(found(&ABSENT, domain, "There is no MTA-STS record.").with_remedy(remedy));
        }
        State::Invalid => {
            let faults: Vec<_> = announcement.faults.iter().map(ToString::to_string).collect();
            let found = found(&RECORD_INVALID, format!("{name}."), sentence(&faults.join("; ")));
            let found = found.with_evidence(announcement.records.iter().cloned());
            findings.push(found.with_remedy(publish(&txt_line(&name, &record_text(sts.new_id)))));
        }
        State::Ok => findings.extend(of_served(sts)),
        _ => {}
    }
    findings
}

fn of_served(sts: Sts<'_>) -> Vec<Finding> {
    let url = policy_url(sts.domain);
    match sts.served {
        Served::Nothing => Vec::new(),
        Served::Failed(why) => vec![found(&FETCH_FAILED, sts.domain, sentence(why)).with_evidence([url])],
        Served::Inconclusive(why) => vec![inconclusive(&url, why)],
        Served::Policy { text, content_type } => {
            let media_type = check_content_type(content_type).err();
            let media_type = media_type.map(|fault| found(&CONTENT_TYPE, sts.domain, sentence(&fault.to_string())));
            let of_text = match text.policy() {
                Some(policy) => of_policy(sts, &policy),
                None => vec![invalid(sts, text)],
            };
            media_type.into_iter().chain(of_text).collect()
        }
    }
}

fn invalid(sts: Sts<'_>, text: &PolicyText) -> Finding {
    let faults: Vec<_> = text.faults.iter().map(ToString::to_string).collect();
    let remedy = suggested(sts, text.mode.unwrap_or(Mode::Testing), text.max_age);
    let remedy = remedy.map(|policy| format!("{}, and {}.", serve(sts.domain, &policy), new_record(sts)));
    let message = format!("The policy is invalid: {}.", faults.join("; "));
    let notes = text.notes.iter().map(ToString::to_string);
    found(&POLICY_INVALID, sts.domain, message).with_evidence(notes).with_remedy(remedy)
}

fn of_policy(sts: Sts<'_>, policy: &Policy) -> Vec<Finding> {
    let weaknesses: Vec<_> = policy.weaknesses().iter().map(ToString::to_string).collect();
    let weak = (!weaknesses.is_empty()).then(|| found(&WEAK_MODE, sts.domain, sentence(&weaknesses.join("; "))));
    if policy.mode == Mode::None {
        return weak.into_iter().collect();
    }
    let lines: Vec<_> = policy.mx.iter().map(|pattern| format!("mx: {pattern}")).collect();
    let unlisted = sts.hosts.iter().filter(|host| policy.matched_by(host).is_none()).map(|host| {
        let message = format!("{host} matches no line of the policy, whose mode is {}.", policy.mode.as_str());
        let remedy = format!("Add the line `mx: {host}` to the policy, and {}.", new_record(sts));
        found(&MX_UNLISTED, *host, message).with_evidence(lines.iter().cloned()).with_remedy(remedy)
    });
    let unused = if sts.has_all_hosts { policy.unused(sts.hosts) } else { Vec::new() };
    let unused = unused
        .into_iter()
        .map(|pattern| found(&PATTERN_UNUSED, sts.domain, format!("The line `mx: {pattern}` matches no mail server.")));
    weak.into_iter().chain(unlisted).chain(unused).collect()
}

/// A policy for the mail exchangers; `None` where they are not known.
fn suggested(sts: Sts<'_>, mode: Mode, max_age: Option<u64>) -> Option<Policy> {
    let mx: Vec<_> = sts.hosts.iter().filter_map(|host| Pattern::exact(host)).collect();
    let max_age = max_age.and_then(|age| u32::try_from(age).ok());
    let max_age = max_age.filter(|age| (1..=crate::mail_dns::mta_sts::MAX_AGE).contains(age));
    let is_whole = sts.has_all_hosts && !mx.is_empty() && mx.len() == sts.hosts.len();
    is_whole.then(|| Policy { mode, mx, max_age: max_age.unwrap_or(SUGGESTED_MAX_AGE) })
}

/// What is to be served, without the end of the sentence.
fn serve(domain: &str, policy: &Policy) -> String {
    let lines: Vec<_> = policy.to_string().lines().map(|line| format!("`{line}`")).collect();
    format!("Serve the lines {} at {}", lines.join(", "), policy_url(domain))
}

fn new_record(sts: Sts<'_>) -> String {
    format!("publish `{}`", txt_line(&question(sts.domain).name, &record_text(sts.new_id)))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::mail_dns::{Answer, LookupFailure, Outcome};

    const RECORD: &str = "v=STSv1; id=1";

    fn of(answer: &Answer, served: Served<'_>, hosts: &[&str]) -> Vec<Finding> {
        let announcement = Announcement::read(answer);
        rules(Sts {
            domain: "example.test",
            announcement: &announcement,
            served,
            hosts,
            has_all_hosts: true,
            takes_mail: true,
            new_id: "2",
        })
    }

    fn policy(lines: &str, hosts: &[&str]) -> Vec<String> {
        let text = PolicyText::parse(format!("version: STSv1\n{lines}").as_bytes());
        let served = Served::Policy { text: &text, content_type: Some("text/plain; charset=utf-8") };
        ids(&of(&texts(&[RECORD]), served, hosts))
    }

    #[test]
    fn the_record_is_absent_invalid_or_not_known() {
        let absent = of(&answer(Outcome::NoName), Served::Nothing, &["mx.test"]);
        assert_eq!(ids(&absent), ["mta_sts.absent notice example.test"]);
        for part in ["`mode: testing`, `mx: mx.test`", "_mta-sts.example.test. IN TXT \"v=STSv1; id=2\""] {
            assert!(absent[0].remedy.contains(part), "{}", absent[0].remedy);
        }
        let invalid = of(&texts(&["v=STSv1; id=a-b"]), Served::Nothing, &["mx.test"]);
        assert_eq!(ids(&invalid), ["mta_sts.record_invalid error _mta-sts.example.test."]);
        let failed = answer(Outcome::Failed(LookupFailure::ServFail));
        let unknown = of(&failed, Served::Nothing, &["mx.test"]);
        assert_eq!(ids(&unknown), ["dns.inconclusive inconclusive _mta-sts.example.test. TXT"]);
    }

    #[test]
    fn a_domain_that_takes_no_mail_needs_no_policy() {
        let announcement = Announcement::read(&answer(Outcome::NoName));
        let found = rules(Sts {
            domain: "example.test",
            announcement: &announcement,
            served: Served::Nothing,
            hosts: &[],
            has_all_hosts: true,
            takes_mail: false,
            new_id: "2",
        });
        assert_eq!(ids(&found), [""; 0]);
    }

    #[test]
    fn the_policy_is_not_served_or_not_known() {
        let of = |served| ids(&of(&texts(&[RECORD]), served, &["mx.test"]));
        assert_eq!(of(Served::Failed("status 404")), ["mta_sts.fetch_failed error example.test"]);
        let url = "https://mta-sts.example.test/.well-known/mta-sts.txt";
        assert_eq!(of(Served::Inconclusive("no route")), [format!("dns.inconclusive inconclusive {url}")]);
        let text = PolicyText::parse(b"version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 604800\n");
        let html = Served::Policy { text: &text, content_type: Some("text/html") };
        assert_eq!(of(html), ["mta_sts.content_type notice example.test"]);
    }

    #[test]
    fn what_the_policy_says() {
        let good = "mode: enforce\nmx: *.example.test\nmax_age: 604800\n";
        assert_eq!(policy(good, &["mx.example.test"]), [""; 0]);
        let both = ["mx.example.test", "other.test"];
        assert_eq!(policy(good, &both), ["mta_sts.mx_unlisted error other.test"]);
        let more = format!("{good}mx: mx.exmaple.test\n");
        assert_eq!(policy(&more, &["mx.example.test"]), ["mta_sts.pattern_unused notice example.test"]);
        for weak in [good.replace("enforce", "testing"), good.replace("604800", "86399")] {
            assert_eq!(policy(&weak, &["mx.example.test"]), ["mta_sts.weak_mode notice example.test"]);
        }
        assert_eq!(policy("mode: none\nmax_age: 0\n", &both), ["mta_sts.weak_mode notice example.test"]);
        let invalid = good.replace("604800", "31557601");
        assert_eq!(policy(&invalid, &both), ["mta_sts.policy_invalid error example.test"]);
    }
}
