//! The handlers, one file per route.

pub(super) mod checks;
mod events;
pub(super) mod health;
pub(super) mod scrape;
