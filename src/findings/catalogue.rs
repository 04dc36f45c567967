//! The catalogue: id, severity, scope, reference and texts of every finding. The manual, `/docs/findings` and the
//! OpenAPI document are made of it.

use crate::report::{Scope, Severity};

/// One kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name in reports: topic and name. It never changes.
    pub id: &'static str,
    /// The severity, unless [`Self::variants`] tells when it is another one.
    pub severity: Severity,
    /// When the severity is another one; empty when it never is.
    pub variants: &'static str,
    /// What it is about.
    pub scope: Scope,
    /// The standard with its section; `None` when there is none.
    pub reference: Option<&'static str>,
    /// A title of a few words.
    pub title: &'static str,
    /// When the finding is there, and what it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// The severity of a finding that matters to some senders only: to those that verify certificates.
const BY_VIEW: &str = "`error` where it failed the check";

/// Every kind of finding, in the order of the manual.
pub const CATALOGUE: [Entry; 18] = [
    UNREACHABLE,
    GREETING_REFUSED,
    TEMPORARY_REFUSAL,
    EHLO_REFUSED,
    NULL_SENDER_REFUSED,
    POSTMASTER_REFUSED,
    NOT_OFFERED,
    FAILED,
    AUTH_IN_CLEAR,
    OLD_PROTOCOL,
    EXPIRED,
    NOT_YET_VALID,
    ENDS_SOON,
    NAME_MISMATCH,
    UNTRUSTED,
    WEAK,
    FEW_ITERATIONS,
    REFUSED_BEFORE_CREDENTIALS,
];

pub(crate) const UNREACHABLE: Entry = Entry {
    id: "smtp.unreachable",
    severity: Severity::Error,
    variants: "`inconclusive` where this machine has no route to the address, or waited less than three seconds",
    scope: Scope::Address,
    reference: Some("RFC 5321, section 3.1"),
    title: "The address cannot be connected to",
    meaning: "The connection was refused, or no answer came to it. There is one finding for each such address, also \
              where another address took the mail: senders lose time on it, and lose the mail when the others fail too.",
    remedy: "Start the mail server on this address, open the port in the firewall, or take the address out of DNS.",
};

pub(crate) const GREETING_REFUSED: Entry = Entry {
    id: "smtp.greeting_refused",
    severity: Severity::Inconclusive,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 5321, section 3.1"),
    title: "The server refuses this client",
    meaning: "The server refused the session with its greeting, or named a block list or a policy about this client. \
              That is about this client, its address or its name: how the server treats others is not known.",
    remedy: "Ask the server's operator to admit the address, have it taken off the block list, or check from another \
             address.",
};

pub(crate) const TEMPORARY_REFUSAL: Entry = Entry {
    id: "smtp.temporary_refusal",
    severity: Severity::Inconclusive,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 5321, sections 3.8 and 4.2.1; RFC 6647"),
    title: "The server refuses for now",
    meaning: "The server answered with a code from 400 to 499: it is busy, greylists, or has a fault that may pass. What \
              it would answer later is not known.",
    remedy: "Repeat the check later, from the same address and with the same sender and recipient.",
};

pub(crate) const EHLO_REFUSED: Entry = Entry {
    id: "smtp.ehlo_refused",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 5321, sections 2.2.1 and 4.5.1"),
    title: "The server does not know EHLO",
    meaning: "The server answered EHLO with 500 or 502. Without EHLO there is no STARTTLS, no AUTH and no other \
              extension, and every server has to support it.",
    remedy: "Enable EHLO on the server. A firewall that inspects SMTP may hide it: disable that inspection.",
};

pub(crate) const NULL_SENDER_REFUSED: Entry = Entry {
    id: "smtp.null_sender_refused",
    severity: Severity::Error,
    variants: "`inconclusive` where the reply does not tell whether the sender is the reason",
    scope: Scope::Address,
    reference: Some("RFC 5321, section 4.5.5"),
    title: "The null sender is refused",
    meaning: "The server refused `MAIL FROM:<>`. Non-delivery notifications have this sender, so users of the server do \
              not learn that their mail was not delivered.",
    remedy: "Accept the null sender. To stop forged bounces, judge the recipient or the message instead.",
};

pub(crate) const POSTMASTER_REFUSED: Entry = Entry {
    id: "smtp.postmaster_refused",
    severity: Severity::Warning,
    variants: "`notice` for the mailbox `abuse`",
    scope: Scope::Address,
    reference: Some("RFC 5321, section 4.5.1; RFC 2142"),
    title: "postmaster is refused",
    meaning: "The server refuses the mailbox `postmaster`, or `abuse`: most likely there is none. Others use them to \
              report faults and abuse.",
    remedy: "Add the mailbox or an alias, and have somebody read it.",
};

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

pub(crate) const FEW_ITERATIONS: Entry = Entry {
    id: "sasl.few_iterations",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 7677, section 4"),
    title: "SCRAM has few iterations",
    meaning: "The server stores the password with fewer than 4096 iterations: if its database is stolen, or the exchange \
              recorded, the password is easier to guess.",
    remedy: "Raise the iteration count on the server, and have the passwords stored anew.",
};

pub(crate) const REFUSED_BEFORE_CREDENTIALS: Entry = Entry {
    id: "sasl.refused_before_credentials",
    severity: Severity::Info,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 4954, section 4"),
    title: "AUTH ended before any credential was sent",
    meaning: "The server ended AUTH before it had received a user name or a password: that says nothing about \
              them.",
    remedy: "Try another mechanism, or TLS. Some servers want the first response together with the command.",
};
