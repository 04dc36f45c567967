//! smtp-check
pub mod phase;
pub mod sandbox;
pub mod secret;
