//! `serve`: the HTTP service, from its settings to its exit code.

use std::{fmt::Display, fs, future::Future, io, net::SocketAddr, process::ExitCode};

use axum::Router;
use clap::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{failure, make_probe, traces};
use crate::{
    config::{Settings, invalid},
    http::{BodyLimits, Doors, Ended, Lifecycle, ServerSettings, Tokens, TokensError, router, serve as serve_http},
    probe::Probe,
    telemetry::{self, Traces},
    tls::TrustAnchors,
};

/// Everything that a service is made of. To have it is to know that the settings are good.
pub(super) struct Parts {
    listen: SocketAddr,
    lifecycle: Lifecycle,
    router: Router,
    server: ServerSettings,
    pub(super) probe: Probe,
    traces: Option<Traces>,
}

impl Parts {
    /// Makes the parts. No port is bound yet.
    pub(super) fn new(settings: &Settings, anchors: TrustAnchors) -> Result<Self, Error> {
        let traces = traces(settings)?;
        let probe = make_probe(settings, anchors, traces.as_ref())?;
        let lifecycle = Lifecycle::default();
        let doors = Doors {
            lifecycle: lifecycle.clone(),
            body_limits: BodyLimits { size: settings.max_body, time: settings.body_timeout },
            probe: probe.clone(),
            max_timeout: settings.max_timeout,
        };
        let router = router(doors, tokens(settings)?)
            .map_err(|error| invalid(&format!("the OpenAPI document cannot be written: {error}")))?;
        let server = ServerSettings {
            header_timeout: settings.header_timeout,
            body_timeout: settings.body_timeout,
            shutdown_grace: settings.shutdown_grace,
        };
        Ok(Self { listen: settings.listen, lifecycle, router, server, probe, traces })
    }

    /// Binds the port.
    pub(super) async fn bind(&self) -> io::Result<TcpListener> {
        TcpListener::bind(self.listen).await
    }

    /// Serves until a signal says stop, and drains.
    pub(super) async fn run(self, listener: TcpListener) -> ExitCode {
        match telemetry::raise_open_files() {
            Ok(limit) => tracing::debug!(limit, "open files"),
            Err(error) => tracing::warn!(%error, "the limit on open files stays as it is"),
        }
        let (first, second) = match (signals(1), signals(2)) {
            (Ok(first), Ok(second)) => (first, second),
            (Err(error), _) | (_, Err(error)) => return failure(format_args!("cannot wait for signals: {error}")),
        };
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        }
        let ended = tokio::select! {
            ended = serve_http(listener, self.router, self.lifecycle.clone(), first, self.server) => ended,
            () = second => Ended::Cut { checks: self.lifecycle.running(), connections: 0 },
        };
        if let Some(traces) = self.traces {
            traces.flush().await;
        }
        match ended {
            Ended::Drained => {
                tracing::info!("stopped: {ended}");
                ExitCode::SUCCESS
            }
            Ended::Cut { .. } => {
                tracing::error!("stopped: {ended}");
                ExitCode::FAILURE
            }
        }
    }
}

/// `serve`.
pub(super) async fn serve(parts: Parts) -> ExitCode {
    match parts.bind().await {
        Ok(listener) => parts.run(listener).await,
        Err(error) => failure(format_args!("--listen: cannot listen on {}: {error}", parts.listen)),
    }
}

fn tokens(settings: &Settings) -> Result<Option<Tokens>, Error> {
    let Some(path) = &settings.tokens_file else { return Ok(None) };
    let complaint = |error: &dyn Display| invalid(&format!("--tokens-file: {}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| complaint(&error))?;
    text.parse().map(Some).map_err(|error: TokensError| complaint(&error))
}

/// Ready once as many SIGTERM or SIGINT have come. The first begins the drain; who sends a second one will not wait for it.
fn signals(count: usize) -> io::Result<impl Future<Output = ()>> {
    let mut terminate: Signal = signal(SignalKind::terminate())?;
    let mut interrupt: Signal = signal(SignalKind::interrupt())?;
    Ok(async move {
        for _ in 0..count {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    })
}
