use proptest::prelude::*;

use super::{MAX_FAULTS, MAX_TAGS, Syntax, TagFaultKind, TagList};

fn tags(record: &str, syntax: Syntax) -> Vec<(String, String)> {
    TagList::parse(record.as_bytes(), syntax).tags.into_iter().map(|tag| (tag.name, tag.value)).collect()
}

fn faults(record: &str, syntax: Syntax) -> Vec<String> {
    TagList::parse(record.as_bytes(), syntax).faults.iter().map(ToString::to_string).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn tags_are_read_in_order_with_their_positions() {
    let list = TagList::parse(b"v=DMARC1 ; p = none;rua=mailto:a@b.example", Syntax::Dmarc);
    let positions: Vec<_> = list.tags.iter().map(|tag| (tag.position, tag.value_position)).collect();
    assert_eq!(positions, [(0, 2), (11, 15), (20, 24)]);
    assert_eq!(list.faults, []);
    assert_eq!(list.to_string(), "v=DMARC1; p=none; rua=mailto:a@b.example");
    assert!(list.has_version("DMARC1") && !list.has_version("dmarc1"));
}

#[test]
fn a_semicolon_at_the_end_is_optional() {
    for record in ["v=DMARC1; p=none", "v=DMARC1; p=none;", "v=DMARC1; p=none ; "] {
        assert_eq!(tags(record, Syntax::Dmarc), [pair("v", "DMARC1"), pair("p", "none")], "{record}");
        assert_eq!(faults(record, Syntax::Dmarc), [""; 0], "{record}");
    }
}

#[test]
fn each_fault_has_its_position() {
    let cases: &[(&str, Syntax, &[&str])] = &[
        ("v=DMARC1;; p=none", Syntax::Dmarc, &["no tag between two semicolons at octet 9"]),
        ("v=DMARC1;;", Syntax::Dmarc, &["no tag between two semicolons at octet 9"]),
        ("v=DMARC1; none", Syntax::Dmarc, &["a tag without \"=\" at octet 10"]),
        ("v=DMARC1; p_x=none", Syntax::Dmarc, &["a tag with a malformed name at octet 10"]),
        ("v=DMARC1; p=", Syntax::Dmarc, &["a tag without a value at octet 12"]),
        (" v=DMARC1; p=none", Syntax::Dmarc, &["white space before the first tag at octet 0"]),
        ("v=DMARC1; p=none; p=reject", Syntax::Dmarc, &["tag \"p\" more than once at octet 18"]),
        ("v=DMARC1; p=n\u{f6}ne", Syntax::Dmarc, &["octet 0xc3 in a value at octet 13"]),
        ("v=DKIM1; p=", Syntax::Dkim, &[]),
        ("v=DKIM1;\r\n p=ab\r\n cd", Syntax::Dkim, &[]),
        ("v=DMARC1; p=no\r\nne", Syntax::Dmarc, &["octet 0x0d in a value at octet 14"]),
        ("v=STSv1; id=1", Syntax::MtaSts, &[]),
        ("v=STSv1; id = 1", Syntax::MtaSts, &["white space beside \"=\" at octet 11"]),
        ("v=STSv1; id=a=b", Syntax::MtaSts, &["\"=\" in a value at octet 13"]),
        ("v=TLSRPTv1; rua=https://a.example/?b=c", Syntax::TlsRpt, &[]),
        ("v=TLSRPTv1; x=b=c", Syntax::TlsRpt, &["\"=\" in a value at octet 15"]),
    ];
    for (record, syntax, expected) in cases {
        assert_eq!(faults(record, *syntax), *expected, "{record}");
    }
}

#[test]
fn a_duplicate_is_named_and_the_first_is_found() {
    let list = TagList::parse(b"v=DMARC1; p=none; p=reject", Syntax::Dmarc);
    assert!(list.has_duplicates());
    assert_eq!(list.get("p").map(|tag| tag.value.as_str()), Some("none"));
    assert!(!TagList::parse(b"v=DMARC1; p=none; P=reject", Syntax::Dmarc).has_duplicates());
}

#[test]
fn a_long_list_is_cut() {
    let record: String = (0..30_000).map(|_| "a;").collect();
    let list = TagList::parse(record.as_bytes(), Syntax::Dkim);
    assert_eq!((list.tags.len(), list.faults.len()), (0, MAX_FAULTS));
    let record: String = (0..10_000).map(|number| format!("a{number}=;")).collect();
    let list = TagList::parse(record.as_bytes(), Syntax::Dkim);
    assert_eq!(list.tags.len(), MAX_TAGS);
    assert_eq!(list.faults.last().map(|fault| &fault.kind), Some(&TagFaultKind::TooManyTags));
}

fn syntax() -> impl Strategy<Value = Syntax> {
    prop_oneof![Just(Syntax::Dkim), Just(Syntax::Dmarc), Just(Syntax::MtaSts), Just(Syntax::TlsRpt)]
}

proptest! {
    #[test]
    fn any_octets_are_read(record in prop::collection::vec(any::<u8>(), 0..200), syntax in syntax()) {
        let list = TagList::parse(&record, syntax);
        for tag in &list.tags {
            prop_assert!(tag.position < tag.value_position && tag.value_position <= record.len());
        }
        prop_assert!(list.faults.iter().all(|fault| fault.position <= record.len()));
    }

    #[test]
    fn what_is_printed_is_read_again(record in "([a-z]{1,3} ?= ?[a-z0-9:@.,]{1,8} ?; ?){1,6}", syntax in syntax()) {
        let list = TagList::parse(record.as_bytes(), syntax);
        let again = TagList::parse(list.to_string().as_bytes(), syntax);
        let pairs = |list: &TagList| -> Vec<_> {
            list.tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect()
        };
        prop_assert_eq!(pairs(&again), pairs(&list));
    }
}
