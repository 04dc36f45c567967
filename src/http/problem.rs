//! Errors as RFC 9457 problem documents. Every error of every door becomes one here, and nowhere else.

use std::{any::Any, borrow::Cow};

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    check::{Invalid, Violation},
    probe::Refusal,
};

/// The media type of RFC 9457, section 3.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What kind of problem it is: RFC 9457's `type`, a URN that callers may compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum ProblemType {
    /// 400: the body is no JSON.
    #[serde(rename = "urn:smtp-check:problem:malformed-json")]
    MalformedJson,
    /// 401: no token, or one that is not known.
    #[serde(rename = "urn:smtp-check:problem:unauthorized")]
    Unauthorized,
    /// 403: the operator does not let checks connect there.
    #[serde(rename = "urn:smtp-check:problem:target-forbidden")]
    TargetForbidden,
    /// 404: no such path.
    #[serde(rename = "urn:smtp-check:problem:not-found")]
    NotFound,
    /// 405: the path is there, for another method.
    #[serde(rename = "urn:smtp-check:problem:method-not-allowed")]
    MethodNotAllowed,
    /// 408: the body came too slowly.
    #[serde(rename = "urn:smtp-check:problem:request-timeout")]
    RequestTimeout,
    /// 413: the body is too large.
    #[serde(rename = "urn:smtp-check:problem:payload-too-large")]
    PayloadTooLarge,
    /// 415: the body does not say that it is JSON.
    #[serde(rename = "urn:smtp-check:problem:unsupported-media-type")]
    UnsupportedMediaType,
    /// 421: without tokens, only an address or `localhost` may be asked.
    #[serde(rename = "urn:smtp-check:problem:misdirected-request")]
    MisdirectedRequest,
    /// 422: the JSON is no check; 400: the query of `/probe` is none. `errors` lists every reason.
    #[serde(rename = "urn:smtp-check:problem:invalid-parameters")]
    InvalidParameters,
    /// 429: this caller asks too often.
    #[serde(rename = "urn:smtp-check:problem:rate-limited")]
    RateLimited,
    /// 429: too many checks of this target are running.
    #[serde(rename = "urn:smtp-check:problem:target-busy")]
    TargetBusy,
    /// 500: a fault of the service itself.
    #[serde(rename = "urn:smtp-check:problem:internal")]
    Internal,
    /// 503: as many checks are running, requests being read, or connections open, as there may be.
    #[serde(rename = "urn:smtp-check:problem:overloaded")]
    Overloaded,
    /// 503: the service is about to stop.
    #[serde(rename = "urn:smtp-check:problem:shutting-down")]
    ShuttingDown,
}

impl ProblemType {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MalformedJson => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TargetForbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
            Self::InvalidParameters => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited | Self::TargetBusy => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The same for every problem of the type (RFC 9457, section 3.1.3).
    const fn title(self) -> &'static str {
        match self {
            Self::MalformedJson => "The request body is not JSON",
            Self::Unauthorized => "A valid token is required",
            Self::TargetForbidden => "The target is forbidden",
            Self::NotFound => "No such path",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "The request came too slowly",
            Self::PayloadTooLarge => "The request body is too large",
            Self::UnsupportedMediaType => "The request body must be JSON",
            Self::MisdirectedRequest => "Not a name of this service",
            Self::InvalidParameters => "Invalid parameters",
            Self::RateLimited => "Too many requests",
            Self::TargetBusy => "Too many checks of this target",
            Self::Internal => "Internal error",
            Self::Overloaded => "The service is full",
            Self::ShuttingDown => "The service is shutting down",
        }
    }

    /// After how many seconds another try makes sense, unless better is known. A check is over in seconds; a service that stops
    /// is replaced by another one.
    const fn retry_after(self) -> Option<u32> {
        match self {
            Self::RateLimited | Self::TargetBusy | Self::Overloaded => Some(1),
            Self::ShuttingDown => Some(5),
            _ => None,
        }
    }
}

/// A problem document (RFC 9457): why a request got no answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is.
    #[serde(rename = "type")]
    pub problem_type: ProblemType,
    /// The kind in words.
    #[schema(value_type = String)]
    title: &'static str,
    /// The HTTP status, repeated.
    #[schema(value_type = u16, minimum = 400, maximum = 599)]
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    /// What happened this time.
    pub detail: Cow<'static, str>,
    /// Every violation of the parameters, if that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<Violation>,
    #[serde(skip)]
    retry_after: Option<u32>,
    #[serde(skip)]
    no_room: Option<NoRoom>,
}

/// The service has no room for a request, and so never asked the probe: an extension of the response, for the counters.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoRoom;

impl Problem {
    /// A problem of this type, with the type's own status.
    pub fn new(problem_type: ProblemType, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            problem_type,
            title: problem_type.title(),
            status: problem_type.status(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: problem_type.retry_after(),
            no_room: None,
        }
    }

    /// Invalid parameters, every violation at once.
    pub fn invalid_parameters(errors: Vec<Violation>) -> Self {
        let detail: Cow<_> = match errors.len() {
            1 => "1 parameter is invalid".into(),
            count => format!("{count} parameters are invalid").into(),
        };
        Self { errors, ..Self::new(ProblemType::InvalidParameters, detail) }
    }

    /// Invalid parameters of a query: a 400 as Prometheus knows it, where a body that was understood gets a 422.
    pub fn invalid_query(errors: Vec<Violation>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, ..Self::invalid_parameters(errors) }
    }

    /// No such path.
    pub fn not_found() -> Self {
        Self::new(ProblemType::NotFound, "there is nothing at this path; /docs lists what there is")
    }

    /// Draining: no new check is begun.
    pub fn shutting_down() -> Self {
        Self::new(ProblemType::ShuttingDown, "no new check is begun; another instance may take it")
    }

    /// The service has no room for the request itself, whatever it asks for.
    pub fn no_room(detail: &'static str) -> Self {
        Self { no_room: Some(NoRoom), ..Self::new(ProblemType::Overloaded, detail) }
    }

    /// The answer when a handler panicked. The log has the cause, from where it happened; the caller gets none of it.
    pub fn from_panic(_: Box<dyn Any + Send>) -> Response {
        Self::fault().into_response()
    }

    /// Something panicked. The log has the cause; the caller gets none of it.
    pub fn fault() -> Self {
        Self::new(ProblemType::Internal, "the service has a fault; its log knows more")
    }

    /// The same with another time for the next try, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid_parameters(invalid.violations().to_vec())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem_type = match refusal {
            Refusal::Overloaded => ProblemType::Overloaded,
            Refusal::TargetBusy => ProblemType::TargetBusy,
            Refusal::Forbidden(_) => ProblemType::TargetForbidden,
            Refusal::Internal => ProblemType::Internal,
        };
        Self::new(problem_type, refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        match self.problem_type {
            // RFC 9110, section 11.6.1: a 401 names the scheme.
            ProblemType::Unauthorized => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            // RFC 9110, section 15.5.9: the rest of the request is not waited for.
            ProblemType::RequestTimeout => headers.insert(CONNECTION, HeaderValue::from_static("close")),
            _ => None,
        };
        // For the counters, which see only what comes back out.
        response.extensions_mut().insert(self.problem_type);
        self.no_room.map(|no_room| response.extensions_mut().insert(no_room));
        response
    }
}

fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;

    async fn document(response: Response) -> Value {
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }

    #[test]
    fn types_and_statuses_are_the_contract() {
        use ProblemType::*;
        for (problem_type, status, slug) in [
            (MalformedJson, 400, "malformed-json"),
            (Unauthorized, 401, "unauthorized"),
            (TargetForbidden, 403, "target-forbidden"),
            (NotFound, 404, "not-found"),
            (MethodNotAllowed, 405, "method-not-allowed"),
            (RequestTimeout, 408, "request-timeout"),
            (PayloadTooLarge, 413, "payload-too-large"),
            (UnsupportedMediaType, 415, "unsupported-media-type"),
            (MisdirectedRequest, 421, "misdirected-request"),
            (InvalidParameters, 422, "invalid-parameters"),
            (RateLimited, 429, "rate-limited"),
            (TargetBusy, 429, "target-busy"),
            (Internal, 500, "internal"),
            (Overloaded, 503, "overloaded"),
            (ShuttingDown, 503, "shutting-down"),
        ] {
            let problem = serde_json::to_value(Problem::new(problem_type, "why")).expect("JSON");
            assert_eq!(problem["type"], format!("urn:smtp-check:problem:{slug}"));
            assert_eq!(problem["status"], status);
            assert_eq!(problem["detail"], "why");
            assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
            assert_eq!(problem.get("errors"), None, "only where there are any");

            let response = Problem::new(problem_type, "why").into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), [429, 503].contains(&status), "{slug}");
            assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), status == 401);
        }
    }

    #[tokio::test]
    async fn every_violation_is_listed() {
        let violation =
            |pointer: &str, detail: &str| Violation { pointer: pointer.to_owned(), detail: detail.to_owned() };
        let problem =
            Problem::invalid_parameters(vec![violation("/to", "is required"), violation("/a~1b", "is unknown")]);
        let document = document(problem.into_response()).await;
        assert_eq!(document["detail"], "2 parameters are invalid");
        assert_eq!(
            document["errors"],
            json!([{"pointer": "/to", "detail": "is required"}, {"pointer": "/a~1b", "detail": "is unknown"}])
        );
    }

    #[tokio::test]
    async fn a_panic_tells_the_caller_nothing() {
        let response = Problem::from_panic(Box::new("the password is hunter2"));
        assert_eq!(response.status(), 500);
        assert!(!document(response).await.to_string().contains("hunter2"));
    }

    #[test]
    fn retry_after_can_be_told_better() {
        let response = Problem::new(ProblemType::RateLimited, "slow down").retry_after(17).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "17");
    }
}
