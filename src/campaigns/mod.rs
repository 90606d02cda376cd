//! Campaigns: the holds that keep them from dialing, and their state in CXone.

mod answer_rate;
mod business_hours;
mod command_wire;
mod events;
mod live_state;
mod model;
mod ports;
mod rate_store;
mod rates;
mod reconcile;
mod regulatory_window;
mod restrictions;
mod routes;
mod settings;
mod settings_routes;
mod settings_store;
mod settings_wire;
mod store;
mod watched;

pub use answer_rate::{Counts, Window};
pub use business_hours::BusinessHours;
pub use events::routes as event_routes;
pub use live_state::LiveStates;
pub use ports::ScheduledCallbacks;
pub use rate_store::RateStore;
pub use rates::AnswerRates;
pub use reconcile::{CampaignWorker, CxoneGateway};
pub use restrictions::{PlacementRefusal, PlacementRules, Restrictions};
pub use routes::{Campaigns, routes};
pub use settings::CampaignSettings;
pub use settings_routes::{SettingsRoutes, settings_routes};
pub use settings_store::SettingsStore;
pub use store::{CampaignStore, HeldPeriod, RiskClaim};
