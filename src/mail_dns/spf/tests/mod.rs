//! Tests of the survey and of the evaluation.

mod hostile;
mod rules;
mod sender;
mod tree;

use super::{Fault, Spf, SpfWalk};
use crate::mail_dns::test_zone::Zone;

fn survey(zone: &str) -> Spf {
    survey_of(&mut Zone::new(zone))
}

fn survey_of(zone: &mut Zone) -> Spf {
    let mut walk = SpfWalk::new("example.com");
    zone.run(|answers| walk.step(answers))
}

/// The faults of a survey in words.
fn faults(zone: &str) -> Vec<String> {
    survey(zone).faults().iter().map(Fault::to_string).collect()
}

/// A record of `example.com` with so many lookups, and the zone that they need.
fn with_lookups(count: usize) -> String {
    let terms: String = (0..count).map(|number| format!(" a:a{number}.example.net")).collect();
    let hosts: String = (0..count)
        .map(|number| format!("a{number}.example.net A 192.0.2.1\na{number}.example.net AAAA ::1\n"))
        .collect();
    format!("example.com TXT v=spf1{terms} -all\n{hosts}")
}
