//! What the derived schemas cannot say by themselves, for those who generate clients of them.

use serde_json::{Value, json};
use utoipa::openapi::{
    Object, OpenApi, RefOr, Schema,
    extensions::ExtensionsBuilder,
    schema::{SchemaType, Type},
};

/// Completes the schemas of all doors. To be called when they are all there.
pub(crate) fn complete(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    for (name, schema) in &mut components.schemas {
        let RefOr::T(Schema::Object(object)) = schema else { continue };
        for (_, property) in &mut object.properties {
            describe_nullable(property);
        }
        match name.as_str() {
            "CheckRequest" => object.properties.iter_mut().for_each(|(_, property)| take_text(property)),
            "ProblemType" => name_by_slug(object),
            _ => {}
        }
    }
}

/// Puts the description of a property that is null or of a named type beside the choice, where generators look for it.
fn describe_nullable(property: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(choice)) = property else { return };
    let described = choice.items.iter_mut().find_map(|item| match item {
        RefOr::Ref(named) if !named.description.is_empty() => Some(std::mem::take(&mut named.description)),
        _ => None,
    });
    choice.description = choice.description.take().or(described);
}

/// Numbers and booleans are taken as strings, too. In JSON Schema, `minimum` is about numbers only and `pattern` about strings, so
/// both can stand in one schema.
fn take_text(property: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = property else { return };
    let SchemaType::Array(types) = &mut object.schema_type else { return };
    let pattern = match types.first() {
        Some(Type::Integer) => "^[0-9]+$",
        Some(Type::Boolean) => "^(true|false|on|off)$",
        _ => return,
    };
    types.insert(1, Type::String);
    object.pattern = Some(pattern.to_owned());
    // It would be the format of the strings as well.
    object.format = None;
}

/// Gives the values of the enumeration a name in programs: the URN would make a long one.
fn name_by_slug(object: &mut Object) {
    let urns = object.enum_values.iter().flatten().filter_map(Value::as_str);
    let slugs = urns.filter_map(|urn| urn.rsplit(':').next());
    let names: Vec<String> = slugs.map(|slug| slug.to_ascii_uppercase().replace('-', "_")).collect();
    object.extensions = Some(ExtensionsBuilder::new().add("x-enum-varnames", json!(names)).build());
}
