//! The network: DNS, TCP, and streams that record when bytes arrived.
//!
//! - [`resolve`]: a target's addresses, in the order in which a sending mail server tries them.
//! - [`dial`]: TCP to an [`Admitted`](crate::destination::policy::Admitted) address, and to no other.
//! - [`first_octets`]: a connection whose first octets an error can quote.
//! - [`stream`]: a connection in clear text or inside TLS.

pub mod dial;
pub mod first_octets;
pub mod resolve;
pub mod stream;
