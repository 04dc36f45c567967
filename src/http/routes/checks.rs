//! `POST /v1/checks/smtp`: runs one check.

use axum::{
    extract::State,
    http::HeaderName,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use super::events;
use crate::{
    check::{Check, CheckRequest, Violation},
    decimal,
    http::{
        extract::{JsonObject, negotiate::ReportFormat, request_context::RequestContext},
        json::Json,
        openapi::responses::{CheckRefused, Unauthorized},
        problem::{Problem, ProblemType},
        server::{
            ByteBudget,
            byte_budget::{HeldBytes, NoBytesLeft},
        },
        state::SharedState,
    },
    report::Report,
};

/// Run one check, now
///
/// Connects to the mail server, holds the whole session and reports what happened. A check that ran is a 200,
/// whether the mail server did well or not: `success` tells which. Only a check that did not run is an error.
///
/// Closing the connection ends the check. Where the operator has set a rate limit, each request counts, whatever its
/// response.
///
/// With `Accept: text/event-stream` the same check is reported live, as server-sent events: `begin` when a phase begins
/// (data: a `PhaseStart`; if several addresses are tried, `connect` begins once for each), `phase` when it ends (data:
/// one element of the report's `phases`), and at the end `report` (data: the `Report`). Phases may overlap: `banner`
/// begins with `connect`. A comment every 5 s keeps the stream alive. The head of the response waits until the check
/// connects, up to half a second, so that a refusal has its own status. If a refusal comes later, the last event is
/// `problem` (data: the `Problem`) instead of `report`. Ignore events that you do not know.
#[utoipa::path(post, path = "/v1/checks/smtp", tag = "checks", operation_id = "run_check",
    request_body(content = CheckRequest, examples(
        ("deliver" = (summary = "Send a message through a domain's MX", value = json!({"to": "probe@example.com", "starttls": true}))),
        ("ask" = (summary = "Ask one server whether it accepts the recipient, and send no message",
            value = json!({"to": "probe@example.com", "target": "mx1.example.com", "stop_after": "rcptto", "timeout_ms": 5000}))),
        ("open_relay" = (summary = "Is the server an open relay? A success is a rejection, and no mail is sent",
            value = json!({"from": "somebody@example.net", "to": "somebody@example.org", "target": "mx1.example.com",
                "expect": {"rcptto": {"code": "5xx"}}}))),
        ("message" = (summary = "Send a message that is built and signed by DKIM",
            value = json!({"to": "probe@example.com", "from": "probe@example.org", "dkim": "ours",
                "message": {"subject": "A test of our mail", "text": "Hello,\n\nthis message is a test.\n",
                    "from": "Monitoring <probe@example.org>", "headers": {"X-Purpose": "monitoring"}}}))),
        ("submit" = (summary = "Log in on a submission port, only with a valid certificate",
            value = json!({"to": "probe@example.com", "from": "probe@example.com", "target": "smtp.example.com", "port": 587,
                "starttls": true, "tls_verify": "require",
                "sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "correct horse"}))),
        ("auto" = (summary = "Log in with the best mechanism that the server offers, and send no message",
            value = json!({"target": "smtp.example.com", "port": 465, "implicit_tls": true, "tls_verify": "require",
                "sasl_authentication": "auto", "sasl_user": "probe", "sasl_password": "correct horse", "stop_after": "sasl_auth"}))),
        ("token" = (summary = "Log in with an access token, sent with the AUTH command",
            value = json!({"target": "smtp.example.com", "port": 587, "starttls": true, "tls_verify": "require",
                "sasl_authentication": "oauthbearer", "sasl_user": "probe@example.com", "sasl_password": "ya29.A0ARrd",
                "sasl_initial_response": true, "stop_after": "sasl_auth"}))),
        ("opportunistic" = (summary = "Use STARTTLS only if it is offered, as mail servers do among each other",
            value = json!({"to": "probe@example.com", "starttls": "opportunistic", "stop_after": "rcptto"}))),
        ("client_certificate" = (summary = "Show a client certificate of the settings file, over TLS 1.3 only, from one of our addresses",
            value = json!({"to": "probe@example.com", "target": "mx1.example.com", "starttls": true, "tls_version": "1.3",
                "tls_client_certificate": "partner", "source_address": "192.0.2.25", "stop_after": "rcptto"}))),
        ("lmtp" = (summary = "Deliver into the mail store by LMTP",
            value = json!({"to": "probe@example.com", "target": "store.example.com", "protocol": "lmtp"}))),
    )),
    responses(
        (status = 200, description = "The check ran: its report",
            headers(
                ("X-Check-Id" = String, description = "The id of the check, as in the report and in the log"),
                ("Server-Timing" = String, description = "The duration of each phase in ms, for the developer tools of browsers; not on a stream"),
            ),
            content(
                (Report = "application/json", examples(
                    ("delivered" = (summary = "The server accepted the message", value = json!(example(DELIVERED)))),
                    ("rejected" = (summary = "The recipient was rejected", value = json!(example(REJECTED)))),
                    ("bad_certificate" = (summary = "The certificate is not valid", value = json!(example(BAD_CERTIFICATE)))),
                )),
                (String = "text/event-stream", example = json!(events::example(&example(REJECTED)))),
            )),
        (status = 400, description = "The body is not JSON", body = Problem,
            content_type = "application/problem+json", example = json!(Problem::new(ProblemType::MalformedJson, "expected value at line 1 column 8"))),
        (status = 408, description = "The body did not arrive in time", body = Problem,
            content_type = "application/problem+json", example = json!(Problem::new(ProblemType::RequestTimeout, "the body must be sent within 30s"))),
        (status = 413, description = "The body is too large", body = Problem,
            content_type = "application/problem+json", example = json!(Problem::new(ProblemType::PayloadTooLarge, "the body may have 1048576 bytes"))),
        (status = 415, description = "The content type of the body is not JSON", body = Problem,
            content_type = "application/problem+json", example = json!(Problem::new(ProblemType::UnsupportedMediaType, "send the body with `Content-Type: application/json`"))),
        (status = 422, description = "Invalid parameters; every violation is listed", body = Problem,
            content_type = "application/problem+json", example = json!(invalid_parameters())),
        Unauthorized,
        CheckRefused,
    ))]
pub(crate) async fn run_check(
    state: State<SharedState>,
    format: ReportFormat,
    context: RequestContext,
    object: JsonObject,
) -> Result<Response, Problem> {
    let check = Check::parse(object.0, state.modules.current().settings())?;
    let is_live = format == ReportFormat::EventStream;
    let held = admit(&state.budget, &check, if is_live { ByteBudget::EVENTS_SIZE } else { 0 }).await?;
    let job = context.job(check);
    let check_id = check_id(job.id);
    let running = state.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    let probe = state.probe.clone();
    if is_live {
        let response = (check_id, events::run_check(probe, job, running).await?).into_response();
        return Ok(state.budget.hold(held, response));
    }
    let report = probe.oneshot(job).await?;
    let server_timing = [(SERVER_TIMING, server_timing(&report))];
    Ok(state.budget.hold(held, (check_id, server_timing, Json(report)).into_response()))
}

const CHECK_ID: HeaderName = HeaderName::from_static("x-check-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The header with the id of the check, on every response that has a report.
pub(super) fn check_id(id: Uuid) -> [(HeaderName, String); 1] {
    [(CHECK_ID, id.to_string())]
}

/// Takes the bytes that the check holds from now on: those of its report, what a message has beyond a small one, which
/// is in memory once more when it is sent, and `more` for a response that is not only the report.
///
/// # Errors
/// There are not as many left.
pub(super) async fn admit(budget: &ByteBudget, check: &Check, more: usize) -> Result<HeldBytes, NoBytesLeft> {
    let large = check.script.payload.len().saturating_sub(ByteBudget::SMALL_SIZE);
    budget.take_for_check(2 * large + more).await
}

/// The phases as a `Server-Timing` header (W3C, Server Timing, section 3).
fn server_timing(report: &Report) -> String {
    let mut header = String::with_capacity(report.phases.len() * "starttls;dur=100.123, ".len());
    for (phase, ms) in report.phases.iter().filter_map(|phase| Some((phase.name, phase.time_ms?))) {
        let separator = if header.is_empty() { "" } else { ", " };
        header.extend([separator, phase.name(), ";dur="]);
        push_number(&mut header, ms);
    }
    header
}

/// Appends a number of milliseconds, which has three decimals at most. To show it as any `f64` takes many times the
/// instructions.
fn push_number(text: &mut String, ms: f64) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are no longer than a check")]
    let micros = (ms * 1000.0).round() as u64;
    decimal::push(text, micros / 1000);
    text.push('.');
    decimal::push_digits(text, micros % 1000, 3);
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
}

const DELIVERED: &str = include_str!("../../../openapi/examples/delivered.json");
const REJECTED: &str = include_str!("../../../openapi/examples/rejected.json");
const BAD_CERTIFICATE: &str = include_str!("../../../openapi/examples/bad_certificate.json");

/// The report of a real check, for the document.
fn example(text: &str) -> Value {
    serde_json::from_str(text).expect("the files in openapi/examples are JSON, which a test reads")
}

/// The response to `{"to": "probe@example.com", "timeout_ms": 50, "prot": 587}`.
fn invalid_parameters() -> Problem {
    let violation = |pointer: &str, detail: &str| Violation { pointer: pointer.to_owned(), detail: detail.to_owned() };
    Problem::invalid_parameters(vec![
        violation("/timeout_ms", "must be a whole number from 100 to 60000"),
        violation("/prot", "is no parameter; did you mean `port`?"),
    ])
}

#[cfg(test)]
mod tests {
    use super::push_number;

    #[test]
    fn times_are_shown_as_in_the_report() {
        for micros in (0..3000).chain([12_345, 60_000_000, 999_999]) {
            let ms = f64::from(micros) / 1000.0;
            let mut text = String::new();
            push_number(&mut text, ms);
            assert_eq!(text, ms.to_string());
        }
    }
}
