//! Additions to the derived document that no attribute can make. Generators of clients need them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::{
    HeaderBuilder, Object, OpenApi, RefOr, Response, Schema,
    extensions::ExtensionsBuilder,
    schema::{SchemaType, Type},
};

use crate::findings::CATALOGUE;

/// The headers of the rate limit on a 200.
const RATE_LIMIT_HEADERS: [(&str, &str); 2] = [
    (
        "RateLimit-Policy",
        "Where the operator has set a rate limit, on every response of this route but a 401: how many requests (`q`) each caller has \
         in a window of `w` seconds (`w`), such as `\"checks\";q=10;w=1`",
    ),
    (
        "RateLimit",
        "With it: how many requests remain (`r`), and in how many seconds all are back or, if none remains, the next one (`t`), such \
         as `\"checks\";r=9;t=1`",
    ),
];

/// Completes the document, once it has all routes.
pub(crate) fn complete(document: &mut OpenApi) {
    let operations = document.paths.paths.values_mut().flat_map(|path| [&mut path.get, &mut path.post]);
    for operation in operations.flatten() {
        add_rate_limit_headers(&mut operation.responses.responses);
    }
    let Some(components) = &mut document.components else { return };
    for (name, schema) in &mut components.schemas {
        let RefOr::T(Schema::Object(object)) = schema else { continue };
        for (_, property) in &mut object.properties {
            describe_nullable(property);
        }
        match name.as_str() {
            "CheckRequest" => object.properties.iter_mut().for_each(|(_, property)| allow_text(property)),
            "ProblemType" => name_by_slug(object),
            "Finding" => list_ids(object),
            _ => {}
        }
    }
}

/// Adds the headers of the rate limit to the 200 of an operation that is limited.
fn add_rate_limit_headers(responses: &mut BTreeMap<String, RefOr<Response>>) {
    if !responses.contains_key("429") {
        return;
    }
    if let Some(RefOr::T(ok)) = responses.get_mut("200") {
        ok.headers.extend(RATE_LIMIT_HEADERS.map(|(name, description)| {
            let schema = Object::with_type(Type::String);
            let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
            (name.to_owned(), RefOr::T(header))
        }));
    }
}

/// Moves the description of a property of type null or `$ref` next to its `oneOf`, where generators look for it.
fn describe_nullable(property: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(choice)) = property else { return };
    let described = choice.items.iter_mut().find_map(|item| match item {
        RefOr::Ref(named) if !named.description.is_empty() => Some(std::mem::take(&mut named.description)),
        _ => None,
    });
    choice.description = choice.description.take().or(described);
}

/// Allows numbers and booleans as strings. In JSON Schema `minimum` applies to numbers only and `pattern` to strings
/// only, so one schema can have both.
fn allow_text(property: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = property else { return };
    let SchemaType::Array(types) = &mut object.schema_type else { return };
    let pattern = match types.first() {
        Some(Type::Integer) => "^[0-9]+$",
        Some(Type::Boolean) => "^(true|false|on|off)$",
        _ => return,
    };
    // `starttls` takes another string besides.
    if types.contains(&Type::String) {
        return;
    }
    types.insert(1, Type::String);
    object.pattern = Some(pattern.to_owned());
    // It would apply to the strings, too.
    object.format = None;
}

/// Lists the ids of the catalogue.
fn list_ids(object: &mut Object) {
    if let Some(RefOr::T(Schema::Object(id))) = object.properties.get_mut("id") {
        id.enum_values = Some(CATALOGUE.iter().map(|entry| json!(entry.id)).collect());
    }
}

/// Names the values of the enumeration in generated code: the URN would make a long name.
fn name_by_slug(object: &mut Object) {
    let urns = object.enum_values.iter().flatten().filter_map(Value::as_str);
    let slugs = urns.filter_map(|urn| urn.rsplit(':').next());
    let names: Vec<String> = slugs.map(|slug| slug.to_ascii_uppercase().replace('-', "_")).collect();
    object.extensions = Some(ExtensionsBuilder::new().add("x-enum-varnames", json!(names)).build());
}
