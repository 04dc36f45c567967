//! Journal → [`Report`], a pure function. No figure is computed anywhere else.

pub(super) mod phases;

use std::time::{Duration, Instant};

use phases::Phases;

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
    for (index, entry) in journal.entries.iter().enumerate() {
        fold.take(index, entry.at, &entry.event);
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
    reading: Phases,
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
            reading: Phases::new(heading.started),
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

    fn take(&mut self, index: usize, at: Instant, event: &'a Event) {
        let ended = self.reading.read(&self.journal.entries, index);
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
            Event::Began(phase) => self.begin(*phase),
            Event::Sent(text) => self.transcribe(at, Speaker::Client, text.clone()),
            Event::Received(reply) => self.receive(at, reply),
            Event::Overheard(lines) => {
                lines.lines().for_each(|line| self.transcribe(at, Speaker::Server, line.to_owned()));
            }
            Event::Ended(_, ending) => self.end(ended, *ending),
            Event::Secured(session) => self.secure(at, session),
            Event::Failed(failure) => self.fail(failure.clone()),
            Event::Warned(warning) => self.warnings.push(warning.clone()),
        }
    }

    fn begin(&mut self, phase: Phase) {
        if counts_as_last(phase) {
            self.last = Some((phase, None));
        }
    }

    fn receive(&mut self, at: Instant, reply: &'a Reply) {
        self.last_reply = Some(reply);
        if self.transcript.is_some() {
            self.transcribe_reply(at, reply);
        }
        if let Some(phase) = self.reading.current().filter(|phase| counts_as_last(*phase)) {
            self.last = Some((phase, Some(reply)));
        }
    }

    fn end(&mut self, ended: Option<PhaseReport>, ending: Ending) {
        let Some(ended) = ended else { return };
        let phase = ended.name;
        if let Some(time) = ended.time_ms {
            self.metrics.set_time(phase, time);
        }
        self.phases.push(ended);
        match (ending, self.last_reply) {
            (Ending::Accepted, Some(reply)) => self.accept(phase, reply),
            (Ending::Rejected, Some(reply)) if phase != Phase::Quit => self.fail(Failure::rejected(phase, reply)),
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

    /// The first failure is the check's.
    fn fail(&mut self, failure: Failure) {
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
        self.phases.extend(self.reading.never_ended());
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
pub fn ms(duration: Duration) -> f64 {
    // A duration of over 2^53 µs is 285 years.
    #[expect(clippy::cast_precision_loss, reason = "whole microseconds of any check are exact in an f64")]
    let micros = duration.as_micros() as f64;
    micros / 1000.0
}

#[cfg(test)]
mod tests;
