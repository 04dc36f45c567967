//! [`Stack`]: a router with layers around it. Each layer is a function, as with axum's `from_fn`, which would clone all
//! layers below, and box them, at each request.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use futures_util::future::{BoxFuture, FutureExt};
use tower::{Service, ServiceExt};

/// What is below a layer, down to the handler.
#[derive(Clone)]
pub(crate) struct Next(Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>);

impl Next {
    /// Hands the request on.
    pub(crate) fn run(self, request: Request) -> BoxFuture<'static, Response> {
        (self.0)(request)
    }
}

/// A router with layers around it.
#[derive(Clone)]
pub(crate) struct Stack(Next);

impl Stack {
    /// The router without layers.
    pub(crate) fn new(router: Router) -> Self {
        Self(Next(Arc::new(move |request| router.clone().oneshot(request).map(IntoResponse::into_response).boxed())))
    }

    /// Adds a layer around the others.
    pub(crate) fn layer<F>(self, layer: impl Fn(Request, Next) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let Self(next) = self;
        Self(Next(Arc::new(move |request| layer(request, next.clone()).boxed())))
    }

    /// Adds the layer if there is one.
    pub(crate) fn option_layer<F, L>(self, layer: Option<L>) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
        L: Fn(Request, Next) -> F + Send + Sync + 'static,
    {
        match layer {
            Some(layer) => self.layer(layer),
            None => self,
        }
    }
}

impl Service<Request> for Stack {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        (self.0.0)(request).map(Ok).boxed()
    }
}
