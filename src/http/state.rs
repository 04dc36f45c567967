//! The state of the handlers, and the configuration of access to them.

use std::sync::Arc;

use axum::extract::FromRef;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use super::{
    extract::BodyLimits,
    middleware::{client_ip::TrustedProxies, rate_limit::Rate},
    server::{ByteBudget, Lifecycle},
    tokens::TokenStore,
};
use crate::{check::Modules, domain::Surveyor, probe::Probe};

/// The modules of `/probe`, and what checks may use. A reload replaces both at once; checks that run keep what they
/// have. Clones share them.
#[derive(Clone, Debug)]
pub struct ModuleStore(Arc<watch::Sender<Arc<Modules>>>);

impl ModuleStore {
    /// A store with these modules.
    pub fn new(modules: Modules) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(modules))))
    }

    /// Replaces all modules, for the next request on.
    pub fn replace(&self, modules: Modules) {
        self.0.send_replace(Arc::new(modules));
    }

    /// The modules now.
    pub(super) fn current(&self) -> Arc<Modules> {
        self.0.borrow().clone()
    }
}

/// The state that the handlers share.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Tells whether new checks are accepted, and counts those that run.
    pub lifecycle: Lifecycle,
    /// Limits on request bodies.
    pub body_limits: BodyLimits,
    /// What callers may make the service hold in memory.
    pub budget: ByteBudget,
    /// Runs the checks.
    pub probe: Probe,
    /// Looks at domains.
    pub surveyor: Surveyor,
    /// Checks of domains at a time.
    pub max_domain_checks: usize,
    /// The named checks of the settings file, for `/probe`, and what checks may use.
    pub modules: ModuleStore,
    /// Counts the log lines that were dropped. `None`: there is no log.
    pub dropped_lines: Option<Counter>,
}

/// Each request holds one while its check runs, so it is a reference and not a copy.
pub(super) type SharedState = Arc<AppState>;

impl FromRef<SharedState> for Lifecycle {
    fn from_ref(state: &SharedState) -> Self {
        state.lifecycle.clone()
    }
}

impl FromRef<SharedState> for BodyLimits {
    fn from_ref(state: &SharedState) -> Self {
        state.body_limits.clone()
    }
}

/// Who may call the service, and how often. The default: everyone, without a limit.
#[derive(Clone, Debug, Default)]
pub struct AccessConfig {
    /// The bearer tokens that callers need. `None`: no token is needed.
    pub tokens: Option<TokenStore>,
    /// How often one caller may request a check.
    pub rate_limit: Option<Rate>,
    /// The proxies that may name the client in a header.
    pub trusted_proxies: TrustedProxies,
    /// Whether requests must name the service by `localhost` or an address (protection against DNS rebinding).
    pub host_check: bool,
}
