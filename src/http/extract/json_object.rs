//! Extractor of a JSON object: its members exactly as the request body has them. The rules of the parameters judge them
//! later.

use std::fmt;

use axum::extract::{FromRef, FromRequest, Request};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::body::{BodyLimits, read_json};
use crate::{
    check::Violation,
    http::{
        problem::{Problem, ProblemType},
        server::Lifecycle,
    },
};

/// Several times the number of parameters. The response reports each unknown one.
const MAX_MEMBERS: usize = 100;

/// The members of a JSON object in the order of the body. A duplicate name is kept, so that it can be reported.
#[derive(PartialEq)]
pub struct JsonObject(pub Vec<(String, Value)>);

/// Shows the names only: a value may be a password.
impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<S> FromRequest<S> for JsonObject
where
    S: Send + Sync,
    BodyLimits: FromRef<S>,
    Lifecycle: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (limits, lifecycle) = (BodyLimits::from_ref(state), Lifecycle::from_ref(state));
        tokio::select! {
            // A draining service would refuse the check anyway, so a slow upload is refused at once.
            biased;
            () = lifecycle.draining() => Err(Problem::shutting_down()),
            // Boxed: the future is large and short-lived, and the check that follows is long.
            body = Box::pin(read_json(request, limits)) => Self::parse(&body?),
        }
    }
}

impl JsonObject {
    /// Parses a JSON text.
    ///
    /// # Errors
    /// `malformed-json`, with line and column; `invalid-parameters` for JSON that is not an object.
    pub fn parse(text: &[u8]) -> Result<Self, Problem> {
        let malformed = |error: serde_json::Error| Problem::new(ProblemType::MalformedJson, error.to_string());
        let mut json = serde_json::Deserializer::from_slice(text);
        let object = match text.trim_ascii_start().first() {
            Some(b'{') => json
                .deserialize_map(ObjectVisitor)
                .map(|object| object.ok_or_else(|| format!("must have no more than {MAX_MEMBERS} members"))),
            first => IgnoredAny::deserialize(&mut json)
                .map(|_| Err(format!("must be an object, not {}", first.map_or("nothing", kind_of)))),
        };
        let object = object.map_err(malformed)?;
        json.end().map_err(malformed)?;
        object.map_err(|detail| Problem::invalid_parameters(vec![Violation { pointer: String::new(), detail }]))
    }
}

/// The JSON type of a value that begins with this octet.
fn kind_of(first: &u8) -> &'static str {
    match first {
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

/// Reads an object; `None` if it has more than [`MAX_MEMBERS`].
struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Option<JsonObject>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, Flat(value))) = map.next_entry()? {
            if members.len() == MAX_MEMBERS {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            members.push((name, value));
        }
        Ok(Some(JsonObject(members)))
    }
}

/// A value; an array or an object without its content. No parameter is one, and a `Value` can take eighty times the
/// memory of its text.
struct Flat(Value);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlatVisitor;

        impl<'de> Visitor<'de> for FlatVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, Flat>()?.is_some() {}
                Ok(Value::Object(Map::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                while seq.next_element::<Flat>()?.is_some() {}
                Ok(Value::Array(Vec::new()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
        }

        deserializer.deserialize_any(FlatVisitor).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_value_is_not_kept() {
        let JsonObject(members) = JsonObject::parse(br#" {"a": [1, {"b": [2]}], "c": {"d": null}, "e": "f", "g": -1}"#)
            .unwrap_or_else(|problem| panic!("{problem:?}"));
        let members: Value = Value::Object(members.into_iter().collect());
        assert_eq!(members, serde_json::json!({"a": [], "c": {}, "e": "f", "g": -1}));
    }
}
