//! DMARC.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const ABSENT: Entry = Entry {
    id: "dmarc.absent",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 9989, section 4.10"),
    title: "There is no DMARC record",
    meaning: "Neither the domain nor its organizational domain has a DMARC record. Large receivers refuse bulk mail of \
              such domains, and nobody is asked to refuse forged mail.",
    remedy: "Publish a DMARC record.",
};

pub(crate) const INVALID: Entry = Entry {
    id: "dmarc.invalid",
    severity: Severity::Error,
    variants: "`warning` where a default takes the place of what is wrong",
    scope: Scope::Record,
    reference: Some("RFC 9989, section 4.10"),
    title: "A DMARC record is invalid",
    meaning: "There is more than one record at a name, a record that does not begin with `v=DMARC1;`, or one with a \
              value that is not allowed. The record or a part of it does not count.",
    remedy: "Publish exactly one record such as `v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.com`.",
};

pub(crate) const POLICY_NONE: Entry = Entry {
    id: "dmarc.policy_none",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 9989, section 4.7"),
    title: "DMARC asks for nothing",
    meaning: "The policy that applies to the domain is `none`, or is taken for it because of `t=y`: receivers deliver \
              forged mail as if there were no policy.",
    remedy: "Once the reports show that all mail passes, publish `p=quarantine` or `p=reject`.",
};

pub(crate) const RETIRED_TAGS: Entry = Entry {
    id: "dmarc.retired_tags",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 9989, section 4.7"),
    title: "A DMARC record has tags that are ignored",
    meaning: "The record has `pct`, `rf`, `ri`, a size of reports or unknown tags. Receivers that keep to the present \
              standard do not look at them.",
    remedy: "Remove the tags that are named.",
};

pub(crate) const REPORT_UNAUTHORIZED: Entry = Entry {
    id: "dmarc.report_unauthorized",
    severity: Severity::Warning,
    variants: "`notice` where the record has no address for reports",
    scope: Scope::Record,
    reference: Some("RFC 9990"),
    title: "DMARC reports do not arrive",
    meaning: "Reports are to go to another organization, and it has no record that it wants them: receivers send none \
              there. Or the record has no address for reports.",
    remedy: "Have the other organization publish the record that is named, or use an address of the domain itself.",
};
