//! smtp-check
pub mod config;
pub mod http;
pub mod phase;
pub mod secret;
pub mod telemetry;
