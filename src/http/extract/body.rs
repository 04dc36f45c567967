//! Request bodies, read within a size and a time.

use std::{sync::Arc, time::Duration};

use axum::{
    BoxError,
    body::Body,
    extract::Request,
    http::{
        HeaderMap,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{Semaphore, TryAcquireError};

use crate::http::problem::{Problem, ProblemType};

/// Bytes of a body that is read whoever else is sending one. Nearly all are; whoever is slow with one keeps nobody out.
const SMALL: usize = 16 * 1024;

/// How large a body may be, how long it may take, and how many may be under way. A clone shares the count.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    size: usize,
    time: Duration,
    places: Arc<Semaphore>,
}

impl BodyLimits {
    /// Bodies of at most `size` bytes, which arrive within `time` of the header. Of those that are not small, `at_once` may be under way at
    /// the same time: what has been read of a body is in memory before the check counts as one that is in flight.
    pub fn new(size: usize, time: Duration, at_once: usize) -> Self {
        Self { size, time, places: Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS))) }
    }
}

/// `application/json` and its relatives (RFC 6839, section 3.1), whatever their parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// The octets of a body that says it is JSON.
///
/// # Errors
/// 400, 408, 413, 415 or 503: see [`ProblemType`].
pub(crate) async fn read_json(request: Request, limits: BodyLimits) -> Result<Vec<u8>, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "send the body with `Content-Type: application/json`",
        ));
    }
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "send the body as it is, without `Content-Encoding`",
        ));
    }
    let too_large = || Problem::new(ProblemType::PayloadTooLarge, format!("the body may have {} bytes", limits.size));
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.size as u64) {
        return Err(too_large());
    }
    let body: Limited<Body> = Limited::new(request.into_body(), limits.size);
    match tokio::time::timeout(limits.time, read(body, &limits.places)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) if error.is::<TryAcquireError>() => {
            Err(Problem::no_room("as many large requests are being read as the service has room for"))
        }
        Ok(Err(error)) => {
            tracing::debug!(?error, "a request body broke off");
            Err(Problem::new(ProblemType::MalformedJson, "the body broke off"))
        }
        Err(_) => {
            Err(Problem::new(ProblemType::RequestTimeout, format!("the body must be sent within {:?}", limits.time)))
        }
    }
}

/// All of a body, copied piece by piece: to keep a piece is to keep the buffer that it was read into, and a caller may send a megabyte
/// in pieces of one byte.
async fn read(mut body: Limited<Body>, places: &Semaphore) -> Result<Vec<u8>, BoxError> {
    let (mut bytes, mut place) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            if place.is_none() && bytes.len() + piece.len() > SMALL {
                place = Some(places.try_acquire()?);
            }
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{body::Bytes, http::StatusCode, response::IntoResponse};
    use futures_util::stream::{self, StreamExt};

    use super::*;

    /// A piece of a body that is counted as long as its memory is kept.
    struct Piece(&'static [u8], #[expect(dead_code, reason = "it counts by being there")] Arc<()>);

    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            self.0
        }
    }

    #[tokio::test]
    async fn no_piece_of_a_body_is_kept() {
        let kept = Arc::new(());
        let counter = kept.clone();
        let pieces = ["{", " ", "}"].map(str::as_bytes).into_iter().map(move |text| {
            assert!(Arc::strong_count(&counter) <= 3, "pieces that were read are kept");
            Ok::<_, Infallible>(Bytes::from_owner(Piece(text, counter.clone())))
        });
        let body = Limited::new(Body::from_stream(stream::iter(pieces)), 3);
        let body = read(body, &Semaphore::new(0)).await.expect("a body");
        assert_eq!((body.as_slice(), Arc::strong_count(&kept)), (&b"{ }"[..], 1));
    }

    #[tokio::test]
    async fn large_bodies_are_read_so_many_at_a_time() {
        let limits = BodyLimits::new(3 * SMALL, Duration::from_secs(60), 1);
        let request = |body| Request::post("/").header(CONTENT_TYPE, "application/json").body(body).expect("a request");
        let large = || vec![b' '; SMALL + 1];
        let begun = stream::iter([Ok::<_, Infallible>(Bytes::from(large()))]).chain(stream::pending());
        let mut first = tokio_test::task::spawn(read_json(request(Body::from_stream(begun)), limits.clone()));
        tokio_test::assert_pending!(first.poll());
        let refused = read_json(request(Body::from(large())), limits.clone()).await.expect_err("there is no room");
        let answer = refused.into_response();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        let small = read_json(request(Body::from("{}")), limits.clone()).await;
        assert_eq!(small.expect("room for a small one"), b"{}");
        drop(first);
        assert_eq!(read_json(request(Body::from(large())), limits).await.expect("room").len(), SMALL + 1);
    }
}
