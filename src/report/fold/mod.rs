//! Journal → [`Report`], a pure function. No metric is computed anywhere else.

pub(super) mod phases;
mod size;

use std::time::{Duration, Instant};

use phases::OpenPhases;
pub(crate) use size::json_size;

use super::{
    Cause, Facts, Failure, FailureKind, Journal, Metrics, Outcome, Report, ReportedCapabilities, ReportedTarget,
    Reproduction, Speaker, TlsReport, TranscriptLine,
    journal::{Ending, Entry, Event, Heading, TlsSession},
};
use crate::{
    phase::{Clock, Phase},
    smtp::{
        Capabilities, Mechanism, Reply,
        queue_id::queue_id,
        reply::{KEPT_LAST_LINE_SIZE, MAX_KEPT_DIALOGUE_SIZE, MAX_KEPT_REPLY_SIZE, excerpt},
    },
    x509::problem::kinds_of,
};

/// The report of a check that ended at `ended`, without findings, explanation and command lines.
pub fn fold(journal: Journal, ended: Instant) -> Report {
    fold_with(journal, ended, |_| {})
}

/// The report of a check that ended at `ended`. `complete` adds what is made of the whole of it, before it is brought
/// below its maximum size.
pub fn fold_with(journal: Journal, ended: Instant, complete: impl FnOnce(&mut Report)) -> Report {
    let Journal { heading, entries, .. } = journal;
    let duration = ended.saturating_duration_since(heading.started);
    let mut fold = Fold::new(heading);
    for Entry { at, clock, event } in entries {
        fold.add(at, clock, event);
    }
    fold.finish(duration, complete)
}

/// The report so far, and what the next event needs to know. Instants are durations since the start of the check.
struct Fold {
    report: Report,
    is_clock_set: bool,
    mechanism: Option<Mechanism>,
    open: OpenPhases,
    last_reply: Option<Reply>,
    /// The last reply is that of the phase `last_cmd`.
    is_of_last_cmd: bool,
    /// Something is left out of the last reply to EHLO.
    has_cut_ehlo: bool,
    /// Octets that are left out of replies.
    left_out: usize,
    transcript_size: usize,
    /// Lines that are left out of the transcript.
    left_out_lines: usize,
}

impl Fold {
    /// The report of a check in which nothing happens.
    fn new(heading: Heading) -> Self {
        let Heading { id, started_at, is_clock_set, host, port, via, mechanism, transcript, .. } = heading;
        let report = Report {
            id,
            started_at,
            success: true,
            outcome: Outcome::Completed,
            target: ReportedTarget { host, address: None, port, via, attempts: Vec::new() },
            failure: None,
            metrics: Metrics::default(),
            phases: Vec::new(),
            capabilities: ReportedCapabilities::default(),
            tls: None,
            sasl: None,
            queue_id: None,
            message: None,
            warnings: Vec::new(),
            findings: Vec::new(),
            reproduce: Reproduction::default(),
            transcript: transcript.then(Vec::new),
            facts: Facts::default(),
        };
        Self {
            report,
            is_clock_set,
            mechanism,
            open: OpenPhases::default(),
            last_reply: None,
            is_of_last_cmd: false,
            has_cut_ehlo: false,
            left_out: 0,
            transcript_size: 0,
            left_out_lines: 0,
        }
    }

    fn add(&mut self, at: Duration, clock: Clock, event: Event) {
        let target = &mut self.report.target;
        match event {
            Event::Attempted(attempt) => {
                // If no address can be connected to, the failure is about the last one tried.
                if attempt.address.is_some() {
                    target.host.clone_from(&attempt.host);
                }
                target.attempts.push(attempt);
            }
            Event::Connected { host, address } => (target.host, target.address) = (host, Some(address)),
            Event::Began(phase) => self.begin(at, phase),
            Event::Sent(text) => self.transcribe(at, Speaker::Client, text),
            Event::Received(reply) => self.receive(at, reply),
            Event::PartialReply(lines) => {
                lines.lines().for_each(|line| self.transcribe(at, Speaker::Server, line.to_owned()));
            }
            Event::Ended(phase, ending) => self.end(at, clock, phase, ending),
            Event::Secured(session) => self.secure(at, *session),
            Event::Authenticating(sasl) => {
                self.report.facts.scram_iterations = sasl.iterations;
                self.report.facts.is_server_proven = sasl.is_server_proven;
                self.report.sasl = Some(sasl.into());
            }
            Event::Failed(failure) => self.fail(failure, true),
            Event::Warned(warning) => self.report.warnings.push(warning),
            Event::Composed(message) => self.report.message = Some(message),
            Event::Noted(fact) => self.report.facts.add(fact),
        }
    }

    fn finish(mut self, duration: Duration, complete: impl FnOnce(&mut Report)) -> Report {
        self.keep_last_reply();
        let Self { mut report, open, left_out, left_out_lines, .. } = self;
        report.phases.extend(open.never_ended());
        report.metrics.duration = ms(duration);
        if report.failure.is_some() {
            (report.outcome, report.success) = (Outcome::Failed, false);
        }
        if left_out > 0 {
            report.warnings.push(format!(
                "the replies are longer than what is kept of them ({MAX_KEPT_REPLY_SIZE} octets of one, \
                 {MAX_KEPT_DIALOGUE_SIZE} of all, {KEPT_LAST_LINE_SIZE} of each last line): {left_out} octets are left out"
            ));
        }
        complete(&mut report);
        size::limit(&mut report, left_out_lines);
        report
    }

    fn begin(&mut self, at: Duration, phase: Phase) {
        self.open.begin(phase, at);
        if counts_as_last(phase) {
            self.is_of_last_cmd = false;
            self.report.metrics.set_last(phase, None);
        }
    }

    /// Notes the reply of `last_cmd`, if it has one, once there is no other.
    fn keep_last_reply(&mut self) {
        if let Some(phase) = self.report.metrics.last_cmd.filter(|_| std::mem::take(&mut self.is_of_last_cmd)) {
            self.report.metrics.set_last(phase, self.last_reply.as_ref());
        }
    }

    fn receive(&mut self, at: Duration, reply: Reply) {
        self.transcribe_reply(at, &reply);
        self.warn_of_several_codes(&reply);
        self.left_out += reply.left_out();
        match self.open.current().filter(|phase| counts_as_last(*phase)) {
            Some(phase) => {
                self.report.metrics.last_cmd = Some(phase);
                self.is_of_last_cmd = true;
            }
            None => self.keep_last_reply(),
        }
        self.last_reply = Some(reply);
    }

    fn end(&mut self, at: Duration, clock: Clock, phase: Phase, ending: Ending) {
        // A 421 can come before the command of the phase is written: the phase is rejected, and has not begun.
        let ended = self.open.end(phase, at, clock, ending, self.last_reply.as_ref());
        let is_for_command = ended.as_ref().is_some_and(|ended| ended.time_ms.is_some());
        if let Some(ended) = ended {
            if let Some(time) = ended.time_ms {
                self.report.metrics.set_time(phase, time);
            }
            self.report.phases.push(ended);
        }
        let Some(reply) = self.last_reply.take() else { return };
        match ending {
            Ending::Accepted | Ending::AsExpected { is_ok: true } => self.accept(phase, &reply),
            Ending::Unexpected { is_ok } => {
                if is_ok {
                    self.accept(phase, &reply);
                }
                self.fail(Failure::unexpected(phase, &reply), is_for_command);
            }
            Ending::Rejected if phase != Phase::Quit => self.fail(Failure::rejected(phase, &reply), is_for_command),
            _ => {}
        }
        self.last_reply = Some(reply);
    }

    fn accept(&mut self, phase: Phase, reply: &Reply) {
        if matches!(phase, Phase::Ehlo | Phase::EhloTls) {
            self.has_cut_ehlo = reply.left_out() > 0;
            self.report.facts.has_cut_ehlo |= self.has_cut_ehlo && phase == Phase::Ehlo;
        }
        accept(&mut self.report, phase, reply);
    }

    fn secure(&mut self, at: Duration, session: TlsSession) {
        let TlsSession { version, cipher, server_name, verified, client_certificate, problems, chain } = session;
        let now = self.is_clock_set.then_some(self.report.started_at);
        self.report.metrics.set_certificate(chain.first(), &problems, now);
        if let (Some(version), Some(cipher)) = (version, &cipher) {
            self.transcribe(at, Speaker::Tls, format!("{version} {cipher}"));
        }
        let (version, errors) = (version.map(str::to_owned), kinds_of(&problems));
        self.report.facts.problems = problems;
        self.report.tls = Some(TlsReport { version, cipher, server_name, verified, client_certificate, errors, chain });
    }

    /// The first failure is the check's. If it is at a command that the server does not offer, a warning says so, and
    /// the failure is not temporary. A reply says itself whether it is, except for STARTTLS: its 454 promises TLS later
    /// (RFC 3207, section 4), and the reply to EHLO denies it. That of AUTH (RFC 4954, section 6) is believed, since
    /// servers do not offer AUTH while what authenticates is down; so is one that the check did not expect.
    /// `is_for_command` is false for a reply that came before the command. A 421 is never for it: the server closes for
    /// a reason of its own (RFC 5321, section 3.8).
    fn fail(&mut self, failure: Failure, is_for_command: bool) {
        if self.report.failure.is_some() {
            return;
        }
        let Some((warning, cause)) = self.not_offered(failure.phase) else {
            self.report.failure = Some(failure);
            return;
        };
        self.report.warnings.push(warning);
        let is_for_command = is_for_command && failure.code != Some(421);
        let is_believed = failure.phase == Phase::SaslAuth || failure.kind == FailureKind::Unexpected;
        let decides = failure.code.is_some() && (is_believed || !is_for_command);
        let failure = Failure { temporary: failure.temporary && decides, ..failure };
        let cause = failure.cause.clone().or(cause.filter(|_| is_for_command));
        self.report.failure = Some(failure.with_cause(cause));
    }

    /// The warning that the server does not offer the command of this phase, and the cause, if that is the command
    /// itself.
    fn not_offered(&self, phase: Phase) -> Option<(String, Option<Cause>)> {
        // What is left out of the reply to EHLO may be the command.
        if self.has_cut_ehlo {
            return None;
        }
        let ReportedCapabilities { before_tls, after_tls } = &self.report.capabilities;
        let not_listed = |command| {
            let warning = format!("the server does not offer {command}: its reply to EHLO does not list it");
            (warning, Some(Cause::NotOffered))
        };
        match phase {
            Phase::StartTls => (!before_tls.as_ref()?.offers("STARTTLS")).then(|| not_listed("STARTTLS")),
            Phase::SaslAuth => {
                let Some(offered) = after_tls.as_ref().or(before_tls.as_ref())?.auth_mechanisms() else {
                    return Some(not_listed("AUTH"));
                };
                let asked = self.mechanism?.name();
                if offered.iter().any(|offered| offered.eq_ignore_ascii_case(asked)) {
                    return None;
                }
                let offered = if offered.is_empty() { "none".to_owned() } else { offered.join(" ") };
                let offered = excerpt(&offered);
                let warning = format!(
                    "the server does not offer AUTH {asked}: the mechanisms in its reply to EHLO are {offered}"
                );
                Some((warning, None))
            }
            _ => None,
        }
    }

    fn transcribe_reply(&mut self, at: Duration, reply: &Reply) {
        if self.report.transcript.is_none() {
            return;
        }
        let mut lines = reply.coded_lines().peekable();
        while let Some((code, line)) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            self.transcribe(at, Speaker::Server, format!("{code}{separator}{line}"));
        }
    }

    fn warn_of_several_codes(&mut self, reply: &Reply) {
        if let Some((other, text)) = reply.deviating_line() {
            let (code, text) = (reply.code(), excerpt(&text));
            let warning = format!(
                "the lines of one reply have different codes, and the last one, {code}, decides (RFC 5321, section 4.2.1); \
                 another line is {:?}",
                format!("{other} {text}")
            );
            self.report.warnings.push(warning);
        }
    }

    fn transcribe(&mut self, at: Duration, from: Speaker, text: String) {
        if let Some(transcript) = &mut self.report.transcript {
            self.transcript_size += size::of_transcript_line(&text);
            if self.transcript_size <= size::MAX_TRANSCRIPT_SIZE {
                transcript.push(TranscriptLine { at_ms: ms(at), from, text });
            } else {
                self.left_out_lines += 1;
            }
        }
    }
}

/// What the expected reply to a command tells.
fn accept(report: &mut Report, phase: Phase, reply: &Reply) {
    match phase {
        Phase::Ehlo | Phase::EhloTls => {
            let capabilities = &mut report.capabilities;
            let is_inside_tls = report.tls.is_some();
            let offered = if is_inside_tls { &mut capabilities.after_tls } else { &mut capabilities.before_tls };
            *offered = Some(Capabilities::from_ehlo(reply));
        }
        Phase::Body => {
            report.outcome = Outcome::Delivered;
            report.queue_id = if reply.is_cut() { None } else { queue_id(&reply.message()) };
        }
        _ => {}
    }
}

/// Whether `last_cmd` can be this phase: those of the SMTP session can, except QUIT.
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
