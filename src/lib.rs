//! smtp-check
pub mod phase;
pub mod secret;
pub mod target;
