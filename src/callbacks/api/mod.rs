//! The routes of callbacks: for each, the request, the handler and the response.

mod batch;
mod cancel;
mod create;
#[cfg(test)]
mod fuzz_test;
mod get;
mod list;
mod metadata;
mod request;
mod view;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::intake::Callbacks;
use batch::{__path_create_batch, create_batch};
use cancel::{__path_cancel, cancel};
use create::{__path_create, create};
use get::{__path_get, get};
use list::{__path_list, list};

pub use view::CallbackView;

/// The routes of callbacks.
pub fn routes() -> OpenApiRouter<Arc<Callbacks>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(create_batch))
        .routes(routes!(get))
        .routes(routes!(cancel))
}
