//! Special recipients: local parts with a reply of their own.

use std::time::Duration;

/// The special local parts, in any case, and a short description of the reply to RCPT.
pub const RECIPIENTS: [(&str, &str); 6] = [
    ("nobody", "550 5.1.1: the user is unknown"),
    ("later", "451 4.7.1: greylisted, try again later"),
    ("full", "452 4.2.2: the mailbox is full"),
    ("slow", "accepted, after 750 ms"),
    ("silent", "never answered"),
    ("hangup", "the connection is closed"),
];

/// What the sandbox does on RCPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    Accept,
    AcceptAfter(Duration),
    Refuse(&'static str),
    Silence,
    HangUp,
}

impl Reaction {
    pub(super) fn to(local_part: &str) -> Self {
        match local_part.to_ascii_lowercase().as_str() {
            "nobody" => Self::Refuse("550 5.1.1 User unknown"),
            "later" => Self::Refuse("451 4.7.1 Greylisted, please try again later"),
            "full" => Self::Refuse("452 4.2.2 Mailbox full"),
            "slow" => Self::AcceptAfter(Duration::from_millis(750)),
            "silent" => Self::Silence,
            "hangup" => Self::HangUp,
            _ => Self::Accept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_agree() {
        let manual = include_str!("mod.rs");
        for (local_part, _) in RECIPIENTS {
            assert_ne!(Reaction::to(local_part), Reaction::Accept, "{local_part}");
            assert!(manual.contains(&format!("//! | `{local_part}` |")));
        }
        assert_eq!(Reaction::to("NoBody"), Reaction::to("nobody"));
        assert_eq!(Reaction::to("alice"), Reaction::Accept);
    }
}
