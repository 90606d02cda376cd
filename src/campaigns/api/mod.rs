//! The HTTP routes of campaigns.

mod campaigns;
mod command_wire;
mod dialer_events;
mod live_state;
mod settings;
mod settings_request;

pub use campaigns::{Campaigns, routes};
pub use dialer_events::routes as event_routes;
pub use live_state::LiveStates;
pub use settings::{SettingsRoutes, settings_routes};
