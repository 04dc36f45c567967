//! A collector of traces: receives OTLP over gRPC and keeps it.

use std::{collections::BTreeMap, net::SocketAddr};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use super::program::WAIT_TIMEOUT;

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
}

struct Inbox(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Inbox {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).ok();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (sender, received) = mpsc::unbounded_channel();
        let service = TraceServiceServer::new(Inbox(sender));
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
        Self { address, received }
    }

    /// The next spans that arrive, with the resource attributes of their sender.
    pub(crate) async fn next(&mut self) -> (BTreeMap<String, String>, Vec<Span>) {
        let request = timeout(WAIT_TIMEOUT, self.received.recv()).await.expect("spans arrive").expect("it runs");
        let mut resource = BTreeMap::new();
        let mut spans = Vec::new();
        for batch in request.resource_spans {
            resource.extend(batch.resource.into_iter().flat_map(|resource| texts(resource.attributes)));
            spans.extend(batch.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        (resource, spans)
    }
}

/// Attributes as text.
pub(crate) fn texts(
    attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>,
) -> impl Iterator<Item = (String, String)> {
    attributes.into_iter().map(|attribute| {
        let text = match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => panic!("{}: {other:?}", attribute.key),
        };
        (attribute.key, text)
    })
}
