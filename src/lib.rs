//! smtp-check
pub mod phase;
pub mod proxy_header;
pub mod secret;
pub mod smtp;
