//! The fixtures do what they claim. A test that leans on a fixture is worth no more than this.

mod client;
mod dns;
mod pki;
mod smtpd;
mod smtpd_hostile;
