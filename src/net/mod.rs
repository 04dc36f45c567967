//! The network: names to addresses, addresses to connections, connections to bytes with the instant of their arrival.
//!
//! - [`resolve`]: what a sending mail server would try, in its order.
//! - [`dial`]: [`Admitted`](crate::destination::policy::Admitted) to TCP; it takes nothing else.
//! - [`stream`]: TCP or TLS, and when what arrived.

pub mod dial;
pub mod resolve;
pub mod stream;
