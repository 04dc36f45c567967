//! Why a check was not run.

use tower::{BoxError, load_shed, timeout};

use crate::destination::policy::Forbidden;

/// A check that did not run: nothing is known of the mail server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The limit on checks in flight is reached, or that on checks whose name is being resolved, or no socket is left.
    #[error("too many checks are in flight")]
    Overloaded,
    /// The limit on checks in flight to one address is reached.
    #[error("too many checks of this target are in flight")]
    TargetBusy,
    /// The policy forbids the target, or every host and address that it resolves to.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// This machine does not have the source address that the check asks for: it went away after the start.
    #[error("this machine does not have the source address now")]
    NoSourceAddress,
    /// A fault of this program: the check outlived its deadline, or a layer failed in an unexpected way.
    #[error("the check could not be brought to an end")]
    Internal,
}

impl From<BoxError> for Refusal {
    fn from(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(refusal) => *refusal,
            Err(error) if error.is::<load_shed::error::Overloaded>() => Self::Overloaded,
            Err(error) => {
                let is_backstop = error.is::<timeout::error::Elapsed>();
                tracing::error!(error = ?error, is_backstop, "a check could not be brought to an end");
                Self::Internal
            }
        }
    }
}
