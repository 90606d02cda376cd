//! Campaigns: the holds that keep them from dialing, and their state in CXone.

mod answer_rate;
mod api;
mod model;
mod ports;
mod reconcile;
mod store;

pub use answer_rate::{AnswerRateMonitor, AnswerRateStore, Window};
pub use api::{Campaigns, LiveStates, SettingsRoutes, event_routes, routes, settings_routes};
pub use model::{BusinessHours, CampaignSettings, Counts, PlacementRefusal, PlacementRules, Restrictions};
pub use ports::ScheduledCallbacks;
pub use reconcile::{CampaignWorker, CxoneGateway};
pub use store::{CampaignStore, HeldPeriod, RiskClaim, SettingsStore};
