//! [`Given`]: the parameters of a check as they were given, to repeat the check elsewhere.

use std::fmt;

use super::CheckRequest;

/// The parameters as they were given, but for the password, which nothing repeats, and the payload and the message,
/// of which the check has a copy already.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Boxed: it is large, and a check is moved from layer to layer.
    request: Box<CheckRequest>,
    /// Whether there was a payload.
    pub has_payload: bool,
}

impl Given {
    pub(super) fn new(mut request: CheckRequest) -> Self {
        request.sasl_password = None;
        request.message = None;
        let has_payload = request.payload.take().is_some();
        Self { request: Box::new(request), has_payload }
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
