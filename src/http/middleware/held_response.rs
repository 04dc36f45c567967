//! Every response that is not small holds its bytes of the budget until the caller has taken it.

use axum::{
    body::HttpBody,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures_util::future::{Either, FutureExt, ready};

use super::stack::Next;
use crate::http::{
    problem::Problem,
    server::byte_budget::{ByteBudget, HeldResponse, SharedBody},
};

/// Holds the bytes of a response, unless its handler has done so. Without as many, the response is a 503.
pub(crate) fn hold_response(
    State(budget): State<ByteBudget>,
    request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    next.run(request).then(move |response| {
        let size = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        let extensions = response.extensions();
        let is_held = extensions.get::<HeldResponse>().is_some() || extensions.get::<SharedBody>().is_some();
        if is_held || size <= ByteBudget::SMALL_SIZE {
            return Either::Left(ready(response));
        }
        // Boxed: most responses are small, or hold their bytes already.
        Either::Right(Box::pin(async move {
            match budget.evicting(|| budget.take(size)).await {
                Ok(held) => budget.hold(held, response),
                Err(error) => Problem::from(error).into_response(),
            }
        }))
    })
}
