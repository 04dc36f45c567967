//! smtp-check
pub mod phase;
pub mod secret;
pub mod tls;
pub mod x509;
