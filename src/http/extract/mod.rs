//! Extractors: what the handlers take from a request.

mod body;
mod json_object;
pub(crate) mod negotiate;
pub(crate) mod request_context;
pub(crate) mod trace_context;

pub use body::BodyLimits;
pub use json_object::JsonObject;
