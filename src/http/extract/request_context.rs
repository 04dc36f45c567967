//! Extractor of the context of a check: its caller and its trace.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use opentelemetry::trace::SpanContext;

use super::trace_context;
use crate::{check::Check, http::middleware::auth::Caller, probe::CheckJob};

/// What a [`CheckJob`] has besides the check. Every handler that runs checks extracts it.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    caller: Option<String>,
    parent: Option<SpanContext>,
}

impl RequestContext {
    /// Makes the job that runs this check.
    pub(crate) fn job(self, check: Check) -> CheckJob {
        let Self { caller, parent } = self;
        CheckJob { caller, parent, ..CheckJob::new(check) }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>().map(|caller| caller.0.to_string());
        Ok(Self { caller, parent: trace_context::parent(&parts.headers) })
    }
}
