//! The handlers, one file per route, and [`assets`], what they serve as it is.

pub(super) mod assets;
pub(super) mod checks;
pub(super) mod domains;
mod events;
pub(super) mod findings;
pub(super) mod health;
pub(super) mod scrape;
