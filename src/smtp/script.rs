//! [`Script`]: what one check sends to the server, and which phases it has.

use super::{Credentials, EhloName, Expectation, Expectations, Mailbox, Payload, Protocol, StartTls};
use crate::phase::Phase;

/// What one check sends to the server.
#[derive(Clone, Debug)]
pub struct Script {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// The name that EHLO gives.
    pub ehlo: EhloName,
    /// TLS from the first byte; the first EHLO is then the one inside TLS.
    pub implicit_tls: bool,
    /// STARTTLS after the first EHLO (RFC 3207).
    pub start_tls: StartTls,
    /// AUTH with these (RFC 4954).
    pub credentials: Option<Credentials>,
    /// The envelope's sender; `None` is the null reverse-path (RFC 5321, section 4.5.5).
    pub from: Option<Mailbox>,
    /// The envelope's recipient; `None` only if [`Self::stop_after`] is a phase before RCPT.
    pub to: Option<Mailbox>,
    /// The message.
    pub payload: Payload,
    /// End with QUIT after this phase.
    pub stop_after: Option<Phase>,
    /// Send RSET before QUIT where a mail transaction is open: without it, some servers log an error.
    pub resets: bool,
    /// The replies that decide, in place of the usual ones.
    pub expect: Option<Box<Expectations>>,
}

impl Script {
    /// The phases of this script, in order, without QUIT. STARTTLS includes the handshake and the EHLO after it; an
    /// opportunistic one may be left out.
    pub fn phases(&self) -> Vec<Phase> {
        self.steps().collect()
    }

    /// Whether this is one of its phases.
    pub fn has_phase(&self, phase: Phase) -> bool {
        self.steps().any(|step| step == phase)
    }

    fn steps(&self) -> impl Iterator<Item = Phase> {
        let has_start_tls = self.start_tls != StartTls::Off;
        let all = [
            (Phase::Banner, true),
            (Phase::Ehlo, true),
            (Phase::StartTls, has_start_tls),
            (Phase::Tls, has_start_tls),
            (Phase::EhloTls, has_start_tls),
            (Phase::SaslAuth, self.credentials.is_some()),
            (Phase::MailFrom, true),
            (Phase::RcptTo, true),
            (Phase::Data, true),
            (Phase::Body, true),
        ];
        let last = match self.stop_after {
            Some(Phase::StartTls) => Phase::EhloTls,
            Some(phase) => phase,
            None => Phase::Body,
        };
        all.into_iter().filter(move |(phase, wanted)| *wanted && *phase <= last).map(|(phase, _)| phase)
    }

    /// The reply that the check expects of this phase, if any but the usual.
    pub fn expectation(&self, phase: Phase) -> Option<&Expectation> {
        self.expect.as_ref()?.of(phase)
    }

    /// Whether the check expects a certain text of a reply.
    pub fn expects_text(&self) -> bool {
        self.expect.as_ref().is_some_and(|expect| expect.has_text())
    }

    /// Whether an address of the envelope, or of the header section, has characters beyond ASCII (RFC 6531).
    pub(crate) fn needs_utf8(&self) -> bool {
        let beyond_ascii = |mailbox: &Option<Mailbox>| mailbox.as_ref().is_some_and(|mailbox| !mailbox.is_ascii());
        beyond_ascii(&self.from)
            || (self.has_phase(Phase::RcptTo) && beyond_ascii(&self.to))
            || (self.has_phase(Phase::Body) && self.payload.needs_utf8())
    }

    pub(super) fn needs_8bit(&self) -> bool {
        self.has_phase(Phase::Body) && self.payload.is_8bit()
    }
}
