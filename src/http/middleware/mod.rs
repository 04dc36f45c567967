//! The layers around the router, one per file. [`stack`] puts them around it.

pub(crate) mod access_log;
pub(crate) mod auth;
pub(crate) mod catch_panic;
pub(crate) mod client_ip;
pub(crate) mod held_response;
pub(crate) mod host;
pub(crate) mod host_check;
pub(crate) mod rate_limit;
pub(crate) mod reserved_slot;
pub(crate) mod security_headers;
pub(crate) mod stack;
