//! [`Journal`]: what happened and when, written down while a check runs and folded into the report at its end.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Attempt, Failure, Via,
    live::{Listener, Live},
};
use crate::{
    phase::Phase,
    smtp::Reply,
    x509::{CertificateFacts, problem::CertificateProblem},
};

/// The log of one check: append-only, and bounded by what a server may say in one dialogue.
///
/// Whoever writes takes secrets out first: what is in the journal can be in the report.
#[derive(Debug)]
pub struct Journal {
    /// Boxed: the journal goes from layer to layer, and each holds room for it.
    pub(super) heading: Box<Heading>,
    pub(super) entries: Vec<Entry>,
    live: Option<Box<Live>>,
}

/// What is known of a check before it begins.
#[derive(Clone, Debug)]
pub struct Heading {
    /// The check's id.
    pub id: Uuid,
    /// The wall clock at the start.
    pub started_at: OffsetDateTime,
    /// The monotonic clock at the start.
    pub started: Instant,
    /// The host to check, as the caller or the recipient's domain names it.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Where the host comes from.
    pub via: Via,
    /// Whether the report is to have a transcript.
    pub transcript: bool,
}

/// One line of the journal.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: Instant,
    pub(super) event: Event,
}

/// What can happen.
#[derive(Debug)]
pub enum Event {
    /// A host or address could not be used.
    Attempted(Attempt),
    /// A connection stands.
    Connected {
        /// To this host,
        host: String,
        /// at this address.
        address: IpAddr,
    },
    /// A phase began.
    Began(Phase),
    /// A command was written, here without its secrets. It need not be noted where nobody wants a transcript.
    Sent(String),
    /// A reply had arrived.
    Received(Reply),
    /// These lines had arrived of a reply that never became whole, an LF between. They need not be noted where nobody wants a transcript.
    Overheard(String),
    /// A phase ended.
    Ended(Phase, Ending),
    /// A TLS handshake ended, well or not, and this is what is known of it.
    Secured(Box<TlsSession>),
    /// The check failed for another reason than a reply.
    Failed(Failure),
    /// Something that an operator should know.
    Warned(String),
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should, without a reply.
    Done,
    /// By the expected reply, the last one received.
    Accepted,
    /// By another reply, the last one received.
    Rejected,
    /// By the expected reply, the last one received, and not as it should for all that; an [`Event::Failed`] says more.
    Spoiled,
    /// Not as it should, and without a reply; an [`Event::Failed`] says more. A phase that nothing answered does not end at all.
    Failed,
}

/// What is known of a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// The protocol version, when the handshake came so far that it is known.
    pub version: Option<&'static str>,
    /// The cipher suite's IANA name, when the handshake came to an end.
    pub cipher: Option<String>,
    /// The name asked for.
    pub server_name: String,
    /// Whether the handshake came to an end, the server proved its key, and nothing is wrong with its certificates.
    pub verified: bool,
    /// What is wrong with the certificates.
    pub problems: Vec<CertificateProblem>,
    /// The certificates, the server's own first.
    pub chain: Vec<CertificateFacts>,
}

impl Ending {
    pub(super) fn is_ok(self) -> bool {
        matches!(self, Self::Done | Self::Accepted)
    }

    pub(super) fn is_by_reply(self) -> bool {
        matches!(self, Self::Accepted | Self::Rejected | Self::Spoiled)
    }
}

impl Journal {
    /// An empty journal.
    pub fn new(heading: Heading) -> Self {
        // Room for a check that waits for the banner. Most checks of a service that has many wait there.
        Self { heading: Box::new(heading), entries: Vec::with_capacity(6), live: None }
    }

    /// The same journal, read to `listener` while it is written.
    #[must_use]
    pub fn with_observer(self, listener: Option<Listener>) -> Self {
        let started = self.heading.started;
        Self { live: listener.map(|listener| Box::new(Live::new(started, listener))), ..self }
    }

    /// What is known of the check since before it began.
    pub fn heading(&self) -> &Heading {
        &self.heading
    }

    /// Notes that `event` happened at `at`. Entries need not come in the order of their instants.
    pub fn note(&mut self, at: Instant, event: Event) {
        self.entries.push(Entry { at, event });
        if let Some(live) = &mut self.live {
            live.read_last(&self.entries);
        }
    }

    /// Tells the listener, if any, that a phase began at `at`, without noting it: it may come to nothing and not be of the report.
    pub fn announce(&mut self, at: Instant, phase: Phase) {
        if let Some(live) = &mut self.live {
            live.announce(phase, at);
        }
    }

    /// Tells the listener, if any, of the phases that never ended: the check is over, and nothing is noted any more.
    pub fn close(&self) {
        if let Some(live) = &self.live {
            live.close();
        }
    }

    /// From the start of the check; zero for an instant before it.
    pub(super) fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.heading.started)
    }
}
