//! The pure parts of a check, each separately: `cargo bench --bench parts`.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::json;
use smtp_check::{
    check::{Check, CheckSettings},
    http::JsonObject,
    phase::Phase,
    report::{
        Journal, Via,
        fold::fold,
        journal::{Ending, Event, Heading},
    },
    smtp::{Reply, ReplyParser},
    x509::Certificate,
};
use time::OffsetDateTime;
use uuid::Uuid;

const EHLO_REPLY: &[u8] =
    b"250-mx1.example.com\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n\
    250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n";
const ACCEPTED: &[u8] = b"250 2.0.0 Ok: queued as 4C1F2A0B3D\r\n";

fn parse(mut octets: &[u8]) -> Reply {
    ReplyParser::default().parse(&mut octets).expect("replies").expect("a whole one")
}

fn replies(criterion: &mut Criterion) {
    criterion.bench_function("a reply of one line", |bench| bench.iter(|| parse(black_box(ACCEPTED))));
    criterion.bench_function("an EHLO reply of eleven lines", |bench| bench.iter(|| parse(black_box(EHLO_REPLY))));
}

fn parameters(criterion: &mut Criterion) {
    let body = json!({
        "to": "probe@example.com", "from": "probe@example.com", "target": "mx1.example.com", "port": 587, "starttls": true,
        "sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "correct horse", "timeout_ms": 5000,
    });
    let body = body.to_string();
    let settings = CheckSettings::new(Duration::from_secs(60));
    criterion.bench_function("parameters, from JSON to a check", |bench| {
        bench.iter(|| {
            let members = JsonObject::parse(black_box(body.as_bytes())).expect("JSON");
            Check::parse(members.0, &settings).expect("valid")
        });
    });
}

fn certificate(criterion: &mut Criterion) {
    let names = ["mx1.example.com", "mx2.example.com", "192.0.2.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let der = made.cert.der();
    criterion.bench_function("the facts of a certificate", |bench| {
        bench.iter(|| Certificate::from_der(black_box(der)).expect("readable").facts());
    });
}

/// The journal of a delivery without TLS.
fn delivery(replies: &[(Phase, Reply)], started: Instant) -> Journal {
    let heading = Heading {
        id: Uuid::nil(),
        started_at: OffsetDateTime::UNIX_EPOCH,
        is_clock_set: true,
        started,
        host: "mx1.example.com".to_owned(),
        port: 25,
        via: Via::Request,
        mechanism: None,
        transcript: false,
    };
    let mut journal = Journal::new(heading);
    for (phase, reply) in replies {
        journal.note(started, Event::Began(*phase));
        journal.note(started, Event::Sent(phase.name().to_owned()));
        journal.note(started, Event::Received(reply.clone()));
        journal.note(started, Event::Ended(*phase, Ending::Accepted));
    }
    journal
}

fn report(criterion: &mut Criterion) {
    let phases = [Phase::Banner, Phase::Ehlo, Phase::MailFrom, Phase::RcptTo, Phase::Data, Phase::Body, Phase::Quit]
        .map(|phase| (phase, parse(if phase == Phase::Ehlo { EHLO_REPLY } else { ACCEPTED })));
    let started = Instant::now();
    let journal = || delivery(&phases, started);
    criterion.bench_function("from journal to report", |bench| {
        bench.iter_batched(journal, |journal| fold(journal, started), BatchSize::SmallInput);
    });
    let report = fold(journal(), started);
    criterion.bench_function("from report to JSON", |bench| {
        bench.iter(|| serde_json::to_vec(black_box(&report)).expect("JSON"));
    });
}

criterion_group!(parts, replies, parameters, certificate, report);
criterion_main!(parts);
