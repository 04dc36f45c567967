//! Files that are served as they are: one copy in memory for all callers, compressed once.

use std::{convert::Infallible, future::ready};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, Request, Response,
        header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY},
    },
};
use http_body_util::{BodyExt, Full};
use tokio::sync::OnceCell;
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression;

use crate::http::server::byte_budget::SharedBody;

const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// A file: its media type and its content.
#[derive(Debug)]
pub(crate) struct Asset {
    media_type: HeaderValue,
    content: Bytes,
    /// Made for the first caller that accepts it. `None`: images are compressed already.
    compressed: OnceCell<Option<Bytes>>,
}

impl Asset {
    pub(crate) fn new(media_type: HeaderValue, content: impl Into<Bytes>) -> Self {
        Self { media_type, content: content.into(), compressed: OnceCell::new() }
    }

    /// The response to a request with these headers. No byte of the file is copied for it.
    pub(crate) async fn response(&self, request: &HeaderMap) -> Response<Body> {
        let compressed = if accepts_gzip(request) { self.compressed().await } else { None };
        let is_compressed = compressed.is_some();
        let mut response = Response::new(Body::from(compressed.unwrap_or_else(|| self.content.clone())));
        response.extensions_mut().insert(SharedBody);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.media_type.clone());
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_compressed {
            headers.insert(CONTENT_ENCODING, GZIP);
        }
        response
    }

    async fn compressed(&self) -> Option<Bytes> {
        let media_type = self.media_type.as_bytes();
        let is_image = media_type.starts_with(b"image/") && !media_type.starts_with(b"image/svg");
        let compressed =
            self.compressed.get_or_init(async || if is_image { None } else { gzip(self.content.clone()).await });
        compressed.await.clone()
    }
}

/// Whether one of the codings is gzip, and not with the weight 0 (RFC 9110, section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        matches!(name.trim(), "gzip" | "*") && weight != Some(0.0)
    })
}

async fn gzip(content: Bytes) -> Option<Bytes> {
    let service = service_fn(move |_| ready(Ok::<_, Infallible>(Response::new(Full::new(content.clone())))));
    let mut request = Request::new(());
    request.headers_mut().insert(ACCEPT_ENCODING, GZIP);
    let Ok(response) = Compression::new(service).oneshot(request).await;
    let is_compressed = response.headers().get(CONTENT_ENCODING) == Some(&GZIP);
    let body = response.into_body().collect().await.ok()?;
    is_compressed.then(|| body.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(asset: &Asset, accepted: &'static str) -> (Option<HeaderValue>, Bytes) {
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
        let (head, body) = asset.response(&headers).await.into_parts();
        (head.headers.get(CONTENT_ENCODING).cloned(), body.collect().await.expect("a body").to_bytes())
    }

    #[tokio::test]
    async fn callers_share_one_copy() {
        let asset = Asset::new(HeaderValue::from_static("text/css"), "b {} ".repeat(1000));
        for accepted in ["gzip", "identity"] {
            let (first, second) = (body(&asset, accepted).await, body(&asset, accepted).await);
            assert_eq!(first, second);
            assert_eq!(first.1.as_ptr(), second.1.as_ptr(), "{accepted}");
        }
        assert!(body(&asset, "gzip").await.1.len() < 100);
    }

    #[tokio::test]
    async fn only_callers_that_accept_it_get_gzip() {
        let asset = Asset::new(HeaderValue::from_static("text/css"), "b {} ".repeat(1000));
        for (accepted, is_compressed) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("*", true),
            ("", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
        ] {
            assert_eq!(body(&asset, accepted).await.0.is_some(), is_compressed, "{accepted}");
        }
        let image = Asset::new(HeaderValue::from_static("image/png"), " ".repeat(1000));
        assert_eq!(body(&image, "gzip").await.0, None);
    }
}
