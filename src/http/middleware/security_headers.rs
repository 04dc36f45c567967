//! Security headers for browsers, on every response.

use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    response::Response,
};

/// On every response. `no-store`: reports are about other people's servers, and problems are outdated soon.
const HEADERS: [(HeaderName, &str); 3] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// On HTML pages: scripts and styles come from files of this service only, never inline; no frame may show the page.
const PAGE_HEADERS: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Sets the headers that the handler has not set itself.
pub(crate) fn set_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    set_missing(headers, &HEADERS);
    if headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html")) {
        set_missing(headers, &PAGE_HEADERS);
    }
    response
}

fn set_missing(headers: &mut HeaderMap, defaults: &[(HeaderName, &'static str)]) {
    for (name, value) in defaults {
        headers.entry(name).or_insert_with(|| HeaderValue::from_static(value));
    }
}
