//! The report of a check: bounded in size, and fit for Prometheus, whatever that was.

use std::time::{Duration, Instant};

use smtp_check::{
    escape::escape_json,
    phase::Phase,
    report::{
        Failure, FailureKind, Journal, MAX_REPORT_SIZE, Report, Via, exposition,
        fold::fold,
        journal::{Ending, Event, Heading},
    },
    smtp::ReplyParser,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{assert_printable, reply::expanded};

/// `data` is what a server sends: the replies of one phase after the other, as in `oracles/reply.rs`.
pub fn report(data: &[u8]) {
    let input = expanded(data);
    let report = report_on(&input);
    let json = serde_json::to_string(&report).expect("every report is JSON");
    let size = escape_json(json).len();
    assert!(size <= MAX_REPORT_SIZE, "{size} octets of JSON from {} of a server", input.len());

    let warnings = report.warnings.iter();
    warnings.for_each(|warning| assert_printable(warning));
    let text = exposition(&report, Duration::from_secs(10));
    assert!(text.len() <= size + 64 * 1024, "{} octets of metrics", text.len());
    for line in text.lines() {
        assert!(!line.contains(char::is_control), "a control character: {line:?}");
        let is_whole =
            line.starts_with("# ") || line.starts_with("probe_") && line.split(' ').next_back().is_some_and(is_number);
        assert!(is_whole, "neither a sample nor a comment: {line:?}");
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
}

fn report_on(mut server: &[u8]) -> Report {
    let started = Instant::now();
    let mut journal = Journal::new(Heading {
        id: Uuid::nil(),
        started_at: OffsetDateTime::UNIX_EPOCH,
        is_clock_set: true,
        started,
        host: "mx.test".to_owned(),
        port: 25,
        via: Via::Request,
        mechanism: None,
        transcript: true,
    });
    let mut note = |event| journal.note(started, event);
    let mut parser = ReplyParser::default();
    let phases = [Phase::Banner, Phase::Ehlo, Phase::MailFrom, Phase::RcptTo, Phase::Data, Phase::Body, Phase::Quit];
    for phase in phases {
        note(Event::Began(phase));
        match parser.parse(&mut server) {
            Ok(Some(reply)) => {
                let ending = if reply.code().is_negative() { Ending::Rejected } else { Ending::Accepted };
                note(Event::Received(reply));
                note(Event::Ended(phase, ending));
                if ending == Ending::Rejected {
                    break;
                }
            }
            Ok(None) => {
                note(Event::PartialReply(parser.partial_reply()));
                note(Event::Failed(Failure::new(phase, FailureKind::Closed, "the server closed the connection")));
                break;
            }
            Err(error) => {
                note(Event::PartialReply(parser.partial_reply()));
                note(Event::Failed(Failure::new(phase, FailureKind::Protocol, error)));
                break;
            }
        }
    }
    fold(journal, started)
}
