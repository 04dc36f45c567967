//! The OpenAPI document, and the page that shows it. Both are made from the list of routes, so neither can be outdated.

pub(super) mod responses;
pub(super) mod schemas;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderValue, Uri, header::CONTENT_SECURITY_POLICY},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_swagger_ui::Config;

use crate::{
    http::{
        problem::{Problem, ProblemType},
        routes::assets::Asset,
    },
    report::{PhaseStart, domain::SpfTermReport},
};

/// The parts of the document that no route has.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "smtp-check", license(name = "MIT", identifier = "MIT")),
    tags(
        (name = "checks", description = "Run a check of a mail server."),
        (name = "service", description = "The service itself."),
    ),
    // The description of the event stream refers to the first; no schema can describe the stream. The second one has
    // itself as a part, so it is not found by its use.
    components(schemas(PhaseStart, SpfTermReport)),
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
    let json = Arc::new(Asset::new(HeaderValue::from_static("application/json"), document.to_json()?));
    let document = get(move |headers: HeaderMap| async move { json.response(&headers).await });
    let policy =
        SetResponseHeaderLayer::overriding(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SWAGGER_UI_POLICY));
    let files = Arc::new(Files::default());
    let page = get(move |uri: Uri, headers: HeaderMap| async move { files.response(&uri, &headers).await });
    let page = Router::new()
        // The page links to its files by relative paths.
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", page.clone())
        .route("/docs/{*file}", page)
        .layer(policy);
    Ok(Router::new().route("/openapi.json", document).merge(page))
}

/// The files of Swagger UI that were asked for, by name. There are about ten.
#[derive(Debug, Default)]
struct Files(Mutex<BTreeMap<String, Arc<Asset>>>);

impl Files {
    async fn response(&self, uri: &Uri, headers: &HeaderMap) -> Response {
        let name = uri.path().trim_start_matches("/docs/");
        match self.get(name).map_err(|error| error.to_string()) {
            Ok(Some(file)) => file.response(headers).await,
            Ok(None) => Problem::not_found().into_response(),
            Err(error) => {
                tracing::error!(%error, "the OpenAPI page cannot be served");
                Problem::new(ProblemType::Internal, "the page cannot be served").into_response()
            }
        }
    }

    fn get(&self, name: &str) -> Result<Option<Arc<Asset>>, Box<dyn Error>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(name) {
            return Ok(Some(file.clone()));
        }
        let Some(file) = utoipa_swagger_ui::serve(name, Arc::new(config()))? else { return Ok(None) };
        let content = match file.bytes {
            Cow::Borrowed(content) => Bytes::from_static(content),
            Cow::Owned(content) => content.into(),
        };
        let file = Arc::new(Asset::new(HeaderValue::from_str(&file.content_type)?, content));
        files.insert(name.to_owned(), file.clone());
        Ok(Some(file))
    }
}

fn config() -> Config<'static> {
    Config::from("/openapi.json")
        // By default the page sends the document's address to validator.swagger.io.
        .validator_url("none")
        // The default layout has a field for the address of another document.
        .use_base_layout()
        .default_models_expand_depth(0)
        .try_it_out_enabled(true)
        .display_request_duration(true)
}
