//! Maildrop: the last received messages, bounded in number and in bytes.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The most messages that are kept.
const MAX_MESSAGES: usize = 100;

/// The most bytes of content that are kept. The newest message is always kept.
const MAX_CONTENT_SIZE: usize = 32 * 1024 * 1024;

/// A message that the sandbox accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The queue id in the final `250`.
    pub id: String,
    /// The envelope, and facts about the session.
    pub envelope: Envelope,
    /// The octets between DATA's `354` and the final dot, without dot-stuffing (RFC 5321, section 4.5.2). They end with
    /// the CR LF before the dot.
    pub content: Vec<u8>,
}

/// Envelope of a message, and facts about the session that brought it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The client's name in EHLO or HELO.
    pub client: String,
    /// Whether the session used TLS.
    pub tls: bool,
    /// Whether the client had logged in.
    pub authenticated: bool,
    /// The reverse-path without its angle brackets; empty if it is null.
    pub from: String,
    /// The parameters of MAIL as they were sent (`SIZE=17`, `BODY=8BITMIME`, `SMTPUTF8`).
    pub parameters: Vec<String>,
    /// The accepted forward-paths without their angle brackets, in order.
    pub to: Vec<String>,
}

/// Where all sessions store their messages.
#[derive(Default)]
pub(super) struct Maildrop(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    taken: u64,
}

impl Maildrop {
    /// Stores a message, and returns its queue id.
    pub(super) fn keep(&self, envelope: Envelope, content: Vec<u8>) -> String {
        let mut kept = self.lock();
        kept.taken += 1;
        let id = format!("{:010X}", kept.taken);
        kept.bytes += content.len();
        kept.messages.push_back(Arc::new(Message { id: id.clone(), envelope, content }));
        while kept.messages.len() > MAX_MESSAGES || (kept.bytes > MAX_CONTENT_SIZE && kept.messages.len() > 1) {
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

    /// A poisoned lock is usable: no panic leaves a change half done.
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
        maildrop.keep(Envelope::default(), vec![0; MAX_CONTENT_SIZE / 2]);
        maildrop.keep(Envelope::default(), vec![0; MAX_CONTENT_SIZE / 2]);
        assert_eq!(maildrop.messages().len(), 2);
        let id = maildrop.keep(Envelope::default(), vec![0; MAX_CONTENT_SIZE + 1]);
        let kept: Vec<_> = maildrop.messages().iter().map(|m| m.id.clone()).collect();
        assert_eq!(kept, [id]);
    }
}
