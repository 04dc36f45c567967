//! Request bodies, read with limits on size, time and number.

use std::time::Duration;

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
use tokio::sync::OwnedSemaphorePermit;

use crate::http::{
    problem::{Problem, ProblemType},
    server::{
        BodyAllowance, ByteBudget, HeldRequest,
        byte_budget::{HeldBytes, NoBytesLeft},
    },
};

/// Limits on request bodies. Clones share the budget.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    max_size: usize,
    timeout: Duration,
    budget: ByteBudget,
}

impl BodyLimits {
    /// Bodies of at most `max_size` bytes, which arrive within `timeout` of the header. What is more than the 4 KiB
    /// that each connection may send is of the budget: a body is in memory before its check counts as in flight.
    pub fn new(max_size: usize, timeout: Duration, budget: ByteBudget) -> Self {
        Self { max_size, timeout, budget }
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
    let is_held = request.extensions().get::<HeldRequest>().is_some();
    let body: Limited<Body> = Limited::new(request.into_body(), limits.max_size);
    match tokio::time::timeout(limits.timeout, read(body, &limits.budget, &allowance, is_held)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) if error.is::<NoBytesLeft>() => {
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
/// chunks of one byte. A body that holds bytes of the budget, or whose request does, and waits for its caller gives way
/// where they run out.
async fn read(
    mut body: Limited<Body>,
    budget: &ByteBudget,
    allowance: &BodyAllowance,
    is_held: bool,
) -> Result<Vec<u8>, BoxError> {
    let take = |size| budget.evicting(move || budget.take(size));
    let (mut bytes, mut small, mut large) = (Vec::new(), None::<OwnedSemaphorePermit>, None::<HeldBytes>);
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = budget.body_refused(), if is_held || large.is_some() => return Err(NoBytesLeft.into()),
        };
        let Some(frame) = frame else { return Ok(bytes) };
        let Ok(chunk) = frame?.into_data() else { continue };
        let taken = if large.is_none() { allowance.take(chunk.len()) } else { None };
        match (taken, &mut small, &mut large) {
            (Some(taken), Some(small), _) => small.merge(taken),
            (Some(taken), None, _) => small = Some(taken),
            // Twice: a growing `Vec` has up to twice the capacity of what is in it.
            (None, _, Some(large)) => large.merge(take(2 * chunk.len()).await?),
            (None, _, None) => {
                large = Some(take(2 * (bytes.len() + chunk.len())).await?);
                small = None;
            }
        }
        bytes.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

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
        let body = read(body, &ByteBudget::of(0), &BodyAllowance::default(), false).await.expect("a body");
        assert_eq!((body.as_slice(), Arc::strong_count(&kept)), (&b"{ }"[..], 1));
    }

    #[tokio::test]
    async fn large_bodies_share_the_budget() {
        let budget = ByteBudget::of(3 * BodyAllowance::MAX_SIZE);
        let limits = BodyLimits::new(3 * BodyAllowance::MAX_SIZE, Duration::from_secs(60), budget);
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

    #[test]
    fn the_large_body_that_has_waited_longest_gives_way() {
        let budget = ByteBudget::of(10 * BodyAllowance::MAX_SIZE);
        let allowances = [(); 3].map(|()| BodyAllowance::default());
        let begin = |size, allowance| {
            let begun = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; size]))]).chain(stream::pending());
            let body = Limited::new(Body::from_stream(begun), usize::MAX);
            let mut body = tokio_test::task::spawn(read(body, &budget, allowance, false));
            tokio_test::assert_pending!(body.poll());
            body
        };
        // No body waits yet, so the next one that does is not meant.
        budget.refuse_stalled_body();
        let mut small = begin(1, &allowances[0]);
        let mut first = begin(BodyAllowance::MAX_SIZE + 1, &allowances[1]);
        let mut second = begin(BodyAllowance::MAX_SIZE + 1, &allowances[2]);
        budget.refuse_stalled_body();
        assert!(tokio_test::assert_ready!(first.poll()).expect_err("refused").is::<NoBytesLeft>());
        tokio_test::assert_pending!(second.poll());
        tokio_test::assert_pending!(small.poll());
    }

    #[tokio::test]
    async fn the_bodies_of_one_connection_share_its_allowance() {
        let half = || stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; BodyAllowance::MAX_SIZE / 2]))]);
        let begun = || Limited::new(Body::from_stream(half().chain(stream::pending())), usize::MAX);
        let whole = || Limited::new(Body::from_stream(half()), usize::MAX);
        let (none_left, allowance) = (ByteBudget::of(0), BodyAllowance::default());
        let mut first = tokio_test::task::spawn(read(begun(), &none_left, &allowance, false));
        let mut second = tokio_test::task::spawn(read(begun(), &none_left, &allowance, false));
        tokio_test::assert_pending!(first.poll());
        tokio_test::assert_pending!(second.poll());
        assert!(read(whole(), &none_left, &allowance, false).await.is_err());
        assert!(read(whole(), &none_left, &BodyAllowance::default(), false).await.is_ok(), "another connection");
        drop(first);
        assert!(read(whole(), &none_left, &allowance, false).await.is_ok());
    }
}
