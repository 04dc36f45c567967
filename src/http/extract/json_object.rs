//! The members of the one JSON object that a request body is: as they stand there, for the parameters' own rules to judge.

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

/// Members of an object, at the most: several times as many as there are parameters. Each one that is unknown is reported.
const MEMBERS: usize = 100;

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
        let read = match text.trim_ascii_start().first() {
            Some(b'{') => Members::deserialize(&mut json)
                .map(|Members(members)| members.ok_or_else(|| format!("must have no more than {MEMBERS} members"))),
            first => IgnoredAny::deserialize(&mut json)
                .map(|_| Err(format!("must be an object, not {}", first.map_or("nothing", kind_of)))),
        };
        let members = read.map_err(malformed)?;
        json.end().map_err(malformed)?;
        members
            .map(Self)
            .map_err(|detail| Problem::invalid_parameters(vec![Violation { pointer: String::new(), detail }]))
    }
}

/// The members of an object, if they are not too many.
struct Members(Option<Vec<(String, Value)>>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyObject;

        impl<'de> Visitor<'de> for AnyObject {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((name, Flat(value))) = map.next_entry()? {
                    if members.len() == MEMBERS {
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(Members(None));
                    }
                    members.push((name, value));
                }
                Ok(Members(Some(members)))
            }
        }

        deserializer.deserialize_map(AnyObject)
    }
}

/// What a JSON value is that begins with this octet.
fn kind_of(first: &u8) -> &'static str {
    match first {
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

/// A value without what is in it, should it be an array or an object: no parameter is one, and as a `Value` it can take eighty times the
/// room that it takes as text.
struct Flat(Value);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
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

            fn visit_string<E>(self, value: String) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
        }

        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_value_is_not_kept() {
        let JsonMembers(members) =
            JsonMembers::parse(br#" {"a": [1, {"b": [2]}], "c": {"d": null}, "e": "f", "g": -1}"#)
                .unwrap_or_else(|problem| panic!("{problem:?}"));
        let members: Value = Value::Object(members.into_iter().collect());
        assert_eq!(members, serde_json::json!({"a": [], "c": {}, "e": "f", "g": -1}));
    }
}
