//! Extractor of a JSON object: its members exactly as the request body has them. The rules of the parameters judge them
//! later.

use std::{cell::Cell, fmt};

use axum::extract::{FromRef, FromRequest, Request};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
/// Levels of objects and arrays of which the content is kept: `expect`, one of its phases, and a list of codes.
const MAX_DEPTH: usize = 3;
/// Values in objects and arrays that are kept, of all members together. A `Value` can take eighty times the memory of
/// its text.
const MAX_INNER_VALUES: usize = 1000;

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
        let of_body = |detail| vec![Violation { pointer: String::new(), detail }];
        let (object, violations) = object.map_err(|detail| Problem::invalid_parameters(of_body(detail)))?;
        if violations.is_empty() { Ok(object) } else { Err(Problem::invalid_parameters(violations)) }
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

/// Reads an object; `None` if it has more than [`MAX_MEMBERS`]. The violations are those that could not be found later.
struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Option<(JsonObject, Vec<Violation>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut violations) = (Vec::new(), Vec::new());
        let left = Cell::new(MAX_INNER_VALUES);
        while let Some(name) = map.next_key::<String>()? {
            let lost = Cell::new(None);
            let value = map.next_value_seed(Inner { depth: MAX_DEPTH, left: &left, lost: &lost })?;
            if members.len() == MAX_MEMBERS {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            if let Some(detail) = lost.take() {
                violations.push(Violation::new(&name, detail));
            }
            members.push((name, value));
        }
        Ok(Some((JsonObject(members), violations)))
    }
}

/// Reads a value with its content, as far as that is kept.
struct Inner<'s> {
    /// Levels of which the content is kept.
    depth: usize,
    /// How many values may still be kept.
    left: &'s Cell<usize>,
    /// Why something is not kept, as the end of a sentence about the member.
    lost: &'s Cell<Option<&'static str>>,
}

impl Inner<'_> {
    fn below(&self) -> Self {
        Self { depth: self.depth - 1, ..*self }
    }

    /// Whether one more value may be kept.
    fn takes_one(&self) -> bool {
        let left = self.left.get();
        if left == 0 {
            self.lost.set(Some("has too many values"));
        }
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

impl<'de> DeserializeSeed<'de> for Inner<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        if self.depth == 0 {
            while map.next_entry::<IgnoredAny, Flat>()?.is_some() {}
            return Ok(Value::Object(object));
        }
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.below())?;
            // A map would keep the last of two members with one name without a word.
            if self.takes_one() && object.insert(name, value).is_some() {
                self.lost.set(Some("has a member twice"));
            }
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        if self.depth == 0 {
            while seq.next_element::<Flat>()?.is_some() {}
            return Ok(Value::Array(array));
        }
        while let Some(value) = seq.next_element_seed(self.below())? {
            if self.takes_one() {
                array.push(value);
            }
        }
        Ok(Value::Array(array))
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

/// A value of a level that is not kept: its syntax is checked.
struct Flat;

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (left, lost) = (Cell::new(0), Cell::new(None));
        Inner { depth: 0, left: &left, lost: &lost }.deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Value, String> {
        let object = JsonObject::parse(text.as_bytes()).map_err(|problem| format!("{problem:?}"))?;
        Ok(Value::Object(object.0.into_iter().collect()))
    }

    #[test]
    fn the_content_of_a_value_is_kept_to_a_depth() {
        let members =
            parse(r#" {"a": [1, {"b": [2, {"c": 3}]}], "c": {"d": {"e": {"f": {"g": 1}}}}, "e": "f", "g": -1}"#);
        let kept = serde_json::json!({"a": [1, {"b": [2, {}]}], "c": {"d": {"e": {"f": {}}}}, "e": "f", "g": -1});
        assert_eq!(members, Ok(kept));
    }

    #[test]
    fn what_is_not_kept_is_told() {
        let twice = parse(r#"{"expect": {"rcptto": {"code": "550", "code": "250"}}}"#);
        assert!(twice.is_err_and(|problem| problem.contains("/expect") && problem.contains("has a member twice")));
        let many = format!("{{\"a\": [{}1], \"b\": [2]}}", "1,".repeat(MAX_INNER_VALUES));
        assert!(parse(&many).is_err_and(|problem| problem.contains("has too many values")));
        let just = format!("{{\"a\": [{}1]}}", "1,".repeat(MAX_INNER_VALUES - 1));
        assert!(parse(&just).is_ok());
    }
}
