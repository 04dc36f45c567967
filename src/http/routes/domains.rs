//! `POST /v1/checks/domain`: checks a domain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{checks::check_id, events};
use crate::{
    check::{DomainCheck, DomainRequest},
    domain::{DomainJob, DomainProbe},
    http::{
        extract::{JsonObject, negotiate::ReportFormat, request_context::RequestContext},
        json::Json,
        openapi::responses::{CheckRefused, Unauthorized},
        problem::Problem,
        server::{
            ByteBudget,
            byte_budget::{HeldBytes, NoBytesLeft},
        },
        state::{AppState, SharedState},
    },
    probe::{CheckJob, Probe, Refusal},
    report::{domain::DomainReport, fold::json_size},
};

/// Check a domain, now
///
/// Looks up what the domain publishes, holds a session with every address of its mail exchangers, and reports what each
/// kind of sender would make of it. No mail is sent. A domain that does not exist is a 200 as well: `verdict` and
/// `findings` tell.
///
/// Closing the connection ends the check. Where the operator has set a rate limit, each request counts, whatever its
/// response.
///
/// With `Accept: text/event-stream` the same check is reported live, as server-sent events, in the order in which parts
/// are known: `record` (data: `name`, a member of the report's `dns`, and `value`, that member), `server` when the
/// session with an address is over (data: one element of `addresses`, with its `host`; its views of `mta_sts` and
/// `dane` are `inconclusive` until the report), and at the end `report` (data: the `DomainReport`). A comment every 5 s
/// keeps the stream alive. The head of the response waits for the first event, up to half a second, so that a refusal
/// has its own status. If a refusal comes later, the last event is `problem` (data: the `Problem`) instead of `report`.
/// Ignore events that you do not know.
#[utoipa::path(post, path = "/v1/checks/domain", tag = "checks", operation_id = "check_domain",
    request_body(content = DomainRequest, examples(
        ("domain" = (summary = "Everything that a sending server would meet", value = json!({"domain": "example.com"}))),
        ("sender" = (summary = "Also the keys and the addresses that mail of the domain comes from",
            value = json!({"domain": "example.com", "dkim_selectors": ["s1", "s2"], "sending_ips": ["192.0.2.25"]}))),
    )),
    responses(
        (status = 200, description = "The check ran: its report",
            headers(("X-Check-Id" = String, description = "The id of the check, as in the report and in the log")),
            content(
                (DomainReport = "application/json", example = json!(example())),
                (String = "text/event-stream", example = json!(events::domain_example(&example()))),
            )),
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
    format: ReportFormat,
    context: RequestContext,
    object: JsonObject,
) -> Result<Response, Problem> {
    let check = DomainCheck::parse(object.0, state.modules.current().settings())?;
    let is_live = format == ReportFormat::EventStream;
    let held = state.budget.take_for_check(ByteBudget::DOMAIN_SIZE).await?;
    let kept = KeptBytes::default();
    let job = DomainJob { probe: Some(kept.probe(&state, is_live)), ..context.domain_job(check) };
    let check_id = check_id(job.id);
    let running = state.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    if is_live {
        let response = (check_id, events::run_domain_check(probe, job, running, kept).await?).into_response();
        return Ok(state.budget.hold(held, response));
    }
    let report = probe.oneshot(job).await?;
    drop(running);
    Ok(kept.hold(&state.budget, held, (check_id, Json(report)).into_response()))
}

/// The bytes of the reports of the sessions of one check: more with each session, until the caller has taken the
/// response. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptBytes(Arc<Mutex<Option<HeldBytes>>>);

impl KeptBytes {
    /// The probe of the service, whose sessions take the bytes of a check each, and keep those of their reports here.
    /// A session for which there are none is refused, and the check tries again until its deadline. With live events
    /// each report is in memory twice.
    pub(super) fn probe(&self, state: &AppState, is_live: bool) -> Probe {
        let (probe, budget, kept) = (state.probe.clone(), state.budget.clone(), self.clone());
        let copies = 1 + usize::from(is_live);
        BoxCloneSyncService::new(service_fn(move |job: CheckJob| {
            let (probe, budget, kept) = (probe.clone(), budget.clone(), kept.clone());
            // Boxed: the future is large, and a check has many.
            Box::pin(async move {
                let held = budget.take_for_check((copies - 1) * ByteBudget::CHECK_SIZE).await;
                let mut held = held.map_err(|NoBytesLeft| Refusal::Overloaded)?;
                let report = probe.oneshot(job).await?;
                held.shrink_to(copies * json_size(&report));
                kept.add(held);
                Ok(report)
            })
        }))
    }

    /// The response, with all that the check holds.
    pub(super) fn hold(&self, budget: &ByteBudget, mut held: HeldBytes, response: Response) -> Response {
        if let Some(kept) = self.lock().take() {
            held.merge(kept);
        }
        budget.hold(held, response)
    }

    fn add(&self, more: HeldBytes) {
        let mut kept = self.lock();
        match &mut *kept {
            Some(kept) => kept.merge(more),
            None => *kept = Some(more),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<HeldBytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The report of a real check, for the document.
fn example() -> Value {
    serde_json::from_str(include_str!("../../../openapi/examples/domain.json"))
        .expect("the files in openapi/examples are JSON, which a test reads")
}
