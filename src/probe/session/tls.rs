//! The TLS handshake of a session, and whether the certificate is good enough for the check to go on.

use std::time::Instant;

use tokio::time::{Instant as Deadline, timeout_at};

use super::{Session, facts};
use crate::{
    check::{TlsVerify, TlsVersion},
    net::first_octets::{FirstOctets, LINE_TIMEOUT, has_line},
    phase::Phase,
    report::{
        Cause, Fact, Failure, FailureKind, ReportedClientCertificate,
        journal::{Ending, Event, TlsSession},
    },
    smtp::{Code, reply::excerpt},
    tls::{
        ClientAuth, ClientLack, TlsFacts,
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
                let failure = Failure::new(Phase::StartTls, FailureKind::Protocol, message);
                return Err(failure.with_cause(Some(Cause::Injection)));
            }
        }
        let name = self.server_name()?;
        let offer = tls.offer(self.check.tls_version, self.check.client_certificate.as_deref());
        let offer = offer.keeping_certificates(self.check.keeps_certificates);
        self.journal.note(Instant::now(), Event::Began(Phase::Tls));
        let Ok(tcp) = released else {
            // A greeting in clear text: a moment later, the handshake would fail on it.
            self.journal.note(Instant::now(), Event::Ended(Phase::Tls, Ending::Failed));
            self.read_line().await;
            return Err(self.handshake_failure(&HandshakeError::NotTls, self.stream.unread()));
        };
        let (tcp, first_octets) = FirstOctets::new(tcp, self.deadline);
        // Boxed: its future is large, and a check without TLS would hold the memory for it as well.
        let (outcome, facts) = Box::pin(tls.handshake(offer, tcp, &name, self.deadline)).await;
        let ended = Instant::now();
        if let Some(facts) = &facts {
            self.journal.note(ended, Event::Secured(Box::new(self.session(facts))));
            if !facts.presented.is_empty() {
                self.journal.note(ended, Event::Noted(Fact::Presented(facts.presented.clone())));
            }
        }
        let failure = match outcome {
            Ok(stream) => {
                self.stream.secured(stream, ended);
                self.client_auth = facts.as_ref().map_or(ClientAuth::NotAsked, |facts| facts.client_auth);
                self.warn_of_unused_certificate(ended);
                let (ending, secured) = match self.trust(facts.as_ref()) {
                    Ok(()) => (Ending::Done, Handshake::Trusted),
                    Err(failure) => (Ending::Failed, Handshake::Untrusted(failure)),
                };
                self.journal.note(ended, Event::Ended(Phase::Tls, ending));
                return Ok(secured);
            }
            Err(error) => self.handshake_failure(&error, &first_octets.octets()),
        };
        if failure.kind == FailureKind::Tls {
            self.journal.note(ended, Event::Ended(Phase::Tls, Ending::Failed));
        }
        Err(failure)
    }

    /// Reads more of a line in clear text, which may come in pieces, for a short time.
    async fn read_line(&mut self) {
        let by = self.deadline.min(Deadline::now() + LINE_TIMEOUT);
        while !has_line(self.stream.unread()) && matches!(timeout_at(by, self.stream.read()).await, Ok(Ok(true))) {}
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
            return certificate(&error).map_err(|failure| failure.with_cause(Some(Cause::CertificateErrors)));
        }
        let sends_credentials = self.check.script.has_phase(Phase::SaslAuth);
        if sends_credentials && let Some(why) = facts.unproven_key() {
            return certificate(&format!("no credential is sent to the server: {why}"));
        }
        Ok(())
    }

    /// `answer` is the beginning of what the server sent: an answer that is not TLS is quoted.
    fn handshake_failure(&self, error: &HandshakeError, answer: &[u8]) -> Failure {
        let kind = match error {
            HandshakeError::Closed | HandshakeError::ClosedAfterAsking(_) => FailureKind::Closed,
            HandshakeError::TimedOut => FailureKind::Timeout,
            _ => FailureKind::Tls,
        };
        let text = String::from_utf8_lossy(answer);
        let line = text.lines().find(|line| !line.trim_ascii().is_empty()).map(excerpt);
        let cause = handshake_cause(error, line);
        let (HandshakeError::NotTls, Some(line)) = (error, line) else {
            return Failure::new(Phase::Tls, kind, error).with_cause(cause);
        };
        let failure = Failure::new(Phase::Tls, kind, format_args!("{error}: {line:?}")).with_cause(cause);
        // A server that is busy may say so before TLS (421, RFC 5321, section 3.8). Behind STARTTLS it is no reply.
        let is_busy = self.check.script.implicit_tls && Code::parse(answer).is_some_and(Code::is_transient_negative);
        Failure { temporary: is_busy, ..failure }
    }

    /// A client certificate that was not shown tells nothing about the server's rules for it.
    fn warn_of_unused_certificate(&mut self, at: Instant) {
        let Some(certificate) = &self.check.client_certificate else { return };
        let name = certificate.name();
        let warning = match self.client_auth {
            ClientAuth::NotAsked => {
                format!("the server did not ask for a client certificate: `{name}` was not shown")
            }
            ClientAuth::NoAlgorithm => format!(
                "the server asked for a client certificate, but for no signature algorithm of the key of `{name}`, \
                 which was not shown"
            ),
            ClientAuth::NoCertificate | ClientAuth::Shown => return,
        };
        self.journal.note(at, Event::Warned(warning));
    }

    fn session(&self, facts: &TlsFacts) -> TlsSession {
        let shown = self.check.client_certificate.as_ref().filter(|_| facts.client_auth == ClientAuth::Shown);
        TlsSession {
            version: facts.version,
            cipher: facts.cipher.map(str::to_owned),
            server_name: facts.server_name.clone(),
            verified: facts.verified(),
            client_certificate: ReportedClientCertificate {
                requested: facts.client_auth.is_asked(),
                shown: shown.map(|certificate| certificate.name().to_owned()),
            },
            problems: facts.problems.clone(),
            chain: facts.chain.clone(),
        }
    }
}

/// `None` where the connection broke, or the time was over: that tells nothing about the TLS of the server.
fn handshake_cause(error: &HandshakeError, line: Option<&str>) -> Option<Cause> {
    match error {
        HandshakeError::TimedOut | HandshakeError::Io(_) => None,
        HandshakeError::NotTls => Some(Cause::ClearText { line: line.map(str::to_owned) }),
        HandshakeError::ClosedAfterAsking(client_auth) => Some(facts::of_client_auth(*client_auth)),
        HandshakeError::ClientAuth(refused) => Some(facts::of_client_auth(refused.client_auth)),
        HandshakeError::TooOld => Some(Cause::OldTls),
        HandshakeError::WantsOtherVersion(_) => Some(Cause::OtherTlsVersion),
        HandshakeError::NothingInCommon { version, .. } if *version != TlsVersion::Any => Some(Cause::OtherTlsVersion),
        HandshakeError::NothingInCommon { .. } => Some(Cause::TlsOfClient),
        HandshakeError::Tls(fault) => Some(match fault.of_client() {
            Some(ClientLack::Parameters) => Cause::TlsOfClient,
            Some(ClientLack::Size) => Cause::TlsSizeOfClient,
            Some(ClientLack::Ability) => Cause::TlsFaultOfClient,
            None => Cause::BrokenHandshake,
        }),
        HandshakeError::Closed | HandshakeError::Refused(_) => Some(Cause::BrokenHandshake),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Alert;

    /// What is not offered because of `tls_version` is no lack of the server.
    #[test]
    fn a_limit_of_the_check_is_no_cause_of_the_server() {
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let nothing = HandshakeError::NothingInCommon { alert: Alert::HANDSHAKE_FAILURE, version };
            for error in [nothing, HandshakeError::WantsOtherVersion(version)] {
                assert_eq!(handshake_cause(&error, None), Some(Cause::OtherTlsVersion), "{error}");
            }
        }
        let any = HandshakeError::NothingInCommon { alert: Alert::HANDSHAKE_FAILURE, version: TlsVersion::Any };
        assert_eq!(handshake_cause(&any, None), Some(Cause::TlsOfClient));
        assert_eq!(handshake_cause(&HandshakeError::TooOld, None), Some(Cause::OldTls));
    }
}
