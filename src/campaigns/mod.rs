//! Campaigns: what operations have set for them.

mod business_hours;
mod routes;
mod settings;
mod store;
mod wire;

pub use business_hours::BusinessHours;
pub use routes::{Campaigns, routes};
pub use settings::CampaignSettings;
pub use store::SettingsStore;
