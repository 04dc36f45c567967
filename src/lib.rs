//! smtp-check
pub mod check;
pub mod cli;
pub mod config;
pub mod http;
pub mod net;
pub mod phase;
pub mod probe;
pub mod proxy_header;
pub mod report;
pub mod sandbox;
pub mod secret;
pub mod smtp;
pub mod target;
pub mod telemetry;
pub mod tls;
pub mod x509;
