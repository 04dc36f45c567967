//! The addresses that send mail of the domain, as the caller names them.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const RDNS: Entry = Entry {
    id: "sender.rdns",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 1912, section 2.1"),
    title: "A sending address has no name that leads back to it",
    meaning: "The address has no PTR record, or the name in it does not have the address. Large receivers refuse mail \
              from such addresses.",
    remedy: "Have the operator of the address publish a PTR record with the name of the server, and give that name the \
             address.",
};

pub(crate) const SPF_RESULT: Entry = Entry {
    id: "sender.spf_result",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 7208, section 2.6"),
    title: "SPF does not pass a sending address",
    meaning: "The evaluation of SPF for the address and the domain of the envelope sender gives another result than \
              `pass`.",
    remedy: "Add the address to the SPF record.",
};
