//! What has arrived: the last messages, bounded in number and in bytes.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The most messages kept.
const MAX_MESSAGES: usize = 100;

/// The most bytes of content kept; the newest message is kept in any case.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A message that the sandbox took responsibility for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The queue id that the final `250` named.
    pub id: String,
    /// How it came.
    pub envelope: Envelope,
    /// The octets between DATA's `354` and the final dot, dot-stuffing taken off (RFC 5321, section 4.5.2); they end with the CR LF
    /// before the dot.
    pub content: Vec<u8>,
}

/// What the dialogue said of a message, beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The client's name, as EHLO or HELO gave it.
    pub client: String,
    /// Whether the message came inside TLS.
    pub tls: bool,
    /// Whether the client had logged in.
    pub authenticated: bool,
    /// The reverse-path without its angle brackets; empty for the null one.
    pub from: String,
    /// The parameters of MAIL as they were written (`SIZE=17`, `BODY=8BITMIME`, `SMTPUTF8`).
    pub parameters: Vec<String>,
    /// The accepted forward-paths without their angle brackets, in the order of their RCPTs.
    pub to: Vec<String>,
}

/// The place where all sessions put their messages.
#[derive(Default)]
pub(super) struct Maildrop(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    taken: u64,
}

impl Maildrop {
    /// Keeps a message and gives it its queue id.
    pub(super) fn keep(&self, envelope: Envelope, content: Vec<u8>) -> String {
        let mut kept = self.lock();
        kept.taken += 1;
        let id = format!("{:010X}", kept.taken);
        kept.bytes += content.len();
        kept.messages.push_back(Arc::new(Message { id: id.clone(), envelope, content }));
        while kept.messages.len() > MAX_MESSAGES || (kept.bytes > MAX_BYTES && kept.messages.len() > 1) {
            let Some(oldest) = kept.messages.pop_front() else {
                break;
            };
            kept.bytes -= oldest.content.len();
        }
        id
    }

    pub(super) fn messages(&self) -> Vec<Arc<Message>> {
        self.lock().messages.iter().cloned().collect()
    }

    /// Every change is whole before the lock is let go, so a poisoned one holds nothing broken.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Maildrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maildrop").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let maildrop = Maildrop::default();
        let ids: Vec<_> = (0..=MAX_MESSAGES).map(|_| maildrop.keep(Envelope::default(), b"x".to_vec())).collect();
        let kept: Vec<_> = maildrop.messages().iter().map(|m| m.id.clone()).collect();
        assert_eq!(kept, ids[1..]);
    }

    #[test]
    fn bytes_are_bounded_and_the_newest_stays() {
        let maildrop = Maildrop::default();
        maildrop.keep(Envelope::default(), vec![0; MAX_BYTES / 2]);
        maildrop.keep(Envelope::default(), vec![0; MAX_BYTES / 2]);
        assert_eq!(maildrop.messages().len(), 2);
        let id = maildrop.keep(Envelope::default(), vec![0; MAX_BYTES + 1]);
        let kept: Vec<_> = maildrop.messages().iter().map(|m| m.id.clone()).collect();
        assert_eq!(kept, [id]);
    }
}
