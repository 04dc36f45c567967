//! Traces, sent to a collector by OTLP over gRPC.

use std::{io, time::Duration};

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use url::Url;

use crate::{
    os_error,
    thread::{run_blocking, try_thread},
};

/// How long the last spans may take to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends spans in batches, from a thread of its own. If the collector is slower than the checks, spans are dropped: no
/// check waits for the collector.
#[derive(Clone, Debug)]
pub struct Traces(SdkTracerProvider);

/// Why an endpoint is refused. The URL is not shown: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// gRPC does not send credentials, and the exporter logs the URL.
    #[error("must not have a user name or a password: they would not be sent")]
    Credentials,
    /// The exporter has no thread to send spans from.
    #[error("the thread of the exporter does not start: {}", os_error::of_system(.0))]
    Thread(#[from] io::Error),
    /// The exporter cannot use it.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

impl Traces {
    /// Sends to the collector at `endpoint`, such as `http://127.0.0.1:4317`. Must be called inside a tokio runtime. It
    /// does not connect yet: the log tells of an unreachable collector when there are spans to send.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn to(endpoint: &Url) -> Result<Self, EndpointError> {
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        // The SDK panics where it cannot start its thread.
        try_thread()?;
        let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint.as_str());
        if endpoint.scheme() == "https" {
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let resource = Resource::builder()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter.build()?).build()))
    }

    /// Makes the spans.
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }

    /// Sends the last spans. An unreachable collector delays the end of the program by no more than [`FLUSH_TIMEOUT`].
    pub async fn flush(self) {
        let shutdown = run_blocking("flush", move || self.0.shutdown_with_timeout(FLUSH_TIMEOUT));
        if let Some(Err(error)) = shutdown.await {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}
