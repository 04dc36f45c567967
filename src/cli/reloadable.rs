//! What an operator may change while the service runs: files that are read again on SIGHUP. Checks and connections go on.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io::{self, IsTerminal},
    sync::Arc,
};

use clap::Error;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};

use super::tokens_file::TokensFile;
use crate::{
    config::{Settings, invalid},
    http::{ServerIdentity, TokenStore},
};

/// The files, each as it was when it was last good.
#[derive(Debug)]
pub(super) struct Reloadable {
    tokens: Option<TokensFile>,
    identity: Option<ServerIdentity>,
}

impl Reloadable {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// One of them is of no use.
    pub(super) fn open(settings: &Settings) -> Result<Self, Error> {
        let tokens = settings.tokens_file.as_ref().map(|path| {
            let file = TokensFile::open(path.clone());
            file.map_err(|error| invalid(&format!("--tokens-file: {}: {error}", path.display())))
        });
        let files = settings.tls_cert.as_ref().zip(settings.tls_key.as_ref());
        let identity = files.map(|(certificate, key)| {
            ServerIdentity::load(certificate, key).map_err(|error| invalid(&error.to_string()))
        });
        Ok(Self { tokens: tokens.transpose()?, identity: identity.transpose()? })
    }

    /// Who asks callers for tokens, if there are any.
    pub(super) fn guard(&self) -> Option<TokenStore> {
        self.tokens.as_ref().map(TokensFile::guard)
    }

    /// What HTTPS is served with, if it is.
    pub(super) fn identity(&self) -> Option<ServerIdentity> {
        self.identity.clone()
    }

    /// Everything once more. What is wrong is logged, and stays as it was.
    fn reload(&self) {
        if self.is_empty() {
            tracing::info!("nothing to read again on SIGHUP");
        }
        self.tokens.iter().for_each(TokensFile::reload);
        match self.identity.as_ref().map(ServerIdentity::reload) {
            Some(Ok(())) => tracing::info!("certificate and key read again"),
            Some(Err(error)) => tracing::error!(%error, "certificate and key not read again, the old ones stay"),
            None => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_none() && self.identity.is_none()
    }

    /// Reloads on each SIGHUP, and never ends.
    ///
    /// In a terminal, where there is nothing to reload, the signal keeps its first meaning: the terminal is gone, and so is who
    /// would have ended the service.
    pub(super) fn on_hangup(self) -> io::Result<impl Future<Output = Infallible>> {
        let waits = !(self.is_empty() && io::stderr().is_terminal());
        let mut hangup = waits.then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(async move {
            let files = Arc::new(self);
            loop {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => pending().await,
                };
                // A file may be on a network that is away, and nobody else is to wait for it.
                let files = files.clone();
                if let Err(error) = spawn_blocking(move || files.reload()).await {
                    tracing::error!(%error, "not read again");
                }
            }
        })
    }
}
