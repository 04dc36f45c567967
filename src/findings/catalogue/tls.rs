//! STARTTLS and TLS.

use super::{BY_VIEW, Entry};
use crate::report::{Scope, Severity};

pub(crate) const NOT_OFFERED: Entry = Entry {
    id: "starttls.not_offered",
    severity: Severity::Warning,
    variants: BY_VIEW,
    scope: Scope::Address,
    reference: Some("RFC 3207, section 2"),
    title: "STARTTLS is not offered",
    meaning: "The reply to EHLO does not list STARTTLS: mail to this server goes over the network in clear text, and \
              senders that require TLS do not deliver.",
    remedy: "Give the server a certificate and enable STARTTLS. A firewall that inspects SMTP may hide it: disable that \
             inspection.",
};

pub(crate) const FAILED: Entry = Entry {
    id: "starttls.failed",
    severity: Severity::Error,
    variants: "`inconclusive` where the reason may be a limit of this client, or a client certificate that it was not shown",
    scope: Scope::Address,
    reference: Some("RFC 3207, section 4"),
    title: "STARTTLS is offered and fails",
    meaning: "The server lists STARTTLS, and then refuses the command or breaks the handshake. Most senders do not fall \
              back to clear text: their mail waits, and comes back in the end.",
    remedy: "Make STARTTLS work: look for a missing or unreadable certificate or key in the server's log. Until then, do \
             not offer it.",
};

pub(crate) const AUTH_IN_CLEAR: Entry = Entry {
    id: "starttls.auth_in_clear",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 4954, section 4; RFC 8314, section 3.3; RFC 7628, section 4"),
    title: "A login is offered in clear text",
    meaning: "The server offers PLAIN, LOGIN, XOAUTH2 or OAUTHBEARER before TLS: clients that use it send the password or \
              the token in clear text. CRAM-MD5 and SCRAM show neither.",
    remedy: "Offer AUTH only inside TLS. In Postfix: `smtpd_tls_auth_only = yes`.",
};

pub(crate) const OLD_PROTOCOL: Entry = Entry {
    id: "tls.old_protocol",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 8996; RFC 9325, section 3.1"),
    title: "The server's TLS is too old",
    meaning: "The server has neither TLS 1.2 nor TLS 1.3. Older versions must not be used any more. That a server has \
              them beside newer ones is not seen.",
    remedy: "Enable TLS 1.2 and TLS 1.3, with a newer TLS library if need be.",
};
