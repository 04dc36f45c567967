//! Spans for who collects traces: one for the check, and one in it for each phase, by OpenTelemetry's names.
//!
//! A check's span opens when it is ordered and ends however the check does. Those of the phases are drawn afterwards, from the
//! report, so that a trace shows the very times that the report does, and costs a running check nothing.

use std::{
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context as TraceContext, KeyValue,
    trace::{Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use tower::Service;

use super::{BoxFuture, CheckJob, Refusal};
use crate::report::{Failure, PhaseReport, Report};

/// From a [`CheckJob`] to a [`Report`], with spans.
#[derive(Clone, Debug)]
pub(super) struct Traced<S> {
    tracer: SdkTracer,
    inner: S,
}

impl<S> Traced<S> {
    pub(super) fn new(tracer: SdkTracer, inner: S) -> Self {
        Self { tracer, inner }
    }
}

impl<S> Service<CheckJob> for Traced<S>
where
    S: Service<CheckJob, Response = Report, Error = Refusal, Future: Send + 'static>,
{
    type Response = Report;
    type Error = Refusal;
    type Future = BoxFuture<Result<Report, Refusal>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, order: CheckJob) -> Self::Future {
        let span = CheckSpan::open(self.tracer.clone(), &order);
        let call = self.inner.call(order);
        Box::pin(async move {
            let answer = call.await;
            match &answer {
                Ok(report) => span.close(report),
                Err(refusal) => span.refuse(refusal),
            }
            answer
        })
    }
}

/// The span of a check. Dropped before the check is over, for its caller has hung up, it ends without an outcome.
struct CheckSpan {
    tracer: SdkTracer,
    span: <SdkTracer as Tracer>::Span,
}

impl CheckSpan {
    fn open(tracer: SdkTracer, order: &CheckJob) -> Self {
        let parent = order.parent.clone().map_or_else(TraceContext::new, within);
        let span = tracer
            .span_builder("smtp check")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("smtp_check.id", order.id.to_string()),
                KeyValue::new("server.port", i64::from(order.check.port)),
            ])
            .start_with_context(&tracer, &parent);
        Self { tracer, span }
    }

    fn close(mut self, report: &Report) {
        let started = SystemTime::from(report.started_at);
        let inside = within(self.span.span_context().clone());
        for phase in &report.phases {
            self.draw(phase, report, started, &inside);
        }
        self.span.set_attribute(KeyValue::new("server.address", report.target.host.clone()));
        if let Some(address) = report.target.address {
            self.span.set_attribute(KeyValue::new("network.peer.address", address.to_string()));
        }
        self.span.set_attribute(KeyValue::new("smtp_check.outcome", report.outcome.name()));
        if let Some(failure) = &report.failure {
            self.span.set_attribute(KeyValue::new("smtp_check.failure.phase", failure.phase.name()));
            blame(&mut self.span, failure);
        }
        self.span.end_with_timestamp(started + millis(report.metrics.duration));
    }

    fn draw(&self, phase: &PhaseReport, report: &Report, started: SystemTime, check: &TraceContext) {
        let begun = started + millis(phase.started_ms);
        let ended = phase.time_ms.map_or(started + millis(report.metrics.duration), |time| begun + millis(time));
        let mut span = self
            .tracer
            .span_builder(format!("smtp {}", phase.name))
            .with_kind(SpanKind::Client)
            .with_start_time(begun)
            .start_with_context(&self.tracer, check);
        if let Some(code) = phase.code {
            span.set_attribute(KeyValue::new("smtp.reply.code", i64::from(code)));
        }
        if let Some(code) = &phase.enhanced_code {
            span.set_attribute(KeyValue::new("smtp.reply.enhanced_code", code.clone()));
        }
        match report.failure.as_ref().filter(|failure| failure.phase == phase.name) {
            Some(failure) => blame(&mut span, failure),
            None if !phase.ok => span.set_status(Status::error("")),
            None => {}
        }
        span.end_with_timestamp(ended);
    }

    fn refuse(mut self, refusal: &Refusal) {
        self.span.set_attribute(KeyValue::new("smtp_check.outcome", "refused"));
        self.span.set_status(Status::error(refusal.to_string()));
    }
}

fn blame(span: &mut impl Span, failure: &Failure) {
    span.set_attribute(KeyValue::new("error.type", failure.kind.name()));
    span.set_status(Status::error(failure.message.clone()));
}

fn within(parent: SpanContext) -> TraceContext {
    TraceContext::new().with_remote_span_context(parent)
}

fn millis(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}
