//! The extensions about policies (RFC 5280, sections 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14). Every policy is
//! accepted, so they allow every path unless one requires a policy.

use super::{
    element::{self, Element, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, number},
    parts::Extension,
};

const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 32];
const POLICY_MAPPINGS: &[u8] = &[0x55, 0x1d, 33];
const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 36];
const INHIBIT_ANY_POLICY: &[u8] = &[0x55, 0x1d, 54];

const REQUIRE_EXPLICIT_POLICY: u8 = 0x80;
const INHIBIT_POLICY_MAPPING: u8 = 0x81;

/// Whether the extension with this id is one about policies.
pub(super) fn is_about(id: &[u8]) -> bool {
    [CERTIFICATE_POLICIES, POLICY_MAPPINGS, POLICY_CONSTRAINTS, INHIBIT_ANY_POLICY].contains(&id)
}

/// Whether an extension about policies is well-formed.
pub(super) fn is_readable(extension: &Extension<'_>) -> bool {
    let mut value = extension.value;
    match extension.id {
        CERTIFICATE_POLICIES => is_list_of(value, |policy| match policy[..] {
            [id] => id.tag == OBJECT_IDENTIFIER,
            [id, qualifiers] => id.tag == OBJECT_IDENTIFIER && qualifiers.tag == SEQUENCE,
            _ => false,
        }),
        POLICY_MAPPINGS => is_list_of(value, |mapping| match mapping[..] {
            [one, other] => [one.tag, other.tag] == [OBJECT_IDENTIFIER; 2],
            _ => false,
        }),
        POLICY_CONSTRAINTS => element::sequence(value).is_some_and(|all| {
            let tags: Vec<_> = all.iter().map(|one| one.tag).collect();
            let is_known = matches!(
                tags[..],
                [REQUIRE_EXPLICIT_POLICY | INHIBIT_POLICY_MAPPING] | [REQUIRE_EXPLICIT_POLICY, INHIBIT_POLICY_MAPPING]
            );
            is_known && all.iter().all(|one| number(one.content).is_some())
        }),
        _ => {
            let skip = element::take(&mut value).and_then(|skip| skip.of(INTEGER));
            value.is_empty() && skip.and_then(number).is_some()
        }
    }
}

/// How many certificates below may be without a policy, if the extension requires one (RFC 5280, section 4.2.1.11). One
/// that cannot be read is an error of its own.
pub(super) fn required_after(extension: &Extension<'_>) -> Option<u32> {
    let constraints = (extension.id == POLICY_CONSTRAINTS).then(|| element::sequence(extension.value)).flatten()?;
    constraints.iter().find(|one| one.tag == REQUIRE_EXPLICIT_POLICY).and_then(|one| number(one.content))
}

/// Whether the extension can be read, and has nothing where RFC 5280, section 4.2.1.11, requires something.
pub(super) fn is_empty(extension: &Extension<'_>) -> bool {
    extension.id == POLICY_CONSTRAINTS && element::sequence(extension.value).is_some_and(|all| all.is_empty())
}

/// Whether the value is a SEQUENCE of one or more others, each of which is good.
fn is_list_of(value: &[u8], is_good: impl Fn(Vec<Element<'_>>) -> bool) -> bool {
    let list = element::sequence(value);
    list.is_some_and(|list| !list.is_empty() && list.iter().all(|one| element::sequence(one.raw).is_some_and(&is_good)))
}
