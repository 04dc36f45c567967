//! The main door: `POST /v1/checks/smtp`.

use std::fmt::Write;

use axum::{
    Json,
    extract::State,
    response::{AppendHeaders, IntoResponse, Response},
};
use serde_json::Value;
use tower::ServiceExt;

use super::events;
use crate::{
    check::{Check, CheckRequest, Violation},
    http::{
        extract::{JsonMembers, negotiate::ReportForm, request_context::RequestContext},
        openapi::refusals::NotRun,
        problem::{Problem, ProblemType},
        state::SharedState,
    },
    report::Report,
};

/// Run one check, now
///
/// Connects to the mail server, holds the whole conversation and answers with what happened. A check that ran is an answer: it is
/// 200 whether the mail server did well or not, and `success` tells which. Only a check that did not run is an error.
///
/// To hang up ends the check. Where the operator has set a rate limit, each request counts, whatever comes of it.
///
/// With `Accept: text/event-stream` the same check is told live, as server-sent events: `begin` when a phase is under way (data: a
/// `PhaseStart`; of several addresses that are tried, each begins `connect` anew), `phase` the moment that it ends (data: one element
/// of the report's `phases`, exactly as it stands there), and at the end `report` (data: the `Report`). Phases may overlap: `banner`
/// begins with `connect`. A comment every 5 s keeps the stream alive. The head of the answer waits until the check connects, half a
/// second at the most, so that a refusal has its status; should one come later, the last event is `problem` (data: the `Problem`) in
/// place of `report`.
/// Leave out what you do not know.
#[utoipa::path(post, path = "/v1/checks/smtp", tag = "checks", operation_id = "run_check",
    request_body(content = CheckRequest, examples(
        ("deliver" = (summary = "Send a message through a domain's MX", value = json!({"to": "probe@example.com", "starttls": true}))),
        ("ask" = (summary = "Ask one server whether it takes the recipient, and send nothing",
            value = json!({"to": "probe@example.com", "target": "mx1.example.com", "stop_after": "rcptto", "timeout_ms": 5000}))),
        ("submit" = (summary = "Log in on a submission port, with a valid certificate only",
            value = json!({"to": "probe@example.com", "from": "probe@example.com", "target": "smtp.example.com", "port": 587,
                "starttls": true, "tls_verify": "require",
                "sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "correct horse"}))),
    )),
    responses(
        (status = 200, description = "The check ran, and this is what it found out",
            headers(
                ("Server-Timing" = String, description = "The duration of each phase in ms, for a browser's tools; not on a stream"),
                ("RateLimit-Policy" = String, description = "Where the operator has set a rate limit, on every answer of this door but a 401: how many requests (`q`) each caller has in a window of so many seconds (`w`), such as `\"checks\";q=10;w=1`"),
                ("RateLimit" = String, description = "With it: how many are left (`r`), and in how many seconds all are back or, where none is left, the next one (`t`), such as `\"checks\";r=9;t=1`"),
            ),
            content(
                (Report = "application/json", examples(
                    ("delivered" = (summary = "The server took the message", value = json!(example(DELIVERED)))),
                    ("rejected" = (summary = "The recipient was rejected", value = json!(example(REJECTED)))),
                    ("bad_certificate" = (summary = "The certificate is not good enough", value = json!(example(BAD_CERTIFICATE)))),
                )),
                (String = "text/event-stream", example = json!(events::example(&example(REJECTED)))),
            )),
        (status = 400, description = "The body is not JSON", body = Problem,
            content_type = "application/problem+json", example = json!(Problem::new(ProblemType::MalformedJson, "expected value at line 1 column 8"))),
        (status = 408, description = "The body came too slowly", body = Problem,
            content_type = "application/problem+json", example = json!(Problem::new(ProblemType::RequestTimeout, "the body must be sent within 30s"))),
        (status = 413, description = "The body is too large", body = Problem,
            content_type = "application/problem+json", example = json!(Problem::new(ProblemType::PayloadTooLarge, "the body may have 1048576 bytes"))),
        (status = 415, description = "The body does not say that it is JSON", body = Problem,
            content_type = "application/problem+json", example = json!(Problem::new(ProblemType::UnsupportedMediaType, "send the body with `Content-Type: application/json`"))),
        (status = 422, description = "Invalid parameters; every violation is listed", body = Problem,
            content_type = "application/problem+json", example = json!(invalid_parameters())),
        NotRun,
    ))]
pub(crate) async fn run_check(
    doors: State<SharedState>,
    form: ReportForm,
    origin: RequestContext,
    members: JsonMembers,
) -> Result<Response, Problem> {
    let check = Check::parse(members.0, doors.max_timeout)?;
    let order = origin.order(check);
    let running = doors.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    let probe = doors.probe.clone();
    if form == ReportForm::Events {
        return events::run(probe, order, running).await;
    }
    let report = probe.oneshot(order).await?;
    let server_timing = AppendHeaders([("server-timing", server_timing(&report))]);
    Ok((server_timing, Json(report)).into_response())
}

/// The phases as a `Server-Timing` header (W3C, Server Timing, section 3).
fn server_timing(report: &Report) -> String {
    let mut header = String::new();
    for (phase, ms) in report.phases.iter().filter_map(|phase| Some((phase.name, phase.time_ms?))) {
        let separator = if header.is_empty() { "" } else { ", " };
        // A `String` takes all that is written.
        let _ = write!(header, "{separator}{phase};dur={ms}");
    }
    header
}

const DELIVERED: &str = include_str!("../../../openapi/examples/delivered.json");
const REJECTED: &str = include_str!("../../../openapi/examples/rejected.json");
const BAD_CERTIFICATE: &str = include_str!("../../../openapi/examples/bad_certificate.json");

/// A report of a real check, as the document shows it.
fn example(text: &str) -> Value {
    serde_json::from_str(text).expect("the files in openapi/examples are JSON, which a test reads")
}

/// What `{"to": "probe@example.com", "timeout_ms": 50, "prot": 587}` gets.
fn invalid_parameters() -> Problem {
    let violation = |pointer: &str, detail: &str| Violation { pointer: pointer.to_owned(), detail: detail.to_owned() };
    Problem::invalid_parameters(vec![
        violation("/timeout_ms", "must be a whole number from 100 to 60000"),
        violation("/prot", "is no parameter; did you mean `port`?"),
    ])
}
