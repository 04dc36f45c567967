//! MTA-STS (RFC 8461): the TXT record that announces a policy, and the policy.
//!
//! [`Announcement::read`] judges the record, [`PolicyText::parse`] the body that the policy host served, and
//! [`check_content_type`] its media type. Fetching it is up to the caller.

mod content_type;
mod fault;
mod pattern;
mod policy;
mod record;
#[cfg(test)]
mod tests;

pub use content_type::{ContentTypeFault, check_content_type};
pub use fault::{Fault, Note};
pub use pattern::{Pattern, PatternFault};
pub use policy::{MAX_AGE, MAX_POLICY_SIZE, Mode, Policy, PolicyText, SHORT_MAX_AGE, Weakness};
pub use record::{Announcement, RecordFault, record_text};

use crate::mail_dns::{Question, RecordKind};

/// The question for the TXT record (RFC 8461, section 3.1).
pub fn question(domain: &str) -> Question {
    Question::new(&format!("_mta-sts.{domain}"), RecordKind::Txt)
}

/// The host that serves the policy, and for which its certificate must be valid (RFC 8461, sections 3.2 and 3.3).
pub fn policy_host(domain: &str) -> String {
    format!("mta-sts.{domain}")
}

/// Where the policy is (RFC 8461, section 3.2).
pub fn policy_url(domain: &str) -> String {
    format!("https://mta-sts.{domain}/.well-known/mta-sts.txt")
}
