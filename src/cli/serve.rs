//! `serve`: the HTTP service, from its settings to its exit code.

use std::{fmt::Display, fs, future::pending, io, net::SocketAddr, process::ExitCode};

use axum::Router;
use clap::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use super::{failure, make_probe};
use crate::{
    config::{Settings, invalid},
    http::{BodyLimits, Doors, Ended, Lifecycle, ServerSettings, Tokens, TokensError, router, serve as serve_http},
    probe::Probe,
    telemetry,
    tls::TrustAnchors,
};

/// Everything that a service is made of. To have it is to know that the settings are good.
pub(super) struct Parts {
    listen: SocketAddr,
    lifecycle: Lifecycle,
    router: Router,
    server: ServerSettings,
    pub(super) probe: Probe,
}

impl Parts {
    /// Makes the parts. No port is bound yet.
    pub(super) fn new(settings: &Settings, anchors: TrustAnchors) -> Result<Self, Error> {
        let probe = make_probe(settings, anchors)?;
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
        Ok(Self { listen: settings.listen, lifecycle, router, server, probe })
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
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return failure(format_args!("cannot wait for signals: {error}")),
        };
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        }
        let lifecycle = self.lifecycle.clone();
        let (stop, stopped) = oneshot::channel();
        let listen = async {
            signals.next().await;
            // Whoever sends a second one will not wait for the drain.
            stop.send(()).ok();
            signals.next().await;
            lifecycle.hurry();
            pending().await
        };
        let shutdown = async { stopped.await.unwrap_or_default() };
        let ended = tokio::select! {
            ended = serve_http(listener, self.router, self.lifecycle, shutdown, self.server) => ended,
            ended = listen => ended,
        };
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

/// SIGTERM and SIGINT, one after the other. Two that come before the first was taken are one.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
