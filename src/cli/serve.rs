//! `serve`: the HTTP service, from its settings to its exit code.

use std::{future::pending, io::ErrorKind, net::SocketAddr, process::ExitCode, time::Duration};

use axum::Router;
use clap::Error;
use tokio::{net::TcpListener, signal::unix::Signal, sync::oneshot};

use super::{build, open_files::Capacity, output::failure, signals::Signals};
use crate::{
    clock,
    config::{ServeSettings, invalid},
    http::{
        AccessConfig, AppState, BodyLimits, ByteBudget, Ended, Lifecycle, ModuleStore, ServerSettings,
        reload::{Reloadable, warn_of_modules},
        router, serve as serve_http,
    },
    os_error,
    probe::{Limits, Probe},
    telemetry::{Traces, WorkerGuard},
    tls::TrustAnchors,
};

/// How long callers have to read their last responses, after shutdown began and no check is running. A report has a few
/// kilobytes, with a transcript about a megabyte at most.
const LAST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The service, made from settings that are known to be good.
pub(super) struct Service {
    lifecycle: Lifecycle,
    router: Router,
    server: ServerSettings,
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
        build::check_source_addresses(&settings.source_address)?;
        let traces = build::traces(&settings.telemetry)?;
        let capacity = Capacity::of(settings);
        let limits = Limits {
            checks: capacity.checks,
            checks_per_target: settings.max_checks_per_target as usize,
            max_timeout: settings.target.max_timeout,
        };
        let resolver = build::resolver(&settings.target);
        let system_files = resolver.reload();
        let (probe, surveyor) = build::probe(&settings.target, resolver, limits, anchors, traces.as_ref())?;
        let lifecycle = Lifecycle::default();
        let modules = ModuleStore::new(settings.modules.clone());
        let budget = ByteBudget::new(limits.checks, settings.max_body);
        let state = AppState {
            lifecycle: lifecycle.clone(),
            body_limits: BodyLimits::new(settings.max_body, settings.body_timeout, budget.clone()),
            budget: budget.clone(),
            probe: probe.clone(),
            surveyor,
            max_domain_checks: settings.max_domain_checks as usize,
            modules: modules.clone(),
            dropped_lines: Some(log.dropped_lines()),
        };
        warn_of_modules(&settings.modules);
        let tls = settings.service.tls_cert.clone().zip(settings.service.tls_key.clone());
        let mut reloadable =
            Reloadable::open(settings.tokens_file.clone(), tls).map_err(|error| invalid(&error.to_string()))?;
        if let Some(read) = settings.modules_reader() {
            reloadable = reloadable.with_modules(modules, read);
        }
        if let Some(reload) = system_files {
            reloadable = reloadable.with_system_files(Box::new(reload));
        }
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
            max_connections: capacity.connections,
            reserved_connections: capacity.reserved_connections,
            header_timeout: settings.header_timeout,
            body_timeout: settings.body_timeout,
            budget,
            shutdown_grace: settings.shutdown_grace,
            last_response_timeout: LAST_RESPONSE_TIMEOUT,
        };
        Ok(Self { lifecycle, router, server, reloadable, probe, traces })
    }

    /// Serves until SIGTERM, SIGINT or SIGQUIT, then lets running checks finish.
    pub(super) async fn run(self, listener: TcpListener, hangup: Option<Signal>) -> ExitCode {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return failure(format_args!("cannot wait for signals: {}", os_error::of_system(&error))),
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
            never = self.reloadable.on_hangup(hangup) => match never {},
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

/// Binds the port. On failure, it prints the reason and returns the exit code.
pub(super) async fn bind(listen: SocketAddr) -> Result<TcpListener, ExitCode> {
    TcpListener::bind(listen).await.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => "; another program listens there",
            ErrorKind::AddrNotAvailable => "; this machine does not have that address",
            ErrorKind::PermissionDenied => "; ports below 1024 need a permission",
            _ => "",
        };
        failure(format_args!("--listen: cannot listen on {listen}: {}{hint}", os_error::of_system(&error)))
    })
}

/// Whether HTTP can write the system's clock. If not, it prints the reason and returns the exit code.
pub(super) fn check_clock() -> Result<(), ExitCode> {
    if clock::is_in_range() {
        return Ok(());
    }
    Err(failure("the system's clock is before 1970 or after 9999, which HTTP cannot write: set it"))
}

/// Serves until a signal stops it.
pub(super) async fn serve(
    settings: &ServeSettings,
    log: &WorkerGuard,
    hangup: Option<Signal>,
) -> Result<ExitCode, Error> {
    if let Err(code) = check_clock() {
        return Ok(code);
    }
    let service = Service::new(settings, build::trust_anchors(&settings.target)?, log)?;
    Ok(match bind(settings.service.listen).await {
        Ok(listener) => service.run(listener, hangup).await,
        Err(code) => code,
    })
}
