//! [`Writer`]: JSON as serde_json writes it, with harmful characters as `\u` escapes.
//!
//! Most texts of a report need no escapes, and no name of a member does. serde_json looks at each octet of both by
//! itself, and takes two and a half times the instructions.

use std::fmt::Write;

use serde::{
    Serialize, Serializer,
    ser::{
        Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};
use serde_json::{Error, Result};

use crate::escape::{JsonText, is_plain};

/// Appends one value to a document.
pub(super) struct Writer<'d>(pub(super) &'d mut Vec<u8>);

/// Appends the elements of an array, or the members of an object.
pub(super) struct Elements<'d> {
    document: &'d mut Vec<u8>,
    is_first: bool,
    end: &'static [u8],
}

impl<'d> Writer<'d> {
    fn token(self, token: &str) -> Result<()> {
        self.0.extend_from_slice(token.as_bytes());
        Ok(())
    }

    /// The name of a member or a variant, none of which needs escapes.
    fn name(self, name: &'static str) {
        self.0.reserve(name.len() + 3);
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
    }

    fn text(self, text: &str) {
        self.0.push(b'"');
        if is_plain(text.as_bytes()) {
            self.0.extend_from_slice(text.as_bytes());
        } else {
            let mut escaped = String::with_capacity(text.len() + text.len() / 8);
            // Writing to a `String` cannot fail.
            let _ = JsonText(&mut escaped).write_str(text);
            self.0.extend_from_slice(escaped.as_bytes());
        }
        self.0.push(b'"');
    }

    fn elements(self, start: u8, end: &'static [u8]) -> Elements<'d> {
        self.0.push(start);
        Elements { document: self.0, is_first: true, end }
    }

    /// The name of a variant, as the only member of an object.
    fn variant(self, name: &str) -> Self {
        self.0.push(b'{');
        Writer(self.0).text(name);
        self.0.push(b':');
        self
    }
}

/// Scalars are as serde_json writes them.
macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<()> {
            serde_json::to_writer(self.0, &value)
        })*
    };
}

impl<'d> Serializer for Writer<'d> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Elements<'d>;
    type SerializeTuple = Elements<'d>;
    type SerializeTupleStruct = Elements<'d>;
    type SerializeTupleVariant = Elements<'d>;
    type SerializeMap = Elements<'d>;
    type SerializeStruct = Elements<'d>;
    type SerializeStructVariant = Elements<'d>;

    scalars! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64, serialize_bytes: &[u8]
    }

    fn serialize_bool(self, value: bool) -> Result<()> {
        self.token(if value { "true" } else { "false" })
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        self.text(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<()> {
        self.token("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.token("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.token("null")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        self.name(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        let document = self.variant(variant).0;
        value.serialize(Writer(document))?;
        Writer(document).token("}")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'d>> {
        Ok(self.elements(b'[', b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'d>> {
        Ok(self.elements(b'[', b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements<'d>> {
        Ok(self.elements(b'[', b"]"))
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Elements<'d>> {
        Ok(self.variant(variant).elements(b'[', b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements<'d>> {
        Ok(self.elements(b'{', b"}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Elements<'d>> {
        Ok(self.elements(b'{', b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'d>> {
        Ok(self.variant(variant).elements(b'{', b"}}"))
    }
}

impl Elements<'_> {
    fn next(&mut self) -> Writer<'_> {
        if !std::mem::take(&mut self.is_first) {
            self.document.push(b',');
        }
        Writer(self.document)
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(self.next())
    }

    /// A member whose name needs no escapes.
    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        let Writer(document) = self.next();
        Writer(document).name(name);
        document.push(b':');
        value.serialize(Writer(document))
    }

    fn finish(self) -> Result<()> {
        self.document.extend_from_slice(self.end);
        Ok(())
    }
}

impl SerializeMap for Elements<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        let Writer(document) = self.next();
        let start = document.len();
        key.serialize(Writer(document))?;
        if document.get(start) == Some(&b'"') { Ok(()) } else { Err(Error::custom("a key must be a string")) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.document.push(b':');
        value.serialize(Writer(self.document))
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

/// The other kinds, which differ in names only.
macro_rules! elements {
    ($($kind:ident $method:ident),*) => {
        $(impl $kind for Elements<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.element(value)
            }

            fn end(self) -> Result<()> {
                self.finish()
            }
        })*
    };
}

elements!(
    SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! members {
    ($($kind:ident),*) => {
        $(impl $kind for Elements<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
                self.member(name, value)
            }

            fn end(self) -> Result<()> {
                self.finish()
            }
        })*
    };
}

members!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::escape::escape_json;

    #[derive(Serialize)]
    enum Variant {
        Unit,
        Newtype(u8),
        Tuple(i64, bool),
        Struct { name: &'static str, left_out: Option<f64> },
    }

    #[derive(Serialize)]
    struct Everything {
        variants: Vec<Variant>,
        unit: (),
        tuple: (char, f32, f64),
        map: BTreeMap<&'static str, u128>,
        #[serde(skip_serializing_if = "Option::is_none")]
        skipped: Option<u8>,
        nothing: [u8; 0],
        document: Value,
    }

    #[test]
    fn it_is_what_serde_json_writes_with_harmful_characters_escaped() {
        let hostile: String = (0..0x3000).filter_map(char::from_u32).chain("\u{e0041}\u{1f600}".chars()).collect();
        let value = Everything {
            variants: vec![
                Variant::Unit,
                Variant::Newtype(7),
                Variant::Tuple(-1, true),
                Variant::Struct { name: "a\"b\\", left_out: None },
                Variant::Struct { name: "", left_out: Some(f64::NAN) },
            ],
            unit: (),
            tuple: ('\n', 0.5, 12.345),
            map: BTreeMap::from([("x", u128::MAX), ("\u{202e}", 0)]),
            skipped: None,
            nothing: [],
            document: json!({"text": hostile, "number": 1e300, "list": [null, false, {}], hostile: -5}),
        };
        let mut document = Vec::new();
        value.serialize(Writer(&mut document)).expect("JSON");
        let expected = escape_json(serde_json::to_string(&value).expect("JSON"));
        assert_eq!(String::from_utf8(document).expect("UTF-8"), expected);
        assert!(BTreeMap::from([(1.5.to_string().len(), 1)]).serialize(Writer(&mut Vec::new())).is_err());
    }
}
