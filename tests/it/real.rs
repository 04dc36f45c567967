//! Against programs that the tests did not write: `tests/install` brings them.

mod docs;
