//! Traces, sent to a collector by OTLP over gRPC.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use url::Url;

/// How long the last spans may take to be sent.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Collects spans and sends them in batches, from a thread of its own. Where the collector is slower than the checks, spans are
/// dropped: no check ever waits for one.
#[derive(Clone, Debug)]
pub struct Traces(SdkTracerProvider);

/// Nothing can be sent to an endpoint. The URL is not shown, for it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// gRPC would not send them, and the exporter writes the URL into its log.
    #[error("must be without user name and password: they would not be sent")]
    Credentials,
    /// It is no address that could be connected to.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

impl Traces {
    /// Sends to the collector at `endpoint`, such as `http://127.0.0.1:4317`. To be called inside a runtime. Nothing is sent yet: a
    /// collector that is not there is logged once there is something to send.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn to(endpoint: &Url) -> Result<Self, EndpointError> {
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(EndpointError::Credentials);
        }
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

    /// What makes the spans.
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }

    /// Sends what is left. A collector that does not take it is not waited for: whoever ends the service, or asked for one check, is.
    pub async fn flush(self) {
        let shutdown = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH_TIME));
        if let Ok(Err(error)) = shutdown.await {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}
