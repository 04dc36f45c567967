//! [`Given`]: the parameters of a check as they were given, to repeat the check elsewhere.

use std::{fmt, net::IpAddr, time::Duration};

use super::CheckRequest;
use crate::secret::Secret;

/// The parameters as they were given. The password is apart from them: nothing repeats it. Of the payload and the
/// message, the check has a copy already.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Boxed: it is large, and a check is moved from layer to layer.
    request: Box<CheckRequest>,
    password: Option<Secret>,
    /// Whether there was a payload.
    pub has_payload: bool,
}

impl Given {
    pub(super) fn new(mut request: CheckRequest) -> Self {
        request.message = None;
        let password = request.sasl_password.take();
        let has_payload = request.payload.take().is_some();
        Self { request: Box::new(request), password, has_payload }
    }

    /// The same parameters for this address of a host, with a timeout.
    #[must_use]
    pub(super) fn with_address(&self, host: &str, address: IpAddr, timeout: Duration) -> Self {
        let mut request = self.request.clone();
        request.target = Some(address.to_string());
        request.tls_server_name = Some(host.to_owned());
        request.timeout_ms = timeout.as_millis().try_into().ok();
        Self { request, ..self.clone() }
    }

    /// The password, with or without an effect: to keep it out of what repeats the parameters.
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// The parameters.
    pub fn request(&self) -> &CheckRequest {
        &self.request
    }
}

/// Without the parameters: those that have an effect are in the check.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given")
    }
}
