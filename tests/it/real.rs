//! Checks against the mail servers that the world runs. Every test that needs one is in here: `tests/run` leaves `real::` out where
//! the servers cannot be installed.

mod fixtures;
