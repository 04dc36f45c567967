//! [`Parts`]: the parts of a certificate (RFC 5280, section 4.1), told apart by their places and not yet interpreted.
//!
//! A part that cannot be read does not hide the others.

use super::{
    date::Date,
    element::{self, BIT_STRING, BOOLEAN, Element, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE},
};

const VERSION: u8 = 0xa0;
const ISSUER_UNIQUE_ID: u8 = 0x81;
const SUBJECT_UNIQUE_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// The parts of a certificate. One that is not there is `None`.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// The certificate itself, without what follows it.
    pub(super) certificate: &'a [u8],
    pub(super) tbs: &'a [u8],
    pub(super) version: Option<Element<'a>>,
    pub(super) serial: Option<Element<'a>>,
    pub(super) inner_algorithm: Option<Element<'a>>,
    pub(super) issuer: Option<Element<'a>>,
    pub(super) not_before: Option<Date<'a>>,
    pub(super) not_after: Option<Date<'a>>,
    pub(super) subject: Option<Element<'a>>,
    pub(super) key: Option<Element<'a>>,
    pub(super) has_unique_identifiers: bool,
    pub(super) extensions: Vec<Extension<'a>>,
    pub(super) algorithm: Option<Element<'a>>,
    /// The content of the BIT STRING.
    pub(super) signature: Option<&'a [u8]>,
    /// Where octets are that are no part of a certificate, or cannot be told apart.
    pub(super) leftovers: Vec<&'static str>,
}

/// One extension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension<'a> {
    /// The content of the object identifier.
    pub(super) id: &'a [u8],
    pub(super) is_critical: bool,
    /// The content of the OCTET STRING.
    pub(super) value: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` if these octets do not begin like a certificate.
    pub(super) fn split(mut input: &'a [u8]) -> Option<Self> {
        let mut leftovers = Vec::new();
        let certificate = element::take(&mut input)?;
        let mut body = certificate.of(SEQUENCE)?;
        let tbs = element::take(&mut body)?;
        let algorithm = element::take(&mut body);
        let signature = element::take(&mut body).and_then(|element| element.of(BIT_STRING));

        let mut fields = tbs.of(SEQUENCE)?;
        let version = element::take_if(&mut fields, VERSION);
        let serial = element::take(&mut fields)?;
        let inner_algorithm = element::take(&mut fields)?;
        let issuer = element::take(&mut fields)?;
        let mut validity = element::take(&mut fields).map_or(&[][..], |element| element.content);
        let not_before = element::take(&mut validity).map(Date::new);
        let not_after = element::take(&mut validity).map(Date::new);
        let subject = element::take(&mut fields);
        let key = element::take(&mut fields);
        let issuer_id = element::take_if(&mut fields, ISSUER_UNIQUE_ID);
        let subject_id = element::take_if(&mut fields, SUBJECT_UNIQUE_ID);
        let extensions = match element::take_if(&mut fields, EXTENSIONS) {
            Some(element) => extensions(element.content, &mut leftovers),
            None => Vec::new(),
        };
        let places = [
            (validity, "in its validity"),
            (fields, "after its extensions"),
            (body, "after its signature"),
            (input, "after its end"),
        ];
        leftovers.extend(places.iter().filter(|(rest, _)| !rest.is_empty()).map(|(_, place)| *place));
        Some(Self {
            certificate: certificate.raw,
            tbs: tbs.raw,
            version,
            serial: Some(serial),
            inner_algorithm: Some(inner_algorithm),
            issuer: Some(issuer),
            not_before,
            not_after,
            subject,
            key,
            has_unique_identifiers: issuer_id.is_some() || subject_id.is_some(),
            extensions,
            algorithm,
            signature,
            leftovers,
        })
    }

    /// The version, counted from 1; `None` if it cannot be read.
    pub(super) fn version(&self) -> Option<u32> {
        let Some(version) = self.version else { return Some(1) };
        let mut content = version.content;
        let number = element::take(&mut content)?.of(INTEGER)?;
        // Four octets hold every version that there will be.
        let is_number = content.is_empty() && (1..=4).contains(&number.len()) && number[0] < 0x80;
        is_number.then(|| number.iter().fold(0_u32, |value, octet| value << 8 | u32::from(*octet)).saturating_add(1))
    }
}

/// The extensions that can be told apart.
fn extensions<'a>(mut content: &'a [u8], leftovers: &mut Vec<&'static str>) -> Vec<Extension<'a>> {
    const PLACE: &str = "among its extensions";
    let list = element::take(&mut content).and_then(|element| element.of(SEQUENCE)).filter(|_| content.is_empty());
    let Some(list) = list else {
        leftovers.push(PLACE);
        return Vec::new();
    };
    let (elements, rest) = element::all(list);
    let extensions: Vec<_> = elements.iter().filter_map(|element| extension(*element)).collect();
    if !rest.is_empty() || extensions.len() < elements.len() {
        leftovers.push(PLACE);
    }
    extensions
}

fn extension(element: Element<'_>) -> Option<Extension<'_>> {
    let mut content = element.of(SEQUENCE)?;
    let id = element::take(&mut content)?.of(OBJECT_IDENTIFIER)?;
    let is_critical = match element::take_if(&mut content, BOOLEAN) {
        // BER: every value but 0 is true.
        Some(flag) => flag.content.iter().any(|octet| *octet != 0),
        None => false,
    };
    let value = element::take(&mut content)?.of(OCTET_STRING)?;
    content.is_empty().then_some(Extension { id, is_critical, value })
}
