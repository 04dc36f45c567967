//! Real mail servers, started by the tests: [`Postfix`] (with Dovecot for SASL), [`Exim`] and [`DovecotLmtp`];
//! and name servers, [`Knot`] and [`Unbound`].
//!
//! Each instance has free ports of 127.0.0.1 and a directory of its own, so any number of them run side by side. No
//! mail leaves the machine: they ask no DNS, deliver to one maildir, and reject or discard mail for other domains.
//! `tests/install` installs the programs, which must be started by root. Where they are missing, the tests fail and say
//! so.

mod daemon;
mod dovecot;
mod exim;
mod knot;
mod lmtp;
mod mailbox;
mod postfix;

pub(crate) use super::pki::PemFiles;
pub(crate) use daemon::{Ended, free_port};
pub(crate) use exim::{CRAM_MD5, Exim, NO_PROMPT};
pub(crate) use knot::{Knot, Signed, Unbound};
pub(crate) use lmtp::DovecotLmtp;
pub(crate) use mailbox::Delivered;
pub(crate) use postfix::Postfix;

/// The name in the greeting of every server here, and in their valid certificate.
pub(crate) const HOST: &str = "mx.example.test";

/// The recipient whose mail is kept. `postmaster@example.test` and `pröbe@example.test` have the same mailbox; every
/// other address of the domain is unknown, and other domains are rejected. Postfix greylists `greylisted@example.test`.
pub(crate) const RECIPIENT: &str = "probe@example.test";

/// The one user that AUTH accepts.
pub(crate) const USER: &str = RECIPIENT;

/// That user's password. It has a space, which a careless encoding would lose.
pub(crate) const PASSWORD: &str = "correct horse";
