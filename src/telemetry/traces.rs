//! Traces, sent to a collector by OTLP over gRPC.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};

/// Collects spans and sends them in batches, from a thread of its own. Where the collector is slower than the checks, spans are
/// dropped: no check ever waits for one.
#[derive(Clone, Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends to the collector at `endpoint`, such as `http://127.0.0.1:4317`. To be called inside a runtime. Nothing is sent yet: a
    /// collector that is not there is logged once there is something to send.
    ///
    /// # Errors
    /// The endpoint is no address that could be connected to.
    pub fn to(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
        if endpoint.starts_with("https:") {
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let resource = Resource::builder()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter.build()?).build()))
    }

    /// What makes the spans.
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }

    /// Sends what is left. Takes five seconds at the most.
    pub async fn flush(self) {
        let shutdown = tokio::task::spawn_blocking(move || self.0.shutdown());
        if let Ok(Err(error)) = shutdown.await {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}
