//! The HTTP routes of campaigns: the request, the handler and the response of each.

mod business_hours;
mod campaigns;
mod command;
mod dialer_event_rules;
mod dialer_events;
#[cfg(test)]
mod fuzz_test;
mod live_state;
mod pause;
mod request_parts;
mod resume;
mod settings;
mod settings_view;
mod skills;
mod state;
mod views;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use dialer_events::event_routes;
pub use live_state::LiveStates;
pub use state::Campaigns;

/// The routes, apart from [`event_routes`].
pub fn routes() -> OpenApiRouter<Campaigns> {
    OpenApiRouter::new()
        .routes(routes!(campaigns::list))
        .routes(routes!(campaigns::get))
        .routes(routes!(pause::pause))
        .routes(routes!(resume::resume))
        .routes(routes!(settings::get_settings, settings::put_settings))
}
