//! Why a check was not run.

use tower::{BoxError, load_shed, timeout};

use crate::destination::policy::Forbidden;

/// A check that did not run: nothing is known of the mail server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many checks as the house holds are in flight, or wait for a name to be resolved, or it has no sockets left.
    #[error("too many checks are in flight")]
    Overloaded,
    /// As many checks as one address may have are in flight to it.
    #[error("too many checks of this target are in flight")]
    TargetBusy,
    /// The policy forbids the target, or every host and address that it leads to.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The check outlived its deadline, or a layer failed in a way that it should not.
    #[error("the check could not be brought to an end")]
    Internal,
}

impl From<BoxError> for Refusal {
    fn from(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(refusal) => *refusal,
            Err(error) if error.is::<load_shed::error::Overloaded>() => Self::Overloaded,
            Err(error) => {
                let is_axe = error.is::<timeout::error::Elapsed>();
                tracing::error!(error = ?error, is_axe, "a check could not be brought to an end");
                Self::Internal
            }
        }
    }
}
