//! `GET /docs/findings`: what each finding of a report means, made of the catalogue.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue},
    routing::get,
};

use super::assets::Asset;
use crate::findings::page;

static PAGE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(HeaderValue::from_static("text/html; charset=utf-8"), page::html()));

pub(in crate::http) fn routes() -> Router {
    Router::new().route("/docs/findings", get(|headers: HeaderMap| async move { PAGE.response(&headers).await }))
}
