//! The certificates that the server showed.

use super::{BY_VIEW, Entry};
use crate::report::{Scope, Severity};

pub(crate) const EXPIRED: Entry = Entry {
    id: "cert.expired",
    severity: Severity::Notice,
    variants: BY_VIEW,
    scope: Scope::Address,
    reference: Some("RFC 5280, section 4.1.2.5"),
    title: "The certificate has expired",
    meaning: "The certificate of the server or of one of its issuers has expired. Senders that verify certificates, as \
              MTA-STS wants it, do not deliver; others take no notice.",
    remedy: "Renew the certificate, and have the server read the new one.",
};

pub(crate) const NOT_YET_VALID: Entry = Entry {
    id: "cert.not_yet_valid",
    severity: Severity::Notice,
    variants: BY_VIEW,
    scope: Scope::Address,
    reference: Some("RFC 5280, section 4.1.2.5"),
    title: "The certificate is not valid yet",
    meaning: "The validity of the certificate of the server or of one of its issuers begins later. Senders that verify \
              certificates do not deliver; others take no notice.",
    remedy: "Use a certificate that is valid now. Check the clocks of the issuer and of this machine.",
};

pub(crate) const ENDS_SOON: Entry = Entry {
    id: "cert.ends_soon",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Address,
    reference: None,
    title: "The certificate expires soon",
    meaning: "The server's certificate expires in less than 14 days. An automatic renewal would most likely have renewed \
              it by now.",
    remedy: "Renew the certificate, and check why its renewal has not run.",
};

pub(crate) const NAME_MISMATCH: Entry = Entry {
    id: "cert.name_mismatch",
    severity: Severity::Notice,
    variants: BY_VIEW,
    scope: Scope::Address,
    reference: Some("RFC 9525, section 6; RFC 8461, section 4.2"),
    title: "The certificate is for another name",
    meaning: "None of the subject alternative names is the server's name; the common name does not count. Senders that \
              verify certificates do not deliver; others take no notice.",
    remedy: "Use a certificate that has the server's name among its subject alternative names.",
};

pub(crate) const UNTRUSTED: Entry = Entry {
    id: "cert.untrusted",
    severity: Severity::Notice,
    variants: BY_VIEW,
    scope: Scope::Address,
    reference: Some("RFC 5280, section 6"),
    title: "The certificate is not trusted",
    meaning: "The certificate is self-signed, or no authority that this machine trusts has issued it. Senders that \
              verify certificates do not deliver, unless DANE names it; others take no notice.",
    remedy: "Use a certificate of a public authority, and send the intermediate certificates with it.",
};

pub(crate) const WEAK: Entry = Entry {
    id: "cert.weak",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 9325, section 4.5"),
    title: "The certificate is weak",
    meaning: "A certificate has an RSA key of fewer than 2048 bits, or is signed with MD5 or SHA-1: either can be forged.",
    remedy: "Have a certificate issued for an ECDSA P-256 key or an RSA key of at least 2048 bits, signed with SHA-256.",
};
