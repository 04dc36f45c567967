//! Problem documents (RFC 9457). Every error of the HTTP interface becomes one here.

use std::{any::Any, borrow::Cow};

use axum::{
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
    http::json::Json,
    probe::Refusal,
};

/// The media type of RFC 9457, section 3.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The type of a problem (RFC 9457, `type`): a URN that callers can compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum ProblemType {
    /// 400: the body is not JSON.
    #[serde(rename = "urn:smtp-check:problem:malformed-json")]
    MalformedJson,
    /// 400: the request has no `Host`, more than one, or one that is no host (RFC 9112, section 3.2).
    #[serde(rename = "urn:smtp-check:problem:invalid-host")]
    InvalidHost,
    /// 401: no token, or an unknown one.
    #[serde(rename = "urn:smtp-check:problem:unauthorized")]
    Unauthorized,
    /// 403: the operator forbids checks of this target.
    #[serde(rename = "urn:smtp-check:problem:target-forbidden")]
    TargetForbidden,
    /// 404: no such path.
    #[serde(rename = "urn:smtp-check:problem:not-found")]
    NotFound,
    /// 405: the path exists, but not for this method.
    #[serde(rename = "urn:smtp-check:problem:method-not-allowed")]
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    #[serde(rename = "urn:smtp-check:problem:request-timeout")]
    RequestTimeout,
    /// 413: the body is too large.
    #[serde(rename = "urn:smtp-check:problem:payload-too-large")]
    PayloadTooLarge,
    /// 415: the content type of the body is not JSON.
    #[serde(rename = "urn:smtp-check:problem:unsupported-media-type")]
    UnsupportedMediaType,
    /// 421: without tokens, the host of a request must be an IP address or `localhost`.
    #[serde(rename = "urn:smtp-check:problem:misdirected-request")]
    MisdirectedRequest,
    /// 422, or 400 for the query of `/probe`: the parameters are not a valid check. `errors` lists every reason.
    #[serde(rename = "urn:smtp-check:problem:invalid-parameters")]
    InvalidParameters,
    /// 429: this caller sends too many requests.
    #[serde(rename = "urn:smtp-check:problem:rate-limited")]
    RateLimited,
    /// 429: too many checks of this target are running.
    #[serde(rename = "urn:smtp-check:problem:target-busy")]
    TargetBusy,
    /// 500: a fault of the service itself.
    #[serde(rename = "urn:smtp-check:problem:internal")]
    Internal,
    /// 503: the service has reached a limit: of running checks, of large requests, or of open connections.
    #[serde(rename = "urn:smtp-check:problem:overloaded")]
    Overloaded,
    /// 503: the machine of the service does not have the check's source address now.
    #[serde(rename = "urn:smtp-check:problem:no-source-address")]
    NoSourceAddress,
    /// 503: the service is shutting down.
    #[serde(rename = "urn:smtp-check:problem:shutting-down")]
    ShuttingDown,
}

impl ProblemType {
    /// The HTTP status and the `title`: the same for every problem of the type (RFC 9457, section 3.1.3).
    const fn status_and_title(self) -> (StatusCode, &'static str) {
        match self {
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "The request body is not JSON"),
            Self::InvalidHost => (StatusCode::BAD_REQUEST, "The request must name one host"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "A valid token is required"),
            Self::TargetForbidden => (StatusCode::FORBIDDEN, "The target is forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "No such path"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "The request body came too slowly"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The request body must be JSON"),
            Self::MisdirectedRequest => (StatusCode::MISDIRECTED_REQUEST, "Wrong host"),
            Self::InvalidParameters => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid parameters"),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Self::TargetBusy => (StatusCode::TOO_MANY_REQUESTS, "Too many checks of this target"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "The service is overloaded"),
            Self::NoSourceAddress => (StatusCode::SERVICE_UNAVAILABLE, "The source address is missing"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "The service is shutting down"),
        }
    }

    /// The default of `Retry-After`, in seconds. A check takes seconds; a service that stops needs time to be replaced,
    /// and so does an address.
    const fn retry_after(self) -> Option<u32> {
        match self {
            Self::RateLimited | Self::TargetBusy | Self::Overloaded => Some(1),
            Self::ShuttingDown | Self::NoSourceAddress => Some(5),
            _ => None,
        }
    }
}

/// A problem document (RFC 9457): why a request failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The type of the problem.
    #[serde(rename = "type")]
    pub problem_type: ProblemType,
    /// The type in words.
    #[schema(value_type = String)]
    title: &'static str,
    /// The HTTP status of the response.
    #[schema(value_type = u16, minimum = 400, maximum = 599)]
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    /// What happened in this case.
    pub detail: Cow<'static, str>,
    /// Every violation of the rules for the parameters, if that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<Violation>,
    #[serde(skip)]
    retry_after: Option<u32>,
    #[serde(skip)]
    load_shed: Option<LoadShed>,
}

/// Marks a response to a request that was refused as [`Overloaded`](ProblemType::Overloaded) before it reached the
/// probe. The probe counts its own refusals, so the metrics must tell the two apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadShed;

impl Problem {
    /// A problem with the status of its type.
    pub fn new(problem_type: ProblemType, detail: impl Into<Cow<'static, str>>) -> Self {
        let (status, title) = problem_type.status_and_title();
        Self {
            problem_type,
            title,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: problem_type.retry_after(),
            load_shed: None,
        }
    }

    /// Invalid parameters, with every violation.
    pub fn invalid_parameters(errors: Vec<Violation>) -> Self {
        let detail: Cow<_> = match errors.len() {
            1 => "1 parameter is invalid".into(),
            count => format!("{count} parameters are invalid").into(),
        };
        Self { errors, ..Self::new(ProblemType::InvalidParameters, detail) }
    }

    /// Invalid parameters of a query: 400, as Prometheus exporters answer, not the 422 of a well-formed body.
    pub fn invalid_query(errors: Vec<Violation>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, ..Self::invalid_parameters(errors) }
    }

    /// No such path.
    pub fn not_found() -> Self {
        Self::new(ProblemType::NotFound, "no such path; /docs lists the paths")
    }

    /// The service is draining.
    pub fn shutting_down() -> Self {
        Self::new(ProblemType::ShuttingDown, "the service starts no new check; another instance may")
    }

    /// The service has no capacity for the request itself.
    pub fn load_shed(detail: &'static str) -> Self {
        Self { load_shed: Some(LoadShed), ..Self::new(ProblemType::Overloaded, detail) }
    }

    /// The response to a request whose handler panicked. The panic hook has logged the cause; the caller does not see
    /// it.
    pub fn from_panic(_: Box<dyn Any + Send>) -> Response {
        Self::internal().into_response()
    }

    /// A fault of the service. The log has the cause; the caller does not see it.
    pub fn internal() -> Self {
        Self::new(ProblemType::Internal, "the log of the service has the cause")
    }

    /// Replaces the `Retry-After` of the type, in seconds.
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
            Refusal::NoSourceAddress => ProblemType::NoSourceAddress,
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
            // RFC 9110, section 11.6.1: a 401 must name a scheme.
            ProblemType::Unauthorized => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            // RFC 9110, section 15.5.9: the server does not wait for the rest of the request.
            ProblemType::RequestTimeout => headers.insert(CONNECTION, HeaderValue::from_static("close")),
            _ => None,
        };
        // For the metrics layer, which sees only the response.
        response.extensions_mut().insert(self.problem_type);
        self.load_shed.map(|load_shed| response.extensions_mut().insert(load_shed));
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
    fn each_type_has_its_urn_and_status() {
        use ProblemType::*;
        for (problem_type, status, slug) in [
            (MalformedJson, 400, "malformed-json"),
            (InvalidHost, 400, "invalid-host"),
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
            (NoSourceAddress, 503, "no-source-address"),
            (ShuttingDown, 503, "shutting-down"),
        ] {
            let problem = serde_json::to_value(Problem::new(problem_type, "why")).expect("JSON");
            assert_eq!(problem["type"], format!("urn:smtp-check:problem:{slug}"));
            assert_eq!(problem["status"], status);
            assert_eq!(problem["detail"], "why");
            assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
            assert_eq!(problem.get("errors"), None, "`errors` only if there are any");

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
    async fn the_response_to_a_panic_does_not_show_its_message() {
        let response = Problem::from_panic(Box::new("the password is hunter2"));
        assert_eq!(response.status(), 500);
        assert!(!document(response).await.to_string().contains("hunter2"));
    }

    #[test]
    fn retry_after_can_be_replaced() {
        let response = Problem::new(ProblemType::RateLimited, "slow down").retry_after(17).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "17");
    }
}
