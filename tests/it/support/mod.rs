//! Fixtures: the service under test, and the servers that a check talks to. Each listens on a free loopback port,
//! limits every wait, and ends when dropped.

pub(crate) mod app;
pub(crate) mod collector;
pub(crate) mod curl;
pub(crate) mod dkim;
pub(crate) mod dns;
pub(crate) mod events;
pub(crate) mod https;
pub(crate) mod introspection;
pub(crate) mod mta;
pub(crate) mod pki;
pub(crate) mod port;
pub(crate) mod program;
pub(crate) mod prometheus;
pub(crate) mod response;
pub(crate) mod scram;
pub(crate) mod smtpd;
pub(crate) mod temp_dir;
