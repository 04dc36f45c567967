//! The OpenAPI document, and the page that shows it. Both are made from the list of routes, so neither can be outdated.

pub(super) mod responses;
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

/// The parts of the document that no route has.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "smtp-check", license(name = "MIT", identifier = "MIT")),
    tags(
        (name = "checks", description = "Run a check of a mail server."),
        (name = "service", description = "The service itself."),
    ),
    // The description of the event stream refers to it; no schema can describe the stream.
    components(schemas(PhaseStart)),
    modifiers(&Bearer),
    servers((url = "/", description = "The service that this document is from")),
    security((), ("bearer" = [])),
)]
pub(super) struct Document;

/// Adds the security scheme of bearer tokens.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Needed only where the operator has set tokens."))
            .build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The policy of every page, relaxed for Swagger UI: it sets inline styles and has `data:` icons.
const SWAGGER_UI_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes `/openapi.json` and `/docs/`.
///
/// # Errors
/// The document cannot be written as JSON.
pub(super) fn routes(document: &utoipa::openapi::OpenApi) -> Result<Router, serde_json::Error> {
    let json: Arc<str> = document.to_json()?.into();
    let document = get(move || async move { ([(CONTENT_TYPE, "application/json")], json.to_string()) });
    let policy =
        SetResponseHeaderLayer::overriding(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SWAGGER_UI_POLICY));
    let page = Router::new()
        // The page links to its files by relative paths.
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(page))
        .route("/docs/{*file}", get(page))
        .layer(policy);
    Ok(Router::new().route("/openapi.json", document).merge(page).layer(CompressionLayer::new()))
}

async fn page(uri: Uri) -> Response {
    let config = Config::from("/openapi.json")
        // By default the page sends the document's address to validator.swagger.io.
        .validator_url("none")
        // The default layout has a field for the address of another document.
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
            tracing::error!(%error, "the OpenAPI page cannot be served");
            Problem::new(ProblemType::Internal, "the page cannot be served").into_response()
        }
    }
}
