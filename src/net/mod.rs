//! The network: DNS, TCP, and streams that record when bytes arrived.
//!
//! - [`resolve`]: a target's addresses, in the order in which a sending mail server tries them.
//! - [`lookup`]: records of any type, and whether DNSSEC vouches for them.
//! - [`dial`]: TCP to an [`Admitted`](crate::destination::policy::Admitted) address, and to no other.
//! - [`tcp`]: a TCP connection that records when octets left and arrived. `kernel_stamps` asks Linux for that, and
//!   `kernel_clock` converts what it says.
//! - [`first_octets`]: a connection whose first octets an error can quote.
//! - [`stream`]: a connection in clear text or inside TLS.

pub mod dial;
pub mod first_octets;
mod kernel_clock;
#[cfg(target_os = "linux")]
mod kernel_stamps;
pub mod lookup;
pub mod resolve;
pub mod stream;
pub mod tcp;

#[cfg(all(test, target_os = "linux"))]
mod tests;
