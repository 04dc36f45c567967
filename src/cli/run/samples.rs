//! Sample reports for the tests of this module.

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    phase::Phase,
    report::{
        Journal, Report, Via,
        fold::fold,
        journal::{Ending, Event, Heading},
    },
    smtp::ReplyParser,
    x509::CertificateFacts,
};

/// The outcome of a sample report.
pub(super) enum Sample<'a> {
    /// A message was delivered; only the banner took any time.
    Delivered { banner_ms: u64 },
    /// The recipient was rejected with this text, after 5 ms.
    Rejected { message: &'a str },
}

/// A journal with a transcript, without any event.
pub(super) fn journal(started: Instant) -> Journal {
    Journal::new(heading(started))
}

pub(super) fn heading(started: Instant) -> Heading {
    Heading {
        id: Uuid::nil(),
        started_at: OffsetDateTime::UNIX_EPOCH,
        is_clock_set: true,
        started,
        host: "mx.example.com".to_owned(),
        port: 25,
        via: Via::Request,
        mechanism: None,
        transcript: true,
    }
}

/// The event of a reply.
pub(super) fn received(lines: &str) -> Event {
    Event::Received(ReplyParser::default().parse(&mut lines.as_bytes()).expect("a reply").expect("whole"))
}

/// A certificate whose dates cannot be read.
pub(super) fn undated_certificate() -> CertificateFacts {
    let text = str::to_owned;
    CertificateFacts {
        subject: text("CN=mx.example.com"),
        issuer: text("CN=CA"),
        names: vec![text("mx.example.com")],
        not_before: None,
        not_before_as_written: text("20261301000000Z"),
        not_after: None,
        not_after_as_written: text("20271301000000Z"),
        serial: text("01"),
        fingerprint_sha256: text("ff"),
        key: text("ECDSA P-256"),
        signature_algorithm: text("ECDSA with SHA-256"),
        on_path: true,
    }
}

pub(super) fn report(sample: Sample<'_>) -> Report {
    let started = Instant::now();
    let mut journal = journal(started);
    let (phase, ms, text, ending) = match sample {
        Sample::Delivered { banner_ms } => (Phase::Banner, banner_ms, "220 hello", Ending::Accepted),
        Sample::Rejected { .. } => (Phase::RcptTo, 5, "550 no", Ending::Rejected),
    };
    let ended = started + Duration::from_millis(ms);
    journal.note(started, Event::Began(phase));
    journal.note(ended, received(&format!("{text}\r\n")));
    journal.note(ended, Event::Ended(phase, ending));
    let mut report = fold(journal, ended);
    if let (Sample::Rejected { message }, Some(failure)) = (&sample, &mut report.failure) {
        failure.message = (*message).to_owned();
    } else {
        report.outcome = crate::report::Outcome::Delivered;
    }
    report
}
