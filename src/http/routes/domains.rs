//! `POST /v1/checks/domain`: checks a domain.

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use tower::ServiceExt;

use super::checks::check_id;
use crate::{
    check::{DomainCheck, DomainRequest},
    domain::DomainProbe,
    http::{
        extract::{JsonObject, request_context::RequestContext},
        json::Json,
        openapi::responses::{CheckRefused, Unauthorized},
        problem::Problem,
        server::ByteBudget,
        state::SharedState,
    },
    report::domain::DomainReport,
};

/// Check a domain, now
///
/// Looks up what the domain publishes, holds a session with every address of its mail exchangers, and reports what each
/// kind of sender would make of it. No mail is sent. A domain that does not exist is a 200 as well: `verdict` and
/// `findings` tell.
///
/// Closing the connection ends the check. Where the operator has set a rate limit, each request counts, whatever its
/// response.
#[utoipa::path(post, path = "/v1/checks/domain", tag = "checks", operation_id = "check_domain",
    request_body(content = DomainRequest, examples(
        ("domain" = (summary = "Everything that a sending server would meet", value = json!({"domain": "example.com"}))),
        ("sender" = (summary = "Also the keys and the addresses that mail of the domain comes from",
            value = json!({"domain": "example.com", "dkim_selectors": ["s1", "s2"], "sending_ips": ["192.0.2.25"]}))),
    )),
    responses(
        (status = 200, description = "The check ran: its report", body = DomainReport,
            headers(("X-Check-Id" = String, description = "The id of the check, as in the report"))),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The content type of the body is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Invalid parameters; every violation is listed", body = Problem, content_type = "application/problem+json"),
        Unauthorized,
        CheckRefused,
    ))]
pub(crate) async fn check_domain(
    state: State<SharedState>,
    Extension(probe): Extension<DomainProbe>,
    context: RequestContext,
    object: JsonObject,
) -> Result<Response, Problem> {
    let check = DomainCheck::parse(object.0, state.modules.current().settings())?;
    let held = state.budget.take_for_check(ByteBudget::EXPLANATION_SIZE).await?;
    let job = context.domain_job(check);
    let check_id = check_id(job.id);
    let _running = state.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    let report = probe.oneshot(job).await?;
    Ok(state.budget.hold(held, (check_id, Json(report)).into_response()))
}
