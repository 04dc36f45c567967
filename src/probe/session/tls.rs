//! The TLS handshake of a session, and whether the certificate is good enough for the check to go on.

use std::time::Instant;

use super::Session;
use crate::{
    check::TlsVerify,
    net::first_octets::FirstOctets,
    phase::Phase,
    report::{
        Failure, FailureKind,
        journal::{Ending, Event, TlsSession},
    },
    smtp::reply::excerpt,
    tls::{
        TlsFacts,
        handshake::{HandshakeError, ServerName, TlsClient},
    },
};

/// A completed handshake.
#[derive(Debug)]
pub(super) enum Handshake {
    /// The check may go on in the session.
    Trusted,
    /// The certificate is not good enough. QUIT can still be sent.
    Untrusted(Failure),
}

impl Session<'_> {
    /// Negotiates TLS, and tells whether the check may go on.
    ///
    /// # Errors
    /// The failure after which nothing more can be sent.
    pub(super) async fn handshake(&mut self, tls: &TlsClient) -> Result<Handshake, Failure> {
        let answered = self.stream.arrived();
        let released = self.stream.release().await;
        if !self.check.script.implicit_tls {
            let ending = match (&released, self.check.script.expectation(Phase::StartTls)) {
                (Err(_), _) => Ending::Spoiled,
                (Ok(_), None) => Ending::Accepted,
                (Ok(_), Some(_)) => Ending::AsExpected { is_ok: true },
            };
            self.journal.note(answered, Event::Ended(Phase::StartTls, ending));
            if released.is_err() {
                let message = "bytes came in clear text behind the answer to STARTTLS; somebody may have injected them";
                return Err(Failure::new(Phase::StartTls, FailureKind::Protocol, message));
            }
        }
        let name = self.server_name()?;
        self.journal.note(Instant::now(), Event::Began(Phase::Tls));
        let Ok(tcp) = released else {
            // A greeting in clear text: a moment later, the handshake would fail on it.
            self.journal.note(Instant::now(), Event::Ended(Phase::Tls, Ending::Failed));
            return Err(handshake_failure(&HandshakeError::NotTls, self.stream.unread()));
        };
        let (tcp, first_octets) = FirstOctets::new(tcp);
        // Boxed: its future is large, and a check without TLS would hold the memory for it as well.
        let (outcome, facts) = Box::pin(tls.handshake(tcp, &name, self.deadline)).await;
        let ended = Instant::now();
        if let Some(facts) = &facts {
            self.journal.note(ended, Event::Secured(Box::new(session(facts))));
        }
        let failure = match outcome {
            Ok(stream) => {
                self.stream.secured(stream, ended);
                self.certificate_asked = facts.as_ref().is_some_and(|facts| facts.certificate_asked);
                let (ending, secured) = match self.trust(facts.as_ref()) {
                    Ok(()) => (Ending::Done, Handshake::Trusted),
                    Err(failure) => (Ending::Failed, Handshake::Untrusted(failure)),
                };
                self.journal.note(ended, Event::Ended(Phase::Tls, ending));
                return Ok(secured);
            }
            Err(error) => handshake_failure(&error, first_octets.get().map_or(&[], Vec::as_slice)),
        };
        if failure.kind == FailureKind::Tls {
            self.journal.note(ended, Event::Ended(Phase::Tls, Ending::Failed));
        }
        Err(failure)
    }

    fn server_name(&self) -> Result<ServerName, Failure> {
        let name = self.check.tls_server_name.as_deref().unwrap_or(&self.host);
        name.parse()
            .map_err(|error| Failure::new(Phase::Tls, FailureKind::Unsupported, format_args!("{name}: {error}")))
    }

    /// Whether the check may go on; `facts` are `None` where the server sent no certificate.
    fn trust(&self, facts: Option<&TlsFacts>) -> Result<(), Failure> {
        let certificate = |message: &str| Err(Failure::new(Phase::Tls, FailureKind::Certificate, message));
        let Some(facts) = facts else { return certificate("the server showed no certificate") };
        if self.check.tls_verify == TlsVerify::Require
            && let Some(error) = facts.cert_error()
        {
            return certificate(&error);
        }
        let sends_credentials = self.check.script.phases().contains(&Phase::SaslAuth);
        if sends_credentials && let Some(why) = facts.unproven_key() {
            return certificate(&format!("no credential is sent to the server: {why}"));
        }
        Ok(())
    }
}

fn session(facts: &TlsFacts) -> TlsSession {
    TlsSession {
        version: facts.version,
        cipher: facts.cipher.map(str::to_owned),
        server_name: facts.server_name.clone(),
        verified: facts.verified(),
        problems: facts.problems.clone(),
        chain: facts.chain.clone(),
    }
}

/// `answer` is the beginning of what the server sent: an answer that is not TLS is quoted.
fn handshake_failure(error: &HandshakeError, answer: &[u8]) -> Failure {
    let kind = match error {
        HandshakeError::Closed | HandshakeError::ClosedWithoutCertificate => FailureKind::Closed,
        HandshakeError::TimedOut => FailureKind::Timeout,
        _ => FailureKind::Tls,
    };
    let answer = String::from_utf8_lossy(answer);
    match (error, answer.lines().next()) {
        (HandshakeError::NotTls, Some(line)) => {
            Failure::new(Phase::Tls, kind, format_args!("{error}: {:?}", excerpt(line)))
        }
        _ => Failure::new(Phase::Tls, kind, error),
    }
}
