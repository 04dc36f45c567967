//! Spans for traces (OpenTelemetry): one for the check, and in it one for each phase.
//!
//! The check's span begins with its job and ends however the check ends. Those of the phases are made afterwards, from
//! the report: a trace shows the times that the report shows, and costs a running check nothing.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Context as TraceContext, KeyValue,
    trace::{Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{CheckJob, Probe, Refusal};
use crate::report::{Failure, PhaseReport, Report};

/// The probe with a span for each check, refused ones included.
pub fn traced(probe: Probe, tracer: SdkTracer) -> Probe {
    BoxCloneSyncService::new(service_fn(move |job: CheckJob| {
        let span = CheckSpan::open(tracer.clone(), &job);
        let call = probe.clone().oneshot(job);
        async move {
            let result = call.await;
            match &result {
                Ok(report) => span.close(report),
                Err(refusal) => span.refuse(refusal),
            }
            result
        }
    }))
}

/// The span of a check. Dropped before the check is over, it ends without an outcome: the caller has closed the
/// connection.
struct CheckSpan {
    tracer: SdkTracer,
    span: <SdkTracer as Tracer>::Span,
}

impl CheckSpan {
    fn open(tracer: SdkTracer, job: &CheckJob) -> Self {
        let parent = job.parent.clone().map_or_else(TraceContext::new, as_parent);
        let span = tracer
            .span_builder("smtp check")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("smtp_check.id", job.id.to_string()),
                KeyValue::new("server.port", i64::from(job.check.port)),
            ])
            .start_with_context(&tracer, &parent);
        job.trace.set(span.span_context().trace_id()).ok();
        Self { tracer, span }
    }

    fn close(mut self, report: &Report) {
        let started = SystemTime::from(report.started_at);
        let inside = as_parent(self.span.span_context().clone());
        for phase in &report.phases {
            self.add_phase(phase, report, started, &inside);
        }
        self.span.set_attribute(KeyValue::new("server.address", report.target.host.clone()));
        if let Some(address) = report.target.address {
            self.span.set_attribute(KeyValue::new("network.peer.address", address.to_string()));
        }
        self.span.set_attribute(KeyValue::new("smtp_check.outcome", report.outcome.name()));
        if let Some(failure) = &report.failure {
            self.span.set_attribute(KeyValue::new("smtp_check.failure.phase", failure.phase.name()));
            set_error(&mut self.span, failure);
        }
        self.span.end_with_timestamp(started + millis(report.metrics.duration));
    }

    fn add_phase(&self, phase: &PhaseReport, report: &Report, started: SystemTime, check: &TraceContext) {
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
            Some(failure) => set_error(&mut span, failure),
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

fn set_error(span: &mut impl Span, failure: &Failure) {
    span.set_attribute(KeyValue::new("error.type", failure.kind.name()));
    span.set_status(Status::error(failure.message.clone()));
}

fn as_parent(parent: SpanContext) -> TraceContext {
    TraceContext::new().with_remote_span_context(parent)
}

fn millis(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}
