//! Campaigns: what operations have set for them.

mod business_hours;
mod settings;
mod store;

pub use business_hours::{BusinessHours, OpenDay};
pub use settings::CampaignSettings;
pub use store::SettingsStore;
