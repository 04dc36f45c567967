//! DNSSEC.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const UNSIGNED: Entry = Entry {
    id: "dnssec.unsigned",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 4035, section 4.3"),
    title: "The domain is not signed",
    meaning: "The MX records are in a zone without DNSSEC: an attacker can forge them, and DANE gives no protection.",
    remedy: "Sign the zone, and have the registrar publish its DS record.",
};

pub(crate) const BOGUS: Entry = Entry {
    id: "dnssec.bogus",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 4035, section 5"),
    title: "DNSSEC validation fails",
    meaning: "The zone is signed, and the signatures of the answer do not hold. For senders that validate there is no \
              answer: mail waits, and comes back in the end.",
    remedy: "Sign the zone again, and check that the DS record of the parent zone fits its key. Expired signatures are \
             the usual reason.",
};

pub(crate) const HOST_UNSIGNED: Entry = Entry {
    id: "dnssec.host_unsigned",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Host,
    reference: Some("RFC 7672, section 2.2.1"),
    title: "The zone of a mail server is not signed",
    meaning: "The domain is signed, and the zone of its mail server is not: senders cannot use DANE for this server.",
    remedy: "Sign the zone of the mail server, or use a server in a zone that is signed.",
};

pub(crate) const RESOLVER_UNFIT: Entry = Entry {
    id: "dnssec.resolver_unfit",
    severity: Severity::Inconclusive,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 4035, section 3.2"),
    title: "The resolver of this machine does not pass DNSSEC on",
    meaning: "The resolver leaves out signatures, or gives no answer about the root. Nothing is known about DNSSEC and \
              DANE.",
    remedy: "Have this machine use a resolver that passes signatures on, such as Unbound or Knot Resolver, or set \
             `--dnssec off`.",
};
