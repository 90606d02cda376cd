//! Health, readiness, metrics, documentation and problem pages. None of them needs an API key.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use strum::VariantArray as _;
use tokio::sync::OnceCell;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::body::PathParam;
use super::problem::{Problem, ProblemKind};
use crate::db::Db;

/// The time limit of the readiness check's query.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// Swagger UI loads its own files and this service's document, and sets styles inline.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; frame-ancestors 'none'";
/// A problem page has its style inline.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The state of the operations routes.
#[derive(Clone)]
pub struct Operations {
    /// Readiness depends on it.
    pub pool: Db,
    /// Renders all metrics.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Cancelled when the service begins to shut down.
    pub draining: tokio_util::sync::CancellationToken,
    /// The condition of CXone. Readiness does not depend on it, since accepted work is stored.
    pub cxone: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Operations {
    /// `/healthz`, `/readyz` and `/metrics`.
    pub fn routes() -> OpenApiRouter<Self> {
        OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
    }
}

/// The pages behind problem types.
pub fn problem_pages() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(problem_page))
}

/// `/openapi.json`, and Swagger UI for it at `/docs`. `make` makes the document at the first request: it needs several MB of
/// memory for a moment, and few services are asked for it.
pub fn docs(make: fn() -> Result<String, serde_json::Error>) -> Router {
    let document: Arc<OnceCell<Bytes>> = Arc::default();
    let serve = async move || {
        let document = document.get_or_try_init(|| made_document(make)).await?.clone();
        Ok::<_, Problem>(([(header::CONTENT_TYPE, "application/json")], document))
    };
    let policy = HeaderValue::from_static(DOCS_POLICY);
    Router::new()
        .merge(SwaggerUi::new("/docs").config(Config::from("/openapi.json")))
        .layer(SetResponseHeaderLayer::if_not_present(header::CONTENT_SECURITY_POLICY, policy))
        .route("/openapi.json", get(serve))
}

async fn made_document(make: fn() -> Result<String, serde_json::Error>) -> Result<Bytes, Problem> {
    match tokio::task::spawn_blocking(make).await {
        Ok(Ok(document)) => Ok(document.into()),
        failed => {
            tracing::error!(?failed, "the OpenAPI document cannot be made");
            Err(Problem::new(ProblemKind::Internal, "the OpenAPI document cannot be made"))
        }
    }
}

/// Liveness
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Readiness, and the condition of CXone
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ok`, or why the service is not ready.
    #[schema(example = "ok")]
    status: &'static str,
    /// `ok`, or what is wrong with CXone. The service accepts and stores callbacks in any case.
    #[schema(example = "ok")]
    cxone: String,
}

/// Liveness check
#[utoipa::path(get, path = "/healthz", tag = "Operations", responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Readiness check
///
/// 503 with the reason if Postgres is unavailable or the service is shutting down. The condition of CXone is shown, and
/// does not make the service unready.
#[utoipa::path(get, path = "/readyz", tag = "Operations",
    responses((status = 200, body = Readiness),
        (status = 503, description = "Not ready; `status` says why", body = Readiness)))]
async fn readyz(State(operations): State<Operations>) -> Response {
    let cxone = (operations.cxone)();
    let unready = |status, cxone| (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status, cxone })).into_response();
    if operations.draining.is_cancelled() {
        return unready("the service is draining", cxone);
    }
    match tokio::time::timeout(READY_WITHIN, sqlx::query_scalar!("select 1").fetch_one(&operations.pool)).await {
        Ok(Ok(_)) => Json(Readiness { status: "ok", cxone }).into_response(),
        Ok(Err(_)) | Err(_) => unready("the database cannot be reached", cxone),
    }
}

/// Prometheus metrics
#[utoipa::path(get, path = "/metrics", tag = "Operations",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(operations): State<Operations>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (operations.metrics)()).into_response()
}

/// Describe a problem type
#[utoipa::path(get, path = "/problems/{slug}", operation_id = "getProblem", tag = "Operations",
    params(("slug" = String, Path, description = "The last part of a problem's `type`")),
    responses((status = 200, body = String, content_type = "text/html"), (status = 404)))]
async fn problem_page(PathParam(slug): PathParam<String>) -> Result<impl IntoResponse, Problem> {
    let kind = ProblemKind::VARIANTS.iter().copied().find(|kind| kind.slug() == slug);
    let kind = kind.ok_or_else(|| Problem::not_found("problem type"))?;
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <body style=\"font:16px/1.5 system-ui;max-width:40em;margin:4em auto;padding:0 1em\">\
         <p><code>/problems/{slug}</code> · HTTP {status}</p><h1>{title}</h1><p>{advice}</p></body></html>",
        title = kind.title(),
        status = kind.status().as_u16(),
        advice = kind.advice(),
    );
    Ok(([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(page)))
}
