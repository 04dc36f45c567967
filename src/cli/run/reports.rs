//! Reports for the tests of this room.

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
};

/// What came of a check.
pub(super) enum Made<'a> {
    /// A message was delivered; only the banner took any time.
    Delivered { banner_ms: u64 },
    /// The recipient was rejected with this text, after 5 ms.
    Rejected { message: &'a str },
}

pub(super) fn made(what: Made<'_>) -> Report {
    let started = Instant::now();
    let mut journal = Journal::new(Heading {
        id: Uuid::nil(),
        started_at: OffsetDateTime::UNIX_EPOCH,
        started,
        host: "mx.example.com".to_owned(),
        port: 25,
        via: Via::Request,
        transcript: false,
    });
    let (phase, ms, text, ending) = match what {
        Made::Delivered { banner_ms } => (Phase::Banner, banner_ms, "220 hello", Ending::Accepted),
        Made::Rejected { .. } => (Phase::RcptTo, 5, "550 no", Ending::Rejected),
    };
    let ended = started + Duration::from_millis(ms);
    let mut wire = text.as_bytes().to_vec();
    wire.extend(b"\r\n");
    let reply = ReplyParser::default().parse(&mut wire.as_slice()).expect("a reply").expect("whole");
    journal.note(started, Event::Began(phase));
    journal.note(ended, Event::Received(reply));
    journal.note(ended, Event::Ended(phase, ending));
    let mut report = fold(journal, ended);
    if let (Made::Rejected { message }, Some(failure)) = (&what, &mut report.failure) {
        failure.message = (*message).to_owned();
    } else {
        report.outcome = crate::report::Outcome::Delivered;
    }
    report
}
