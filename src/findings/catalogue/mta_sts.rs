//! MTA-STS and reports about TLS.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const ABSENT: Entry = Entry {
    id: "mta_sts.absent",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 8461, section 3.1"),
    title: "There is no MTA-STS policy",
    meaning: "With a policy, many large senders would require TLS and a valid certificate. Without one, an attacker \
              can have mail sent in clear text.",
    remedy: "Serve a policy over HTTPS, and publish the record `_mta-sts`. Begin with `mode: testing`.",
};

pub(crate) const RECORD_INVALID: Entry = Entry {
    id: "mta_sts.record_invalid",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 8461, section 3.1"),
    title: "The MTA-STS record is invalid",
    meaning: "There is not exactly one record that begins with `v=STSv1;`, or its id is not 1 to 32 letters and \
              digits. Senders act as if there were no policy.",
    remedy: "Publish exactly one TXT record such as `v=STSv1; id=20260101`.",
};

pub(crate) const FETCH_FAILED: Entry = Entry {
    id: "mta_sts.fetch_failed",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 8461, section 3.3"),
    title: "The MTA-STS policy cannot be fetched",
    meaning: "The certificate of the policy host is not valid, or the response is not a 200 with at most 64 KiB. \
              Senders that have no older copy act as if there were no policy.",
    remedy: "Serve the policy with status 200, without a redirect, and with a certificate of a public authority for \
             the policy host.",
};

pub(crate) const POLICY_INVALID: Entry = Entry {
    id: "mta_sts.policy_invalid",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 8461, section 3.2"),
    title: "The MTA-STS policy is invalid",
    meaning: "The text that the policy host serves is no policy: a key is missing, or a value is not allowed. Senders \
              act as if there were no policy.",
    remedy: "Correct the lines that are named, and give the record `_mta-sts` a new id.",
};

pub(crate) const CONTENT_TYPE: Entry = Entry {
    id: "mta_sts.content_type",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 8461, section 3.2"),
    title: "The MTA-STS policy is not served as text/plain",
    meaning: "The response has another media type, or none. Some senders take that for an invalid policy.",
    remedy: "Have the web server send `Content-Type: text/plain`.",
};

pub(crate) const MX_UNLISTED: Entry = Entry {
    id: "mta_sts.mx_unlisted",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Host,
    reference: Some("RFC 8461, section 4.1"),
    title: "The MTA-STS policy does not allow a mail server",
    meaning: "A name of the MX records matches no line `mx` of the policy. Senders that keep to the policy do not \
              deliver to it, unless the mode is `testing`.",
    remedy: "Add the name to the policy, and give the record `_mta-sts` a new id.",
};

pub(crate) const PATTERN_UNUSED: Entry = Entry {
    id: "mta_sts.pattern_unused",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 8461, section 4.1"),
    title: "A line of the MTA-STS policy matches no mail server",
    meaning: "A line `mx` of the policy matches none of the MX records: it may be mistyped, or left over.",
    remedy: "Correct or remove the line, and give the record `_mta-sts` a new id.",
};

pub(crate) const WEAK_MODE: Entry = Entry {
    id: "mta_sts.weak_mode",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 8461, sections 3.2 and 5"),
    title: "The MTA-STS policy protects little",
    meaning: "The mode is `testing` or `none`, or senders keep the policy for less than a day.",
    remedy: "Once the reports show no failure, serve `mode: enforce` with a `max_age` of weeks, and give the record \
             `_mta-sts` a new id.",
};

pub(crate) const REPORTS_ABSENT: Entry = Entry {
    id: "tls_rpt.absent",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 8460, section 3"),
    title: "Nobody is told of failures of TLS",
    meaning: "The domain uses MTA-STS or DANE, and has no TLS-RPT record: when senders cannot deliver because of it, \
              nobody learns of it.",
    remedy: "Publish a TLS-RPT record.",
};

pub(crate) const REPORTS_INVALID: Entry = Entry {
    id: "tls_rpt.invalid",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 8460, section 3"),
    title: "The TLS-RPT record is invalid",
    meaning: "There is not exactly one record that begins with `v=TLSRPTv1;`, or an address for reports is not a \
              `mailto` or `https` URI. Reports get lost.",
    remedy: "Publish exactly one TXT record such as `v=TLSRPTv1; rua=mailto:tls-reports@example.com`.",
};
