//! `serve`: the HTTP service, from its settings to its exit code.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io::{self, IsTerminal},
    net::SocketAddr,
    process::ExitCode,
};

use axum::Router;
use clap::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{failure, make_probe, tokens_file::TokensFile};
use crate::{
    config::{Settings, invalid},
    http::{Access, BodyLimits, Doors, Ended, Lifecycle, ServerSettings, router, serve as serve_http},
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
    reloadable: Reloadable,
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
        let reloadable = Reloadable::open(settings)?;
        let access = Access {
            guard: reloadable.tokens.as_ref().map(TokensFile::guard),
            rate_limit: settings.rate_limit,
            trusted_proxies: settings.trusted_proxy.iter().copied().collect(),
        };
        let router = router(doors, access)
            .map_err(|error| invalid(&format!("the OpenAPI document cannot be written: {error}")))?;
        let server = ServerSettings {
            header_timeout: settings.header_timeout,
            body_timeout: settings.body_timeout,
            shutdown_grace: settings.shutdown_grace,
        };
        Ok(Self { listen: settings.listen, lifecycle, router, server, reloadable, probe })
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
        let (first, second, reloads) = match (signals(1), signals(2), self.reloadable.on_hangup()) {
            (Ok(first), Ok(second), Ok(reloads)) => (first, second, reloads),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                return failure(format_args!("cannot wait for signals: {error}"));
            }
        };
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        }
        let ended = tokio::select! {
            ended = serve_http(listener, self.router, self.lifecycle.clone(), first, self.server) => ended,
            () = second => Ended::Cut { checks: self.lifecycle.running(), connections: 0 },
            never = reloads => match never {},
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

/// What an operator may change while the service runs. Checks and connections go on.
#[derive(Debug)]
struct Reloadable {
    tokens: Option<TokensFile>,
}

impl Reloadable {
    fn open(settings: &Settings) -> Result<Self, Error> {
        let tokens = settings.tokens_file.as_ref().map(|path| {
            let file = TokensFile::open(path.clone());
            file.map_err(|error| invalid(&format!("--tokens-file: {}: {error}", path.display())))
        });
        Ok(Self { tokens: tokens.transpose()? })
    }

    /// Everything once more. What is wrong is logged, and stays as it was.
    fn reload(&self) {
        if self.is_empty() {
            tracing::info!("nothing to read again on SIGHUP");
        }
        self.tokens.iter().for_each(TokensFile::reload);
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_none()
    }

    /// Reloads on each SIGHUP, and never ends.
    ///
    /// In a terminal, where there is nothing to reload, the signal keeps its first meaning: the terminal is gone, and so is who
    /// would have ended the service.
    fn on_hangup(self) -> io::Result<impl Future<Output = Infallible>> {
        let waits = !(self.is_empty() && io::stderr().is_terminal());
        let mut hangup = waits.then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(async move {
            loop {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => pending().await,
                };
                self.reload();
            }
        })
    }
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
