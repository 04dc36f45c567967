//! Destinations of reports, and their consent.

use super::{
    super::{Authorization, ReportTag},
    walk, walk_in,
};
use crate::mail_dns::{LookupFailure, test_zone::Zone};

fn authorizations(domain: &str, zone: &str) -> Vec<Authorization> {
    walk(domain, zone).destinations.into_iter().map(|destination| destination.authorization).collect()
}

const NAME: &str = "example.com._report._dmarc.report.example";

fn record(uris: &str) -> String {
    format!("_dmarc.example.com TXT v=DMARC1; p=none; rua={uris}")
}

#[test]
fn an_address_of_the_same_organization_needs_no_consent() {
    for host in ["example.com", "mail.example.com", "EXAMPLE.com"] {
        assert_eq!(
            authorizations("example.com", &record(&format!("mailto:a@{host}"))),
            [Authorization::NotNeeded],
            "{host}"
        );
    }
    let zone = "_dmarc.mail.example.com TXT v=DMARC1; p=none; rua=mailto:a@example.com
                _dmarc.example.com TXT v=DMARC1; p=none";
    assert_eq!(authorizations("mail.example.com", zone), [Authorization::NotNeeded]);
    // Another domain that ends in the same letters.
    let name = "example.com._report._dmarc.myexample.com".to_owned();
    assert_eq!(authorizations("example.com", &record("mailto:a@myexample.com")), [Authorization::Missing(name)]);
}

#[test]
fn an_external_address_needs_consent() {
    let zone = record("mailto:a@report.example");
    assert_eq!(authorizations("example.com", &zone), [Authorization::Missing(NAME.to_owned())]);
    for text in ["v=DMARC1", "v=DMARC1;", "v=DMARC1; rua=mailto:b@report.example"] {
        assert_eq!(
            authorizations("example.com", &format!("{zone}\n{NAME} TXT {text}")),
            [Authorization::Given(NAME.to_owned())]
        );
    }
    for text in ["v=dmarc1", "yes"] {
        assert_eq!(
            authorizations("example.com", &format!("{zone}\n{NAME} TXT {text}")),
            [Authorization::Missing(NAME.to_owned())]
        );
    }
    let failure = LookupFailure::ServFail;
    let expected = Authorization::Inconclusive { name: NAME.to_owned(), failure };
    assert_eq!(authorizations("example.com", &format!("{zone}\n{NAME} SERVFAIL")), [expected]);
}

#[test]
fn consent_is_to_the_domain_whose_record_it_is() {
    let zone = record("mailto:a@report.example");
    assert_eq!(authorizations("mail.example.com", &zone), [Authorization::Missing(NAME.to_owned())]);
}

#[test]
fn both_tags_and_other_schemes_are_looked_at() {
    let zone =
        "_dmarc.example.com TXT v=DMARC1; p=none; rua=https://report.example/x,foo:bar; ruf=mailto:a@report.example";
    let destinations = walk("example.com", zone).destinations;
    let tags: Vec<_> = destinations.iter().map(|it| (it.tag, it.authorization.clone())).collect();
    let missing = Authorization::Missing(NAME.to_owned());
    assert_eq!(
        tags,
        [(ReportTag::Rua, missing.clone()), (ReportTag::Rua, Authorization::NoHost), (ReportTag::Ruf, missing)]
    );
}

#[test]
fn no_more_than_eight_hosts_are_asked_for() {
    let uris: Vec<_> = (0..20).map(|host| format!("mailto:a@h{host}.example")).collect();
    let mut zone = Zone::new(&record(&uris.join(",")));
    let dmarc = walk_in("example.com", &mut zone);
    assert_eq!(zone.asked.iter().filter(|question| question.name.contains("_report")).count(), 8);
    let unasked = dmarc.destinations.iter().filter(|it| matches!(it.authorization, Authorization::NotAsked(_)));
    assert_eq!((unasked.count(), dmarc.destinations.len()), (12, 20));
}

#[test]
fn a_name_that_is_too_long_is_not_asked_for() {
    let host = vec!["a".repeat(60); 4].join(".");
    assert_eq!(authorizations("example.com", &record(&format!("mailto:a@{host}"))), [Authorization::NameTooLong]);
}
