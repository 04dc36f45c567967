//! Request bodies, read with limits on size, time and number.

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::http::{
    problem::{Problem, ProblemType},
    server::BodyAllowance,
};

/// Limits on request bodies. Clones share the count of large bodies.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    max_size: usize,
    timeout: Duration,
    large_bodies: Arc<Semaphore>,
}

impl BodyLimits {
    /// Bodies of at most `max_size` bytes, which arrive within `timeout` of the header. Beyond the 16 KiB that each
    /// connection may send, at most `max_large` bodies at a time: a body is in memory before its check counts as in
    /// flight.
    pub fn new(max_size: usize, timeout: Duration, max_large: usize) -> Self {
        let large_bodies = Arc::new(Semaphore::new(max_large.min(Semaphore::MAX_PERMITS)));
        Self { max_size, timeout, large_bodies }
    }
}

/// Whether the content type is `application/json` or has the suffix `+json` (RFC 6839, section 3.1), with any
/// parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// Reads a body whose content type is JSON.
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
    let too_large =
        || Problem::new(ProblemType::PayloadTooLarge, format!("the body may have {} bytes", limits.max_size));
    let content_length =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if content_length.is_some_and(|length| length > limits.max_size as u64) {
        return Err(too_large());
    }
    // Only a request without a connection, in a test, has none.
    let allowance = request.extensions().get::<BodyAllowance>().cloned().unwrap_or_default();
    let body: Limited<Body> = Limited::new(request.into_body(), limits.max_size);
    match tokio::time::timeout(limits.timeout, read(body, &limits.large_bodies, &allowance)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) if error.is::<TryAcquireError>() => {
            Err(Problem::load_shed("the service is reading as many large requests as it may at a time"))
        }
        Ok(Err(error)) => {
            tracing::debug!(?error, "a request body broke off");
            Err(Problem::new(ProblemType::MalformedJson, "the body broke off"))
        }
        Err(_) => {
            Err(Problem::new(ProblemType::RequestTimeout, format!("the body must be sent within {:?}", limits.timeout)))
        }
    }
}

/// Reads a whole body. Each chunk is copied: a chunk keeps its read buffer alive, and a caller can send a megabyte in
/// chunks of one byte.
async fn read(
    mut body: Limited<Body>,
    large_bodies: &Semaphore,
    allowance: &BodyAllowance,
) -> Result<Vec<u8>, BoxError> {
    let (mut bytes, mut small, mut large) = (Vec::new(), None::<OwnedSemaphorePermit>, None);
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        if large.is_none() {
            match allowance.take(chunk.len()) {
                Some(permit) => match &mut small {
                    Some(small) => small.merge(permit),
                    None => small = Some(permit),
                },
                None => {
                    large = Some(large_bodies.try_acquire()?);
                    small = None;
                }
            }
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{body::Bytes, http::StatusCode, response::IntoResponse};
    use futures_util::stream::{self, StreamExt};

    use super::*;

    /// A chunk of a body; the counter tells how many are in memory.
    struct Chunk(&'static [u8], #[expect(dead_code, reason = "held for its count")] Arc<()>);

    impl AsRef<[u8]> for Chunk {
        fn as_ref(&self) -> &[u8] {
            self.0
        }
    }

    #[tokio::test]
    async fn no_chunk_of_a_body_is_kept() {
        let kept = Arc::new(());
        let counter = kept.clone();
        let chunks = ["{", " ", "}"].map(str::as_bytes).into_iter().map(move |text| {
            assert!(Arc::strong_count(&counter) <= 3, "chunks that were read are kept");
            Ok::<_, Infallible>(Bytes::from_owner(Chunk(text, counter.clone())))
        });
        let body = Limited::new(Body::from_stream(stream::iter(chunks)), 3);
        let body = read(body, &Semaphore::new(0), &BodyAllowance::default()).await.expect("a body");
        assert_eq!((body.as_slice(), Arc::strong_count(&kept)), (&b"{ }"[..], 1));
    }

    #[tokio::test]
    async fn the_number_of_large_bodies_is_limited() {
        let limits = BodyLimits::new(3 * BodyAllowance::MAX_SIZE, Duration::from_secs(60), 1);
        let request = |body| Request::post("/").header(CONTENT_TYPE, "application/json").body(body).expect("a request");
        let large = || vec![b' '; BodyAllowance::MAX_SIZE + 1];
        let begun = stream::iter([Ok::<_, Infallible>(Bytes::from(large()))]).chain(stream::pending());
        let mut first = tokio_test::task::spawn(read_json(request(Body::from_stream(begun)), limits.clone()));
        tokio_test::assert_pending!(first.poll());
        let refused = read_json(request(Body::from(large())), limits.clone()).await.expect_err("one is being read");
        let answer = refused.into_response();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        let small = read_json(request(Body::from("{}")), limits.clone()).await;
        assert_eq!(small.expect("a small body"), b"{}");
        drop(first);
        assert_eq!(
            read_json(request(Body::from(large())), limits).await.expect("the first is gone").len(),
            BodyAllowance::MAX_SIZE + 1
        );
    }

    #[tokio::test]
    async fn the_bodies_of_one_connection_share_its_allowance() {
        let half = || stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; BodyAllowance::MAX_SIZE / 2]))]);
        let begun = || Limited::new(Body::from_stream(half().chain(stream::pending())), usize::MAX);
        let whole = || Limited::new(Body::from_stream(half()), usize::MAX);
        let (none_left, allowance) = (Semaphore::new(0), BodyAllowance::default());
        let mut first = tokio_test::task::spawn(read(begun(), &none_left, &allowance));
        let mut second = tokio_test::task::spawn(read(begun(), &none_left, &allowance));
        tokio_test::assert_pending!(first.poll());
        tokio_test::assert_pending!(second.poll());
        assert!(read(whole(), &none_left, &allowance).await.is_err());
        assert!(read(whole(), &none_left, &BodyAllowance::default()).await.is_ok(), "another connection");
        drop(first);
        assert!(read(whole(), &none_left, &allowance).await.is_ok());
    }
}
