//! The OpenAPI document, and the page that shows it. Both are made from the list of routes, so neither can fall behind it.

pub(super) mod refusals;
pub(super) mod schemas;

use std::sync::Arc;

use axum::{
    Router,
    http::{
        HeaderValue, Uri,
        header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tower_http::{compression::CompressionLayer, set_header::SetResponseHeaderLayer};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_swagger_ui::Config;

use crate::{
    http::problem::{Problem, ProblemType},
    report::PhaseStart,
};

/// What the document says beside the routes.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "smtp-check", license(name = "MIT", identifier = "MIT")),
    tags(
        (name = "checks", description = "Run a check of a mail server."),
        (name = "service", description = "The service itself."),
    ),
    // Named by the description of the event stream, which no schema can describe.
    components(schemas(PhaseStart)),
    modifiers(&Bearer),
    servers((url = "/", description = "The service that this document is from")),
    security((), ("bearer" = [])),
)]
pub(super) struct Document;

/// The tokens of `--tokens-file`. Where the operator gave none, none is asked for.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Asked for only where the operator has set tokens."))
            .build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// As strict as that of every page, but that Swagger UI sets styles inline, and has its icons as data.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/openapi.json`, and the page `/docs`.
pub(super) fn routes(document: &utoipa::openapi::OpenApi) -> Result<Router, serde_json::Error> {
    let json: Arc<str> = document.to_json()?.into();
    let document = get(move || async move { ([(CONTENT_TYPE, "application/json")], json.to_string()) });
    let policy = SetResponseHeaderLayer::overriding(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    let page = Router::new()
        // The page's own addresses are relative to the folder.
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(page))
        .route("/docs/{*file}", get(page))
        .layer(policy);
    Ok(Router::new().route("/openapi.json", document).merge(page).layer(CompressionLayer::new()))
}

async fn page(uri: Uri) -> Response {
    let config = Config::from("/openapi.json")
        // By default the page would send the document's address to validator.swagger.io.
        .validator_url("none")
        // Without the bar that asks for the address of some other document.
        .use_base_layout()
        .default_models_expand_depth(0)
        .try_it_out_enabled(true)
        .display_request_duration(true);
    let file = uri.path().trim_start_matches("/docs/");
    match utoipa_swagger_ui::serve(file, Arc::new(config)) {
        Ok(Some(file)) => {
            let mut response = ([(CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response();
            if file.gzpipped {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Ok(None) => Problem::not_found().into_response(),
        Err(error) => {
            tracing::error!(%error, "the page of the document cannot be made");
            Problem::new(ProblemType::Internal, "the page cannot be made").into_response()
        }
    }
}
