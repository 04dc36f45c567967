//! Where the mail of a domain goes, and what could not be looked up.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const NONE: Entry = Entry {
    id: "mx.none",
    severity: Severity::Error,
    variants: "`inconclusive` where the check was to use one IP version only",
    scope: Scope::Domain,
    reference: Some("RFC 5321, section 5.1"),
    title: "Mail has nowhere to go",
    meaning: "The domain does not exist, or it has neither an MX record nor an address: mail for it cannot be \
              delivered.",
    remedy: "Publish an MX record that names the mail server. If the domain takes no mail, publish a null MX, `0 .`.",
};

pub(crate) const IMPLICIT: Entry = Entry {
    id: "mx.implicit",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 5321, section 5.1"),
    title: "There is no MX record",
    meaning: "Without an MX record, senders deliver to the address of the domain itself. That is often a web server.",
    remedy: "Publish an MX record that names the mail server. If the domain takes no mail, publish a null MX, `0 .`.",
};

pub(crate) const NULL: Entry = Entry {
    id: "mx.null",
    severity: Severity::Info,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 7505, section 3"),
    title: "The domain takes no mail",
    meaning: "The only MX record is `0 .`, the null MX: senders return mail for the domain at once.",
    remedy: "Nothing, if the domain is to take no mail. Otherwise, replace the record by one that names the mail \
             server.",
};

pub(crate) const NULL_WITH_OTHERS: Entry = Entry {
    id: "mx.null_with_others",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 7505, section 3"),
    title: "A null MX is not alone, or not well-formed",
    meaning: "There is a null MX beside other MX records, or one with a preference other than 0. What senders do then \
              differs.",
    remedy: "Publish either the null MX, `0 .`, or MX records that name mail servers.",
};

pub(crate) const IS_CNAME: Entry = Entry {
    id: "mx.is_cname",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Host,
    reference: Some("RFC 5321, section 5.1; RFC 2181, section 10.3"),
    title: "An MX record names an alias",
    meaning: "The name in the MX record has a CNAME record. It must have addresses of its own: some senders do not \
              deliver to an alias.",
    remedy: "Put the name that the alias leads to into the MX record.",
};

pub(crate) const IS_ADDRESS: Entry = Entry {
    id: "mx.is_address",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 1035, section 3.3.9; RFC 5321, section 5.1"),
    title: "An MX record holds an address",
    meaning: "The MX record holds an IP address where a name must be. Senders look it up as a name, and find nothing.",
    remedy: "Give the mail server a name with A and AAAA records, and put the name into the MX record.",
};

pub(crate) const NO_ADDRESS: Entry = Entry {
    id: "mx.no_address",
    severity: Severity::Error,
    variants: "`inconclusive` where the check was to use one IP version only",
    scope: Scope::Host,
    reference: Some("RFC 5321, section 5.1"),
    title: "A mail server has no address",
    meaning: "The name in the MX record does not exist, or has no A and no AAAA record. Where this is so for all MX \
              records, mail is lost.",
    remedy: "Publish the addresses of the name, or remove its MX record.",
};

pub(crate) const NOT_PUBLIC: Entry = Entry {
    id: "mx.not_public",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Host,
    reference: Some("RFC 6890, section 2.2.2; RFC 6761, section 6.3"),
    title: "A mail server has an address that is not public",
    meaning: "An address is loopback, private, link-local or unspecified, or the name is `localhost`: other networks \
              cannot reach it, and a sender may reach another machine.",
    remedy: "Publish public addresses only.",
};

pub(crate) const PRIMARY_DEAD: Entry = Entry {
    id: "mx.primary_dead",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 5321, section 5.1"),
    title: "The preferred mail server does not answer",
    meaning: "No address of the mail servers with the best preference can be connected to, and a later one can. Each \
              message waits for the first one, and some senders never try the second.",
    remedy: "Start the preferred mail server, or remove its MX record.",
};

pub(crate) const INCONCLUSIVE: Entry = Entry {
    id: "dns.inconclusive",
    severity: Severity::Inconclusive,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 2308, section 7; RFC 8020, section 2"),
    title: "A record could not be looked up",
    meaning: "The lookup failed, was refused or took too long, or the policy host of MTA-STS could not be asked. \
              Whether there is a record, and what it says, is not known.",
    remedy: "Repeat the check later. If it stays so, check that all name servers of the zone answer.",
};
