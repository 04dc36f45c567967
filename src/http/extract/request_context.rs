//! Where a check is asked for: by whom, and within which trace.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use opentelemetry::trace::SpanContext;

use super::trace_context;
use crate::{check::Check, http::middleware::auth::Caller, probe::CheckJob};

/// What an order says beside the check itself. Every door that runs checks takes it from the request.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    caller: Option<String>,
    parent: Option<SpanContext>,
}

impl RequestContext {
    /// An order for this check.
    pub(crate) fn order(self, check: Check) -> CheckJob {
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
