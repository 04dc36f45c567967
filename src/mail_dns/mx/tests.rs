use proptest::prelude::*;

use super::*;

fn answer(records: &[(u16, &str)]) -> Answer {
    let records =
        records.iter().map(|(preference, name)| RecordData::Mx { preference: *preference, exchange: (*name).into() });
    with(Outcome::Records(records.collect()))
}

fn with(outcome: Outcome) -> Answer {
    Answer { proof: Proof::Insecure, aliases: Vec::new(), outcome }
}

fn addresses(addresses: &[&str]) -> Answer {
    let records = addresses.iter().map(|address| RecordData::Address(address.parse().expect("an address")));
    with(Outcome::Records(records.collect()))
}

fn read(answer: &Answer) -> MailHosts {
    MailHosts::read("example.com", answer, 10)
}

#[test]
fn each_answer_has_its_status_and_state() {
    let cases = [
        (answer(&[(10, "mx.example.com")]), MxStatus::HasMx, State::Ok),
        (answer(&[(0, "")]), MxStatus::NullMx, State::Ok),
        (answer(&[(10, "")]), MxStatus::NullMx, State::Invalid),
        (answer(&[(0, ""), (10, "mx.example.com")]), MxStatus::NullMxWithOthers, State::Invalid),
        (with(Outcome::NoData), MxStatus::NoMx, State::Absent),
        (with(Outcome::NoName), MxStatus::NoSuchDomain, State::Absent),
        (with(Outcome::Failed(LookupFailure::ServFail)), MxStatus::Inconclusive, State::Inconclusive),
        (with(Outcome::Records(Vec::new())), MxStatus::NoMx, State::Absent),
        (
            Answer { proof: Proof::Bogus, ..answer(&[(10, "mx.example.com")]) },
            MxStatus::Inconclusive,
            State::Inconclusive,
        ),
    ];
    for (answer, status, state) in cases {
        let result = read(&answer);
        assert_eq!((result.status, result.state), (status, state), "{answer:?}");
        assert_eq!(result.failure.is_some(), state == State::Inconclusive, "{answer:?}");
    }
}

#[test]
fn faults_of_a_null_mx_are_told_apart() {
    let cases = [
        (vec![(0, "")], vec![]),
        (vec![(0, "mx.example.com")], vec![]),
        (vec![(5, "")], vec![MxFault::NullPreference(5)]),
        (vec![(0, ""), (0, "mx.example.com")], vec![MxFault::NullWithOthers]),
        (vec![(9, ""), (0, "mx.example.com")], vec![MxFault::NullWithOthers, MxFault::NullPreference(9)]),
    ];
    for (records, faults) in cases {
        assert_eq!(read(&answer(&records)).faults, faults, "{records:?}");
    }
}

#[test]
fn without_mx_records_the_domain_is_its_own_host() {
    let result = read(&with(Outcome::NoData));
    assert_eq!(result.hosts, [MxHost { name: "example.com".into(), preference: 0, kind: HostKind::Name }]);
    assert_eq!(read(&with(Outcome::NoName)).hosts, []);
    assert_eq!(read(&with(Outcome::Failed(LookupFailure::TimedOut))).hosts, []);
    assert_eq!(read(&answer(&[(0, "")])).hosts, []);
}

#[test]
fn hosts_come_by_preference_then_by_name_whatever_the_order_of_the_records() {
    let result = read(&answer(&[(20, "c.example"), (10, "b.example."), (20, "A.example")]));
    let hosts: Vec<_> = result.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["10 b.example.", "20 a.example.", "20 c.example."]);
    assert_eq!(result.records, hosts);
}

#[test]
fn a_host_named_twice_is_kept_with_its_smallest_preference() {
    let result = read(&answer(&[(20, "a.example"), (10, "A.example"), (10, "b.example")]));
    assert_eq!(result.hosts.len(), 2);
    assert_eq!(result.hosts[0].preference, 10);
    assert_eq!(result.faults, [MxFault::Repeated { name: "a.example".into(), preference: 20 }]);
}

#[test]
fn hosts_beyond_the_limit_are_counted() {
    let records: Vec<_> = (0..12).map(|index| (index, format!("mx{index:02}.example"))).collect();
    let records: Vec<_> = records.iter().map(|(preference, name)| (*preference, name.as_str())).collect();
    let result = read(&answer(&records));
    assert_eq!((result.hosts.len(), result.left_out, result.records.len()), (10, 2, 12));
    assert_eq!(MailHosts::read("example.com", &answer(&records[..10]), 10).left_out, 0);
}

#[test]
fn addresses_and_localhost_are_no_names() {
    let v4 = HostKind::Address("192.0.2.1".parse().expect("an address"));
    let v6 = HostKind::Address("2001:db8::1".parse().expect("an address"));
    let cases = [
        ("192.0.2.1", v4),
        ("[192.0.2.1]", v4),
        ("2001:db8::1", v6),
        ("[ipv6:2001:db8::1]", v6),
        ("192.0.2.256", HostKind::Name),
        ("192.0.2.1.example", HostKind::Name),
        ("localhost", HostKind::Localhost),
        ("mx.localhost", HostKind::Localhost),
        ("mylocalhost", HostKind::Name),
        ("localhost.example", HostKind::Name),
    ];
    for (name, kind) in cases {
        let result = read(&answer(&[(10, name)]));
        assert_eq!(result.hosts[0].kind, kind, "{name}");
        assert_eq!(result.faults.is_empty(), kind == HostKind::Name, "{name}");
    }
}

#[test]
fn addresses_of_both_families_are_put_together() {
    let both = HostAddresses::read(&[addresses(&["192.0.2.1", "192.0.2.1"]), addresses(&["2001:db8::1"])]);
    assert_eq!(both.addresses.len(), 2);
    assert!(both.has_ipv4() && both.has_ipv6());
    let only = HostAddresses::read(&[addresses(&["192.0.2.1"]), with(Outcome::NoData)]);
    assert!(only.has_ipv4() && !only.has_ipv6());
    assert_eq!(only.state, AddressState::Found);
}

#[test]
fn no_address_is_not_the_same_as_a_failed_lookup() {
    let failed = || with(Outcome::Failed(LookupFailure::ServFail));
    let cases = [
        (vec![with(Outcome::NoName), with(Outcome::NoName)], AddressState::NoName),
        (vec![with(Outcome::NoData), with(Outcome::NoData)], AddressState::NoAddress),
        (vec![with(Outcome::NoData), failed()], AddressState::Inconclusive(LookupFailure::ServFail)),
        (vec![addresses(&["192.0.2.1"]), failed()], AddressState::Found),
        (
            vec![Answer { proof: Proof::Bogus, ..with(Outcome::NoName) }],
            AddressState::Inconclusive(LookupFailure::Bogus),
        ),
        (vec![], AddressState::NotAsked),
    ];
    for (answers, state) in cases {
        assert_eq!(HostAddresses::read(&answers).state, state, "{answers:?}");
    }
    let half = HostAddresses::read(&[addresses(&["192.0.2.1"]), failed()]);
    assert_eq!((half.failure, half.proof), (Some(LookupFailure::ServFail), Proof::Indeterminate));
    let bogus = Answer { proof: Proof::Indeterminate, ..with(Outcome::Failed(LookupFailure::Bogus)) };
    assert_eq!(HostAddresses::read(&[bogus]).proof, Proof::Bogus);
}

#[test]
fn addresses_are_secure_only_if_all_answers_are() {
    let proven = |proof| Answer { proof, ..addresses(&["192.0.2.1"]) };
    let cases = [
        (Proof::Secure, Proof::Secure, Proof::Secure),
        (Proof::Secure, Proof::Insecure, Proof::Insecure),
        (Proof::Insecure, Proof::Indeterminate, Proof::Indeterminate),
        (Proof::Bogus, Proof::Secure, Proof::Bogus),
    ];
    for (first, second, all) in cases {
        assert_eq!(HostAddresses::read(&[proven(first), proven(second)]).proof, all);
    }
}

#[test]
fn an_alias_is_seen() {
    let alias = |names: &[&str], answer: Answer| Answer {
        aliases: names.iter().map(|name| (*name).to_owned()).collect(),
        ..answer
    };
    let same = HostAddresses::read(&[
        alias(&["a.example", "b.example"], addresses(&["192.0.2.1"])),
        alias(&["a.example", "b.example"], with(Outcome::NoData)),
    ]);
    assert_eq!(same.aliases, ["a.example", "b.example"]);
    assert!(!same.aliases_differ);
    let different = HostAddresses::read(&[
        alias(&["a.example"], addresses(&["192.0.2.1"])),
        alias(&["b.example"], addresses(&["2001:db8::1"])),
    ]);
    assert!(different.aliases_differ);
    assert!(HostAddresses::read(&[addresses(&["192.0.2.1"])]).aliases.is_empty());
}

#[test]
fn special_addresses_end_where_their_networks_do() {
    let cases = [
        ("127.0.0.1", Some(SpecialUse::Loopback)),
        ("128.0.0.1", None),
        ("10.1.2.3", Some(SpecialUse::Private)),
        ("172.31.255.255", Some(SpecialUse::Private)),
        ("172.32.0.0", None),
        ("192.168.0.1", Some(SpecialUse::Private)),
        ("100.64.0.1", Some(SpecialUse::Private)),
        ("100.128.0.1", None),
        ("169.254.1.1", Some(SpecialUse::LinkLocal)),
        ("0.0.0.0", Some(SpecialUse::Unspecified)),
        ("203.0.113.7", None),
        ("::1", Some(SpecialUse::Loopback)),
        ("::", Some(SpecialUse::Unspecified)),
        ("fd00::1", Some(SpecialUse::Private)),
        ("fe80::1", Some(SpecialUse::LinkLocal)),
        ("::ffff:127.0.0.1", Some(SpecialUse::Loopback)),
        ("2001:db8::7", None),
    ];
    for (address, expected) in cases {
        assert_eq!(special_use(address.parse().expect("an address")), expected, "{address}");
    }
}

#[test]
fn thousands_of_records_are_bounded() {
    let records: Vec<_> = (0..5000).map(|index| (index, "127.0.0.1")).collect();
    let result = read(&answer(&records));
    assert_eq!((result.hosts.len(), result.records.len(), result.faults.len()), (1, MAX_SHOWN, MAX_FAULTS));
}

proptest! {
    #[test]
    fn no_records_make_it_panic_and_all_hosts_are_counted(
        records in proptest::collection::vec((any::<u16>(), "[a-zA-Z.\\[\\]:0-9é]{0,12}"), 1..40),
        limit in 0..12_usize,
    ) {
        let records: Vec<_> = records.iter().map(|(preference, name)| (*preference, name.as_str())).collect();
        let result = MailHosts::read("example.com", &answer(&records), limit);
        prop_assert!(result.hosts.len() <= limit);
        prop_assert!(result.hosts.len() + result.left_out <= records.len());
        prop_assert!(result.hosts.is_sorted_by_key(|host| host.preference));
        // A host that is printed reads back.
        for host in &result.hosts {
            let text = host.to_string();
            let (preference, name) = text.split_once(' ').expect("two parts");
            let again = read(&answer(&[(preference.parse().expect("a number"), name)]));
            prop_assert_eq!(&again.hosts[0], host);
        }
    }
}
