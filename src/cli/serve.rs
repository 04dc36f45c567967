//! `serve`: the HTTP service, from its settings to its exit code.

use std::{future::pending, io, net::SocketAddr, process::ExitCode, time::Duration};

use axum::Router;
use clap::Error;
use tokio::{net::TcpListener, sync::oneshot};

use super::{failure, make_probe, reloadable::Reloadable, signals::Signals, traces};
use crate::{
    config::{Settings, invalid},
    http::{AccessConfig, AppState, BodyLimits, Ended, Lifecycle, ServerSettings, router, serve as serve_http},
    probe::Probe,
    telemetry::{self, Log, Traces},
    tls::TrustAnchors,
};

/// How long callers may take over their answers once no check is running, and the service is to end. A report is a few kilobytes, with
/// a dialogue at most a megabyte or so.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Everything that a service is made of. To have it is to know that the settings are good.
pub(super) struct Parts {
    listen: SocketAddr,
    lifecycle: Lifecycle,
    router: Router,
    server: ServerSettings,
    /// The most that there can be at a time, give or take the few that the program has of its own.
    open_files: u64,
    reloadable: Reloadable,
    pub(super) probe: Probe,
    traces: Option<Traces>,
}

impl Parts {
    /// Makes the parts. No port is bound yet.
    pub(super) fn new(settings: &Settings, anchors: TrustAnchors, log: &Log) -> Result<Self, Error> {
        let traces = traces(settings)?;
        let probe = make_probe(settings, anchors, traces.as_ref())?;
        let lifecycle = Lifecycle::default();
        let doors = AppState {
            lifecycle: lifecycle.clone(),
            body_limits: BodyLimits::new(settings.max_body, settings.body_timeout, settings.max_checks as usize),
            probe: probe.clone(),
            max_timeout: settings.max_timeout,
            modules: settings.modules.clone(),
            dropped_lines: Some(log.dropped_lines()),
        };
        for module in settings.modules.trusting() {
            tracing::warn!(
                module,
                "gives its password to any server that a caller of /probe names: give the module TLS, \
                `tls_verify = \"require\"` and `tls_server_name`"
            );
        }
        let reloadable = Reloadable::open(settings)?;
        let guard = reloadable.guard();
        let access = AccessConfig {
            // Over TLS a page with another name gets no connection; and who was told to let everybody in has said so.
            host_check: guard.is_none() && settings.tls_cert.is_none() && !settings.allow_unauthenticated,
            tokens: guard,
            rate_limit: settings.rate_limit,
            trusted_proxies: settings.trusted_proxy.iter().copied().collect(),
        };
        let router = router(doors, access)
            .map_err(|error| invalid(&format!("the OpenAPI document cannot be written: {error}")))?;
        let server = ServerSettings {
            identity: reloadable.identity(),
            max_connections: settings.max_connections() as usize,
            header_timeout: settings.header_timeout,
            body_timeout: settings.body_timeout,
            shutdown_grace: settings.shutdown_grace,
            last_answers: LAST_ANSWERS,
        };
        // A check has a connection to its mail server, or asks a name server.
        let open_files = u64::from(settings.max_connections()) + u64::from(settings.max_checks);
        Ok(Self { listen: settings.listen, lifecycle, router, server, open_files, reloadable, probe, traces })
    }

    /// Binds the port.
    pub(super) async fn bind(&self) -> io::Result<TcpListener> {
        TcpListener::bind(self.listen).await
    }

    /// Serves until a signal says stop, and drains.
    pub(super) async fn run(self, listener: TcpListener) -> ExitCode {
        match telemetry::raise_open_files() {
            Ok(limit) if limit < self.open_files => {
                let wanted = self.open_files;
                tracing::warn!(limit, wanted, "too few open files for --max-connections and --max-checks together");
            }
            Ok(limit) => tracing::debug!(limit, "open files"),
            Err(error) => tracing::warn!(%error, "the limit on open files stays as it is"),
        }
        let (mut signals, reloads) = match (Signals::new(), self.reloadable.on_hangup()) {
            (Ok(signals), Ok(reloads)) => (signals, reloads),
            (Err(error), _) | (_, Err(error)) => return failure(format_args!("cannot wait for signals: {error}")),
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
            lifecycle.force();
            pending().await
        };
        let shutdown = async { stopped.await.unwrap_or_default() };
        let ended = tokio::select! {
            ended = serve_http(listener, self.router, self.lifecycle, shutdown, self.server) => ended,
            ended = listen => ended,
            never = reloads => match never {},
        };
        if let Some(traces) = self.traces {
            traces.flush().await;
        }
        match ended {
            Ended::Drained { .. } => {
                tracing::info!("stopped: {ended}");
                ExitCode::SUCCESS
            }
            Ended::Aborted { .. } => {
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
