//! `/console/campaigns`: the campaigns and their holds, and the commands that pause and resume them.

mod history;
mod list;
mod model;
mod pause;
mod preview;
mod resume;
mod show;

use std::sync::Arc;

use axum::Router;

use crate::console::state::Console;

/// The routes of the pages.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().merge(list::routes()).merge(show::routes()).merge(pause::routes()).merge(resume::routes())
}
