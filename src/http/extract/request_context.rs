//! Extractor of the context of a check: its caller and its trace.

use std::{convert::Infallible, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use opentelemetry::trace::SpanContext;

use super::trace_context;
use crate::{
    check::{Check, DomainCheck},
    domain::DomainJob,
    http::middleware::{access_log::StartedCheck, auth::Caller},
    probe::{CheckJob, TraceSlot},
};

/// What a [`CheckJob`] has besides the check. Every handler that runs checks extracts it.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    caller: Option<Arc<str>>,
    parent: Option<SpanContext>,
    started: Option<StartedCheck>,
}

impl RequestContext {
    /// Makes the job that runs this check.
    pub(crate) fn job(self, check: Check) -> CheckJob {
        let Self { caller, parent, started } = self;
        let job = CheckJob { caller, ..CheckJob::new(check) }.with_parent(parent);
        if let Some(started) = started {
            started.record(job.id, job.trace.clone());
        }
        job
    }

    /// Makes the job that checks this domain.
    pub(crate) fn domain_job(self, check: DomainCheck) -> DomainJob {
        let Self { caller, parent, started } = self;
        let job = DomainJob { caller, parent, ..DomainJob::new(check) };
        if let Some(started) = started {
            // The trace is in the headers, which the log reads itself.
            started.record(job.id, TraceSlot::default());
        }
        job
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>().map(|caller| Arc::from(caller.0.to_string()));
        let started = parts.extensions.get().cloned();
        Ok(Self { caller, parent: trace_context::parent(&parts.headers), started })
    }
}
