//! The routes of callbacks: for each, the request, the handler and the response.

mod batch;
mod cancel;
mod changed;
mod create;
#[cfg(test)]
mod fuzz_test;
mod get;
mod list;
mod metadata;
mod placement;
mod promises;
mod refusal;
mod request;
mod reschedule;
mod slots;
mod span;
mod view;
mod window;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::intake::Callbacks;
use batch::{__path_create_batch, create_batch};
use cancel::{__path_cancel, cancel};
use create::{__path_create, create};
use get::{__path_get, get};
use list::{__path_list, list};
use placement::{__path_placement, placement};
use promises::{__path_promises, promises};
use reschedule::{__path_reschedule, reschedule};
use slots::{__path_slots, slots};

pub use view::CallbackView;

/// The routes of callbacks.
pub fn routes() -> OpenApiRouter<Arc<Callbacks>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(create_batch))
        .routes(routes!(slots))
        .routes(routes!(promises))
        .routes(routes!(get))
        .routes(routes!(placement))
        .routes(routes!(cancel))
        .routes(routes!(reschedule))
}
