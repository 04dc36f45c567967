//! Tests of the fixtures: other tests rely on them.

mod client;
mod dns;
mod pki;
mod scram;
mod smtpd;
mod smtpd_hostile;
