//! Request bodies: read within a size and a time, then as the members of one JSON object.

use std::{fmt, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRef, FromRequest, Request},
    http::{
        HeaderMap,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::check::Violation;

use super::{
    Lifecycle,
    problem::{Problem, ProblemType},
};

/// Members of an object, at the most: several times as many as there are parameters. Each one that is unknown is reported.
const MEMBERS: usize = 100;

/// How large a body may be, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// In bytes.
    pub size: usize,
    /// From the end of the header to the end of the body.
    pub time: Duration,
}

/// The members of a JSON object, as they stand in the body: in their order, and a name that occurs twice is there twice.
#[derive(PartialEq)]
pub struct JsonMembers(pub Vec<(String, Value)>);

/// By their names alone: a value may be a password.
impl fmt::Debug for JsonMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<S> FromRequest<S> for JsonMembers
where
    S: Send + Sync,
    BodyLimits: FromRef<S>,
    Lifecycle: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (limits, lifecycle) = (BodyLimits::from_ref(state), Lifecycle::from_ref(state));
        tokio::select! {
            // Whoever is still uploading when the service drains would be refused in the end: better at once.
            biased;
            () = lifecycle.draining() => Err(Problem::shutting_down()),
            // Boxed, for it is large and soon over, and the check that follows is long.
            body = Box::pin(read_json(request, limits)) => Self::parse(&body?),
        }
    }
}

impl JsonMembers {
    /// Reads the members out of a JSON text.
    ///
    /// # Errors
    /// `malformed-json`, with line and column; `invalid-parameters` for JSON that is no object.
    pub fn parse(text: &[u8]) -> Result<Self, Problem> {
        let malformed = |error: serde_json::Error| Problem::new(ProblemType::MalformedJson, error.to_string());
        let mut json = serde_json::Deserializer::from_slice(text);
        let document = Document::deserialize(&mut json).map_err(malformed)?;
        json.end().map_err(malformed)?;
        let detail = match document {
            Document::Object(members) => return Ok(Self(members)),
            Document::TooLarge => format!("must have no more than {MEMBERS} members"),
            Document::Other(kind) => format!("must be an object, not {kind}"),
        };
        Err(Problem::invalid_parameters(vec![Violation { pointer: String::new(), detail }]))
    }
}

/// `application/json` and its relatives (RFC 6839, section 3.1), whatever their parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

async fn read_json(request: Request, limits: BodyLimits) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "send the body with `Content-Type: application/json`",
        ));
    }
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "send the body as it is, without `Content-Encoding`",
        ));
    }
    let too_large = || Problem::new(ProblemType::PayloadTooLarge, format!("the body may have {} bytes", limits.size));
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.size as u64) {
        return Err(too_large());
    }
    let body: Limited<Body> = Limited::new(request.into_body(), limits.size);
    match tokio::time::timeout(limits.time, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => {
            tracing::debug!(?error, "a request body broke off");
            Err(Problem::new(ProblemType::MalformedJson, "the body broke off"))
        }
        Err(_) => {
            Err(Problem::new(ProblemType::RequestTimeout, format!("the body must be sent within {:?}", limits.time)))
        }
    }
}

/// Any JSON document, of which only an object of not too many members is kept.
enum Document {
    Object(Vec<(String, Value)>),
    TooLarge,
    Other(&'static str),
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyDocument;

        impl<'de> Visitor<'de> for AnyDocument {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON document")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    if members.len() == MEMBERS {
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(Document::TooLarge);
                    }
                    members.push(member);
                }
                Ok(Document::Object(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Document, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Document::Other("an array"))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Document, E> {
                Ok(Document::Other("a boolean"))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Document, E> {
                Ok(Document::Other("a number"))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Document, E> {
                Ok(Document::Other("a number"))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Document, E> {
                Ok(Document::Other("a number"))
            }

            fn visit_str<E>(self, _: &str) -> Result<Document, E> {
                Ok(Document::Other("a string"))
            }

            fn visit_unit<E>(self) -> Result<Document, E> {
                Ok(Document::Other("null"))
            }
        }

        deserializer.deserialize_any(AnyDocument)
    }
}
