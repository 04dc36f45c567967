//! smtp-check
pub mod net;
pub mod phase;
pub mod secret;
pub mod target;
