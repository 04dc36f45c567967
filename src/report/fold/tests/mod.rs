//! Journals written by hand, and their reports.

mod max_size;

use std::{net::IpAddr, sync::mpsc};

use proptest::prelude::*;
use time::macros::datetime;
use uuid::Uuid;

use super::*;
use crate::{
    escape::escape_json,
    phase::Stamp,
    report::{Attempt, FailureKind, MAX_REPORT_SIZE, PhaseEvent, PhaseListener, Via, journal::Heading},
    smtp::ReplyParser,
    x509::{
        CertificateFacts,
        problem::{CertificateErrorKind, CertificateProblem},
    },
};

/// A journal under construction. Instants are microseconds from its start.
struct Log {
    journal: Journal,
    started: Instant,
}

impl Log {
    fn new() -> Self {
        let started = Instant::now();
        let heading = Heading {
            id: Uuid::nil(),
            started_at: datetime!(2026-11-22 12:00 UTC),
            is_clock_set: true,
            started,
            host: "example.com".to_owned(),
            port: 25,
            via: Via::Mx,
            mechanism: None,
            transcript: true,
        };
        Self { journal: Journal::new(heading), started }
    }

    fn at(mut self, micros: u64, event: Event) -> Self {
        self.journal.note(self.started + Duration::from_micros(micros), event);
        self
    }

    /// The same log, and the events while it is written.
    fn observed(self) -> (Self, mpsc::Receiver<PhaseEvent>) {
        let (sender, events) = mpsc::channel();
        let listener = PhaseListener::new(move |event| sender.send(event).expect("the test listens"));
        (Self { journal: self.journal.with_observer(Some(listener)), ..self }, events)
    }

    fn answered(self, phase: Phase, from: u64, to: u64, text: &str, ending: Ending) -> Self {
        self.at(from, Event::Began(phase)).at(to, Event::Received(reply(text))).at(to, Event::Ended(phase, ending))
    }

    fn fold(self, micros: u64) -> Report {
        let report = fold(self.journal, self.started + Duration::from_micros(micros));
        assert!(size::upper_bound(&report) >= size::json_size(&report));
        report
    }
}

fn reply(text: &str) -> Reply {
    let wire = format!("{text}\r\n");
    ReplyParser::default().parse(&mut wire.as_bytes()).expect("a reply").expect("whole")
}

fn session(problems: Vec<CertificateProblem>) -> Event {
    session_with(problems, leaf())
}

fn leaf() -> CertificateFacts {
    CertificateFacts {
        subject: "CN=mx.test".to_owned(),
        issuer: "CN=CA".to_owned(),
        names: vec!["mx.test".to_owned(), "192.0.2.1".to_owned()],
        not_before: Some(datetime!(2026-01-01 0:00 UTC)),
        not_before_as_written: "260101000000Z".to_owned(),
        not_after: Some(datetime!(2026-11-22 11:59 UTC)),
        not_after_as_written: "261122115900Z".to_owned(),
        serial: "0a".to_owned(),
        fingerprint_sha256: "ff".to_owned(),
        key: "ECDSA P-256".to_owned(),
        signature_algorithm: "ECDSA with SHA-256".to_owned(),
        on_path: true,
    }
}

fn session_with(problems: Vec<CertificateProblem>, leaf: CertificateFacts) -> Event {
    Event::Secured(Box::new(TlsSession {
        version: Some("TLSv1.3"),
        cipher: Some("TLS_AES_256_GCM_SHA384".to_owned()),
        server_name: "mx.test".to_owned(),
        verified: problems.is_empty(),
        client_certificate: Default::default(),
        problems,
        chain: vec![leaf],
    }))
}

/// What is left out of a reply to EHLO may be the command.
#[test]
fn a_cut_reply_to_ehlo_is_no_proof_that_starttls_is_not_offered() {
    let refused = |ehlo: &str| {
        Log::new()
            .answered(Phase::Ehlo, 1, 2, ehlo, Ending::Accepted)
            .answered(Phase::StartTls, 3, 4, "454 later", Ending::Rejected)
            .fold(5)
    };
    let long: String = (1000..6000).map(|number| format!("250-{number}\r\n")).collect();
    let (short, long) = (refused("250 mx"), refused(&format!("{long}250 STARTTLS")));
    assert!(short.warnings[0].contains("does not offer STARTTLS"));
    assert!(long.warnings.iter().all(|warning| !warning.contains("STARTTLS")), "{:?}", long.warnings);
}

#[test]
fn a_delivery() {
    let address: IpAddr = [203, 0, 113, 7].into();
    let report = Log::new()
        .at(0, Event::Began(Phase::Dns))
        .at(500, Event::Ended(Phase::Dns, Ending::Done))
        .at(500, Event::Began(Phase::Connect))
        .at(700, Event::Ended(Phase::Connect, Ending::Done))
        .at(700, Event::Connected { host: "mx1.example.com".to_owned(), address })
        .answered(Phase::Banner, 500, 1_499, "220 mx1 ESMTP", Ending::Accepted)
        .answered(Phase::Ehlo, 1_500, 2_000, "250-mx1\r\n250 SIZE 10", Ending::Accepted)
        .answered(Phase::Body, 2_000, 9_876, "250 2.0.0 Ok: queued as ABC1", Ending::Accepted)
        .answered(Phase::Quit, 9_900, 10_000, "221 bye", Ending::Accepted)
        .fold(10_123);
    assert_eq!((report.outcome, report.success), (Outcome::Delivered, true));
    assert_eq!((report.target.host.as_str(), report.target.address), ("mx1.example.com", Some(address)));
    assert_eq!(report.queue_id.as_deref(), Some("ABC1"));
    let metrics = &report.metrics;
    assert_eq!((metrics.dns_time, metrics.connect_time, metrics.banner_time), (Some(0.5), Some(0.2), Some(0.999)));
    assert_eq!((metrics.ehlo_time, metrics.body_time, metrics.quit_time), (Some(0.5), Some(7.876), Some(0.1)));
    assert_eq!((metrics.duration, metrics.mailfrom_time, metrics.cert_end), (10.123, None, None));
    assert_eq!((metrics.last_cmd, metrics.last_code), (Some(Phase::Body), Some(250)));
    assert_eq!(metrics.last_message.as_deref(), Some("Ok: queued as ABC1"));
    let names: Vec<_> = report.phases.iter().map(|phase| phase.name.name()).collect();
    assert_eq!(names, ["dns", "connect", "banner", "ehlo", "body", "quit"]);
    assert_eq!((report.phases[2].started_ms, report.phases[4].enhanced_code.as_deref()), (0.5, Some("2.0.0")));
    let offered = serde_json::to_value(&report.capabilities).expect("JSON");
    assert_eq!(offered, serde_json::json!({"before_tls": {"SIZE": "10"}, "after_tls": null}));
    let lines: Vec<_> = report.transcript.iter().flatten().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["220 mx1 ESMTP", "250-mx1", "250 SIZE 10", "250 2.0.0 Ok: queued as ABC1", "221 bye"]);
}

#[test]
fn a_rejection() {
    let report = Log::new()
        .answered(Phase::Banner, 0, 10, "220 hi", Ending::Accepted)
        .answered(Phase::RcptTo, 10, 20, "450-4.2.0 come\r\n450 4.2.0 back", Ending::Rejected)
        .at(30, Event::Began(Phase::Quit))
        .fold(40);
    let failure = report.failure.expect("a failure");
    assert_eq!((failure.phase, failure.kind, failure.temporary), (Phase::RcptTo, FailureKind::Rejected, true));
    assert_eq!((failure.code, failure.enhanced_code.as_deref()), (Some(450), Some("4.2.0")));
    assert_eq!(failure.message, "come\nback");
    assert_eq!((report.outcome, report.metrics.rcptto_time), (Outcome::Failed, Some(0.01)));
    assert_eq!((report.metrics.last_cmd, report.metrics.last_code), (Some(Phase::RcptTo), Some(450)));
    let quit = report.phases.last().expect("a phase");
    assert_eq!((quit.name, quit.ok, quit.time_ms, report.metrics.quit_time), (Phase::Quit, false, None, None));
}

#[test]
fn a_refused_quit_fails_nothing() {
    let report = Log::new()
        .answered(Phase::Banner, 0, 10, "220 hi", Ending::Accepted)
        .answered(Phase::Quit, 10, 20, "500 what", Ending::Rejected)
        .fold(20);
    assert_eq!((report.outcome, report.failure), (Outcome::Completed, None));
    assert_eq!((report.metrics.quit_time, report.phases[1].ok), (Some(0.01), false));
    assert_eq!(report.metrics.last_code, Some(220));
}

#[test]
fn a_phase_without_a_reply() {
    let report = Log::new()
        .answered(Phase::Banner, 0, 10, "220 hi", Ending::Accepted)
        .at(10, Event::Began(Phase::Ehlo))
        .at(99, Event::Failed(Failure::new(Phase::Ehlo, FailureKind::Timeout, "no reply")))
        .fold(100);
    assert_eq!(report.failure.map(|failure| (failure.kind, failure.temporary)), Some((FailureKind::Timeout, true)));
    assert_eq!((report.metrics.banner_time, report.metrics.ehlo_time), (Some(0.01), None));
    assert_eq!((report.metrics.last_cmd, report.metrics.last_code), (Some(Phase::Ehlo), None));
    assert_eq!(report.phases[1].time_ms, None);
}

#[test]
fn no_address_can_be_connected_to() {
    let attempt = |address: [u8; 4]| {
        let address = Some(address.into());
        Event::Attempted(Attempt { host: "mx".to_owned(), address, error: "refused".to_owned() })
    };
    let report = Log::new()
        .at(1, attempt([192, 0, 2, 1]))
        .at(2, attempt([192, 0, 2, 2]))
        .at(2, Event::Failed(Failure::new(Phase::Connect, FailureKind::Refused, "refused")))
        .fold(3);
    assert_eq!((report.target.host.as_str(), report.target.address, report.target.attempts.len()), ("mx", None, 2));
    assert_eq!((report.metrics.last_cmd, report.phases.len()), (None, 0));
}

#[test]
fn a_date_that_cannot_be_read_has_no_metric() {
    let undated = CertificateFacts { not_before: None, not_after: None, ..leaf() };
    let metrics = Log::new().at(5, session_with(Vec::new(), undated)).fold(9).metrics;
    assert_eq!((metrics.cert_start, metrics.cert_end, metrics.cert_end_in), (None, None, None));
    assert_eq!(metrics.cert_subject.as_deref(), Some("CN=mx.test"));
}

#[test]
fn a_clock_that_is_set_wrong_is_compared_with_nothing() {
    let mut log = Log::new();
    log.journal.heading.is_clock_set = false;
    let metrics = log.at(5, session(Vec::new())).fold(9).metrics;
    assert_eq!((metrics.cert_end.is_some(), metrics.cert_end_in), (true, None));
}

#[test]
fn tls_facts_and_every_error() {
    let problems = vec![
        CertificateProblem::new(CertificateErrorKind::Expired, "a minute ago"),
        CertificateProblem::new(CertificateErrorKind::WrongName, "mx.test"),
    ];
    let report = Log::new()
        .answered(Phase::Ehlo, 0, 1, "250-mx\r\n250 STARTTLS", Ending::Accepted)
        .at(1, Event::Began(Phase::Tls))
        .at(5, Event::Ended(Phase::Tls, Ending::Done))
        .at(5, session(problems))
        .answered(Phase::EhloTls, 5, 7, "250-mx\r\n250 AUTH PLAIN", Ending::Accepted)
        .fold(9);
    assert_eq!((report.metrics.tls_time, report.metrics.ehlo_tls_time), (Some(0.004), Some(0.002)));
    assert_eq!(report.metrics.cert_end_in, Some(-60));
    assert_eq!(report.metrics.cert_subject_alternative_names.as_deref(), Some("mx.test, 192.0.2.1"));
    let text = report.metrics.cert_error.expect("errors");
    assert!(text.contains("a minute ago") && text.contains("mx.test"), "{text}");
    let tls = report.tls.expect("TLS");
    assert_eq!(
        (tls.verified, tls.errors),
        (false, vec![CertificateErrorKind::Expired, CertificateErrorKind::WrongName])
    );
    assert!(report.capabilities.before_tls.expect("before").offers("STARTTLS"));
    assert!(report.capabilities.after_tls.expect("after").offers("AUTH"));
}

fn any_event() -> impl Strategy<Value = Event> {
    let phase = || proptest::sample::select(Phase::ALL);
    let mut endings = vec![Ending::Done, Ending::Accepted, Ending::Rejected, Ending::Spoiled, Ending::Failed];
    endings.extend([true, false].map(|is_ok| Ending::AsExpected { is_ok }));
    endings.extend([true, false].map(|is_ok| Ending::Unexpected { is_ok }));
    let ending = proptest::sample::select(endings);
    prop_oneof![
        phase().prop_map(Event::Began),
        "[2-5][0-5][0-9] [a-z .0-9]{0,9}".prop_map(|text| Event::Received(reply(&text))),
        (phase(), ending).prop_map(|(phase, ending)| Event::Ended(phase, ending)),
        "w{1,3}".prop_map(Event::Warned),
        phase().prop_map(|phase| Event::Failed(Failure::new(phase, FailureKind::Closed, "x"))),
    ]
}

proptest! {
    /// Any events in any order: no panic, no negative time, and the outcome agrees with the failure.
    #[test]
    fn any_journal_folds(events in proptest::collection::vec((0_u64..1000, any_event()), 0..40)) {
        let log = events.into_iter().fold(Log::new(), |log, (at, event)| log.at(at, event));
        let report = log.fold(1000);
        prop_assert_eq!(report.failure.is_some(), !report.success);
        for phase in &report.phases {
            prop_assert!(phase.started_ms >= 0.0 && phase.time_ms.is_none_or(|time| time >= 0.0));
        }
    }

    /// The phases of the live events are those of the report, and each began before it ended.
    #[test]
    fn live_events_agree_with_the_report(events in proptest::collection::vec((0_u64..1000, any_event()), 0..40)) {
        let (log, live) = Log::new().observed();
        let log = events.into_iter().fold(log, |log, (at, event)| log.at(at, event));
        log.journal.close();
        let (mut begun, mut phases) = (Vec::new(), Vec::new());
        for event in live.try_iter() {
            match event {
                PhaseEvent::Began(start) => begun.push((start.name, start.started_ms)),
                PhaseEvent::Ended(phase) => {
                    prop_assert!(begun.contains(&(phase.name, phase.started_ms)));
                    phases.push(phase);
                }
            }
        }
        prop_assert_eq!(phases, log.fold(1000).phases);
    }
}

#[test]
fn events_come_as_soon_as_a_phase_begins_and_ends() {
    let (log, live) = Log::new().observed();
    let told = || {
        live.try_iter()
            .map(|event| match event {
                PhaseEvent::Began(start) => format!("begin {} {}", start.name, start.started_ms),
                PhaseEvent::Ended(phase) => format!("{} {:?} {}", phase.name, phase.time_ms, phase.ok),
            })
            .collect::<Vec<_>>()
    };
    let mut log = log;
    // Two addresses, of which the second can be connected to: the report has only that one.
    log.journal.announce(log.started, Phase::Connect);
    log.journal.announce(log.started + Duration::from_micros(5), Phase::Connect);
    assert_eq!(told(), ["begin connect 0", "begin connect 0.005"]);
    let log = log.at(5, Event::Began(Phase::Connect)).at(7, Event::Ended(Phase::Connect, Ending::Done));
    assert_eq!(told(), ["connect Some(0.002) true"]);
    let log = log.at(5, Event::Began(Phase::Banner));
    assert_eq!(told(), ["begin banner 0.005"]);
    let log = log.at(9, Event::Received(reply("220 hi")));
    assert_eq!(told(), [""; 0]);
    let log = log.at(9, Event::Ended(Phase::Banner, Ending::Accepted)).at(10, Event::Began(Phase::StartTls));
    assert_eq!(told(), ["banner Some(0.004) true", "begin starttls 0.01"]);
    let log = log.at(11, Event::Received(reply("220 go"))).at(11, Event::Ended(Phase::StartTls, Ending::Spoiled));
    assert_eq!(told(), ["starttls Some(0.001) false"]);
    let log = log.at(12, Event::Began(Phase::Quit));
    log.journal.close();
    assert_eq!(told(), ["begin quit 0.012", "quit None false"]);
}

#[test]
fn started_at_always_has_six_digits_after_the_point() {
    for (started_at, text) in [
        (datetime!(2026-11-22 12:00 UTC), "2026-11-22T12:00:00.000000Z"),
        (datetime!(2026-11-22 12:00:00.93252 UTC), "2026-11-22T12:00:00.932520Z"),
        (datetime!(2026-11-22 12:00:00.123456 +01:00), "2026-11-22T11:00:00.123456Z"),
    ] {
        let mut report = Log::new().fold(0);
        report.started_at = started_at;
        assert_eq!(serde_json::to_value(report).expect("JSON")["started_at"], text);
    }
}

#[test]
fn a_phase_has_the_clock_of_its_end_and_no_time_if_its_reply_came_before_its_command() {
    let mut log = Log::new();
    let kernel = |micros| Stamp { at: log.started + Duration::from_micros(micros), clock: Clock::Kernel };
    let [greeted, late, early] = [kernel(200), kernel(900), kernel(950)];
    log = log.at(100, Event::Began(Phase::Banner));
    log.journal.note(greeted, Event::Ended(Phase::Banner, Ending::Done));
    log = log.answered(Phase::Ehlo, 300, 800, "250 mx\r\n", Ending::Accepted).at(850, Event::Began(Phase::MailFrom));
    log.journal.note(late, Event::Ended(Phase::MailFrom, Ending::Accepted));
    log = log.at(1000, Event::Began(Phase::RcptTo));
    log.journal.note(early, Event::Ended(Phase::RcptTo, Ending::Rejected));
    let report = log.fold(2000);
    let phases: Vec<_> = report.phases.iter().map(|phase| (phase.name, phase.time_ms, phase.clock)).collect();
    let expected = [
        (Phase::Banner, Some(0.1), Clock::Kernel),
        (Phase::Ehlo, Some(0.5), Clock::Process),
        (Phase::MailFrom, Some(0.05), Clock::Kernel),
        (Phase::RcptTo, None, Clock::Process),
    ];
    assert_eq!(phases, expected);
    assert_eq!((report.metrics.banner_time, report.metrics.rcptto_time), (Some(0.1), None));
}
