//! What the handlers share, and who may use them.

use std::{sync::Arc, time::Duration};

use axum::extract::FromRef;
use prometheus_client::metrics::counter::Counter;

use super::{
    extract::BodyLimits,
    middleware::{auth::Guard, client_ip::TrustedProxies, rate_limit::Rate},
    server::Lifecycle,
};
use crate::{check::Modules, probe::Probe};

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Whether new checks are taken.
    pub lifecycle: Lifecycle,
    /// What a request body may cost.
    pub body_limits: BodyLimits,
    /// What runs the checks.
    pub probe: Probe,
    /// The longest time that a check may ask for.
    pub max_timeout: Duration,
    /// The checks that the operator has named.
    pub modules: Modules,
    /// Counts the lines that the log had to leave out, if there is a log.
    pub dropped_lines: Option<Counter>,
}

/// Each request holds a reference to the state, for as long as its check runs.
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

/// Who may call the service, and how often. By default anybody, without a limit.
#[derive(Clone, Debug, Default)]
pub struct AccessConfig {
    /// Asks for a bearer token, where tokens are configured.
    pub guard: Option<Guard>,
    /// How often one caller may ask for a check.
    pub rate_limit: Option<Rate>,
    /// Which proxies are believed when they name the client.
    pub trusted_proxies: TrustedProxies,
    /// Whether requests must name the service by `localhost` or an address (protection against DNS rebinding).
    pub host_check: bool,
}
