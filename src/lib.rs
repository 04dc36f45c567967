//! smtp-check answers one question over HTTP: would a message get through this mail server, how long does each step take, and what
//! does its certificate say?
//!
//! # The way of a check
//!
//! ```text
//! JSON ─► CheckRequest ─► Check ─►[shed · limit · deadline]─► resolve + policy ─► failover ─►[limit per address]
//!      ─► conversation (dialogue ⇄ net, tls) ─► Journal ─► Report ─► JSON | live events | Prometheus text | page | shell
//! ```
//!
//! # The house
//!
//! Each floor knows only those below it; `tests/it/architecture/mod.rs` sees to that.
//!
//! **Floor 0, values and wire** (no runtime, no clock, no I/O)
//! - [`smtp`]: replies, commands, SASL, and [`smtp::dialogue`], the conversation as a state machine.
//! - [`target`]: whom to talk to, and [`destination::policy`], whom one may talk to.
//! - [`proxy_header`]: the PROXY protocol, versions 1 and 2.
//! - [`x509`]: certificates as facts, and the kinds of error they can have.
//! - [`phase`]: the phases of a check, named once.
//! - [`printable`]: which characters may be shown to people as they are, and how the others are.
//! - [`spelling`]: which name a mistyped one may have meant.
//! - [`secret`]: where passwords are kept from log and report.
//!
//! **Floor 1, the two nouns** (still pure)
//! - [`check`]: what to do; [`check::Check::parse`] is the one door from a caller's words to a valid check.
//! - [`report`]: what came of it; [`report::journal`] is written while a check runs, [`report::fold`] makes the report of it,
//!   [`report::live`] tells of it meanwhile, [`mod@report::exposition`] says it as Prometheus wants it.
//!
//! **Floor 2, hands**
//! - [`net`]: DNS, TCP, and streams that tell when bytes arrived.
//! - [`tls`]: handshakes that go on whatever the certificate is, and its full account.
//!
//! **Floor 3, the act**
//! - [`probe()`](probe::probe): the tower stack, in one function, a reason per layer.
//!
//! **Floor 4, doors**
//! - [`http`]: routes, problems, who may come and how often, the server loop, the OpenAPI document, the console.
//! - [`cli`]: `serve`, `run`, `demo`, `openapi`, `healthcheck`, `token`.
//!
//! **Beside the stairs**
//! - [`config`]: flags, environment and file as settings, once.
//! - [`telemetry`]: the log, and the traces.
//! - [`sandbox`]: the small mail server behind `demo`.
//! - [`manual`]: why things are as they are.

pub mod check;
pub mod cli;
pub mod config;
pub mod destination;
pub mod escape;
pub mod http;
pub mod manual;
pub mod net;
pub mod phase;
pub mod probe;
pub mod proxy_header;
pub mod report;
pub mod sandbox;
pub mod secret;
pub mod smtp;
pub mod suggest;
pub mod telemetry;
pub mod tls;
pub mod x509;
