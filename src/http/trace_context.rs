//! The trace that a request belongs to (W3C Trace Context, `traceparent` and `tracestate`).

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The caller's span, if the request names one. A header that is not of the form is as none, as the specification has it.
#[derive(Clone, Debug)]
pub(super) struct TraceParent(pub(super) Option<SpanContext>);

impl<S: Sync> FromRequestParts<S> for TraceParent {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        if !parts.headers.contains_key("traceparent") {
            return Ok(Self(None));
        }
        let found = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(&parts.headers));
        let parent = found.span().span_context().clone();
        Ok(Self(parent.is_valid().then_some(parent)))
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
