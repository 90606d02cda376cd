//! Campaigns: the holds that keep them from dialing, and what CXone is told of it.

mod business_hours;
mod campaign;
mod command;
mod command_wire;
mod conductor;
mod control;
mod dialer;
mod hold;
#[cfg(test)]
mod interleavings;
mod regulatory_window;
mod routes;
mod settings;
mod settings_routes;
mod settings_store;
mod settings_wire;
mod store;

pub use business_hours::BusinessHours;
pub use conductor::Conductor;
pub use dialer::CxoneDialer;
pub use routes::{Campaigns, routes};
pub use settings::CampaignSettings;
pub use settings_store::SettingsStore;
pub use store::CampaignStore;
