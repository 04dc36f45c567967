//! TLSA records and DANE.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const ABSENT: Entry = Entry {
    id: "dane.absent",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Host,
    reference: Some("RFC 7672, section 2.2"),
    title: "There are no TLSA records",
    meaning: "The zone of the mail server is signed, and has no TLSA record for it. With one, senders that use DANE \
              would require TLS and verify the certificate.",
    remedy: "Publish the TLSA record `3 1 1` with the SHA-256 digest of the public key of the certificate.",
};

pub(crate) const MISMATCH: Entry = Entry {
    id: "dane.mismatch",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 7672, section 3.2"),
    title: "The certificate matches no TLSA record",
    meaning: "There are usable TLSA records, and none of them matches what the server showed. Senders that use DANE do \
              not deliver to it.",
    remedy: "Publish a TLSA record for the certificate in use, or have the server use the certificate that the record \
             is for.",
};

pub(crate) const LOOKUP_FAILED: Entry = Entry {
    id: "dane.lookup_failed",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Host,
    reference: Some("RFC 7672, section 2.1.2"),
    title: "The TLSA records cannot be looked up",
    meaning: "The addresses of the mail server are secured by DNSSEC, and the lookup of its TLSA records fails. \
              Senders that use DANE do not deliver until it succeeds, although there may be no such record.",
    remedy: "Check that all name servers of the zone answer questions for TLSA records, with records or with a signed \
             denial.",
};

pub(crate) const UNUSABLE: Entry = Entry {
    id: "dane.unusable",
    severity: Severity::Warning,
    variants: "`notice` where another record can be used",
    scope: Scope::Host,
    reference: Some("RFC 7672, section 3.1.3"),
    title: "A TLSA record cannot be used",
    meaning: "A record has a usage, selector or matching type that mail servers do not use, or its data has a wrong \
              size. Where no other record can be used, senders require TLS and verify nothing.",
    remedy: "Publish the TLSA record `3 1 1` with the SHA-256 digest of the public key of the certificate.",
};

pub(crate) const TA_NOT_IN_CHAIN: Entry = Entry {
    id: "dane.ta_not_in_chain",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 7672, sections 3.1.2 and 3.2.2"),
    title: "The certificate does not lead to the authority of the TLSA record",
    meaning: "A TLSA record of usage 2 names an authority that the server does not send with its certificate, or the \
              path to it, a name or a date is wrong. Senders that use DANE do not deliver.",
    remedy: "Send the certificate of the authority in the chain, use a valid certificate that bears the name of the \
             server, or publish a record `3 1 1`.",
};

pub(crate) const PARTIAL: Entry = Entry {
    id: "dane.partial",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 7672, section 2.2"),
    title: "Some mail servers have TLSA records, others have none",
    meaning: "An attacker who blocks the servers with TLSA records leads mail to the others, where nothing is \
              verified.",
    remedy: "Publish TLSA records for all mail servers of the domain.",
};

pub(crate) const INSECURE_TLSA: Entry = Entry {
    id: "dane.insecure_tlsa",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Host,
    reference: Some("RFC 7672, section 2.2.3"),
    title: "TLSA records have no effect",
    meaning: "There are TLSA records in a zone without DNSSEC. Senders do not look at them.",
    remedy: "Sign the zone, or remove the TLSA records.",
};
