//! SPF.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const ABSENT: Entry = Entry {
    id: "spf.absent",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 7208, section 4.5"),
    title: "There is no SPF record",
    meaning: "Receivers cannot tell whether a server may send mail of the domain. Large receivers refuse such mail, or \
              take it for spam.",
    remedy: "Publish a record that names all servers that send mail of the domain.",
};

pub(crate) const MULTIPLE: Entry = Entry {
    id: "spf.multiple",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 7208, section 4.5"),
    title: "There is more than one SPF record",
    meaning: "With more than one record that begins with `v=spf1`, receivers evaluate none of them.",
    remedy: "Merge the records into one.",
};

pub(crate) const SYNTAX: Entry = Entry {
    id: "spf.syntax",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 7208, section 4.6"),
    title: "An SPF record cannot be read",
    meaning: "A record has a mistake in its syntax, or is meant as an SPF record and does not begin with `v=spf1` and \
              a space. Receivers take the whole record for invalid, or do not find it.",
    remedy: "Correct the term that is named.",
};

pub(crate) const TOO_MANY_LOOKUPS: Entry = Entry {
    id: "spf.too_many_lookups",
    severity: Severity::Error,
    variants: "`notice` for nine and ten lookups",
    scope: Scope::Record,
    reference: Some("RFC 7208, section 4.6.4"),
    title: "SPF needs too many lookups",
    meaning: "The terms `include`, `a`, `mx`, `ptr`, `exists` and `redirect` of the whole tree make more than ten \
              lookups. Receivers give up, and mail fails SPF.",
    remedy: "Remove services that send no mail of the domain any more, replace `a` and `mx` by `ip4` and `ip6`, or \
             give a service a subdomain of its own.",
};

pub(crate) const TOO_MANY_VOIDS: Entry = Entry {
    id: "spf.too_many_voids",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 7208, section 4.6.4"),
    title: "SPF asks for names that do not exist",
    meaning: "More than two lookups of the tree find nothing. Many receivers give up then, and mail fails SPF.",
    remedy: "Remove the terms whose names have no records.",
};

pub(crate) const MX_TOO_MANY_NAMES: Entry = Entry {
    id: "spf.mx_too_many_names",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 7208, section 4.6.4"),
    title: "A term mx of SPF has too many hosts",
    meaning: "A term `mx` leads to more than ten hosts. Receivers give up, and mail fails SPF.",
    remedy: "Replace the term by `ip4` and `ip6` with the addresses that send mail.",
};

pub(crate) const INCLUDE_BROKEN: Entry = Entry {
    id: "spf.include_broken",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 7208, sections 5.2 and 6.1"),
    title: "SPF includes a record that is not there",
    meaning: "A term `include` or `redirect` leads to a name without an SPF record, or back to itself. Receivers take \
              the whole record for invalid.",
    remedy: "Remove the term, or correct its name.",
};

pub(crate) const PERMISSIVE: Entry = Entry {
    id: "spf.permissive",
    severity: Severity::Warning,
    variants: "`info` for `~all`",
    scope: Scope::Record,
    reference: Some("RFC 7208, section 5.1"),
    title: "SPF allows too much",
    meaning: "The record passes every sender or a very large network, or says nothing about senders that it does not \
              name.",
    remedy: "Name the servers that send mail of the domain, and end the record with `-all` or `~all`.",
};

pub(crate) const DEAD_TERMS: Entry = Entry {
    id: "spf.dead_terms",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 7208, sections 3.4, 5.1, 5.5 and 6.1"),
    title: "An SPF record has terms of no use",
    meaning: "Terms after `all`, or a `redirect` beside it, have no effect; `ptr` should not be used; a long record \
              may not fit into an answer.",
    remedy: "Remove the terms that are named.",
};
