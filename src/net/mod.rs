//! The network: names to addresses.

pub mod resolve;
