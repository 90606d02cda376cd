//! `/console/callbacks`: the callbacks, and what happened to one of them.

mod cancel;
mod list;
mod model;
mod number;
mod placement;
mod search;
mod show;
mod timeline;

use std::sync::Arc;

use axum::Router;

use crate::console::state::Console;

/// The routes of the pages.
pub fn routes() -> Router<Arc<Console>> {
    Router::new()
        .merge(list::routes())
        .merge(search::routes())
        .merge(show::routes())
        .merge(cancel::routes())
        .merge(number::routes())
}
