//! `GET /probe`: runs one check for Prometheus, with the conventions of the blackbox_exporter.

mod domain;
mod explanation;

use std::time::Duration;

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use tower::ServiceExt;
use url::form_urlencoded;

use super::checks;
use crate::{
    check::{Invalid, ModuleRequest, Violation},
    domain::DomainProbe,
    http::{
        extract::{negotiate::prefers_open_metrics, request_context::RequestContext},
        openapi::responses::{CheckRefused, Unauthorized},
        problem::Problem,
        server::ByteBudget,
        state::SharedState,
    },
    report::exposition,
};
use explanation::Explanation;

/// The metrics are valid in both formats.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// The header with the time after which Prometheus gives up.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// The check ends this much earlier, as in the blackbox_exporter, so that the response arrives in time.
const TIMEOUT_OFFSET: Duration = Duration::from_millis(500);

/// Run one check, for Prometheus
///
/// The same check as that of `POST /v1/checks/smtp`, answered like the blackbox_exporter: a check that failed is a 200
/// with `probe_success 0`. Only a check that did not run is an error; for Prometheus the scrape failed (`up 0`), which
/// says nothing about the mail server.
///
/// A module says what is checked: a named set of parameters in the operator's settings file. The caller gives only the
/// target and the recipient. The module `default`, unless the operator has set it, ends after EHLO and sends no mail. A
/// module may also check a whole domain, as `POST /v1/checks/domain` does: then `target` is the domain, and
/// `probe_success` is 1 if there is no finding of severity `error`.
///
/// The response has the text format 0.0.4, or OpenMetrics if `Accept` prefers it. Closing the connection ends the
/// check. Where the operator has set a rate limit, each request counts, whatever its response.
#[utoipa::path(get, path = "/probe", tag = "checks", operation_id = "probe",
    params(
        ("target" = String, Query, description = "The mail server: `host` or `host:port`; an IPv6 address before a port is in brackets. This port takes precedence over the module's. For a module of a domain: the domain", example = "mx1.example.com:25"),
        ("module" = Option<String>, Query, description = "The module that says what is checked; `default` if left out", example = "default"),
        ("to" = Option<String>, Query, description = "The recipient; takes precedence over the module's", example = "probe@example.com"),
        ("debug" = Option<bool>, Query, description = "Answer in text for people instead: the phases, the transcript, the report, the metrics, and the module without its password"),
        ("X-Prometheus-Scrape-Timeout-Seconds" = Option<f64>, Header, nullable = false, exclusive_minimum = 0, description = "The time after which Prometheus gives up. The timeout of the check is half a second less, but not above the module's timeout and not below 100 ms", example = 10.0),
    ),
    responses(
        (status = 200, description = "The check ran: its metrics",
            headers(("X-Check-Id" = String, description = "The id of the check, as in the log")),
            content(
                (String = "text/plain", example = json!(EXAMPLE)),
                (String = "application/openmetrics-text", example = json!(EXAMPLE)),
            )),
        (status = 400, description = "No target, an unknown module, or other invalid parameters; every violation is listed", body = Problem,
            content_type = "application/problem+json", example = json!(invalid_query())),
        Unauthorized,
        CheckRefused,
    ))]
pub(crate) async fn probe(
    state: State<SharedState>,
    Extension(domain_probe): Extension<DomainProbe>,
    headers: HeaderMap,
    context: RequestContext,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let pairs = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes()).into_owned();
    let request = ModuleRequest::read(pairs);
    let debug = request.debug;
    let max_timeout = scrape_timeout(&headers);
    let modules = state.modules.current();
    let of_domain = modules.domain_check(&request, max_timeout.clone().unwrap_or_default());
    if let Some(checked) = of_domain {
        let checked = valid(checked, max_timeout)?;
        return domain::probe(&state, domain_probe, &headers, context, checked, debug).await;
    }
    let checked = modules.check(request, max_timeout.clone().unwrap_or_default());
    let (module, check) = valid(checked, max_timeout)?;
    let timeout = check.timeout;
    let held = checks::admit(&state.budget, &check, if debug { ByteBudget::EXPLANATION_SIZE } else { 0 }).await?;
    let _running = state.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    let report = state.probe.clone().oneshot(context.job(check)).await?;
    let check_id = checks::check_id(report.id);
    let metrics = exposition(&report, timeout);
    if debug {
        let explanation = Explanation { module, timeout, report: &report, metrics: &metrics };
        let response = (check_id, [(CONTENT_TYPE, PLAIN_TEXT)], explanation.to_string()).into_response();
        return Ok(state.budget.hold(held, response));
    }
    Ok(state.budget.hold(held, (check_id, [(CONTENT_TYPE, media_type(&headers))], metrics).into_response()))
}

/// What was checked, if the query and the header are valid.
fn valid<T>(checked: Result<T, Invalid>, max_timeout: Result<Option<Duration>, Violation>) -> Result<T, Problem> {
    match (checked, max_timeout) {
        (Ok(checked), Ok(_)) => Ok(checked),
        (checked, max_timeout) => {
            let of_query = checked.err().map(|invalid| invalid.violations().to_vec()).unwrap_or_default();
            Err(Problem::invalid_query(of_query.into_iter().chain(max_timeout.err()).collect()))
        }
    }
}

fn media_type(headers: &HeaderMap) -> &'static str {
    if prefers_open_metrics(headers) { OPEN_METRICS } else { TEXT_FORMAT }
}

/// The time that Prometheus leaves for a check. `None`: the header is missing.
fn scrape_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Violation> {
    let Some(value) = headers.get(SCRAPE_TIMEOUT) else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0).ok_or_else(|| Violation {
        pointer: "/X-Prometheus-Scrape-Timeout-Seconds".to_owned(),
        detail: "must be a number of seconds greater than 0".to_owned(),
    })?;
    // A number too large for a `Duration` is no limit.
    Ok(Duration::try_from_secs_f64(seconds).ok().map(|timeout| timeout.saturating_sub(TIMEOUT_OFFSET)))
}

/// The metrics of a real check.
const EXAMPLE: &str = include_str!("../../../../openapi/examples/probe.prom");

/// The response to `?module=submision`.
fn invalid_query() -> Problem {
    let violation = |pointer: &str, detail: &str| Violation { pointer: pointer.to_owned(), detail: detail.to_owned() };
    Problem::invalid_query(vec![violation("/target", "is required"), violation("/module", "is not known")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_has_half_a_second_to_reach_prometheus() {
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
