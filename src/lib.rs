//! smtp-check answers one question over HTTP: would a message get through this mail server, how long does each step
//! take, and what does its certificate say?
//!
//! # Layers
//!
//! A module names only those of its own layer and below; `tests/it/architecture` holds that.
//!
//! **Values and wire** (no runtime, no clock, no I/O)
//! - [`smtp`]: replies, commands, SASL, and [`smtp::dialogue`], the SMTP client as a state machine.
//! - [`destination`]: whom to talk to, and [`destination::policy`], whom one may talk to.
//! - [`mail_dns`]: what a domain publishes about its mail.
//! - [`proxy_header`]: the PROXY protocol, versions 1 and 2.
//! - [`x509`]: certificates as facts, and the kinds of error that they can have.
//! - [`secret`]: passwords, kept out of logs and reports.
//! - [`phase`]: the phases of a check. [`escape`]: text that is safe to show. [`suggest`]: which name a mistyped one
//!   may mean. [`os_error`]: errors of the operating system in words.
//!
//! **The nouns of the product** (still pure)
//! - [`check`]: what to do. [`check::Check::parse`] is the one way to a valid check.
//! - [`report`]: what happened. [`report::journal`] is written while a check runs; [`report::fold`] makes the report of
//!   it.
//! - [`findings`]: what an operator should know about the server: the catalogue, its rules, and the explanation of a
//!   failure. [`reproduce`]: the check as command lines.
//!
//! **I/O**
//! - [`net`]: DNS, TCP, and streams that tell when bytes arrived.
//! - [`clock`]: the date, even if it is set wrong. [`thread`]: blocking work, even if no thread is left.
//! - [`message`]: building and signing a message.
//! - [`tls`]: handshakes that go on whatever the certificate is, and the verifier.
//!
//! **The service**
//! - [`mod@probe`]: one check: the stack of limits, and the function inside it. `permits`: concurrency limits by key.
//! - [`domain`]: one domain: its records, and a session with every address of its mail exchangers.
//!
//! **Interfaces**
//! - [`http`]: routes, middleware, extractors, the server, metrics, the OpenAPI document, the console.
//! - [`cli`]: the subcommands.
//!
//! **Beside them**
//! - [`config`]: flags, environment and settings file.
//! - [`telemetry`]: the log and the traces.
//! - [`sandbox`]: the mail server of `demo`.
//! - [`manual`]: the reference, and the reasons.
//!
//! # The way of a check
//!
//! ```text
//! JSON ─► JsonObject ─► CheckRequest ─► Check ─► CheckJob ─►[load shed · concurrency limit · timeout]─► CheckContext
//!      ─► resolve ─► permit per address ─► connect ─► session ─► Journal ─► Report ─► JSON · events · metrics · text
//! ```
//!
//! 1. [`http::JsonObject`]: the members of a request's body, as written. Flags and modules make the same pairs of name
//!    and value.
//! 2. [`check::CheckRequest`]: the parameters, typed; what the OpenAPI document describes.
//! 3. [`check::Check`]: valid parameters. Only the parser makes one.
//! 4. [`probe::CheckJob`]: a check with an id, a caller and an observer.
//! 5. `CheckContext`: the check while it runs, with its deadline and its journal.
//! 6. [`report::Journal`]: what happened, and when.
//! 7. [`report::Report`]: the answer.
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod destination;
pub mod domain;
pub mod escape;
pub mod findings;
pub mod http;
pub mod mail_dns;
pub mod manual;
pub mod message;
pub mod net;
pub mod os_error;
mod permits;
pub mod phase;
pub mod probe;
pub mod proxy_header;
pub mod report;
pub mod reproduce;
pub mod sandbox;
pub mod secret;
pub mod smtp;
pub mod suggest;
pub mod telemetry;
pub mod thread;
pub mod tls;
pub mod x509;
