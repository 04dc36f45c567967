//! Responses that several operations of the OpenAPI document have in common.

use utoipa::IntoResponses;

use crate::{
    destination::policy::Forbidden,
    http::{
        middleware::rate_limit,
        problem::{Problem, ProblemType},
    },
    probe::Refusal,
};

/// A valid token is required
#[derive(IntoResponses)]
#[response(status = 401, content_type = "application/problem+json",
    headers(("WWW-Authenticate" = String, description = "The scheme: `Bearer`")),
    example = json!(Problem::new(ProblemType::Unauthorized, "the token is not known")))]
#[expect(dead_code, reason = "only the document uses it")]
pub(crate) struct Unauthorized(Problem);

/// The problems of every operation that runs a check: the check was not run.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only the document uses the variants")]
pub(crate) enum CheckRefused {
    /// The operator forbids the target
    #[response(status = 403, content_type = "application/problem+json",
        example = json!(Problem::from(Refusal::Forbidden(Forbidden::Port { port: 110 }))))]
    Forbidden(Problem),
    /// Without tokens, the host of a request must be an IP address or `localhost`
    #[response(status = 421, content_type = "application/problem+json",
        example = json!(Problem::new(ProblemType::MisdirectedRequest, "without tokens, the service answers only to `localhost` and IP addresses")))]
    Misdirected(Problem),
    /// The caller sends too many requests, or too many checks of this target are running
    #[response(status = 429, content_type = "application/problem+json",
        headers(
            ("Retry-After" = u32, description = "In seconds"),
            ("RateLimit-Policy" = String, description = "As on a 200"),
            ("RateLimit" = String, description = "As on a 200"),
        ),
        examples(
            ("rate_limited" = (summary = "The caller sends too many requests", value = json!(rate_limit::example()))),
            ("target_busy" = (summary = "Too many checks of this target are running", value = json!(Problem::from(Refusal::TargetBusy)))),
        ))]
    TooManyRequests(Problem),
    /// A fault of the service
    #[response(status = 500, content_type = "application/problem+json", example = json!(Problem::internal()))]
    Internal(Problem),
    /// The service is overloaded or shutting down, or lacks the source address
    #[response(status = 503, content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "In seconds")),
        examples(
            ("overloaded" = (summary = "The service has reached a limit", value = json!(Problem::from(Refusal::Overloaded)))),
            ("no_source_address" = (summary = "The machine of the service does not have the check's source address now",
                value = json!(Problem::from(Refusal::NoSourceAddress)))),
            ("shutting_down" = (summary = "The service is shutting down", value = json!(Problem::shutting_down()))),
        ))]
    Unavailable(Problem),
}
