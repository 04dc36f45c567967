//! The console at `/`: one page that runs a check and shows it while it happens.
//!
//! The files in `console/` are part of the program, and the page loads nothing else. Scripts and styles are files of their own, so
//! that the policy can forbid inline ones: what a mail server says can never become a script.

use axum::{
    Router,
    extract::{Path, Request},
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS},
    },
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tower_http::{compression::CompressionLayer, set_header::SetResponseHeaderLayer};

use super::{auth::Caller, problem::Problem};

const PAGE: &str = include_str!("console/index.html");

/// The files of the page: name, media type, content.
const FILES: [(&str, &str, &str); 8] = [
    ("app.js", "text/javascript", include_str!("console/app.js")),
    ("dom.js", "text/javascript", include_str!("console/dom.js")),
    ("form.js", "text/javascript", include_str!("console/form.js")),
    ("live.js", "text/javascript", include_str!("console/live.js")),
    ("report.js", "text/javascript", include_str!("console/report.js")),
    ("waterfall.js", "text/javascript", include_str!("console/waterfall.js")),
    ("style.css", "text/css", include_str!("console/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("console/icon.svg")),
];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/` and its files.
pub(super) fn routes() -> Router {
    let header = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .route("/", get(page))
        .route("/console/{file}", get(file))
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(X_FRAME_OPTIONS, "DENY"))
        .layer(header(REFERRER_POLICY, "no-referrer"))
        // A browser asks again each time, so that page and scripts are always of one version.
        .layer(header(CACHE_CONTROL, "no-cache"))
        .layer(CompressionLayer::new())
}

/// The page tells its script whether callers need a token, which the curl line then has.
async fn page(request: Request) -> Response {
    match request.extensions().get::<Caller>() {
        Some(_) => Html(PAGE.replacen("<html ", "<html data-guarded=\"yes\" ", 1)).into_response(),
        None => Html(PAGE).into_response(),
    }
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, media_type, content)) => ([(CONTENT_TYPE, *media_type)], *content).into_response(),
        None => Problem::not_found().into_response(),
    }
}
