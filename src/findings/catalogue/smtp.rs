//! The connection and the SMTP session.

use super::Entry;
use crate::report::{Scope, Severity};

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
