//! The part of a conversation that goes over to TLS, and decides whether to trust what it finds there.

use std::time::Instant;

use super::Driver;
use crate::{
    check::TlsVerify,
    phase::Phase,
    report::{
        Failure, FailureKind,
        journal::{Ending, Event, TlsSession},
    },
    tls::{
        TlsFacts,
        handshake::{HandshakeError, ServerName, TlsClient},
    },
};

/// A handshake that came to its end.
#[derive(Debug)]
pub(super) enum Secured {
    /// The check may go on in the session.
    Trusted,
    /// It may not, since the certificate is not good enough. QUIT can be said.
    Distrusted(Failure),
}

impl Driver {
    /// Goes over to TLS, and tells whether the check may go on there.
    ///
    /// # Errors
    /// The failure after which nothing more can be said.
    pub(super) async fn handshake(&mut self, tls: &TlsClient) -> Result<Secured, Failure> {
        let answered = self.stream.arrived();
        let released = self.stream.release().await;
        if !self.check.script.implicit_tls {
            let ending = if released.is_ok() { Ending::Accepted } else { Ending::Spoiled };
            self.journal.note(answered, Event::Ended(Phase::StartTls, ending));
            if released.is_err() {
                let message = "bytes came in clear text behind the answer to STARTTLS; somebody may have injected them";
                return Err(Failure::new(Phase::StartTls, FailureKind::Protocol, message));
            }
        }
        let name = self.server_name()?;
        self.journal.note(Instant::now(), Event::Began(Phase::Tls));
        let Ok(tcp) = released else {
            // A greeting in clear text, which would meet the handshake if it came a moment later.
            self.journal.note(Instant::now(), Event::Ended(Phase::Tls, Ending::Failed));
            return Err(handshake_failure(&HandshakeError::NotTls));
        };
        // Boxed, for a handshake is large, and a check that never comes to one would hold the room for it all the same.
        let (outcome, facts) = Box::pin(tls.handshake(tcp, &name, self.deadline)).await;
        let ended = Instant::now();
        if let Some(facts) = &facts {
            self.journal.note(ended, Event::Secured(Box::new(session(facts))));
        }
        let failure = match outcome {
            Ok(stream) => {
                self.stream.secured(stream);
                let (ending, secured) = match self.trust(facts.as_ref()) {
                    Ok(()) => (Ending::Done, Secured::Trusted),
                    Err(failure) => (Ending::Failed, Secured::Distrusted(failure)),
                };
                self.journal.note(ended, Event::Ended(Phase::Tls, ending));
                return Ok(secured);
            }
            Err(error) => handshake_failure(&error),
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

    /// Whether the check may go on with a server that showed this certificate; `None` where it showed none.
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

fn handshake_failure(error: &HandshakeError) -> Failure {
    let kind = match error {
        HandshakeError::Closed => FailureKind::Closed,
        HandshakeError::TimedOut => FailureKind::Timeout,
        _ => FailureKind::Tls,
    };
    Failure::new(Phase::Tls, kind, error)
}
