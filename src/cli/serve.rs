//! `serve`: the HTTP service, from its settings to its exit code.

use std::{future::pending, net::SocketAddr, process::ExitCode, time::Duration};

use axum::Router;
use clap::Error;
use tokio::{net::TcpListener, sync::oneshot};

use super::{build, output::failure, signals::Signals};
use crate::{
    config::{ServeSettings, invalid},
    http::{
        AccessConfig, AppState, BodyLimits, Ended, Lifecycle, ServerSettings, reload::Reloadable, router,
        serve as serve_http,
    },
    probe::{Limits, Probe},
    telemetry::{self, Traces, WorkerGuard},
    tls::TrustAnchors,
};

/// How long callers have to read their last responses, after shutdown began and no check is running. A report has a few
/// kilobytes, with a transcript about a megabyte at most.
const LAST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The service, made from settings that are known to be good.
pub(super) struct Service {
    listen: SocketAddr,
    lifecycle: Lifecycle,
    router: Router,
    server: ServerSettings,
    /// The most that connections and checks can need at a time.
    open_files: u64,
    reloadable: Reloadable,
    pub(super) probe: Probe,
    traces: Option<Traces>,
}

impl Service {
    /// Makes the service. No port is bound yet.
    ///
    /// # Errors
    /// A setting is bad, or a file that it names.
    pub(super) fn new(settings: &ServeSettings, anchors: TrustAnchors, log: &WorkerGuard) -> Result<Self, Error> {
        let traces = build::traces(&settings.telemetry)?;
        let limits = Limits {
            checks: settings.max_checks as usize,
            checks_per_target: settings.max_checks_per_target as usize,
            max_timeout: settings.target.max_timeout,
        };
        let probe = build::probe(&settings.target, limits, anchors, traces.as_ref());
        let lifecycle = Lifecycle::default();
        let state = AppState {
            lifecycle: lifecycle.clone(),
            body_limits: BodyLimits::new(settings.max_body, settings.body_timeout, limits.checks),
            probe: probe.clone(),
            max_timeout: limits.max_timeout,
            modules: settings.modules.clone(),
            dropped_lines: Some(log.dropped_lines()),
        };
        for module in settings.modules.trusting() {
            tracing::warn!(
                module,
                "sends its password to any server that a caller of /probe names: give the module TLS, \
                `tls_verify = \"require\"` and `tls_server_name`"
            );
        }
        let tls = settings.service.tls_cert.clone().zip(settings.service.tls_key.clone());
        let reloadable =
            Reloadable::open(settings.tokens_file.clone(), tls).map_err(|error| invalid(&error.to_string()))?;
        let tokens = reloadable.tokens();
        let access = AccessConfig {
            // Over TLS, the browser refuses a page of another name by itself. --allow-unauthenticated allows everybody.
            host_check: tokens.is_none() && settings.service.tls_cert.is_none() && !settings.allow_unauthenticated,
            tokens,
            rate_limit: settings.rate_limit,
            trusted_proxies: settings.trusted_proxy.iter().copied().collect(),
        };
        let router = router(state, access)
            .map_err(|error| invalid(&format!("the OpenAPI document cannot be written: {error}")))?;
        let server = ServerSettings {
            identity: reloadable.identity(),
            max_connections: settings.max_connections() as usize,
            header_timeout: settings.header_timeout,
            body_timeout: settings.body_timeout,
            shutdown_grace: settings.shutdown_grace,
            last_response_timeout: LAST_RESPONSE_TIMEOUT,
        };
        // A check has a connection to its mail server, or to a name server.
        let open_files = u64::from(settings.max_connections()) + u64::from(settings.max_checks);
        Ok(Self { listen: settings.service.listen, lifecycle, router, server, open_files, reloadable, probe, traces })
    }

    /// Binds the port. On failure, it prints the reason and returns the exit code.
    pub(super) async fn bind(&self) -> Result<TcpListener, ExitCode> {
        let listener = TcpListener::bind(self.listen).await;
        listener.map_err(|error| failure(format_args!("--listen: cannot listen on {}: {error}", self.listen)))
    }

    /// Serves until SIGTERM or SIGINT, then lets running checks finish.
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
            stop.send(()).ok();
            // A second signal ends the service at once.
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

/// Serves until a signal stops it.
pub(super) async fn serve(settings: &ServeSettings, log: &WorkerGuard) -> Result<ExitCode, Error> {
    let service = Service::new(settings, build::trust_anchors(&settings.target)?, log)?;
    Ok(match service.bind().await {
        Ok(listener) => service.run(listener).await,
        Err(code) => code,
    })
}
