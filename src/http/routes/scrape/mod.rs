//! The door for Prometheus: `GET /probe`, by the conventions of the blackbox_exporter.

mod explanation;

use std::time::Duration;

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use tower::ServiceExt;
use url::form_urlencoded;

use crate::{
    check::{ModuleRequest, Violation},
    http::{
        extract::{negotiate::prefers_open_metrics, request_context::RequestContext},
        openapi::refusals::NotRun,
        problem::Problem,
        state::SharedState,
    },
    report::exposition,
};

/// What is written is valid as either; the caller has the choice of what to call it.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// The header in which Prometheus says when it gives up.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// So long before that the check is to be over, as in the blackbox_exporter, for the answer has to get there.
const HEADSTART: Duration = Duration::from_millis(500);

/// Run one check, for Prometheus
///
/// The same check as that of `POST /v1/checks/smtp`, answered as the blackbox_exporter does: a check that failed is a 200 with
/// `probe_success 0`. Only a check that did not run is an error; to Prometheus the scrape failed (`up 0`), and nothing is said of the mail server.
///
/// What is checked, a module says: a set of parameters with a name, in the operator's settings file. The caller names target and
/// recipient, nothing else. The module `default`, unless the operator has set it, ends after EHLO and sends no mail.
///
/// The answer is the text format 0.0.4, or OpenMetrics where `Accept` prefers it. To hang up ends the check. Where the operator has set
/// a rate limit, each request counts, whatever comes of it.
#[utoipa::path(get, path = "/probe", tag = "checks", operation_id = "probe",
    params(
        ("target" = String, Query, description = "The mail server: `host` or `host:port`; an IPv6 address before a port is in brackets. The port goes before the module's", example = "mx1.example.com:25"),
        ("module" = Option<String>, Query, description = "Which module says what is checked; `default` if left out", example = "default"),
        ("to" = Option<String>, Query, description = "The recipient; goes before the module's", example = "probe@example.com"),
        ("debug" = Option<bool>, Query, description = "Answer for people instead: the phases, the dialogue, the report, the metrics that would have come, and the module without its password"),
        ("X-Prometheus-Scrape-Timeout-Seconds" = Option<f64>, Header, nullable = false, exclusive_minimum = 0, description = "When Prometheus gives up. The check has half a second less, if that is less than the module's timeout, and 100 ms at the least", example = 10.0),
    ),
    responses(
        (status = 200, description = "The check ran, and this is what it found out",
            headers(
                ("RateLimit-Policy" = String, description = "Where the operator has set a rate limit, on every answer of this door but a 401: how many requests (`q`) each caller has in a window of so many seconds (`w`), such as `\"checks\";q=10;w=1`"),
                ("RateLimit" = String, description = "With it: how many are left (`r`), and in how many seconds all are back or, where none is left, the next one (`t`), such as `\"checks\";r=9;t=1`"),
            ),
            content(
                (String = "text/plain", example = json!(EXAMPLE)),
                (String = "application/openmetrics-text", example = json!(EXAMPLE)),
            )),
        (status = 400, description = "No target, an unknown module, or other invalid parameters; every violation is listed", body = Problem,
            content_type = "application/problem+json", example = json!(invalid_query())),
        NotRun,
    ))]
pub(crate) async fn probe_target(
    doors: State<SharedState>,
    headers: HeaderMap,
    origin: RequestContext,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let pairs = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes()).into_owned();
    let request = ModuleRequest::read(pairs);
    let debug = request.debug;
    let at_most = scrape_timeout(&headers);
    let checked = doors.modules.check(request, at_most.clone().unwrap_or_default());
    let (module, check) = match (checked, at_most) {
        (Ok(checked), Ok(_)) => checked,
        (checked, at_most) => {
            let of_query = checked.err().map(|invalid| invalid.violations().to_vec()).unwrap_or_default();
            return Err(Problem::invalid_query(of_query.into_iter().chain(at_most.err()).collect()));
        }
    };
    let timeout = check.timeout;
    let order = origin.order(check);
    let _running = doors.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    let report = doors.probe.clone().oneshot(order).await?;
    let metrics = exposition(&report, timeout);
    if debug {
        let explanation = explanation::Explanation { module, timeout, report: &report, metrics: &metrics };
        return Ok(([(CONTENT_TYPE, PLAIN_TEXT)], explanation.to_string()).into_response());
    }
    let media_type = if prefers_open_metrics(&headers) { OPEN_METRICS } else { TEXT_FORMAT };
    Ok(([(CONTENT_TYPE, media_type)], metrics).into_response())
}

/// How much time Prometheus leaves for a check, if it is Prometheus that asks.
fn scrape_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Violation> {
    let Some(value) = headers.get(SCRAPE_TIMEOUT) else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0).ok_or_else(|| Violation {
        pointer: "/X-Prometheus-Scrape-Timeout-Seconds".to_owned(),
        detail: "must be a number of seconds greater than 0".to_owned(),
    })?;
    // More seconds than a `Duration` holds are no limit.
    Ok(Duration::try_from_secs_f64(seconds).ok().map(|timeout| timeout.saturating_sub(HEADSTART)))
}

/// What a real check was answered with.
const EXAMPLE: &str = include_str!("../../../../openapi/examples/probe.prom");

/// What `?module=submision` gets.
fn invalid_query() -> Problem {
    let violation = |pointer: &str, detail: &str| Violation { pointer: pointer.to_owned(), detail: detail.to_owned() };
    Problem::invalid_query(vec![violation("/target", "is required"), violation("/module", "is not known")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_half_a_second_to_reach_prometheus() {
        let left = |value: &str| {
            let headers =
                HeaderMap::from_iter([(SCRAPE_TIMEOUT.parse().expect("a name"), value.parse().expect("a value"))]);
            scrape_timeout(&headers)
        };
        let ms = |ms| Ok(Some(Duration::from_millis(ms)));
        for (value, timeout) in [
            ("10", ms(9500)),
            ("9.75", ms(9250)),
            ("1e1", ms(9500)),
            ("0.5", ms(0)),
            ("0.000001", ms(0)),
            ("1e-320", ms(0)),
            ("1e300", Ok(None)),
            ("99999999999999999999999", Ok(None)),
        ] {
            assert_eq!(left(value), timeout, "{value}");
        }
        for value in ["", "0", "-0", "-1", "ten", "10s", "NaN", "inf", "-inf", "1e999", "10,5", "10 "] {
            assert!(left(value).is_err(), "{value:?}");
        }
        assert_eq!(scrape_timeout(&HeaderMap::new()), Ok(None));
    }
}
