//! Report as text for people, without its phases: the [`waterfall`](super::waterfall) shows those.

use std::fmt::{self, Display, Formatter, Write};

use super::{
    expiry::expiry,
    reply_text::{ReplyText, place},
};
use crate::{
    cli::style::{BAD, GOOD, TextStyle},
    config::{by_sources, in_flags},
    escape::Escaped,
    report::{
        DkimReport, Finding, MessageReport, Outcome, Report, ReportedClientCertificate, ReportedTarget, TlsReport,
    },
};

/// Where the values begin, and the further rows of a long one, in columns.
const INDENT: usize = 15;

/// Shows a report. Replies are escaped, so that the server cannot move the terminal's cursor.
pub(super) struct Readable<'a> {
    pub(super) report: &'a Report,
    pub(super) style: TextStyle,
    /// What gave a parameter its value.
    pub(super) source_of: &'a dyn Fn(&str) -> String,
}

impl Display for Readable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_lines(&mut text)?;
        let mut rows = text.lines().flat_map(|line| self.style.wrapped(line, INDENT));
        rows.try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl Readable<'_> {
    /// One line for each fact, however long.
    fn write_lines(&self, f: &mut String) -> fmt::Result {
        let report = self.report;
        let (colour, outcome) = match report.outcome {
            Outcome::Delivered => (GOOD, "delivered: the server took the message".to_owned()),
            Outcome::Completed => (GOOD, completed(report)),
            Outcome::Failed => (BAD, "failed".to_owned()),
        };
        writeln!(f, "{} ({:.3} ms)", self.style.paint(colour.bold(), &outcome), report.metrics.duration)?;
        if let Some(failure) = &report.failure {
            let whether = if failure.temporary { "temporary" } else { "permanent" };
            let mut lines = ReplyText::from(failure).lines();
            let (place, first) = (place(failure.phase, failure.kind.name()), lines.next().unwrap_or_default());
            writeln!(f, "  failure      {place}, {whether}: {first}")?;
            lines.try_for_each(|line| writeln!(f, "  {:11}  {line}", ""))?;
            if let Some(explanation) = &failure.explanation {
                writeln!(f, "  explanation  {}", Escaped(&in_flags(explanation)))?;
            }
        }
        write_target(f, &report.target)?;
        if let Some(tls) = &report.tls {
            write_tls(f, tls, report)?;
        }
        if let Some(sasl) = &report.sasl {
            writeln!(f, "  auth         {}", sasl.mechanism)?;
        }
        if let Some(queue_id) = &report.queue_id {
            writeln!(f, "  queue id     {}", Escaped(queue_id))?;
        }
        if let Some(message) = &report.message {
            write_message(f, message)?;
        }
        for warning in &report.warnings {
            writeln!(f, "  warning      {}", Escaped(&by_sources(warning, self.source_of)))?;
        }
        for Finding { id, severity, message, remedy, .. } in &report.findings {
            writeln!(f, "  {:<11}  {id}: {}", severity.name(), Escaped(message))?;
            writeln!(f, "  {:11}  {}", "", Escaped(&in_flags(remedy)))?;
        }
        for line in report.transcript.iter().flatten() {
            let speaker = serde_json::to_value(line.from).unwrap_or_default();
            writeln!(
                f,
                "  {:>10.3} ms  {:6}  {}",
                line.at_ms,
                speaker.as_str().unwrap_or_default(),
                Escaped(&line.text)
            )?;
        }
        Ok(())
    }
}

fn write_target(f: &mut String, target: &ReportedTarget) -> fmt::Result {
    write!(f, "  target       {}", Escaped(&target.host))?;
    if let Some(address) = target.address {
        write!(f, " [{address}]")?;
    }
    writeln!(f, " port {}", target.port)?;
    for attempt in &target.attempts {
        write!(f, "  tried        {}", Escaped(&attempt.host))?;
        if let Some(address) = attempt.address {
            write!(f, " [{address}]")?;
        }
        writeln!(f, ": {}", Escaped(&attempt.error))?;
    }
    Ok(())
}

fn write_message(f: &mut String, message: &MessageReport) -> fmt::Result {
    let MessageReport { message_id, octets, dkim } = message;
    let message_id = message_id.as_deref().unwrap_or("without a Message-ID");
    writeln!(f, "  message      {}, {octets} octets", Escaped(message_id))?;
    if let Some(DkimReport { domain, selector, algorithm }) = dkim {
        writeln!(f, "  signed by    {domain}, selector {selector}, {algorithm}")?;
    }
    Ok(())
}

/// A rejection that was expected ends the check, too.
fn completed(report: &Report) -> String {
    match report.phases.iter().find(|phase| phase.expected == Some(true) && !phase.ok) {
        Some(phase) => format!("completed: rejected at {}, as expected", phase.name),
        None => "completed, up to the phase asked for".to_owned(),
    }
}

fn write_tls(f: &mut String, tls: &TlsReport, report: &Report) -> fmt::Result {
    match (&tls.version, &tls.cipher) {
        (Some(version), Some(cipher)) => writeln!(f, "  tls          {version} {cipher}")?,
        _ => writeln!(f, "  tls          failed")?,
    }
    match &tls.client_certificate {
        ReportedClientCertificate { shown: Some(name), .. } => {
            writeln!(f, "  client cert  {} was shown", Escaped(name))?
        }
        ReportedClientCertificate { requested: true, .. } => writeln!(f, "  client cert  asked for, none was shown")?,
        ReportedClientCertificate { requested: false, .. } => {}
    }
    let metrics = &report.metrics;
    if let (Some(subject), Some(issuer)) = (&metrics.cert_subject, &metrics.cert_issuer) {
        writeln!(
            f,
            "  certificate  {} for {}",
            Escaped(subject),
            Escaped(
                metrics
                    .cert_subject_alternative_names
                    .as_deref()
                    .filter(|names| !names.is_empty())
                    .unwrap_or("no name")
            )
        )?;
        writeln!(f, "  issuer       {}", Escaped(issuer))?;
    }
    if let Some(seconds) = metrics.cert_end_in {
        let (word, when) = expiry(seconds);
        writeln!(f, "  {word:11}  {when}")?;
    } else if let Some(leaf) = tls.chain.first() {
        match leaf.not_after {
            Some(end) => writeln!(f, "  expires      {}; the clock of this system is set wrong", end.date())?,
            None => writeln!(f, "  expires      unreadable: `{}`", Escaped(&leaf.not_after_as_written))?,
        }
    }
    match &metrics.cert_error {
        None if !tls.verified => writeln!(f, "  verified     no: the handshake failed"),
        None => writeln!(f, "  verified     yes"),
        Some(errors) => writeln!(f, "  verified     no: {}", Escaped(errors)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{
        cli::run::samples::{heading, journal, received, undated_certificate},
        config::flag_of,
        escape::is_harmful,
        phase::Phase,
        report::{
            Attempt, Failure, FailureKind, Journal,
            fold::fold,
            journal::{Ending, Event, Heading, TlsSession},
        },
        smtp::{Mechanism, sasl::SaslFacts},
        x509::{
            CertificateFacts,
            problem::{CertificateErrorKind, CertificateProblem},
        },
    };

    /// The text of a report with these events, each at a time in microseconds.
    fn shown(events: Vec<(u64, Event)>) -> String {
        let started = Instant::now();
        let mut journal = journal(started);
        for (micros, event) in events {
            journal.note(started + Duration::from_micros(micros), event);
        }
        let report = fold(journal, started + Duration::from_millis(20));
        let style = TextStyle { width: 80, colour: false, unicode: true };
        Readable { report: &report, style, source_of: &flag_of }.to_string()
    }

    #[test]
    fn a_date_that_cannot_be_read_is_shown_as_it_is_written() {
        let mut session = handshake(None, None, Vec::new());
        if let Event::Secured(session) = &mut session {
            session.chain.push(undated_certificate());
        }
        let text = shown(vec![(0, session)]);
        assert!(text.contains("expires      unreadable: `20271301000000Z`"), "{text}");
    }

    #[test]
    fn a_message_is_shown_with_its_signature() {
        let dkim = DkimReport { domain: "a.test".to_owned(), selector: "s1".to_owned(), algorithm: "ed25519-sha256" };
        let message = |message_id: Option<&str>, dkim| {
            let message_id = message_id.map(str::to_owned);
            shown(vec![(0, Event::Composed(MessageReport { message_id, octets: 612, dkim }))])
        };
        let signed = message(Some("<x@a.test>\u{1b}"), Some(dkim));
        assert!(signed.contains("  message      <x@a.test>\\u{1b}, 612 octets\n"), "{signed}");
        assert!(signed.contains("  signed by    a.test, selector s1, ed25519-sha256\n"), "{signed}");
        let plain = message(None, None);
        assert!(plain.contains("  message      without a Message-ID, 612 octets\n"), "{plain}");
        assert!(!plain.contains("signed by"), "{plain}");
    }

    #[test]
    fn nothing_expires_by_a_clock_that_is_set_wrong() {
        let (session, started) = (handshake(None, None, Vec::new()), Instant::now());
        let Event::Secured(mut session) = session else { panic!("a session") };
        let not_after = Some(time::macros::datetime!(2026-12-01 0:00 UTC));
        session.chain.push(CertificateFacts { not_after, ..undated_certificate() });
        let mut journal = Journal::new(Heading { is_clock_set: false, ..heading(started) });
        journal.note(started, Event::Secured(session));
        let report = fold(journal, started);
        let text = Readable { report: &report, style: TextStyle::PLAIN, source_of: &flag_of }.to_string();
        assert!(text.contains("expires      2026-12-01; the clock of this system is set wrong"), "{text}");
    }

    fn handshake(version: Option<&'static str>, cipher: Option<&str>, problems: Vec<CertificateProblem>) -> Event {
        Event::Secured(Box::new(TlsSession {
            version,
            cipher: cipher.map(str::to_owned),
            server_name: "mx.example.com".to_owned(),
            verified: false,
            client_certificate: Default::default(),
            problems,
            chain: Vec::new(),
        }))
    }

    #[test]
    fn a_report_has_a_line_for_each_fact() {
        let problems = vec![CertificateProblem::new(CertificateErrorKind::Expired, "expired yesterday")];
        let attempt = Attempt { host: "mx0.example.com".into(), address: None, error: "no address".into() };
        let sasl = SaslFacts {
            mechanism: Mechanism::ScramSha256,
            initial_response: false,
            iterations: None,
            is_server_proven: false,
        };
        let text = shown(vec![
            (0, Event::Attempted(attempt)),
            (0, Event::Began(Phase::Banner)),
            (1500, received("220 mx.example.com ESMTP\r\n")),
            (1500, Event::Ended(Phase::Banner, Ending::Accepted)),
            (1600, Event::Sent("EHLO noit.local".to_owned())),
            (1600, Event::Began(Phase::Ehlo)),
            (2000, received("250-mx.example.com\r\n250-SIZE\r\n250 HELP\r\n")),
            (2000, Event::Ended(Phase::Ehlo, Ending::Accepted)),
            (2100, handshake(Some("TLSv1.3"), Some("TLS_AES_256_GCM_SHA384"), problems)),
            (2200, Event::Authenticating(sasl)),
            (3000, Event::Began(Phase::RcptTo)),
            (3000, Event::Warned("the password went out in clear text".to_owned())),
        ]);
        for line in [
            "tried        mx0.example.com: no address",
            "target       mx.example.com port 25",
            "tls          TLSv1.3 TLS_AES_256_GCM_SHA384",
            "verified     no: expired: expired yesterday",
            "auth         SCRAM-SHA-256",
            "warning      the password went out in clear text",
            "client  EHLO noit.local",
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn an_expected_rejection_is_said_to_be_one() {
        let text = shown(vec![
            (0, Event::Began(Phase::RcptTo)),
            (1, received("550 5.7.1 relay denied\r\n")),
            (1, Event::Ended(Phase::RcptTo, Ending::AsExpected { is_ok: false })),
        ]);
        assert!(text.starts_with("completed: rejected at rcptto, as expected ("), "{text}");
        let text = shown(vec![
            (0, Event::Began(Phase::Ehlo)),
            (1, received("250 mx.test\r\n")),
            (1, Event::Ended(Phase::Ehlo, Ending::AsExpected { is_ok: true })),
        ]);
        assert!(text.starts_with("completed, up to the phase asked for ("), "{text}");
    }

    #[test]
    fn a_broken_handshake_verifies_nothing() {
        let text = shown(vec![(0, handshake(None, None, Vec::new()))]);
        assert!(text.contains("verified     no: the handshake") && !text.contains("verified     yes"), "{text}");
    }

    #[test]
    fn a_failure_comes_first() {
        let failure = Failure::new(Phase::Banner, FailureKind::Timeout, "the server said nothing");
        let text = shown(vec![(0, Event::Began(Phase::Banner)), (20_000, Event::Failed(failure))]);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("failed (20.000 ms)"));
        assert_eq!(lines.next(), Some("  failure      timeout at banner, temporary: the server said nothing"));
    }

    #[test]
    fn a_failure_has_all_lines_of_the_reply() {
        let reply = "550-5.7.1 blocked\r\n550-5.7.1 see https://mx.example.com/why\r\n550 5.7.1 bye\r\n";
        let text = shown(vec![
            (0, Event::Began(Phase::RcptTo)),
            (1, received(reply)),
            (1, Event::Ended(Phase::RcptTo, Ending::Rejected)),
        ]);
        let failure = "  failure      rejected at rcptto, permanent: 550 5.7.1 blocked\n               \
                       see https://mx.example.com/why\n               bye\n  target ";
        assert!(text.contains(failure), "{failure}\nis not in\n{text}");
    }

    #[test]
    fn a_server_cannot_move_the_cursor() {
        let text = shown(vec![
            (0, Event::Began(Phase::Banner)),
            (1, received("220 \u{1b}[2J\u{1b}]0;title\u{7}\u{202e}\r\n")),
            (1, Event::Ended(Phase::Banner, Ending::Accepted)),
            (2, Event::Failed(Failure::new(Phase::Ehlo, FailureKind::Protocol, "\u{9b}2J\r\nforged"))),
        ]);
        let controls: Vec<char> =
            text.chars().filter(|character| is_harmful(*character) && *character != '\n').collect();
        assert!(controls.is_empty(), "{controls:?}");
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
    }
}
