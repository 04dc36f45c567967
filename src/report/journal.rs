//! [`Journal`]: the log of one check, written while it runs and folded into the report at its end.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Attempt, Fact, Failure, MessageReport, ReportedClientCertificate, Via};
use crate::{
    phase::{Clock, Phase, Stamp},
    smtp::{Mechanism, Reply, sasl::SaslFacts},
    x509::{CertificateFacts, MAX_FACTS_SIZE, problem::CertificateProblem},
};

/// The log of one check: append-only, and bounded by the limits on what a server may send.
///
/// An event must not contain secrets: the journal becomes the report.
#[derive(Debug)]
pub struct Journal {
    pub(super) heading: Heading,
    pub(super) entries: Vec<Entry>,
    observer: Option<Box<dyn Observer>>,
}

/// What a journal tells while it is written. Instants are durations since the start of the check.
///
/// The calls are made while the check is being timed: they must return at once.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A phase is under way, but the report may leave it out.
    fn phase_announced(&mut self, phase: Phase, at: Duration);

    /// A phase began. It may have been announced before.
    fn phase_began(&mut self, phase: Phase, at: Duration);

    /// A phase ended, by this clock. `last_reply` is the last one received in the check.
    fn phase_ended(&mut self, phase: Phase, at: Duration, clock: Clock, ending: Ending, last_reply: Option<&Reply>);

    /// The check is over: nothing more happens.
    fn closed(&self);
}

/// What is known of a check before it begins.
#[derive(Clone, Debug)]
pub struct Heading {
    /// The check's id.
    pub id: Uuid,
    /// The wall clock at the start.
    pub started_at: OffsetDateTime,
    /// Whether the wall clock can be right. If not, no date is compared with it.
    pub is_clock_set: bool,
    /// The monotonic clock at the start.
    pub started: Instant,
    /// The host to check: the caller's target, or the recipient's domain.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Where the host comes from.
    pub via: Via,
    /// The mechanism of AUTH; `None` without AUTH, or where the server's offer decides.
    pub mechanism: Option<Mechanism>,
    /// Whether the report has a transcript.
    pub transcript: bool,
}

/// One line of the journal.
#[derive(Debug)]
pub(super) struct Entry {
    /// Since the start of the check; zero for an instant before it.
    pub(super) at: Duration,
    /// The clock that took the instant.
    pub(super) clock: Clock,
    pub(super) event: Event,
}

/// What can happen in a check.
#[derive(Debug)]
pub enum Event {
    /// A host or address could not be used.
    Attempted(Attempt),
    /// A connection was made.
    Connected {
        /// The host.
        host: String,
        /// The address of the host.
        address: IpAddr,
    },
    /// A phase began.
    Began(Phase),
    /// A command was sent; here without its secrets. Needed only for a transcript.
    Sent(String),
    /// A reply arrived.
    Received(Reply),
    /// The lines, joined by LF, of a reply that never became complete. Needed only for a transcript.
    PartialReply(String),
    /// A phase ended.
    Ended(Phase, Ending),
    /// A TLS handshake ended, successfully or not.
    Secured(Box<TlsSession>),
    /// AUTH was sent. Noted at the end, when all is known.
    Authenticating(SaslFacts),
    /// The check failed for a reason other than a reply.
    Failed(Failure),
    /// A warning for the operator.
    Warned(String),
    /// The message was built or signed.
    Composed(MessageReport),
    /// Something that findings and explanations need as data.
    Noted(Fact),
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Successfully, without a reply.
    Done,
    /// Successfully: the last reply is the expected one.
    Accepted,
    /// Not successfully: the last reply is another one.
    Rejected,
    /// The last reply is the one that the check expects, be it a success or a rejection.
    AsExpected {
        /// Whether the phase succeeded.
        is_ok: bool,
    },
    /// The last reply is not the one that the check expects.
    Unexpected {
        /// Whether the phase would have succeeded without an expectation.
        is_ok: bool,
    },
    /// Not successfully, although the last reply is the expected one; an [`Event::Failed`] gives the reason.
    Spoiled,
    /// Not successfully, without a reply; an [`Event::Failed`] gives the reason. A phase without an answer never ends.
    Failed,
}

/// What is known of a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// The protocol version, if the handshake got that far.
    pub version: Option<&'static str>,
    /// The cipher suite's IANA name, if the handshake was completed.
    pub cipher: Option<String>,
    /// The name sent as SNI, which the certificate must bear.
    pub server_name: String,
    /// Whether the handshake was completed, the server proved that it holds the key, and the certificates have no
    /// error.
    pub verified: bool,
    /// What became of a client certificate.
    pub client_certificate: ReportedClientCertificate,
    /// The errors of the certificates.
    pub problems: Vec<CertificateProblem>,
    /// The certificates, the server's own first.
    pub chain: Vec<CertificateFacts>,
}

impl TlsSession {
    /// Problems of a session that are kept.
    const MAX_PROBLEMS: usize = 16;

    /// Shortens what the certificates say. Returns how much is cut or left out.
    fn shorten(&mut self) -> usize {
        let problems = self.problems.len().saturating_sub(Self::MAX_PROBLEMS);
        self.problems.truncate(Self::MAX_PROBLEMS);
        problems + CertificateFacts::shorten(&mut self.chain)
    }
}

impl Ending {
    pub(super) fn is_ok(self) -> bool {
        matches!(self, Self::Done | Self::Accepted | Self::AsExpected { is_ok: true })
    }

    pub(super) fn is_by_reply(self) -> bool {
        !matches!(self, Self::Done | Self::Failed)
    }

    /// Whether the reply is the one that the check expects; `None` if it expects none in particular.
    pub(super) fn is_expected(self) -> Option<bool> {
        match self {
            Self::AsExpected { .. } => Some(true),
            Self::Unexpected { .. } => Some(false),
            Self::Done | Self::Accepted | Self::Rejected | Self::Spoiled | Self::Failed => None,
        }
    }
}

impl Journal {
    /// An empty journal.
    pub fn new(heading: Heading) -> Self {
        // Space for a check that waits for the greeting: in a busy service, most checks are at that point.
        Self { heading, entries: Vec::with_capacity(6), observer: None }
    }

    /// The same journal, with an observer, if there is one.
    #[must_use]
    pub fn with_observer(self, observer: Option<impl Observer + 'static>) -> Self {
        Self { observer: observer.map(|observer| Box::new(observer) as Box<dyn Observer>), ..self }
    }

    /// Notes that `event` happened then. Entries need not come in the order of their instants.
    pub fn note(&mut self, stamp: impl Into<Stamp>, event: Event) {
        let Stamp { at, clock } = stamp.into();
        let at = self.since_start(at);
        if let Some(observer) = &mut self.observer {
            match event {
                Event::Began(phase) => observer.phase_began(phase, at),
                Event::Ended(phase, ending) => {
                    observer.phase_ended(phase, at, clock, ending, last_reply(&self.entries));
                }
                _ => {}
            }
        }
        let mut cut = 0;
        let event = match event {
            Event::Secured(mut session) => {
                cut = session.shorten();
                Event::Secured(session)
            }
            event => event,
        };
        self.entries.push(Entry { at, clock, event });
        if cut > 0 {
            let warning = format!(
                "the certificates are longer than what is kept of them ({MAX_FACTS_SIZE} octets): {cut} names, other texts \
                 and certificates are cut or left out"
            );
            self.entries.push(Entry { at, clock, event: Event::Warned(warning) });
        }
    }

    /// Tells the observer that a phase began at `at`, without noting it: if the attempt fails, the report leaves it
    /// out.
    pub fn announce(&mut self, at: Instant, phase: Phase) {
        let at = self.since_start(at);
        if let Some(observer) = &mut self.observer {
            observer.phase_announced(phase, at);
        }
    }

    /// Tells the observer that the check is over.
    pub fn close(&self) {
        if let Some(observer) = &self.observer {
            observer.closed();
        }
    }

    fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.heading.started)
    }
}

fn last_reply(entries: &[Entry]) -> Option<&Reply> {
    entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Received(reply) => Some(reply),
        _ => None,
    })
}
