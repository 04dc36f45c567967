//! smtp-check
pub mod config;
pub mod phase;
pub mod secret;
