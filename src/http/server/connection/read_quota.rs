//! Read quota of an HTTP/2 connection: it holds bytes of the budget for what its caller has sent.
//!
//! hyper keeps of that what the caller wants it to: up to 80 KiB of a header that does not end, and behind an entry of
//! a few bytes in the table of HPACK the whole buffer that it came in. Such a table has 120 entries, and no setting
//! makes it smaller where the caller does not agree.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::io::ConnIo;
use crate::http::server::byte_budget::{ByteBudget, HeldBytes, Holding, Holdings, NoBytesLeft};

/// Bytes that a connection may receive without holding any.
const MAX_UNCOUNTED_SIZE: usize = 16 * 1024;
/// Bytes that are counted at a time.
const STEP_SIZE: usize = 16 * 1024;
/// Bytes that count. More than that is not in memory: a body is copied, and dropped.
const MAX_COUNTED_SIZE: usize = 2 * 1024 * 1024;

type Missing = Pin<Box<dyn Future<Output = Result<HeldBytes, NoBytesLeft>> + Send>>;

/// What a connection may receive, and holds for it.
#[derive(Default)]
pub(super) struct ReadQuota {
    held: Vec<Holding>,
    /// Waits for bytes that are missing. Nothing is read meanwhile.
    missing: Option<Missing>,
    /// They stayed missing.
    is_over: bool,
}

impl ReadQuota {
    /// Nothing more is read.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Bytes are missing, and may still be given back.
    pub(super) fn is_waiting(&self) -> bool {
        self.missing.is_some()
    }

    /// Takes bytes of the budget for what was received, and lets hyper read on. Where bytes are missing, it reads
    /// nothing until there are some, and nothing more at all if none are given back in time. Ready where hyper is to
    /// be polled again.
    pub(super) fn poll_raise(
        &mut self,
        cx: &mut Context<'_>,
        io: &ConnIo,
        budget: &ByteBudget,
        holdings: &Holdings,
    ) -> Poll<()> {
        if self.is_over || !io.has_used_quota() {
            return Poll::Pending;
        }
        let missing = self.missing.get_or_insert_with(|| {
            let budget = budget.clone();
            Box::pin(async move { budget.evicting(|| budget.take(STEP_SIZE)).await })
        });
        let taken = ready!(missing.as_mut().poll(cx));
        self.missing = None;
        match taken {
            Ok(held) => self.held.push(holdings.begin(held.into())),
            Err(NoBytesLeft) => self.is_over = true,
        }
        io.set_read_quota(self.size());
        Poll::Ready(())
    }

    /// Bytes that the connection may receive.
    pub(super) fn size(&self) -> usize {
        let counted = self.held.len() * STEP_SIZE;
        if counted < MAX_COUNTED_SIZE { MAX_UNCOUNTED_SIZE + counted } else { usize::MAX }
    }
}
