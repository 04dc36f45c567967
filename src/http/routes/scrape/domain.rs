//! A domain for Prometheus: modules with `kind = "domain"`.

use axum::{
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use tower::ServiceExt;

use super::{PLAIN_TEXT, explanation::pretty, media_type};
use crate::{
    check::{DomainCheck, Module},
    domain::{DomainJob, DomainProbe},
    escape::Escaped,
    http::{
        extract::request_context::RequestContext,
        problem::Problem,
        routes::{checks::check_id, domains::KeptBytes},
        server::ByteBudget,
        state::AppState,
    },
    report::domain_exposition,
};

/// Checks the domain and responds with its metrics, or with an explanation of them.
pub(super) async fn probe(
    state: &AppState,
    probe: DomainProbe,
    headers: &HeaderMap,
    context: RequestContext,
    (module, check): (&Module, DomainCheck),
    debug: bool,
) -> Result<Response, Problem> {
    let timeout = check.timeout;
    let held = state.budget.take_for_check(ByteBudget::DOMAIN_SIZE).await?;
    let kept = KeptBytes::default();
    let job = DomainJob { probe: Some(kept.probe(state, false)), ..context.domain_job(check) };
    let _running = state.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    let report = probe.oneshot(job).await?;
    let check_id = check_id(report.id);
    let metrics = domain_exposition(&report, timeout);
    let response = if debug {
        let mut text = format!("# Report; timeout {timeout:?}\n{}\n", pretty(&report));
        text += "\n# Metrics that would have been returned\n";
        metrics.lines().for_each(|line| text += &format!("{}\n", Escaped(line)));
        text += &format!("\n# Module `{}`\n{}\n", module.name(), pretty(module.parameters()));
        (check_id, [(CONTENT_TYPE, PLAIN_TEXT)], text).into_response()
    } else {
        (check_id, [(CONTENT_TYPE, media_type(headers))], metrics).into_response()
    };
    Ok(kept.hold(&state.budget, held, response))
}
