//! How every door that runs checks says that one was not run, as the document has it.

use utoipa::IntoResponses;

use crate::{
    destination::policy::Forbidden,
    http::{
        middleware::rate_limit,
        problem::{Problem, ProblemType},
    },
    probe::Refusal,
};

/// The problems that these doors have in common.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the document is made of the variants, and no answer is")]
pub(crate) enum NotRun {
    /// A valid token is required
    #[response(status = 401, content_type = "application/problem+json",
        headers(("WWW-Authenticate" = String, description = "The scheme: `Bearer`")),
        example = json!(Problem::new(ProblemType::Unauthorized, "the token is not known")))]
    Unauthorized(Problem),
    /// The operator forbids the target
    #[response(status = 403, content_type = "application/problem+json",
        example = json!(Problem::from(Refusal::Forbidden(Forbidden::Port { port: 110 }))))]
    Forbidden(Problem),
    /// Without tokens, the service is asked by an address or by `localhost` only
    #[response(status = 421, content_type = "application/problem+json",
        example = json!(Problem::new(ProblemType::MisdirectedRequest, "where no token is asked for, ask by `localhost` or an address")))]
    Misdirected(Problem),
    /// The caller asks too often, or too many checks of this target are running
    #[response(status = 429, content_type = "application/problem+json",
        headers(
            ("Retry-After" = u32, description = "In seconds"),
            ("RateLimit-Policy" = String, description = "As on a 200"),
            ("RateLimit" = String, description = "As on a 200"),
        ),
        examples(
            ("rate_limited" = (summary = "The caller asks too often", value = json!(rate_limit::example()))),
            ("target_busy" = (summary = "Too many checks of this target are running", value = json!(Problem::from(Refusal::TargetBusy)))),
        ))]
    TooMany(Problem),
    /// A fault of the service
    #[response(status = 500, content_type = "application/problem+json", example = json!(Problem::fault()))]
    Fault(Problem),
    /// The service is full, or about to stop
    #[response(status = 503, content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "In seconds")),
        examples(
            ("overloaded" = (summary = "As many checks are running as there may be", value = json!(Problem::from(Refusal::Overloaded)))),
            ("shutting_down" = (summary = "The service is about to stop", value = json!(Problem::shutting_down()))),
        ))]
    Unavailable(Problem),
}
