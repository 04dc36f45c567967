//! The explanation of a failure: one or two sentences on what it most likely means, and what to do.
//!
//! - [`causes`]: failures whose cause is known as data, and those of the connection.
//! - [`certificate`]: certificates that failed the check.
//! - [`replies`]: replies that refuse something. Their codes decide; where only the text tells, the explanation says
//!   "most likely".

mod causes;
mod certificate;
mod replies;

use super::refusal::Refusal;
use crate::{
    report::{Failure, FailureKind, Report},
    smtp::Script,
};

/// The explanation of this failure; `None` where there is nothing to say beyond the facts. Names of parameters are in
/// backquotes. `refusal` is the reply that failed the check, if it refuses something.
pub(super) fn of(failure: &Failure, refusal: Option<&Refusal<'_>>, report: &Report, script: &Script) -> Option<String> {
    let by_cause = failure.cause.as_ref().and_then(|cause| causes::of_cause(cause, failure, report, script));
    by_cause.or_else(|| match failure.kind {
        FailureKind::Rejected | FailureKind::Unexpected => replies::of(refusal?),
        _ => causes::of_kind(failure, report),
    })
}

#[cfg(test)]
mod tests;
