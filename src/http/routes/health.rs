//! `GET /healthz`, `/readyz` and `/version`: the state of the service itself.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{problem::Problem, server::Lifecycle};

/// The commit of the build, if the build was told.
pub(crate) const REVISION: Option<&str> = option_env!("SMTP_CHECK_REVISION");

/// The state of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
}

/// The program.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    /// Always `smtp-check`.
    #[schema(value_type = String, example = "smtp-check")]
    name: &'static str,
    /// Its version (Semantic Versioning 2.0.0).
    #[schema(value_type = String, example = "1.0.0")]
    version: &'static str,
    /// The commit of the build, if the build was told.
    #[schema(required, value_type = Option<String>)]
    revision: Option<&'static str>,
}

/// Is the service alive?
///
/// Always 200.
#[utoipa::path(get, path = "/healthz", tag = "service", operation_id = "healthz", security(),
    responses((status = 200, description = "Alive", body = Status)))]
pub(crate) async fn healthz() -> Json<Status> {
    Json(Status { status: "ok" })
}

/// Does the service take new checks?
///
/// 503 while it shuts down and running checks finish.
#[utoipa::path(get, path = "/readyz", tag = "service", operation_id = "readyz", security(),
    responses(
        (status = 200, description = "Ready", body = Status),
        (status = 503, description = "Shutting down", body = Problem, content_type = "application/problem+json",
            example = json!(Problem::shutting_down())),
    ))]
pub(crate) async fn readyz(lifecycle: State<Lifecycle>) -> Result<Json<Status>, Problem> {
    if lifecycle.is_draining() { Err(Problem::shutting_down()) } else { Ok(Json(Status { status: "ready" })) }
}

/// Which version is this?
#[utoipa::path(get, path = "/version", tag = "service", operation_id = "version", security(),
    responses((status = 200, description = "Version and build", body = Version)))]
pub(crate) async fn version() -> Json<Version> {
    Json(Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), revision: REVISION })
}
