//! Tests of records and of the tree walk.

mod records;
mod reports;
mod tree_walk;

use super::{Dmarc, DmarcWalk};
use crate::mail_dns::test_zone::Zone;

/// The walk for a domain.
fn walk(domain: &str, zone: &str) -> Dmarc {
    walk_in(domain, &mut Zone::new(zone))
}

fn walk_in(domain: &str, zone: &mut Zone) -> Dmarc {
    let mut walk = DmarcWalk::new(domain);
    zone.run(|answers| walk.step(answers))
}

/// The faults of a domain in words.
fn faults(zone: &str) -> Vec<String> {
    walk("example.com", zone).faults().iter().map(ToString::to_string).collect()
}
