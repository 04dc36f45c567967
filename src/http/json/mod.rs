//! [`Json`]: a response of JSON that is safe to show on a terminal. axum's own writes text from mail servers unescaped.

mod writer;

use axum::{
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Serialize, ser::Error};

use writer::Writer;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// Bytes that most documents fit into.
const DOCUMENT_SIZE: usize = 4096;

/// A value as the body of a response, its harmful characters as `\u` escapes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match to_bytes(&self.0) {
            Ok(mut document) => {
                // It can be held until a slow caller has taken it.
                document.shrink_to_fit();
                ([(CONTENT_TYPE, MEDIA_TYPE)], document).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "a response cannot be written as JSON");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// The value as JSON in one line, its harmful characters as `\u` escapes.
///
/// # Errors
/// The value is none that JSON can write.
pub(super) fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    String::from_utf8(to_bytes(value)?).map_err(serde_json::Error::custom)
}

fn to_bytes(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut document = Vec::with_capacity(DOCUMENT_SIZE);
    value.serialize(Writer(&mut document))?;
    Ok(document)
}
