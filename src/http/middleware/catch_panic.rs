//! A panic in a handler becomes the response of its request alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::{extract::Request, response::Response};
use futures_util::future::{Either, FutureExt, ready};

use super::stack::Next;
use crate::http::problem::Problem;

/// Answers with 500 where anything below panics. What it shared with others, such as limits, is dropped before.
pub(crate) fn catch_panic(request: Request, next: Next) -> impl Future<Output = Response> {
    match catch_unwind(AssertUnwindSafe(|| next.run(request))) {
        Ok(response) => Either::Left(
            AssertUnwindSafe(response).catch_unwind().map(|response| response.unwrap_or_else(Problem::from_panic)),
        ),
        Err(panic) => Either::Right(ready(Problem::from_panic(panic))),
    }
}
