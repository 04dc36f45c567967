//! The rules about the DKIM keys of the selectors that the caller named.

use super::{dns::unknown, found, publish, sentence, txt_line};
use crate::{
    findings::catalogue::dkim::{ED25519_ONLY, KEY_INVALID, KEY_REVOKED, KEY_WEAK, SELECTOR_MISSING, TESTING},
    mail_dns::{
        State,
        dkim::{KeyRecord, PublicKey, Selector, Weakness, is_ed25519_only, question},
    },
    report::{Finding, Severity},
};

pub(crate) fn rules(domain: &str, keys: &[(String, Selector)]) -> Vec<Finding> {
    let mut findings: Vec<_> =
        keys.iter().flat_map(|(selector, key)| of_selector(&question(selector, domain).name, key)).collect();
    if is_ed25519_only(keys.iter().map(|(_, key)| key)) {
        findings.push(found(&ED25519_ONLY, domain, "All keys of the selectors are Ed25519."));
    }
    findings
}

fn of_selector(name: &str, selector: &Selector) -> Vec<Finding> {
    let subject = format!("{name}.");
    let mut findings: Vec<_> =
        unknown(&format!("{subject} TXT"), selector.proof, selector.failure).into_iter().collect();
    match (selector.state, &selector.key) {
        (State::Absent, _) => {
            findings.push(found(&SELECTOR_MISSING, subject, format!("There is no key at {name}.")));
        }
        (State::Invalid, key) => {
            let faults: Vec<_> = selector.faults.iter().map(ToString::to_string).collect();
            let found = found(&KEY_INVALID, subject, sentence(&faults.join("; ")));
            let remedy = key.as_ref().map(|key| publish(&txt_line(name, &key.to_string())));
            findings.push(found.with_evidence(selector.records.iter().cloned()).with_remedy(remedy));
        }
        (State::Ok, Some(key)) => findings.extend(of_key(name, selector, key)),
        _ => {}
    }
    findings
}

fn of_key(name: &str, selector: &Selector, key: &KeyRecord) -> Vec<Finding> {
    let found = |entry, message: String| {
        found(entry, format!("{name}."), message).with_evidence(selector.records.iter().cloned())
    };
    if key.public_key == PublicKey::Revoked {
        return vec![found(&KEY_REVOKED, "The key is revoked.".to_owned())];
    }
    let weak = key.weaknesses().into_iter().map(|weakness| {
        let is_short = matches!(weakness, Weakness::Short(_));
        found(&KEY_WEAK, sentence(&weakness.to_string())).with_severity(Severity::Warning, is_short)
    });
    let testing = key.is_testing.then(|| {
        let final_key = KeyRecord { is_testing: false, ..key.clone() };
        let remedy = publish(&txt_line(name, &final_key.to_string()));
        found(&TESTING, "The key is marked as a test.".to_owned()).with_remedy(remedy)
    });
    weak.chain(testing).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::mail_dns::{Answer, LookupFailure, Outcome};

    const NAME: &str = "s1._domainkey.example.test.";
    /// 32 octets, as an Ed25519 key has.
    const ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn of(answer: &Answer) -> Vec<String> {
        ids(&of_selector(NAME.trim_end_matches('.'), &Selector::read(answer)))
    }

    fn finding(rest: &str) -> Vec<String> {
        vec![format!("{rest} {NAME}")]
    }

    /// A key of RSA whose modulus has this number of octets.
    fn rsa(octets: u8, more: &str) -> String {
        use base64::Engine as _;
        // SEQUENCE { INTEGER modulus, INTEGER 65537 } (RFC 6376, section 3.6.1).
        let mut modulus = vec![0x02, 0x82, 0x01, octets.wrapping_add(1), 0];
        let size = 256 + usize::from(octets);
        modulus.extend(std::iter::repeat_n(0xff, size));
        modulus.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
        let length = u16::try_from(modulus.len()).expect("a length").to_be_bytes();
        let der: Vec<u8> = [0x30, 0x82].into_iter().chain(length).chain(modulus).collect();
        format!("v=DKIM1;{more} p={}", base64::engine::general_purpose::STANDARD.encode(der))
    }

    #[test]
    fn the_key_is_missing_invalid_or_not_known() {
        assert_eq!(of(&texts(&[ED25519])), [""; 0]);
        assert_eq!(of(&answer(Outcome::NoName)), finding("dkim.selector_missing error"));
        assert_eq!(of(&texts(&["v=DKIM1; k=dsa; p=aaaa"])), finding("dkim.key_invalid error"));
        assert_eq!(of(&texts(&[ED25519, "v=DKIM1; p="])), finding("dkim.key_invalid error"));
        let failed = of(&answer(Outcome::Failed(LookupFailure::TimedOut)));
        assert_eq!(failed, [format!("dns.inconclusive inconclusive {NAME} TXT")]);
    }

    #[test]
    fn the_key_is_revoked_weak_or_a_test() {
        assert_eq!(of(&texts(&["v=DKIM1; p="])), finding("dkim.key_revoked error"));
        assert_eq!(of(&texts(&[&ED25519.replace("; p", "; t=y; p")])), finding("dkim.testing notice"));
        assert_eq!(of(&texts(&[&rsa(0, "")])), [""; 0], "2048 bits");
        assert_eq!(of(&texts(&[&rsa(0, " h=sha1;")])), finding("dkim.key_weak error"));
    }

    #[test]
    fn short_keys_are_warnings_or_errors() {
        let short = |bits| {
            let mut selector = Selector::read(&texts(&[&rsa(0, "")]));
            selector.key.as_mut().expect("a key").public_key = PublicKey::Rsa { bits };
            ids(&of_selector(NAME.trim_end_matches('.'), &selector))
        };
        assert_eq!(short(2048), [""; 0]);
        assert_eq!(short(2047), finding("dkim.key_weak warning"));
        assert_eq!(short(1023), finding("dkim.key_weak error"));
    }

    #[test]
    fn there_is_no_rsa_key_beside_ed25519() {
        let key = |text: &str| ("s1".to_owned(), Selector::read(&texts(&[text])));
        let found = |keys: &[(String, Selector)]| ids(&rules("example.test", keys));
        assert_eq!(found(&[key(ED25519)]), ["dkim.ed25519_only warning example.test"]);
        assert_eq!(found(&[key(ED25519), key(&rsa(0, ""))]), [""; 0]);
        assert_eq!(found(&[]), [""; 0]);
    }
}
