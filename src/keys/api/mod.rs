//! `/v1/keys`.

mod create;
mod read;
mod revoke;
mod rotate;
mod state;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use state::Keys;

/// The routes.
pub fn routes() -> OpenApiRouter<Keys> {
    OpenApiRouter::new()
        .routes(routes!(create::post_key, read::list_keys))
        .routes(routes!(read::get_key, revoke::delete_key))
        .routes(routes!(rotate::rotate_key))
}
