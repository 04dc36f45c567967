//! Journal → [`Report`], a pure function. No figure is computed anywhere else.

use std::time::{Duration, Instant};

use super::{
    Failure, Journal, Metrics, Outcome, PhaseReport, Report, ReportedCapabilities, ReportedTarget, Speaker, TlsReport,
    TranscriptLine,
    journal::{Ending, Event, TlsSession},
};
use crate::{
    phase::Phase,
    smtp::{Capabilities, Reply, queue_id::queue_id},
    x509::problem::kinds_of,
};

/// The report of a check that ended at `ended`.
pub fn fold(journal: Journal, ended: Instant) -> Report {
    let mut fold = Fold::new(&journal);
    for entry in &journal.entries {
        fold.take(entry.at, &entry.event);
    }
    fold.finish(ended)
}

/// The state of a fold: the report so far, and what is open.
struct Fold<'a> {
    journal: &'a Journal,
    target: ReportedTarget,
    failure: Option<Failure>,
    metrics: Metrics,
    phases: Vec<PhaseReport>,
    open: Vec<(Phase, Instant)>,
    last_reply: Option<&'a Reply>,
    /// The last phase that counts as a command, and the last reply in it.
    last: Option<(Phase, Option<&'a Reply>)>,
    capabilities: ReportedCapabilities,
    tls: Option<TlsReport>,
    delivered: bool,
    queue_id: Option<String>,
    warnings: Vec<String>,
    transcript: Option<Vec<TranscriptLine>>,
}

impl<'a> Fold<'a> {
    fn new(journal: &'a Journal) -> Self {
        let heading = &journal.heading;
        let (host, port, via) = (heading.host.clone(), heading.port, heading.via);
        Self {
            journal,
            target: ReportedTarget { host, address: None, port, via, attempts: Vec::new() },
            failure: None,
            metrics: Metrics::default(),
            phases: Vec::new(),
            open: Vec::new(),
            last_reply: None,
            last: None,
            capabilities: ReportedCapabilities::default(),
            tls: None,
            delivered: false,
            queue_id: None,
            warnings: Vec::new(),
            transcript: heading.transcript.then(Vec::new),
        }
    }

    fn take(&mut self, at: Instant, event: &'a Event) {
        match event {
            Event::Attempted(attempt) => {
                // Should none be reached, the last one that was tried is whom the failure is about.
                if attempt.address.is_some() {
                    self.target.host.clone_from(&attempt.host);
                }
                self.target.attempts.push(attempt.clone());
            }
            Event::Connected { host, address } => {
                self.target.host.clone_from(host);
                self.target.address = Some(*address);
            }
            Event::Began(phase) => self.begin(*phase, at),
            Event::Sent(text) => self.transcribe(at, Speaker::Client, text.clone()),
            Event::Received(reply) => self.receive(at, reply),
            Event::Ended(phase, ending) => self.end(*phase, at, *ending),
            Event::Secured(session) => self.secure(at, session),
            Event::Failed(failure) => self.fail(failure.clone()),
            Event::Warned(warning) => self.warnings.push(warning.clone()),
        }
    }

    fn begin(&mut self, phase: Phase, at: Instant) {
        self.open.push((phase, at));
        if counts_as_last(phase) {
            self.last = Some((phase, None));
        }
    }

    fn receive(&mut self, at: Instant, reply: &'a Reply) {
        self.last_reply = Some(reply);
        if self.transcript.is_some() {
            self.transcribe_reply(at, reply);
        }
        if let Some((phase, _)) = self.open.last()
            && counts_as_last(*phase)
        {
            self.last = Some((*phase, Some(reply)));
        }
    }

    fn end(&mut self, phase: Phase, at: Instant, ending: Ending) {
        let Some(index) = self.open.iter().rposition(|(open, _)| *open == phase) else { return };
        let (_, began) = self.open.remove(index);
        let reply = self.last_reply.filter(|_| matches!(ending, Ending::Accepted | Ending::Rejected));
        let time = ms(at.saturating_duration_since(began));
        self.metrics.set_time(phase, time);
        let ok = matches!(ending, Ending::Done | Ending::Accepted);
        self.phases.push(PhaseReport {
            name: phase,
            started_ms: ms(self.journal.since_start(began)),
            time_ms: Some(time),
            ok,
            code: reply.map(|reply| reply.code().value()),
            enhanced_code: reply.and_then(Reply::enhanced_code).map(|code| code.to_string()),
            message: reply.map(Reply::message),
        });
        match reply {
            Some(reply) if ok => self.accept(phase, reply),
            Some(reply) if phase != Phase::Quit => self.fail(Failure::rejected(phase, reply)),
            _ => {}
        }
    }

    fn accept(&mut self, phase: Phase, reply: &Reply) {
        match phase {
            Phase::Ehlo | Phase::EhloTls => {
                let offered = Some(Capabilities::from_ehlo(reply));
                if self.tls.is_some() {
                    self.capabilities.after_tls = offered;
                } else {
                    self.capabilities.before_tls = offered;
                }
            }
            Phase::Body => {
                self.delivered = true;
                self.queue_id = queue_id(&reply.message());
            }
            _ => {}
        }
    }

    /// The first failure is the check's. The phase it belongs to is not well, however it ended.
    fn fail(&mut self, failure: Failure) {
        if let Some(phase) = self.phases.iter_mut().find(|phase| phase.name == failure.phase) {
            phase.ok = false;
        }
        self.failure.get_or_insert(failure);
    }

    fn secure(&mut self, at: Instant, session: &TlsSession) {
        self.metrics.set_certificate(session.chain.first(), &session.problems, self.journal.heading.started_at);
        if let (Some(version), Some(cipher)) = (session.version, &session.cipher) {
            self.transcribe(at, Speaker::Tls, format!("{version} {cipher}"));
        }
        self.tls = Some(TlsReport {
            version: session.version.map(str::to_owned),
            cipher: session.cipher.clone(),
            server_name: session.server_name.clone(),
            verified: session.verified,
            errors: kinds_of(&session.problems),
            chain: session.chain.clone(),
        });
    }

    fn transcribe_reply(&mut self, at: Instant, reply: &Reply) {
        let lines: Vec<_> = reply.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let separator = if index + 1 < lines.len() { '-' } else { ' ' };
            self.transcribe(at, Speaker::Server, format!("{}{separator}{line}", reply.code()));
        }
    }

    fn transcribe(&mut self, at: Instant, from: Speaker, text: String) {
        let at_ms = ms(self.journal.since_start(at));
        if let Some(transcript) = &mut self.transcript {
            transcript.push(TranscriptLine { at_ms, from, text });
        }
    }

    fn finish(mut self, ended: Instant) -> Report {
        let never_ended = self.open.iter().map(|(phase, began)| PhaseReport {
            name: *phase,
            started_ms: ms(self.journal.since_start(*began)),
            time_ms: None,
            ok: false,
            code: None,
            enhanced_code: None,
            message: None,
        });
        self.phases.extend(never_ended);
        if let Some((phase, reply)) = self.last {
            self.metrics.set_last(phase, reply);
        }
        self.metrics.duration = ms(self.journal.since_start(ended));
        let outcome = match (&self.failure, self.delivered) {
            (Some(_), _) => Outcome::Failed,
            (None, true) => Outcome::Delivered,
            (None, false) => Outcome::Completed,
        };
        Report {
            id: self.journal.heading.id,
            started_at: self.journal.heading.started_at,
            success: outcome != Outcome::Failed,
            outcome,
            target: self.target,
            failure: self.failure,
            metrics: self.metrics,
            phases: self.phases,
            capabilities: self.capabilities,
            tls: self.tls,
            queue_id: self.queue_id,
            warnings: self.warnings,
            transcript: self.transcript,
        }
    }
}

/// Phases of the conversation count as the last command, but for QUIT; what lies around them does not.
fn counts_as_last(phase: Phase) -> bool {
    !matches!(phase, Phase::Dns | Phase::Connect | Phase::Proxy | Phase::Tls | Phase::Quit)
}

/// Milliseconds with a resolution of one microsecond.
fn ms(duration: Duration) -> f64 {
    // A duration of over 2^53 µs is 285 years.
    #[expect(clippy::cast_precision_loss, reason = "whole microseconds of any check are exact in an f64")]
    let micros = duration.as_micros() as f64;
    micros / 1000.0
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
